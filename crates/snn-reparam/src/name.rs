//! Names for the nodes that conversion adds.

use snn_ir::Graph;

/// `wanted`, or that with as many primes as it takes to be the name of no node.
pub(crate) fn free(graph: &Graph, wanted: String) -> String {
    let mut name = wanted;
    while graph.node(&name).is_some() {
        name.push('\'');
    }
    name
}
