//! In which order objects must be made, and what must be split to make an order possible.
//!
//! Why it exists: `pg_depend` knows what needs what, but neither sections nor rows, and it has
//! cycles that SQL can only make in two steps.
//!
//! What it promises: [`order`] reads a [`Database`], changes nothing in it, and gives a correct
//! serial order, in which each node also names what it must wait for. The result depends on names
//! and definitions, never on OIDs or on the order in which the catalogs were read. A dependency
//! cycle is repaired by a decision ([`Splits`]) that `ddl` carries out; one that cannot be repaired
//! is an error that spells out its members.
//!
//! What it leaves to others: reading the catalogs (`catalog`), SQL (`ddl`), locks and schedules
//! (`plan`, `restore`).
//!
//! How: every object that may take part becomes a node in an initial order (by section, sort,
//! name). Parts that are written within their owner (defaults, checks, the query of a view) are
//! nodes too, which their owner needs; so a cycle through a part is an ordinary cycle, and to set
//! the part apart is to turn one edge round. Nodes that are not in the archive are contracted away
//! before cycles are looked for, inline parts after.

mod edges;
mod grants;
mod holders;
mod inventory;
mod key;
mod name;
mod node;
mod repair;
mod rows;
mod sections;
#[cfg(test)]
mod tests;
mod trees;

pub use grants::{GrantOrder, grant_order};
pub use node::{Node, Order, Ordered, Section, Splits};

use crate::dag::{self, Graph};
use crate::error::{Error, Kind, Result};
use crate::model::Database;
use holders::Holders;
use inventory::{Inventory, Item, Standing};
use trees::Trees;

/// Orders everything that is wanted of a database.
///
/// # Errors
/// [`Kind::Failed`] when objects need each other in a circle that cannot be cut, or when something
/// that must stand before the data needs what can be made only after it. The message names them.
pub fn order(database: &Database) -> Result<Order> {
    let mut inventory = Inventory::of(database);
    let trees = Trees::of(database);
    let mut splits = always_apart(&inventory);

    splits.circular_data = edges::self_references(database, &inventory).collect();

    let recorded = edges::edges(database, &inventory, &trees);
    let keep = |inventory: &Inventory<'_>, standings: &[Standing]| -> Vec<bool> {
        inventory
            .slots
            .iter()
            .map(|slot| standings.contains(&slot.standing))
            .collect()
    };
    let kept = keep(&inventory, &[Standing::Shown, Standing::Part]);
    let mut graph = dag::contract(&recorded, &kept);
    drop_ways_back_to_owner(&inventory, &mut graph);
    let holders = Holders::of(database);
    repair::cut_cycles(&mut inventory, &mut graph, &mut splits, &holders)?;
    sections::move_behind_data(&mut inventory, &mut graph, &mut splits, &holders)?;
    splits.left_empty = rows::wait_for_rows(&mut inventory, &trees, &recorded, &mut graph);

    let shown = keep(&inventory, &[Standing::Shown]);
    let graph = dag::contract(&graph, &shown);
    let nodes = place(&inventory, &graph, &shown)?;
    Ok(Order { nodes, splits })
}

/// Parts that stand apart without any cycle: those of views, of inherited columns, not valid ones.
fn always_apart(inventory: &Inventory<'_>) -> Splits {
    let mut splits = Splits::default();
    for slot in &inventory.slots {
        if slot.standing != Standing::Shown {
            continue;
        }
        match slot.node {
            Node::SeparateDefault(oid) => {
                splits.defaults.insert(oid);
            }
            Node::SeparateConstraint(oid) => {
                splits.constraints.insert(oid);
            }
            _ => {}
        }
    }
    splits
}

/// A part that reaches its own owner through something that is not in the archive is no cycle.
fn drop_ways_back_to_owner(inventory: &Inventory<'_>, graph: &mut Graph) {
    for (node, slot) in (0_u32..).zip(&inventory.slots) {
        // A body or a default that names its own object needs it indeed.
        let names_itself = matches!(
            slot.item,
            Item::FunctionDefinition(_) | Item::DomainDefault(_)
        );
        if slot.standing == Standing::Part
            && !names_itself
            && let Some(owner) = inventory.owner(node)
        {
            graph.remove(node, owner);
        }
    }
}

/// The final order: sections one after the other, within them the initial order as far as
/// dependencies allow.
fn place(inventory: &Inventory<'_>, graph: &Graph, shown: &[bool]) -> Result<Vec<Ordered>> {
    let mut wished: Vec<u32> = (0..graph.len() as u32)
        .filter(|&node| shown[node as usize])
        .collect();
    wished.sort_by_key(|&node| (inventory.slot(node).section, node));
    let mut rank = vec![0_u32; graph.len()];
    for (at, &node) in (0_u32..).zip(&wished) {
        rank[node as usize] = at;
    }
    let ranked = Graph::from_edges(
        wished.len(),
        (0_u32..).zip(&wished).flat_map(|(at, &node)| {
            let rank = &rank;
            graph
                .needs(node)
                .iter()
                .map(move |&need| (at, rank[need as usize]))
        }),
    );
    let order = dag::stable_order(&ranked).map_err(|left| {
        let names: Vec<String> = left
            .iter()
            .take(20)
            .map(|&at| name::describe(inventory.slot(wished[at as usize]).item))
            .collect();
        Error::new(
            Kind::Failed,
            format!("no order found for {}", names.join(", ")),
        )
    })?;
    let mut position = vec![0_usize; order.len()];
    for (at, &ranked) in order.iter().enumerate() {
        position[ranked as usize] = at;
    }
    Ok(order
        .iter()
        .map(|&at| {
            let slot = inventory.slot(wished[at as usize]);
            let mut depends_on: Vec<usize> = ranked
                .needs(at)
                .iter()
                .map(|&need| position[need as usize])
                .collect();
            depends_on.sort_unstable();
            Ordered {
                node: slot.node,
                section: slot.section,
                depends_on,
            }
        })
        .collect())
}
