//! Walks a graph once, in order, and frees every value after its last reader.

use crate::error::{Error, Result};
use crate::fused;
use snn_ir::{Graph, Op, Resolved, Site};
use tch::Tensor;

/// Output of a node for a batch.
#[derive(Debug)]
pub(crate) struct Value {
    /// `[steps·B, C, H, W]`, channels last in memory, or `[steps·B, F]`.
    pub(crate) data: Tensor,
    /// T, or 1 for a node of the time-invariant prefix (eq. 14).
    pub(crate) steps: usize,
}

impl Value {
    /// The same value, not a copy of it.
    fn share(&self) -> Self {
        Self { data: self.data.shallow_clone(), steps: self.steps }
    }

    /// A value of the same macro-steps.
    pub(crate) fn with(&self, data: Tensor) -> Self {
        Self { data, steps: self.steps }
    }
}

/// A node to compute.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) node: usize,
    pub(crate) reads: Vec<Read>,
}

/// Input of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) node: usize,
    /// A batch norm that stands between, and that the reader computes too.
    pub(crate) norm: Option<usize>,
}

/// Every node of a graph by itself.
pub(crate) fn every_node(resolved: &Resolved) -> Vec<Step> {
    let plain = |&node: &usize| Read { node, norm: None };
    let step = |(node, info): (usize, &snn_ir::ResolvedNode)| Step {
        node,
        reads: info.inputs.iter().map(plain).collect(),
    };
    resolved.nodes.iter().enumerate().map(step).collect()
}

/// Sites together with the batch norms and the sum before them, where nothing else reads those:
/// [`fused`] computes them in one pass.
pub(crate) fn fused_sites(graph: &Graph, resolved: &Resolved) -> Vec<Step> {
    let mut readers = vec![0_usize; graph.nodes.len()];
    for &read in resolved.nodes.iter().flat_map(|node| &node.inputs) {
        readers[read] += 1;
    }
    let mut absorbed = vec![false; graph.nodes.len()];
    let mut steps = every_node(resolved);
    for (index, node) in graph.nodes.iter().enumerate() {
        let Op::Activation { site, code: None } = &node.op else { continue };
        let fusible = match site {
            Site::Lif(lif) => fused::has_form(lif),
            Site::QuantRelu(_) | Site::Relu => true,
            Site::Custom(_) | Site::GridLif(_) | Site::GridQuantRelu { .. } => false,
        };
        if !fusible {
            continue;
        }
        let alone = |node: usize| readers[node] == 1;
        let mut reads = Vec::new();
        for &input in &resolved.nodes[index].inputs {
            let terms = match &graph.nodes[input].op {
                Op::Add if alone(input) => {
                    absorbed[input] = true;
                    resolved.nodes[input].inputs.clone()
                }
                _ => vec![input],
            };
            for term in terms {
                reads.push(match &graph.nodes[term].op {
                    Op::BatchNorm { .. } if alone(term) => {
                        absorbed[term] = true;
                        Read { node: resolved.nodes[term].inputs[0], norm: Some(term) }
                    }
                    _ => Read { node: term, norm: None },
                });
            }
        }
        steps[index].reads = reads;
    }
    steps.retain(|step| !absorbed[step.node]);
    steps
}

/// Computes every step but the input and the head from `input`; `compute` gets a step and its
/// inputs. Returns what the head reads.
pub(crate) fn walk(
    graph: &Graph,
    steps: &[Step],
    input: Value,
    compute: impl FnMut(&Step, &[Value]) -> Result<Value>,
) -> Result<Value> {
    match steps {
        [first, body @ .., head] => {
            walk_part(graph, body, (first.node, input), head.reads[0].node, compute)
        }
        _ => Err(Error::Torch("a graph of less than an input and a head".into())),
    }
}

/// Computes `steps`, which read nothing but the value of a node `from` and each other's; returns
/// the value of the node `to`.
pub(crate) fn walk_part(
    graph: &Graph,
    steps: &[Step],
    from: (usize, Value),
    to: usize,
    mut compute: impl FnMut(&Step, &[Value]) -> Result<Value>,
) -> Result<Value> {
    let mut readers = vec![0_usize; graph.nodes.len()];
    for read in steps.iter().flat_map(|step| &step.reads) {
        readers[read.node] += 1;
    }
    readers[to] += 1;
    let mut values: Vec<Option<Value>> = (0..graph.nodes.len()).map(|_| None).collect();
    let lost =
        |index: usize| Error::Torch(format!("node `{}` has no value", graph.nodes[index].name));
    values[from.0] = Some(from.1);
    for step in steps {
        let mut inputs = Vec::with_capacity(step.reads.len());
        for &Read { node, .. } in &step.reads {
            readers[node] -= 1;
            let value = if readers[node] == 0 {
                values[node].take()
            } else {
                values[node].as_ref().map(Value::share)
            };
            inputs.push(value.ok_or_else(|| lost(node))?);
        }
        values[step.node] = Some(compute(step, &inputs)?);
    }
    values[to].take().ok_or_else(|| lost(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_ir::networks::ResNet;

    #[test]
    fn sites_take_in_the_norms_and_the_sum_before_them() {
        let graph = ResNet::default().build();
        let resolved = graph.resolve().unwrap();
        let steps = fused_sites(&graph, &resolved);
        let left: Vec<&str> = steps.iter().map(|step| graph.nodes[step.node].op.label()).collect();
        assert!(!left.contains(&"batch_norm") && !left.contains(&"add"), "{left:?}");
        let sites =
            steps.iter().filter(|step| matches!(graph.nodes[step.node].op, Op::Activation { .. }));
        // One term after the first convolution of a block; two after the second, of which a plain
        // shortcut has no norm.
        let terms: Vec<_> = sites
            .map(|s| (s.reads.len(), s.reads.iter().filter(|r| r.norm.is_some()).count()))
            .collect();
        assert_eq!(terms[..3], [(1, 1), (1, 1), (2, 1)]);
        assert_eq!(terms.iter().filter(|terms| **terms == (2, 2)).count(), 2, "{terms:?}");
    }

    #[test]
    fn a_norm_with_two_readers_stays() {
        let mut graph = ResNet::default().build();
        let site =
            graph.nodes.iter().position(|node| matches!(node.op, Op::Activation { .. })).unwrap();
        let reader = graph
            .nodes
            .iter()
            .position(|node| node.inputs.contains(&graph.nodes[site].name))
            .unwrap();
        let norm = graph.nodes[site].inputs[0].clone();
        graph.nodes[reader].inputs = vec![norm];
        let resolved = graph.resolve().unwrap();
        let steps = fused_sites(&graph, &resolved);
        let step = steps.iter().find(|step| step.node == site).unwrap();
        assert_eq!(step.reads, [Read { node: resolved.nodes[site].inputs[0], norm: None }]);
    }
}
