//! Cycles.

use std::collections::{HashMap, VecDeque};

use super::Graph;

/// The groups of two and more nodes that need each other in a circle (strongly connected
/// components), looking only at `among` and the edges between them. Groups are ascending by their
/// smallest node, each group is ascending.
pub fn cyclic_components(graph: &Graph, among: &[u32]) -> Vec<Vec<u32>> {
    let mut walk = Tarjan::new(graph, among);
    for &root in among {
        if walk.number[root as usize] == UNSEEN {
            walk.from(root);
        }
    }
    walk.found.sort_unstable();
    walk.found
}

/// Numbers of nodes that do not take part, or were not reached yet.
const OUTSIDE: u32 = u32::MAX;
const UNSEEN: u32 = u32::MAX - 1;

/// Tarjan's algorithm with a stack of its own.
struct Tarjan<'a> {
    graph: &'a Graph,
    /// When a node was first seen.
    number: Vec<u32>,
    /// Smallest number known to be reachable and still open.
    low: Vec<u32>,
    /// Whether a node is on `open`.
    on_open: Vec<bool>,
    open: Vec<u32>,
    seen: u32,
    found: Vec<Vec<u32>>,
}

impl<'a> Tarjan<'a> {
    fn new(graph: &'a Graph, among: &[u32]) -> Self {
        let mut number = vec![OUTSIDE; graph.len()];
        for &node in among {
            number[node as usize] = UNSEEN;
        }
        Self {
            graph,
            number,
            low: vec![0; graph.len()],
            on_open: vec![false; graph.len()],
            open: Vec::new(),
            seen: 0,
            found: Vec::new(),
        }
    }

    fn enter(&mut self, node: u32) {
        self.number[node as usize] = self.seen;
        self.low[node as usize] = self.seen;
        self.seen += 1;
        self.open.push(node);
        self.on_open[node as usize] = true;
    }

    fn from(&mut self, root: u32) {
        self.enter(root);
        // A node and how many of its edges have been followed.
        let mut path = vec![(root, 0_usize)];
        while let Some(&mut (node, ref mut followed)) = path.last_mut() {
            if let Some(&need) = self.graph.needs(node).get(*followed) {
                *followed += 1;
                match self.number[need as usize] {
                    OUTSIDE => {}
                    UNSEEN => {
                        self.enter(need);
                        path.push((need, 0));
                    }
                    number if self.on_open[need as usize] => {
                        let low = &mut self.low[node as usize];
                        *low = (*low).min(number);
                    }
                    _ => {}
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                self.low[parent as usize] = self.low[parent as usize].min(self.low[node as usize]);
            }
            if self.low[node as usize] == self.number[node as usize] {
                self.close(node);
            }
        }
    }

    /// Takes a finished group from the stack of open nodes.
    fn close(&mut self, first: u32) {
        let start = self
            .open
            .iter()
            .rposition(|&node| node == first)
            .unwrap_or(0);
        let mut group = self.open.split_off(start);
        for &node in &group {
            self.on_open[node as usize] = false;
        }
        if group.len() > 1 {
            group.sort_unstable();
            self.found.push(group);
        }
    }
}

/// A shortest cycle through the smallest node of a group that [`cyclic_components`] found: each
/// node needs the next, the last needs the first. Empty when there is none.
pub fn shortest_cycle(graph: &Graph, group: &[u32]) -> Vec<u32> {
    let Some(&start) = group.iter().min() else {
        return Vec::new();
    };
    let mut came_from: HashMap<u32, u32> = group.iter().map(|&node| (node, OUTSIDE)).collect();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &need in graph.needs(node) {
            if need == start {
                let mut cycle = vec![node];
                let mut at = node;
                while at != start {
                    at = came_from[&at];
                    cycle.push(at);
                }
                cycle.reverse();
                return cycle;
            }
            if let Some(from) = came_from.get_mut(&need)
                && *from == OUTSIDE
            {
                *from = node;
                queue.push_back(need);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::{stable_order, tests::acyclic};
    use proptest::prelude::*;

    fn all(graph: &Graph) -> Vec<u32> {
        (0..graph.len() as u32).collect()
    }

    #[test]
    fn groups_are_found_apart() {
        let graph = Graph::from_edges(
            7,
            [
                (0, 1),
                (1, 0),
                (1, 2),
                (2, 3),
                (3, 4),
                (4, 2),
                (5, 0),
                (3, 6),
            ],
        );
        assert_eq!(
            cyclic_components(&graph, &all(&graph)),
            [vec![0, 1], vec![2, 3, 4]]
        );
        assert!(cyclic_components(&graph, &[0, 2, 3, 6]).is_empty());
    }

    #[test]
    fn the_shortest_cycle_is_taken() {
        let graph = Graph::from_edges(4, [(0, 1), (1, 2), (2, 3), (3, 0), (1, 0)]);
        assert_eq!(shortest_cycle(&graph, &[0, 1, 2, 3]), [0, 1]);
    }

    #[test]
    fn a_very_long_cycle_needs_no_stack() {
        let nodes = 500_000_u32;
        let graph = Graph::from_edges(
            nodes as usize,
            (0..nodes).map(|node| (node, (node + 1) % nodes)),
        );
        let groups = cyclic_components(&graph, &all(&graph));
        assert_eq!(groups.len(), 1);
        assert_eq!(shortest_cycle(&graph, &groups[0]).len(), nodes as usize);
    }

    proptest! {
        #[test]
        fn there_is_a_group_exactly_when_there_is_no_order(
            edges in prop::collection::vec((0_u32..20, 0_u32..20), 0..40)
        ) {
            let graph = Graph::from_edges(20, edges);
            let groups = cyclic_components(&graph, &all(&graph));
            prop_assert_eq!(groups.is_empty(), stable_order(&graph).is_ok());
            for group in groups {
                let cycle = shortest_cycle(&graph, &group);
                prop_assert!(cycle.len() > 1);
                for (at, &node) in cycle.iter().enumerate() {
                    prop_assert!(graph.has(node, cycle[(at + 1) % cycle.len()]));
                    prop_assert!(group.contains(&node));
                }
            }
        }

        #[test]
        fn no_group_without_a_cycle(edges in acyclic(30)) {
            let graph = Graph::from_edges(30, edges);
            prop_assert!(cyclic_components(&graph, &all(&graph)).is_empty());
        }
    }
}
