//! The stable topological order.

use std::collections::BinaryHeap;

use super::Graph;

/// Orders all nodes so that each comes after everything it needs, departing as little as possible
/// from the order of their numbers.
///
/// Works from the end: of the nodes that nothing left needs, the greatest takes the last free
/// place. So a node that is needed early is pulled forward, instead of everything that needs it
/// being pushed back.
///
/// # Errors
/// The nodes that cannot be placed because they are on a cycle or something on a cycle needs them,
/// ascending.
pub fn stable_order(graph: &Graph) -> Result<Vec<u32>, Vec<u32>> {
    let mut waiting = vec![0_u32; graph.len()];
    for node in 0..graph.len() {
        for &need in graph.needs(node as u32) {
            waiting[need as usize] += 1;
        }
    }
    let mut free: BinaryHeap<u32> = (0_u32..)
        .zip(&waiting)
        .filter(|&(_, &count)| count == 0)
        .map(|(node, _)| node)
        .collect();
    let mut order = Vec::with_capacity(graph.len());
    while let Some(node) = free.pop() {
        order.push(node);
        for &need in graph.needs(node) {
            let count = &mut waiting[need as usize];
            *count -= 1;
            if *count == 0 {
                free.push(need);
            }
        }
    }
    if order.len() < graph.len() {
        return Err((0_u32..)
            .zip(&waiting)
            .filter(|&(_, &count)| count > 0)
            .map(|(node, _)| node)
            .collect());
    }
    order.reverse();
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::tests::acyclic;
    use proptest::prelude::*;

    #[test]
    fn without_edges_nothing_moves() {
        assert_eq!(stable_order(&Graph::new(4)).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_needed_early_is_pulled_forward() {
        let graph = Graph::from_edges(5, [(1, 4)]);
        assert_eq!(stable_order(&graph).unwrap(), [0, 4, 1, 2, 3]);
    }

    #[test]
    fn a_cycle_is_reported_with_what_it_needs() {
        let graph = Graph::from_edges(5, [(1, 2), (2, 1), (2, 0), (4, 3)]);
        assert_eq!(stable_order(&graph).unwrap_err(), [0, 1, 2]);
    }

    #[test]
    fn a_million_nodes_in_a_chain_are_ordered() {
        let nodes = 1_000_000;
        let graph = Graph::from_edges(nodes, (1..nodes as u32).map(|node| (node - 1, node)));
        let order = stable_order(&graph).unwrap();
        assert_eq!(order.first(), Some(&(nodes as u32 - 1)));
        assert_eq!(order.len(), nodes);
    }

    proptest! {
        #[test]
        fn every_edge_is_respected(edges in acyclic(40)) {
            let graph = Graph::from_edges(40, edges.iter().copied());
            let order = stable_order(&graph).unwrap();
            let mut place = vec![0; 40];
            for (at, &node) in order.iter().enumerate() {
                place[node as usize] = at;
            }
            for (node, need) in edges {
                prop_assert!(place[need as usize] < place[node as usize]);
            }
        }

        #[test]
        fn the_order_of_edges_is_nothing(
            (edges, shuffled) in acyclic(30)
                .prop_flat_map(|edges| (Just(edges.clone()), Just(edges).prop_shuffle()))
        ) {
            prop_assert_eq!(
                stable_order(&Graph::from_edges(30, edges)),
                stable_order(&Graph::from_edges(30, shuffled))
            );
        }

        #[test]
        fn an_order_is_not_changed_by_ordering_again(edges in acyclic(30)) {
            let graph = Graph::from_edges(30, edges.iter().copied());
            let order = stable_order(&graph).unwrap();
            let mut place = [0; 30];
            for (at, &node) in (0_u32..).zip(&order) {
                place[node as usize] = at;
            }
            let renamed = Graph::from_edges(
                30,
                edges.iter().map(|&(a, b)| (place[a as usize], place[b as usize])),
            );
            prop_assert_eq!(stable_order(&renamed).unwrap(), (0..30).collect::<Vec<u32>>());
        }
    }
}
