//! What must move behind the data because it needs something that is made there.
//!
//! The typical cause is a primary key: a query with `GROUP BY id` leans on it, and indexes are
//! made after the rows.

use std::collections::BTreeSet;

use super::inventory::{Inventory, Item, Standing};
use super::name::describe;
use super::node::{Node, Section, Splits};
use super::repair::{dummy, rule_of, set_apart};
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
                if set_apart(inventory, graph, splits, node, need) {
                    continue;
                }
            }
            postpone(inventory, graph, splits, node, need)?;
        }
    }
    Ok(())
}

/// Moves a node behind the data because of `need`.
fn postpone(
    inventory: &mut Inventory<'_>,
    graph: &Graph,
    splits: &mut Splits,
    node: u32,
    need: u32,
) -> Result<()> {
    let slot = inventory.slot(node);
    let may_move = match slot.item {
        Item::Database(_) | Item::Schema(_) | Item::Extension(_) => false,
        Item::Language(_) | Item::Collation(_) => false,
        Item::Type(_) | Item::ShellType(_) | Item::TableAttach(_) => false,
        Item::Relation(relation) => relation.view.is_some(),
        // Rows must not be loaded with a function that is only declared.
        Item::FunctionDefinition(_) if slot.standing == Standing::Shown => inventory
            .owner(node)
            .is_none_or(|function| !tables_need(inventory, graph, function)),
        _ => true,
    };
    if !may_move {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "{} needs {}, which can be made only after the data",
                describe(slot.item),
                describe(inventory.slot(need).item)
            ),
        )
        .with_hint("drop or change one of them, or leave it out of the dump"));
    }
    if let Node::Object(address) = slot.node
        && matches!(address.class, Class::Function | Class::Relation)
    {
        splits.postponed.insert(address);
    }
    inventory.move_to(node, Section::PostData);
    Ok(())
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
