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
    /// The same memory for further readers, each with a gradient of its own.
    pub(crate) spare: Vec<Tensor>,
}

impl Value {
    pub(crate) fn new(data: Tensor, steps: usize) -> Self {
        Self { data, steps, spare: Vec::new() }
    }

    /// The value for one of several readers.
    pub(crate) fn for_a_reader(&mut self) -> Self {
        let data = self.spare.pop().unwrap_or_else(|| self.data.shallow_clone());
        Self::new(data, self.steps)
    }

    /// One macro-step of it.
    pub(crate) fn one_step(&self) -> Result<Tensor> {
        Ok(self.data.f_narrow(0, 0, self.data.size()[0] / int(self.steps))?)
    }

    /// A value of the same macro-steps.
    pub(crate) fn with(&self, data: Tensor) -> Self {
        Self::new(data, self.steps)
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
