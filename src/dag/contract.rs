//! Leaving nodes out without losing what depends on what through them.

use super::Graph;

/// The same graph with edges only between nodes to `keep`: a node needs every kept node that it
/// reaches through nodes left out. Cycles among nodes left out do no harm.
pub fn contract(graph: &Graph, keep: &[bool]) -> Graph {
    let leads_somewhere = reaches_kept(graph, keep);
    let mut contracted = Graph::new(graph.len());
    let mut seen = vec![u32::MAX; graph.len()];
    let mut pending = Vec::new();
    for node in 0..graph.len() as u32 {
        if !keep[node as usize] {
            continue;
        }
        pending.push(node);
        while let Some(at) = pending.pop() {
            for &need in graph.needs(at) {
                if std::mem::replace(&mut seen[need as usize], node) == node {
                    continue;
                }
                if keep[need as usize] {
                    contracted.add(node, need);
                } else if leads_somewhere[need as usize] {
                    pending.push(need);
                }
            }
        }
    }
    contracted.tidy();
    contracted
}

/// For each node, whether a kept node is among what it needs, directly or not.
fn reaches_kept(graph: &Graph, keep: &[bool]) -> Vec<bool> {
    let dependents = graph.dependents();
    let mut reaches = vec![false; graph.len()];
    let mut pending: Vec<u32> = (0_u32..)
        .zip(keep)
        .filter(|&(_, &kept)| kept)
        .map(|(node, _)| node)
        .collect();
    while let Some(node) = pending.pop() {
        for &dependent in dependents.of(node) {
            if !std::mem::replace(&mut reaches[dependent as usize], true) {
                pending.push(dependent);
            }
        }
    }
    reaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_through_left_out_nodes_become_edges() {
        let graph = Graph::from_edges(6, [(0, 1), (1, 2), (2, 1), (2, 3), (3, 4), (5, 1)]);
        let keep = [true, false, false, true, true, true];
        assert_eq!(
            contract(&graph, &keep),
            Graph::from_edges(6, [(0, 3), (3, 4), (5, 3)])
        );
    }

    proptest! {
        #[test]
        fn kept_nodes_reach_the_same_kept_nodes(
            edges in prop::collection::vec((0_u32..12, 0_u32..12), 0..30),
            keep in prop::collection::vec(any::<bool>(), 12)
        ) {
            let graph = Graph::from_edges(12, edges);
            let contracted = contract(&graph, &keep);
            for start in (0..12).filter(|&node| keep[node as usize]) {
                let before: Vec<u32> = reach(&graph, start)
                    .into_iter()
                    .filter(|&node| keep[node as usize] && node != start)
                    .collect();
                let after: Vec<u32> = reach(&contracted, start)
                    .into_iter()
                    .filter(|&node| node != start)
                    .collect();
                prop_assert_eq!(before, after);
            }
        }
    }

    fn reach(graph: &Graph, start: u32) -> Vec<u32> {
        let mut seen = std::collections::BTreeSet::new();
        let mut pending = vec![start];
        while let Some(node) = pending.pop() {
            for &need in graph.needs(node) {
                if seen.insert(need) {
                    pending.push(need);
                }
            }
        }
        seen.into_iter().collect()
    }
}
