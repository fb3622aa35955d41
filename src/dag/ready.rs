//! What may be started next.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Dependents, Graph};

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Something that it needs is not complete, or it is ready and was not popped.
    Waiting,
    /// Popped.
    Started,
    /// Complete, failed, or given up because something that it needs failed.
    Over,
}

/// Nodes that wait for others: gives those whose needs are complete, highest priority first, and
/// among equals the smallest number first.
#[derive(Clone, Debug)]
pub struct ReadySet<P> {
    dependents: Dependents,
    open_needs: Vec<u32>,
    priority: Vec<P>,
    state: Vec<State>,
    ready: BTreeSet<(Reverse<P>, u32)>,
    left: usize,
}

impl<P: Ord + Copy> ReadySet<P> {
    /// All nodes of `graph`, each with its priority (one per node; the greatest comes first).
    ///
    /// # Panics
    /// When there are fewer priorities than nodes.
    pub fn new(graph: &Graph, priority: Vec<P>) -> Self {
        assert_eq!(priority.len(), graph.len(), "one priority per node");
        let open_needs: Vec<u32> = (0..graph.len() as u32)
            .map(|node| graph.needs(node).len() as u32)
            .collect();
        let ready = (0_u32..)
            .zip(&open_needs)
            .filter(|&(_, &open)| open == 0)
            .map(|(node, _)| (Reverse(priority[node as usize]), node))
            .collect();
        Self {
            dependents: graph.dependents(),
            left: open_needs.len(),
            state: vec![State::Waiting; open_needs.len()],
            open_needs,
            priority,
            ready,
        }
    }

    /// Starts the first ready node that `admit` agrees to (it may refuse for a lock that is held
    /// or a pass that has not begun).
    pub fn pop_ready(&mut self, mut admit: impl FnMut(u32) -> bool) -> Option<u32> {
        let key = *self.ready.iter().find(|(_, node)| admit(*node))?;
        self.ready.remove(&key);
        self.state[key.1 as usize] = State::Started;
        Some(key.1)
    }

    /// A started node is complete. Returns the nodes that became ready by it.
    pub fn complete(&mut self, node: u32) -> Vec<u32> {
        self.end(node);
        let mut newly_ready = Vec::new();
        for &dependent in self.dependents.of(node) {
            let open = &mut self.open_needs[dependent as usize];
            *open -= 1;
            if *open == 0 && self.state[dependent as usize] == State::Waiting {
                self.ready
                    .insert((Reverse(self.priority[dependent as usize]), dependent));
                newly_ready.push(dependent);
            }
        }
        newly_ready
    }

    /// A node failed or is not to be tried. Returns everything that needs it, directly or not, and
    /// was not over yet: none of it will be given any more.
    pub fn give_up(&mut self, node: u32) -> Vec<u32> {
        self.end(node);
        let mut lost = Vec::new();
        let mut pending = vec![node];
        while let Some(at) = pending.pop() {
            for index in 0..self.dependents.of(at).len() {
                let dependent = self.dependents.of(at)[index];
                if self.state[dependent as usize] == State::Waiting {
                    self.end(dependent);
                    lost.push(dependent);
                    pending.push(dependent);
                }
            }
        }
        lost.sort_unstable();
        lost
    }

    /// The ready nodes, first to last.
    pub fn ready(&self) -> impl Iterator<Item = u32> + '_ {
        self.ready.iter().map(|&(_, node)| node)
    }

    /// How many nodes are neither complete nor given up.
    pub fn left(&self) -> usize {
        self.left
    }

    fn end(&mut self, node: u32) {
        self.ready
            .remove(&(Reverse(self.priority[node as usize]), node));
        if std::mem::replace(&mut self.state[node as usize], State::Over) != State::Over {
            self.left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::tests::acyclic;
    use proptest::prelude::*;

    #[test]
    fn the_greatest_priority_that_is_admitted_comes_first() {
        let graph = Graph::from_edges(4, [(3, 0)]);
        let mut set = ReadySet::new(&graph, vec![1, 5, 5, 9]);
        assert_eq!(set.pop_ready(|node| node != 1), Some(2));
        assert_eq!(set.pop_ready(|_| true), Some(1));
        assert_eq!(set.pop_ready(|_| true), Some(0));
        assert_eq!(set.pop_ready(|_| true), None);
        assert_eq!(set.complete(0), [3]);
        assert_eq!(set.pop_ready(|_| true), Some(3));
        assert_eq!(set.left(), 3);
    }

    #[test]
    fn what_needs_a_failed_node_is_given_up() {
        let graph = Graph::from_edges(5, [(1, 0), (2, 1), (2, 3), (4, 3)]);
        let mut set = ReadySet::new(&graph, vec![0; 5]);
        assert_eq!(set.pop_ready(|_| true), Some(0));
        assert_eq!(set.give_up(0), [1, 2]);
        assert_eq!(set.pop_ready(|_| true), Some(3));
        assert_eq!(set.complete(3), [4]);
        assert_eq!(set.pop_ready(|_| true), Some(4));
        assert!(set.complete(4).is_empty());
        assert_eq!(set.left(), 0);
    }

    proptest! {
        #[test]
        fn any_schedule_respects_every_edge(
            edges in acyclic(25),
            priority in prop::collection::vec(0_u8..4, 25),
            refused in prop::collection::vec(any::<bool>(), 100)
        ) {
            let graph = Graph::from_edges(25, edges);
            let mut set = ReadySet::new(&graph, priority);
            let mut complete = [false; 25];
            let mut refusals = refused.into_iter();
            let mut steps = 0;
            while set.left() > 0 {
                steps += 1;
                prop_assert!(steps < 500);
                let Some(node) = set.pop_ready(|_| !refusals.next().unwrap_or(false)) else {
                    continue;
                };
                for &need in graph.needs(node) {
                    prop_assert!(complete[need as usize]);
                }
                complete[node as usize] = true;
                set.complete(node);
            }
            prop_assert!(complete.iter().all(|&done| done));
        }
    }
}
