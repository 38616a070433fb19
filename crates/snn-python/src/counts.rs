//! Operations of every node, as the counting interpreter finds them.

use crate::results::tuple;
use pyo3::prelude::*;
use pyo3::types::PyList;
use snn_runtime::counting::{Counts, NodeCounts, Tally};

fn node<'py>(py: Python<'py>, of: &NodeCounts) -> PyResult<Bound<'py, PyAny>> {
    let Tally {
        events,
        additions,
        multiplications,
        comparisons,
        neuron_updates,
        rescalings,
        sums,
        micro_steps,
    } = of.tally;
    let name = (of.node.as_str(), of.op.as_str(), of.neurons);
    let counts = (events, additions, multiplications, comparisons);
    let rest = (neuron_updates, rescalings, sums, micro_steps);
    let values = (
        name.0, name.1, name.2, counts.0, counts.1, counts.2, counts.3, rest.0, rest.1, rest.2,
        rest.3,
    );
    tuple(py, "NodeCounts", values)
}

/// `snn.Counts` of these.
pub(crate) fn counts<'py>(py: Python<'py>, of: &Counts) -> PyResult<Bound<'py, PyAny>> {
    let nodes: Vec<_> = of.nodes.iter().map(|one| node(py, one)).collect::<PyResult<_>>()?;
    let neurons = of.nodes.iter().map(|node| node.neurons).sum();
    let total =
        NodeCounts { node: "total".into(), op: "network".into(), neurons, tally: of.total() };
    tuple(py, "Counts", (of.samples, of.time_steps, PyList::new(py, nodes)?, node(py, &total)?))
}
