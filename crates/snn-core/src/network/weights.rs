//! The weights of a network on a device: out, in, and back into their range.

use crate::error::{Error, Result};
use crate::network::Network;
use crate::tensor::{array, weight};
use snn_ir::Weights;
use tch::Kind;

impl Network {
    /// A copy of all weights, running statistics included: f32 or, in double precision, f64.
    ///
    /// # Errors
    /// libtorch cannot copy.
    pub fn weights(&self) -> Result<Weights> {
        self.parameters()
            .iter()
            .map(|parameter| {
                let values = match self.kind() {
                    Kind::Double => snn_ir::Tensor::F64(array(&parameter.tensor)?),
                    _ => snn_ir::Tensor::F32(array(&parameter.tensor)?),
                };
                Ok((parameter.name.clone(), values))
            })
            .collect()
    }

    /// Overwrites all weights in place.
    ///
    /// # Errors
    /// A weight is missing or has another shape; nothing has been changed then.
    pub fn load(&mut self, weights: &Weights) -> Result<()> {
        let mut values = Vec::with_capacity(self.parameters().len());
        for parameter in self.parameters() {
            let value = weight(
                snn_ir::weights::get(weights, &parameter.name)?,
                self.kind(),
                self.device(),
            )?;
            if value.size() != parameter.tensor.size() {
                let expected =
                    format!("{:?} of weight `{}`", parameter.tensor.size(), parameter.name);
                return Err(Error::Shape { what: "weights", expected, found: value.size() });
            }
            values.push(value);
        }
        tch::no_grad(|| {
            for (parameter, value) in self.parameters().iter().zip(&values) {
                parameter.tensor.shallow_clone().f_copy_(value)?;
            }
            Ok(())
        })
    }

    /// Moves parameters that an optimiser took out of their range back into it: quantisation steps
    /// to at least [`LEAST_STEP`](crate::LEAST_STEP), learned thresholds to
    /// [`LEAST_THRESHOLD`](crate::LEAST_THRESHOLD) above the reset potential and 0. Call it after
    /// every step of the optimiser.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn project(&mut self) -> Result<()> {
        tch::no_grad(|| {
            for parameter in self.parameters().iter().filter(|parameter| parameter.learned) {
                if let Some(least) = parameter.least() {
                    let _same_tensor = parameter.tensor.shallow_clone().f_clamp_min_(least)?;
                }
            }
            Ok(())
        })
    }
}
