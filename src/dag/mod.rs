//! Ordering of things that depend on each other.
//!
//! Why it exists: the order of a dump and the schedule of a restore are the same two questions,
//! "what may come next" and "what holds it up", asked of plain numbers.
//!
//! What it promises: nodes are `0..n`, their numbers are the order that is wished for, and every
//! answer depends only on numbers and edges, never on the order in which edges were given. Nothing
//! recurses, so depth is bounded by memory and not by the stack; 10^6 nodes are fine.
//!
//! What it leaves to others: what a node means, and how a cycle is cut. Knows nothing of
//! PostgreSQL.

mod contract;
mod cycle;
mod order;
mod ready;

pub use contract::contract;
pub use cycle::{cyclic_components, shortest_cycle};
pub use order::stable_order;
pub use ready::ReadySet;

/// A directed graph over the nodes `0..len`: for each node the nodes that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    needs: Vec<Vec<u32>>,
}

impl Graph {
    /// A graph of `nodes` nodes without edges.
    pub fn new(nodes: usize) -> Self {
        Self {
            needs: vec![Vec::new(); nodes],
        }
    }

    /// A graph of `nodes` nodes with edges (node, what it needs). Duplicates and edges of a node to
    /// itself are dropped.
    pub fn from_edges(nodes: usize, edges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut graph = Self::new(nodes);
        for (node, need) in edges {
            graph.add(node, need);
        }
        graph.tidy();
        graph
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// What `node` needs, ascending after [`Graph::tidy`].
    pub fn needs(&self, node: u32) -> &[u32] {
        self.needs.get(node as usize).map_or(&[], Vec::as_slice)
    }

    /// `node` needs `need` from now on. An edge of a node to itself is ignored.
    pub fn add(&mut self, node: u32, need: u32) {
        if node != need {
            self.needs[node as usize].push(need);
        }
    }

    /// `node` no longer needs `need`.
    pub fn remove(&mut self, node: u32, need: u32) {
        self.needs[node as usize].retain(|&other| other != need);
    }

    /// Whether `node` needs `need` directly.
    pub fn has(&self, node: u32, need: u32) -> bool {
        self.needs(node).contains(&need)
    }

    /// Sorts the edges and drops duplicates, so that nothing depends on the order of adding.
    pub fn tidy(&mut self) {
        for needs in &mut self.needs {
            needs.sort_unstable();
            needs.dedup();
        }
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.needs.iter().map(Vec::len).sum()
    }

    /// For each node the nodes that need it, as offsets into one list.
    fn dependents(&self) -> Dependents {
        let mut starts = vec![0_u32; self.len() + 1];
        for &need in self.needs.iter().flatten() {
            starts[need as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut fill = starts.clone();
        let mut list = vec![0_u32; self.edges()];
        for (node, needs) in (0_u32..).zip(&self.needs) {
            for &need in needs {
                let slot = &mut fill[need as usize];
                list[*slot as usize] = node;
                *slot += 1;
            }
        }
        Dependents { starts, list }
    }
}

/// Edges turned round.
#[derive(Clone, Debug)]
struct Dependents {
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Dependents {
    fn of(&self, node: u32) -> &[u32] {
        let start = self.starts[node as usize] as usize;
        let end = self.starts[node as usize + 1] as usize;
        &self.list[start..end]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    /// Edges without a cycle over `nodes` nodes, under a random renaming.
    pub(crate) fn acyclic(nodes: u32) -> impl Strategy<Value = Vec<(u32, u32)>> {
        let renaming = Just((0..nodes).collect::<Vec<u32>>()).prop_shuffle();
        let edges = prop::collection::vec((0..nodes, 0..nodes), 0..(nodes as usize * 3));
        (renaming, edges).prop_map(|(renaming, edges)| {
            edges
                .into_iter()
                .filter(|(a, b)| a != b)
                .map(|(a, b)| (a.max(b), a.min(b)))
                .map(|(a, b)| (renaming[a as usize], renaming[b as usize]))
                .collect()
        })
    }
}
