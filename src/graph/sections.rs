//! What must move behind the data because it needs something that is made there.
//!
//! The typical cause is a primary key: a query with `GROUP BY id` leans on it, and indexes are
//! made after the rows. Only the query itself need wait for that: the view can stand as a dummy, and
//! whatever must be made before the data stands on the dummy.

use std::collections::BTreeSet;

use super::holders::Holders;
use super::inventory::{Inventory, Item, Standing};
use super::name::describe;
use super::node::{Node, Section, Splits};
use super::repair::{definition_of, dummy, rule_of, set_apart};
use crate::dag::{Graph, stable_order};
use crate::error::{Error, Kind, Result};
use crate::model::Class;

/// Moves functions and materialized views, and sets views' queries, defaults and checks apart.
/// `graph` must be free of cycles.
///
/// # Errors
/// When something that can neither move nor be split needs what is made after the data.
pub(super) fn move_behind_data(
    inventory: &mut Inventory<'_>,
    graph: &mut Graph,
    splits: &mut Splits,
    holders: &Holders<'_>,
) -> Result<()> {
    let order = stable_order(graph).map_err(|left| {
        let names: Vec<String> = left
            .iter()
            .take(20)
            .map(|&node| describe(inventory.slot(node).item))
            .collect();
        Error::new(
            Kind::Failed,
            format!("no order found for {}", names.join(", ")),
        )
    })?;
    let early = needed_before_data(inventory, graph, splits, holders);
    let mut late_dummies = BTreeSet::new();
    for node in order {
        if inventory.slot(node).section != Section::PreData {
            continue;
        }
        if let Item::ViewRule(relation) = inventory.slot(node).item
            && relation
                .view
                .as_ref()
                .is_some_and(|view| view.check_option.is_some())
        {
            // A check option needs a view that can be updated, which a dummy cannot.
            let rules: Vec<u32> = graph
                .needs(node)
                .iter()
                .filter(|need| late_dummies.contains(*need))
                .filter_map(|&need| rule_of(inventory, need))
                .filter(|&rule| rule != node)
                .collect();
            for rule in rules {
                graph.add(node, rule);
            }
        }
        let late: Vec<u32> = graph
            .needs(node)
            .iter()
            .copied()
            .filter(|&need| inventory.slot(need).section == Section::PostData)
            .collect();
        for need in late {
            if inventory.slot(need).standing == Standing::Part
                && inventory.owner(need) == Some(node)
            {
                if matches!(inventory.slot(need).item, Item::ViewRule(_)) {
                    dummy(inventory, graph, splits, node, need, &BTreeSet::new());
                    late_dummies.insert(node);
                    continue;
                }
                if set_apart(inventory, graph, splits, holders, node, need) {
                    continue;
                }
            }
            if early.contains(&node) && matches!(inventory.slot(need).item, Item::ViewRule(_)) {
                graph.remove(node, need);
                continue;
            }
            postpone(inventory, graph, splits, holders, node, need)?;
        }
    }
    Ok(())
}

/// Moves a node behind the data because of `need`.
fn postpone(
    inventory: &mut Inventory<'_>,
    graph: &Graph,
    splits: &mut Splits,
    holders: &Holders<'_>,
    node: u32,
    need: u32,
) -> Result<()> {
    let slot = inventory.slot(node);
    let holder = match slot.item {
        Item::DomainConstraint(ty, _) => holders.table(inventory, ty.header.address.oid),
        _ => None,
    };
    let may_move = match slot.item {
        item if stays_before_data(item) => false,
        Item::DomainConstraint(..) => holder.is_none(),
        // Rows must not be loaded with a function that is only declared.
        Item::FunctionDefinition(_) if slot.standing == Standing::Shown => inventory
            .owner(node)
            .is_none_or(|function| !tables_need(inventory, graph, function)),
        _ => true,
    };
    if !may_move {
        let hint = "drop or change one of them, or leave it out of the dump";
        let hint = match holder {
            Some(table) => format!(
                "{} holds the domain within another type: nothing can be added to it then; {hint}",
                describe(inventory.slot(table).item)
            ),
            None => hint.to_owned(),
        };
        return Err(Error::new(
            Kind::Failed,
            format!(
                "{} needs {}, which can be made only after the data",
                describe(slot.item),
                describe(inventory.slot(need).item)
            ),
        )
        .with_hint(hint));
    }
    if let Node::Object(address) = slot.node
        && matches!(address.class, Class::Function | Class::Relation)
    {
        splits.postponed.insert(address);
    }
    inventory.move_to(node, Section::PostData);
    Ok(())
}

/// What has no place after the data.
fn stays_before_data(item: Item<'_>) -> bool {
    match item {
        Item::Database(_) | Item::Schema(_) | Item::Extension(_) => true,
        Item::Language(_) | Item::Collation(_) => true,
        Item::Type(_) | Item::ShellType(_) | Item::TableAttach(_) => true,
        Item::Relation(relation) => relation.view.is_none(),
        _ => false,
    }
}

/// What those need that have no place after the data, however indirectly, apart from what they can be
/// made without: the queries of views, defaults and checks. Where no view became a dummy, nobody
/// asks.
fn needed_before_data(
    inventory: &Inventory<'_>,
    graph: &Graph,
    splits: &Splits,
    holders: &Holders<'_>,
) -> BTreeSet<u32> {
    if splits.dummy_views.is_empty() {
        return BTreeSet::new();
    }
    let mut pending: Vec<u32> = (0..graph.len() as u32)
        .filter(|&node| {
            let slot = inventory.slot(node);
            slot.standing == Standing::Shown
                && slot.section == Section::PreData
                && stays_before_data(slot.item)
        })
        .collect();
    let mut found: BTreeSet<u32> = pending.iter().copied().collect();
    while let Some(node) = pending.pop() {
        // Rows must not be loaded with a function that is only declared.
        let definition = definition_of(inventory, node)
            .filter(|&definition| inventory.slot(definition).standing == Standing::Shown);
        for &need in graph.needs(node).iter().chain(&definition) {
            let slot = inventory.slot(need);
            let can_come_later = match slot.item {
                Item::ViewRule(_) | Item::Check(..) | Item::DomainDefault(_) => true,
                Item::Default(_, column) => column.generated.is_none(),
                // One that stands apart before the data does so for a table that holds the domain.
                Item::DomainConstraint(ty, _) => {
                    slot.standing == Standing::Part
                        && holders.table(inventory, ty.header.address.oid).is_none()
                }
                _ => slot.section != Section::PreData,
            };
            if !can_come_later && found.insert(need) {
                pending.push(need);
            }
        }
    }
    found
}

/// Whether anything with rows needs `node`, however indirectly.
fn tables_need(inventory: &Inventory<'_>, graph: &Graph, node: u32) -> bool {
    let mut reached = BTreeSet::from([node]);
    loop {
        let before = reached.len();
        for other in 0..graph.len() as u32 {
            if inventory.slot(other).section == Section::PreData
                && graph.needs(other).iter().any(|need| reached.contains(need))
            {
                reached.insert(other);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    reached.iter().any(|&other| {
        matches!(inventory.slot(other).item, Item::Relation(relation) if relation.view.is_none())
    })
}
