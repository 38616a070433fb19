//! Walks a graph once, in order, and frees every value after its last reader.

use crate::error::{Error, Result};
use snn_ir::{Graph, Resolved};
use tch::Tensor;

/// What a node yields for a batch.
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

/// Computes every node but the head from `input`; `compute` gets the position of a node and its inputs. Returns what the head reads.
pub(crate) fn walk(
    graph: &Graph,
    resolved: &Resolved,
    input: Value,
    mut compute: impl FnMut(usize, &[Value]) -> Result<Value>,
) -> Result<Value> {
    let head = graph.nodes.len() - 1;
    let mut readers = vec![0_usize; graph.nodes.len()];
    for &read in resolved.nodes.iter().flat_map(|node| &node.inputs) {
        readers[read] += 1;
    }
    let mut values: Vec<Option<Value>> = (0..graph.nodes.len()).map(|_| None).collect();
    let lost = |index: usize| Error::Torch(format!("node `{}` has no value", graph.nodes[index].name));
    values[0] = Some(input);
    for index in 1..=head {
        let mut inputs = Vec::with_capacity(resolved.nodes[index].inputs.len());
        for &read in &resolved.nodes[index].inputs {
            readers[read] -= 1;
            let value = if readers[read] == 0 { values[read].take() } else { values[read].as_ref().map(Value::share) };
            inputs.push(value.ok_or_else(|| lost(read))?);
        }
        if index == head {
            return inputs.pop().ok_or_else(|| lost(head));
        }
        values[index] = Some(compute(index, &inputs)?);
    }
    Err(lost(head))
}
