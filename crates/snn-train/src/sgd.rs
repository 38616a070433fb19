//! Stochastic gradient descent with momentum. It is ours because the state of tch's optimisers cannot be saved.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_core::{Parameter, convert};
use snn_ir::{Graph, Op, Weights};
use tch::{Kind, Tensor};

/// Peak learning rate for batches of 128 (He 2016, section 4.2).
pub const DEFAULT_LEARNING_RATE: f64 = 0.1;
/// Momentum (He 2016, section 4.2).
pub const DEFAULT_MOMENTUM: f64 = 0.9;
/// Weight decay of CIFAR recipes (Zagoruyko & Komodakis 2016).
pub const DEFAULT_WEIGHT_DECAY: f64 = 5e-4;

/// Stochastic gradient descent with momentum, in `PyTorch`'s form: `d = g + w·p`, `b ← m·b + d`, then `p ← p − r·(d + m·b)` with
/// Nesterov's momentum and `p ← p − r·b` without.
///
/// Weight decay `w` acts on the weights of convolutions and linear layers only: not on batch norm, biases, steps or leaks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate r, the largest of the schedule.
    pub learning_rate: f64,
    /// Momentum m, 0 to below 1.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// Weight decay w.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            learning_rate: DEFAULT_LEARNING_RATE,
            momentum: DEFAULT_MOMENTUM,
            nesterov: true, // Zagoruyko & Komodakis 2016
            weight_decay: DEFAULT_WEIGHT_DECAY,
        }
    }
}

impl Sgd {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |key: &'static str, fits: bool, expected: &'static str, found: f64| {
            if fits { Ok(()) } else { Err(Error::Key { key, expected, found: found.to_string() }) }
        };
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        check("optimiser.learning_rate", rate.is_finite() && rate > 0.0, "positive", rate)?;
        check("optimiser.momentum", (0.0..1.0).contains(&self.momentum), "0 to below 1", self.momentum)?;
        check("optimiser.weight_decay", decay.is_finite() && decay >= 0.0, "at least 0", decay)
    }

    /// An optimiser of the learned parameters, its momentum at zero.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn init(&self, parameters: &[Parameter], graph: &Graph) -> Result<Optimiser> {
        let slots = parameters
            .iter()
            .filter(|parameter| parameter.learned)
            .map(|parameter| {
                let tensor = parameter.tensor.shallow_clone();
                let momentum = tensor.f_detach()?.f_zeros_like()?;
                let synapse = is_synapse(graph, &parameter.name);
                Ok(Slot { name: parameter.name.clone(), synapse, scale: 1.0, tensor, momentum })
            })
            .collect::<Result<_>>()?;
        Ok(Optimiser { config: *self, slots })
    }
}

/// Whether the name is that of the weight of a convolution or linear layer.
fn is_synapse(graph: &Graph, weight: &str) -> bool {
    weight
        .strip_suffix(".weight")
        .and_then(|node| graph.node(node))
        .is_some_and(|node| matches!(node.op, Op::Conv(_) | Op::Linear { .. }))
}

/// Stochastic gradient descent with its state.
#[derive(Debug)]
pub struct Optimiser {
    config: Sgd,
    slots: Vec<Slot>,
}

/// One learned parameter, shared with the network, and its momentum.
#[derive(Debug)]
struct Slot {
    name: String,
    /// Whether it is the weight of a convolution or linear layer.
    synapse: bool,
    /// What its learning rate is multiplied by.
    scale: f64,
    tensor: Tensor,
    momentum: Tensor,
}

impl Optimiser {
    /// Multiplies the learning rate of each convolution's and linear layer's weight by `(rms(w) / √(2/fan_in))²`, as the weight is now.
    ///
    /// A layer that reads inputs c times as large, with weights c times as small, computes the same but has gradients c times as large: its steps would be c² times too large. The
    /// factor undoes that, so that a layer which reads pixels, levels or sums moves as one of initial size (He 2015) that reads values of about 1.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn scale_rates_by_size(&mut self) -> Result<()> {
        for slot in self.slots.iter_mut().filter(|slot| slot.synapse) {
            let tensor = slot.tensor.f_detach()?.f_to_kind(Kind::Double)?;
            let outputs = tensor.size().first().copied().unwrap_or(1).max(1);
            let mean_square = tensor.f_square()?.f_mean(Kind::Double)?.f_double_value(&[])?;
            slot.scale = mean_square * (tensor.numel() as f64 / outputs as f64) / 2.0;
        }
        Ok(())
    }

    /// Moves every parameter that has a gradient, in place, and clears the gradients.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        let Sgd { momentum, nesterov, weight_decay, .. } = self.config;
        tch::no_grad(|| {
            for slot in &mut self.slots {
                let mut gradient = slot.tensor.f_grad()?;
                if !gradient.defined() {
                    continue;
                }
                let direction = if slot.synapse && weight_decay > 0.0 {
                    gradient.f_add(&slot.tensor.f_mul_scalar(weight_decay)?)?
                } else {
                    gradient.f_mul_scalar(1.0)?
                };
                let _ = slot.momentum.f_mul_scalar_(momentum)?.f_add_(&direction)?;
                let step = if nesterov {
                    direction.f_add(&slot.momentum.f_mul_scalar(momentum)?)?
                } else {
                    slot.momentum.f_mul_scalar(1.0)?
                };
                let _ = slot.tensor.f_add_(&step.f_mul_scalar(-learning_rate * slot.scale)?)?;
                let _ = gradient.f_zero_()?;
            }
            Ok(())
        })
    }

    /// The momentum of every parameter by its name, in the precision of the parameter.
    ///
    /// # Errors
    /// libtorch cannot copy.
    pub fn state(&self) -> Result<Weights> {
        self.slots
            .iter()
            .map(|slot| {
                let values = match slot.momentum.f_kind()? {
                    Kind::Double => convert::array::<f64>(&slot.momentum)?.into(),
                    _ => convert::array::<f32>(&slot.momentum)?.into(),
                };
                Ok((slot.name.clone(), values))
            })
            .collect()
    }

    /// Puts back what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// A parameter has no momentum, or one of another shape; nothing has been changed then.
    pub fn restore(&mut self, state: &Weights) -> Result<()> {
        let mut values = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let value = snn_ir::weights::get(state, &slot.name)?;
            let value = convert::weight(value, slot.momentum.f_kind()?, slot.momentum.device())?;
            if value.size() != slot.momentum.size() {
                return Err(Error::Mismatch {
                    what: "momentum",
                    expected: format!("shape {:?} for `{}`", slot.momentum.size(), slot.name),
                    found: format!("{:?}", value.size()),
                });
            }
            values.push(value);
        }
        for (slot, value) in self.slots.iter_mut().zip(&values) {
            slot.momentum.f_copy_(value)?;
        }
        Ok(())
    }
}
