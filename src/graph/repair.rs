//! Cutting cycles. Each kind of cycle has one named repair; a repair is recorded in [`Splits`] and
//! changes only the graph, never the model.

use std::collections::{BTreeMap, BTreeSet};

use super::holders::Holders;
use super::inventory::{Inventory, Item, Standing};
use super::name::describe;
use super::node::{Node, Section, Splits};
use crate::dag::{Graph, cyclic_components, shortest_cycle};
use crate::error::{Error, Kind, Result};
use crate::model::{Class, Oid, TypeDefinition};

/// Cuts every cycle of `graph`.
///
/// # Errors
/// When a cycle is of no known kind; the error spells out its members.
pub(super) fn cut_cycles<'a>(
    inventory: &mut Inventory<'a>,
    graph: &mut Graph,
    splits: &mut Splits,
    holders: &Holders<'a>,
) -> Result<()> {
    let mut repair = Repair {
        inventory,
        graph,
        splits,
        holders,
        dummies: BTreeMap::new(),
    };
    repair.run()
}

struct Repair<'r, 'a> {
    inventory: &'r mut Inventory<'a>,
    graph: &'r mut Graph,
    splits: &'r mut Splits,
    holders: &'r Holders<'a>,
    /// Each view that became a dummy and each function that was declared first, and the group of
    /// the cycle that it was in.
    dummies: BTreeMap<u32, BTreeSet<u32>>,
}

impl Repair<'_, '_> {
    fn run(&mut self) -> Result<()> {
        let all: Vec<u32> = (0..self.graph.len() as u32).collect();
        let mut groups = cyclic_components(self.graph, &all);
        while let Some(group) = groups.pop() {
            let cycle = shortest_cycle(self.graph, &group);
            self.cut(&cycle, &group)?;
            groups.extend(cyclic_components(self.graph, &group));
        }
        self.lead_past_dummies();
        Ok(())
    }

    /// Applies the first repair that fits, in a fixed order of preference.
    fn cut(&mut self, cycle: &[u32], group: &[u32]) -> Result<()> {
        let edges: Vec<(u32, u32)> = cycle
            .iter()
            .enumerate()
            .map(|(at, &node)| (node, cycle[(at + 1) % cycle.len()]))
            .collect();
        let repairs = [
            Self::give_type_a_shell,
            Self::make_view_a_dummy,
            Self::set_check_apart,
            Self::set_default_apart,
            Self::set_domain_constraint_apart,
            Self::set_domain_default_apart,
            Self::declare_function,
        ];
        for repair in repairs {
            for &(node, need) in &edges {
                if repair(self, node, need, group) {
                    return Ok(());
                }
            }
        }
        if self.break_circular_data(cycle) {
            return Ok(());
        }
        let members: Vec<String> = cycle
            .iter()
            .chain(cycle.first())
            .map(|&node| describe(self.inventory.slot(node).item))
            .collect();
        Err(Error::new(
            Kind::Failed,
            format!(
                "objects need each other in a circle that cannot be cut: {}",
                members.join(" needs "),
            ),
        )
        .with_hint("drop or change one of them, or leave it out of the dump"))
    }

    /// A function takes or returns a type whose input, output or canonical function it is: it
    /// needs only the type's shell.
    fn give_type_a_shell(&mut self, function: u32, ty: u32, _group: &[u32]) -> bool {
        let (Item::Function(_), Item::Type(definition)) = (
            self.inventory.slot(function).item,
            self.inventory.slot(ty).item,
        ) else {
            return false;
        };
        let oid = definition.header.address.oid;
        let Some(shell) = self.inventory.find(Node::ShellType(oid)) else {
            return false;
        };
        let own: Vec<u32> = match &definition.definition {
            TypeDefinition::Base(base) => base.functions.clone(),
            TypeDefinition::Range(range) => range.canonical.iter().map(|(_, oid)| *oid).collect(),
            _ => Vec::new(),
        }
        .into_iter()
        .filter_map(|oid| {
            self.inventory
                .resolve(crate::model::Address::new(Class::Function, oid))
        })
        .collect();
        if !own.contains(&function) {
            return false;
        }
        for own in own {
            if self.graph.has(own, ty) {
                self.graph.remove(own, ty);
                self.graph.add(own, shell);
            }
        }
        self.graph.add(ty, shell);
        self.inventory.show(shell);
        self.splits.shell_types.insert(oid);
        true
    }

    /// A view's query needs something that needs the view: the view first stands as a dummy of the
    /// same columns.
    fn make_view_a_dummy(&mut self, view: u32, rule: u32, group: &[u32]) -> bool {
        if !matches!(self.inventory.slot(rule).item, Item::ViewRule(_))
            || !self.is_inline_part(view, rule)
        {
            return false;
        }
        let group: BTreeSet<u32> = group.iter().copied().collect();
        dummy(self.inventory, self.graph, self.splits, view, rule, &group);
        self.dummies.insert(view, group);
        true
    }

    fn set_check_apart(&mut self, table: u32, check: u32, _group: &[u32]) -> bool {
        matches!(self.inventory.slot(check).item, Item::Check(..))
            && self.is_inline_part(table, check)
            && self.set_apart(table, check)
    }

    fn set_default_apart(&mut self, table: u32, default: u32, _group: &[u32]) -> bool {
        matches!(self.inventory.slot(default).item, Item::Default(..))
            && self.is_inline_part(table, default)
            && self.set_apart(table, default)
    }

    fn set_domain_constraint_apart(&mut self, domain: u32, check: u32, _group: &[u32]) -> bool {
        matches!(self.inventory.slot(check).item, Item::DomainConstraint(..))
            && self.is_inline_part(domain, check)
            && self.set_apart(domain, check)
    }

    fn set_domain_default_apart(&mut self, domain: u32, default: u32, _group: &[u32]) -> bool {
        matches!(self.inventory.slot(default).item, Item::DomainDefault(_))
            && self.is_inline_part(domain, default)
            && self.set_apart(domain, default)
    }

    /// A function's body or default needs something that needs the function, itself maybe: the
    /// function is declared first.
    fn declare_function(&mut self, function: u32, definition: u32, group: &[u32]) -> bool {
        let Item::FunctionDefinition(declared) = self.inventory.slot(definition).item else {
            return false;
        };
        if !self.is_inline_part(function, definition) {
            return false;
        }
        self.graph.remove(function, definition);
        self.graph.add(definition, function);
        self.inventory.show(definition);
        self.splits
            .declared_functions
            .insert(declared.header.address.oid);
        self.dummies
            .insert(function, group.iter().copied().collect());
        true
    }

    fn set_apart(&mut self, owner: u32, part: u32) -> bool {
        let Self {
            inventory,
            graph,
            splits,
            holders,
            ..
        } = self;
        set_apart(inventory, graph, splits, holders, owner, part)
    }

    fn is_inline_part(&self, owner: u32, part: u32) -> bool {
        self.inventory.slot(part).standing == Standing::Part
            && self.inventory.owner(part) == Some(owner)
    }

    /// Tables whose rows refer to each other in a circle, with foreign keys that stand already: no
    /// order is right, so any will do; the caller can warn.
    fn break_circular_data(&mut self, cycle: &[u32]) -> bool {
        let mut tables: Vec<Oid> = Vec::new();
        for &node in cycle {
            match self.inventory.slot(node).node {
                Node::TableData(oid) => tables.push(oid),
                _ => return false,
            }
        }
        let (Some(&first), Some(&second)) = (cycle.first(), cycle.get(1)) else {
            return false;
        };
        self.graph.remove(first, second);
        self.splits.circular_data.push(tables);
        true
    }

    /// What needs a view and has no part in its cycle waits for the view's definition, not only
    /// for the dummy: a view with a check option, for one, cannot stand on a dummy. So with
    /// functions that are declared first. (`sections` takes back what is asked too much: where the
    /// definition comes after the data, and who needs it cannot.)
    fn lead_past_dummies(&mut self) {
        if self.dummies.is_empty() {
            return;
        }
        for node in 0..self.graph.len() as u32 {
            let further: Vec<u32> = self
                .graph
                .needs(node)
                .iter()
                .filter_map(|need| Some((need, self.dummies.get(need)?)))
                .filter(|(_, group)| !group.contains(&node))
                .filter_map(|(&owner, _)| {
                    rule_of(self.inventory, owner).or_else(|| definition_of(self.inventory, owner))
                })
                .filter(|&definition| definition != node)
                .collect();
            for rule in further {
                self.graph.add(node, rule);
            }
        }
    }
}

/// The node of a view's query.
pub(super) fn rule_of(inventory: &Inventory<'_>, view: u32) -> Option<u32> {
    match inventory.slot(view).node {
        Node::Object(address) if address.class == Class::Relation => {
            inventory.find(Node::ViewDefinition(address.oid))
        }
        _ => None,
    }
}

/// The node of a function's definition.
pub(super) fn definition_of(inventory: &Inventory<'_>, function: u32) -> Option<u32> {
    match inventory.slot(function).node {
        Node::Object(address) if address.class == Class::Function => {
            inventory.find(Node::FunctionDefinition(address.oid))
        }
        _ => None,
    }
}

/// A view becomes a dummy: its query comes later. The dummy has the view's columns, so their types
/// come first, except those that are in `group`, the cycle that is being cut.
pub(super) fn dummy(
    inventory: &mut Inventory<'_>,
    graph: &mut Graph,
    splits: &mut Splits,
    view: u32,
    rule: u32,
    group: &BTreeSet<u32>,
) {
    graph.remove(view, rule);
    graph.add(rule, view);
    inventory.show(rule);
    let Item::Relation(relation) = inventory.slot(view).item else {
        return;
    };
    splits.dummy_views.insert(relation.header.address.oid);
    for column in &relation.columns {
        let address = crate::model::Address::new(Class::Type, column.type_oid);
        if let Some(ty) = inventory
            .resolve(address)
            .filter(|ty| !group.contains(ty) && inventory.slot(*ty).standing == Standing::Shown)
        {
            graph.add(view, ty);
        }
    }
}

/// A part leaves its owner. A generated column's expression cannot: then nothing is done.
pub(super) fn set_apart(
    inventory: &mut Inventory<'_>,
    graph: &mut Graph,
    splits: &mut Splits,
    holders: &Holders<'_>,
    owner: u32,
    part: u32,
) -> bool {
    match inventory.slot(part).item {
        Item::Default(_, column) => {
            let Some(default) = column
                .default
                .as_ref()
                .filter(|_| column.generated.is_none())
            else {
                return false;
            };
            splits.defaults.insert(default.oid);
        }
        Item::Check(_, check) => {
            splits.constraints.insert(check.oid);
        }
        Item::DomainDefault(ty) => {
            splits.domain_defaults.insert(ty.header.address.oid);
        }
        Item::DomainConstraint(_, constraint) => {
            splits.constraints.insert(constraint.oid);
        }
        _ => return false,
    }
    graph.remove(owner, part);
    graph.add(part, owner);
    inventory.show(part);
    match inventory.slot(part).item {
        Item::Default(..) | Item::DomainDefault(_) => {}
        // Once such a table is there, nothing can be added to the domain.
        Item::DomainConstraint(ty, _) => {
            let oid = ty.header.address.oid;
            for holder in holders.within_others(inventory, oid) {
                graph.add(holder, part);
            }
            if holders.table(inventory, oid).is_none() {
                inventory.move_to(part, Section::PostData);
            }
        }
        // Adding a check scans the table, so it is added once, to all rows.
        _ => inventory.move_to(part, Section::PostData),
    }
    true
}
