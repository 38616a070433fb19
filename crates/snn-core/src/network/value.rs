//! Values of nodes, and their macro-steps.

use crate::error::Result;
use crate::tensor::int;
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
    pub(crate) fn share(&self) -> Self {
        Self { data: self.data.shallow_clone(), steps: self.steps }
    }

    /// One macro-step of it.
    pub(crate) fn one_step(&self) -> Result<Tensor> {
        Ok(self.data.f_narrow(0, 0, self.data.size()[0] / int(self.steps))?)
    }

    /// A value of the same macro-steps.
    pub(crate) fn with(&self, data: Tensor) -> Self {
        Self { data, steps: self.steps }
    }
}

/// One tensor for each macro-step, or one for all of them; views.
pub(crate) fn over_time(x: &Tensor, steps: usize) -> Result<Vec<Tensor>> {
    match steps {
        1 => Ok(vec![x.shallow_clone()]),
        steps => Ok(x.f_chunk(int(steps), 0)?),
    }
}

/// Macro-steps `[B, …]` as one `[T·B, …]`.
pub(crate) fn merge(mut steps: Vec<Tensor>) -> Result<Tensor> {
    match (steps.len(), steps.pop()) {
        (1, Some(only)) => Ok(only),
        (_, last) => {
            steps.extend(last);
            Ok(Tensor::f_cat(&steps, 0)?)
        }
    }
}
