//! A second set of the weights of a network, by name.

use crate::error::{Error, Result};
use snn_core::{Parameter, arrays};
use snn_ir::Weights;
use tch::{Kind, Tensor};

/// Copies of weights, in the order of the parameters that they are of.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) tensors: Vec<(String, Tensor)>,
}

impl Named {
    /// Copies of these parameters.
    pub(crate) fn copies(parameters: &[Parameter]) -> Result<Self> {
        let copy = |p: &Parameter| Ok((p.name.clone(), p.tensor.f_detach()?.f_mul_scalar(1.0)?));
        Ok(Self { tensors: parameters.iter().map(copy).collect::<Result<_>>()? })
    }

    /// The values by name, for a checkpoint.
    pub(crate) fn state(&self) -> Result<Weights> {
        let copy = |(name, tensor): &(String, Tensor)| {
            let values = match tensor.f_kind()? {
                Kind::Double => arrays::array::<f64>(tensor)?.into(),
                _ => arrays::array::<f32>(tensor)?.into(),
            };
            Ok((name.clone(), values))
        };
        self.tensors.iter().map(copy).collect()
    }

    /// Puts back what [`state`](Self::state) returned; `what` names the set in errors.
    pub(crate) fn restore(&mut self, state: &Weights, what: &'static str) -> Result<()> {
        for (name, tensor) in &mut self.tensors {
            let value = arrays::weight(
                snn_ir::weights::get(state, name)?,
                tensor.f_kind()?,
                tensor.device(),
            )?;
            if value.size() != tensor.size() {
                let expected = format!("shape {:?} for `{name}`", tensor.size());
                let found = format!("{:?}", value.size());
                return Err(Error::Mismatch { what, expected, found });
            }
            tensor.f_copy_(&value)?;
        }
        Ok(())
    }
}
