//! What waits for rows: everything that is made on a table after its data, and refreshes.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::{Inventory, Item, Standing};
use super::node::{Node, Section};
use super::trees::Trees;
use crate::dag::Graph;
use crate::model::{Oid, RelationKind};

/// Adds to `graph` what waits for rows. `recorded` is the graph before anything was left out or
/// repaired: what a materialized view reads is found in it. Gives the materialized views that stay
/// empty although they are filled at the source.
pub(super) fn wait_for_rows(
    inventory: &mut Inventory<'_>,
    trees: &Trees<'_>,
    recorded: &Graph,
    graph: &mut Graph,
) -> BTreeSet<Oid> {
    let all_refreshes = (0..graph.len() as u32)
        .filter(|&node| matches!(inventory.slot(node).item, Item::Refresh(_)))
        .collect();
    let mut waiting = Waiting {
        inventory,
        trees,
        by_root: trees.loaded_by_root(),
        all_refreshes,
    };
    for node in 0..graph.len() as u32 {
        for need in waiting.rows_for(node) {
            graph.add(node, need);
        }
    }
    waiting.refreshes(recorded, graph)
}

struct Waiting<'r, 'a, 't> {
    inventory: &'r mut Inventory<'a>,
    trees: &'r Trees<'t>,
    by_root: BTreeMap<Oid, Vec<Oid>>,
    all_refreshes: Vec<u32>,
}

impl Waiting<'_, '_, '_> {
    /// The rows that must be complete before this node of the post-data section starts.
    fn rows_for(&self, node: u32) -> BTreeSet<u32> {
        let slot = self.inventory.slot(node);
        let mut rows = BTreeSet::new();
        if slot.section != Section::PostData || slot.standing != Standing::Shown {
            return rows;
        }
        match slot.item {
            Item::Index(index) => self.rows_of(index.table, &mut rows),
            Item::Statistics(statistics) => self.rows_of(statistics.table, &mut rows),
            Item::Rule(rule) => self.rows_of(rule.relation, &mut rows),
            Item::Policy(policy) => self.rows_of(policy.table, &mut rows),
            Item::PublicationTable(member) => self.rows_of(member.table, &mut rows),
            // A refresh is a command on which it would fire.
            Item::EventTrigger(_) => rows.extend(&self.all_refreshes),
            Item::RowSecurity(relation) | Item::Default(relation, _) => {
                self.rows_of(relation.header.address.oid, &mut rows);
            }
            // These go down to partitions or children.
            Item::ForeignKey(foreign_key) => {
                self.rows_of_partitions(foreign_key.table, &mut rows);
                self.rows_of_partitions(foreign_key.referenced, &mut rows);
            }
            Item::Trigger(trigger) => self.rows_of_partitions(trigger.table, &mut rows),
            Item::Check(relation, _) | Item::NotNull(relation, _) => {
                self.rows_of_descendants(relation.header.address.oid, &mut rows);
            }
            _ => {}
        }
        rows
    }

    /// Rows that get into one table: its own, or those of its whole tree if they come through the
    /// root.
    fn rows_of(&self, table: Oid, rows: &mut BTreeSet<u32>) {
        rows.extend(self.inventory.find(Node::TableData(table)));
        let through_root = self
            .trees
            .loaded_through(table)
            .and_then(|root| self.by_root.get(&root));
        for &other in through_root.into_iter().flatten() {
            rows.extend(self.inventory.find(Node::TableData(other)));
        }
    }

    fn rows_of_partitions(&self, table: Oid, rows: &mut BTreeSet<u32>) {
        self.rows_of(table, rows);
        for partition in self.trees.partitions(table) {
            rows.extend(self.inventory.find(Node::TableData(partition)));
        }
    }

    fn rows_of_descendants(&self, table: Oid, rows: &mut BTreeSet<u32>) {
        self.rows_of(table, rows);
        for child in self.trees.descendants(table) {
            rows.extend(self.inventory.find(Node::TableData(child)));
        }
    }

    /// A refresh comes after the rows, refreshes and late definitions of all that it reads. What
    /// reads a materialized view that stays empty is not refreshed either: it could not be.
    fn refreshes(&mut self, recorded: &Graph, graph: &mut Graph) -> BTreeSet<Oid> {
        let mut readers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut empty = Vec::new();
        for node in 0..graph.len() as u32 {
            let Item::Refresh(relation) = self.inventory.slot(node).item else {
                continue;
            };
            let Some(view) = self.inventory.relation(relation.header.address.oid) else {
                continue;
            };
            let reads = self.reads(view, recorded);
            for need in reads.needs {
                graph.add(node, need);
            }
            for other in reads.materialized_views {
                let slot = self.inventory.slot(other);
                let Item::Relation(relation) = slot.item else {
                    continue;
                };
                match self
                    .inventory
                    .find(Node::Refresh(relation.header.address.oid))
                {
                    Some(refresh) => {
                        graph.add(node, refresh);
                        readers.entry(refresh).or_default().push(node);
                    }
                    None if slot.standing == Standing::Shown => empty.push(node),
                    None => {}
                }
            }
        }
        let mut left_empty = BTreeSet::new();
        while let Some(node) = empty.pop() {
            let slot = self.inventory.slot(node);
            if slot.standing == Standing::Shown {
                if let Item::Refresh(relation) = slot.item {
                    left_empty.insert(relation.header.address.oid);
                }
                self.inventory.hide(node);
                empty.extend(readers.get(&node).into_iter().flatten());
            }
        }
        left_empty
    }

    /// What a materialized view reads, through views and functions.
    fn reads(&self, view: u32, recorded: &Graph) -> Reads {
        let mut reads = Reads::default();
        let mut seen = BTreeSet::from([view]);
        let mut pending = vec![view];
        while let Some(at) = pending.pop() {
            for &need in recorded.needs(at) {
                if !seen.insert(need) {
                    continue;
                }
                match self.inventory.slot(need).item {
                    Item::Relation(relation) => match relation.kind {
                        RelationKind::View => pending.push(need),
                        RelationKind::MaterializedView => {
                            reads.materialized_views.insert(need);
                        }
                        _ => {
                            self.rows_of_descendants(relation.header.address.oid, &mut reads.needs)
                        }
                    },
                    Item::ViewRule(_)
                    | Item::Function(_)
                    | Item::Aggregate(_)
                    | Item::Operator(_)
                    | Item::Cast(_) => {
                        if self.inventory.slot(need).standing == Standing::Shown {
                            reads.needs.insert(need);
                        }
                        pending.push(need);
                    }
                    _ => {}
                }
            }
        }
        reads
    }
}

#[derive(Default)]
struct Reads {
    /// Rows, definitions of views that first stand as a dummy, functions and what stands on them.
    needs: BTreeSet<u32>,
    materialized_views: BTreeSet<u32>,
}
