//! Helpers with which passes rewrite a network: names, weights, readers, kinds of streams.

use crate::error::Result;
use ndarray::{Array1, ArrayD, Ix1};
use snn_ir::StreamKind as Kind;
use snn_ir::{Graph, Model, Norm, Tensor, Weights, weights};
use std::collections::HashMap;

/// A network while passes rewrite it.
pub(crate) struct Draft {
    pub(crate) graph: Graph,
    pub(crate) weights: Weights,
    /// Deviation of each channel of the input.
    pub(crate) std: Vec<f64>,
}

impl Draft {
    /// A trained model with its weights in f64.
    pub(crate) fn of(model: &Model) -> Self {
        let weights = model.weights().iter();
        let mut graph = model.graph().clone();
        // How weights begin and which learn is of training alone.
        for node in &mut graph.nodes {
            (node.initial, node.frozen) = (None, false);
        }
        Self {
            graph,
            weights: weights.map(|(name, t)| (name.clone(), Tensor::F64(t.to_f64()))).collect(),
            std: model.preprocessing().std.clone(),
        }
    }

    /// A weight in f64.
    pub(crate) fn real(&self, node: &str, part: &str) -> Result<ArrayD<f64>> {
        Ok(weights::real(&self.weights, node, part)?)
    }

    /// Replaces a weight.
    pub(crate) fn set_real(&mut self, node: &str, part: &str, values: ArrayD<f64>) {
        self.weights.insert(format!("{node}.{part}"), Tensor::F64(values));
    }

    /// `true` if a node has such a weight.
    pub(crate) fn has(&self, node: &str, part: &str) -> bool {
        self.weights.contains_key(&format!("{node}.{part}"))
    }

    /// Takes a node out; its readers read `instead`.
    pub(crate) fn remove(&mut self, name: &str, instead: &str) {
        self.graph.nodes.retain(|node| node.name != name);
        for input in self.graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
            if input == name {
                instead.clone_into(input);
            }
        }
    }

    /// `wanted`, or that with as many primes as it takes to be the name of no node.
    pub(crate) fn free_name(&self, wanted: String) -> String {
        free_name(wanted, |name| self.graph.node(name).is_some())
    }

    /// Channels of every node.
    pub(crate) fn channel_counts(&self) -> Result<HashMap<String, usize>> {
        let resolved = self.graph.resolve()?;
        let counts = self.graph.nodes.iter().zip(&resolved.nodes);
        Ok(counts.map(|(node, info)| (node.name.clone(), info.shape[0])).collect())
    }
}

/// `wanted`, or that with as many primes as it takes to be a name that is not taken.
pub(crate) fn free_name(wanted: String, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted;
    while is_taken(&name) {
        name.push('\'');
    }
    name
}

/// `κ = γ/√(σ² + ε)` of each channel of a batch norm.
pub(crate) fn factors(weights: &Weights, name: &str, norm: Norm) -> snn_ir::Result<ArrayD<f64>> {
    let deviation = weights::real(weights, name, "running_var")?.mapv(|v| (v + norm.eps).sqrt());
    let scale = if norm.scale { Some(weights::real(weights, name, "weight")?) } else { None };
    Ok(scale.map_or_else(|| 1.0 / &deviation, |scale| scale / &deviation))
}

/// A weight of one value for each channel.
pub(crate) fn per_channel(model: &Model, node: &str, part: &str) -> Result<Array1<f64>> {
    let values = weights::real(model.weights(), node, part)?;
    let shape = values.shape().to_vec();
    values.into_dimensionality::<Ix1>().map_err(|_| {
        snn_ir::Error::Weight {
            name: format!("{node}.{part}"),
            expected: "one axis".into(),
            found: format!("{shape:?}"),
        }
        .into()
    })
}

/// Kind of every node's output, by name. A sum of events counts as events before conversion has
/// separated its streams.
pub(crate) fn kinds(graph: &Graph) -> HashMap<&str, Kind> {
    graph.nodes.iter().map(|node| node.name.as_str()).zip(graph.kinds()).collect()
}
