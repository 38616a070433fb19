//! The weights that a graph needs.

use super::form::Form;
use super::weights::Tensor;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::graph::resolve::Resolved;
use crate::site::parts::{PartSpec, Range};

/// One weight that a graph needs.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightSpec {
    /// `<node>.<part>`.
    pub name: String,
    /// Position of its node.
    pub node: usize,
    /// What is known of the weight within its node.
    pub part: PartSpec,
}

impl WeightSpec {
    /// The error for a model that lacks it.
    pub(crate) fn missing(&self) -> Error {
        Error::MissingWeight {
            name: self.name.clone(),
            expected: format!("{} {:?}", self.part.dtypes[0], self.part.shape),
        }
    }

    /// Checks the type and shape of what has its name.
    pub(crate) fn check(&self, dtype: &str, shape: &[usize]) -> Result<()> {
        if self.part.dtypes.contains(&dtype) && self.part.shape == shape {
            return Ok(());
        }
        Err(Error::Weight {
            name: self.name.clone(),
            expected: format!("{} {:?}", self.part.dtypes.join(" or "), self.part.shape),
            found: format!("{dtype} {shape:?}"),
        })
    }

    /// Checks type, shape and values of a weight.
    pub(super) fn check_values(&self, tensor: &Tensor) -> Result<()> {
        let fail = |expected: String, found: String| {
            Err(Error::Weight { name: self.name.clone(), expected, found })
        };
        self.check(tensor.dtype(), tensor.shape())?;
        if let Some((position, _)) = tensor.first_not_finite() {
            return fail(
                "finite values".into(),
                format!("a value that is not finite at position {position}"),
            );
        }
        if self.part.range == Range::Finite {
            return Ok(());
        }
        match self.part.range.fault(&tensor.to_f64()) {
            Some((expected, found)) => fail(expected, found),
            None => Ok(()),
        }
    }
}

/// The weights that a graph needs in a form, in the order of its nodes.
///
/// # Errors
/// A node does not exist in this form (batch norm after conversion, a float LIF on the grid).
pub fn weight_specs(graph: &Graph, resolved: &Resolved, form: Form) -> Result<Vec<WeightSpec>> {
    let mut specs = Vec::new();
    for (position, (node, info)) in graph.nodes.iter().zip(&resolved.nodes).enumerate() {
        let inputs = info.inputs.first().map_or(0, |&input| resolved.nodes[input].shape[0]);
        let parts = node
            .parts(inputs, info.shape[0], form)
            .map_err(|reason| Error::Refused { node: node.name.clone(), reason: reason.into() })?;
        specs.extend(parts.into_iter().map(|part| WeightSpec {
            name: format!("{}.{}", node.name, part.part),
            node: position,
            part,
        }));
    }
    Ok(specs)
}
