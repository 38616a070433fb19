//! Optimisers with a state that can be saved (that of tch's optimisers cannot), and the learning
//! rate over a run.

pub mod adamw;
pub(crate) mod ema;
pub mod schedule;
pub mod sgd;
mod slot;
pub(crate) mod warm_up;

use crate::config::kind::DefaultKind;
use crate::error::{Error, Result};
use crate::optim::adamw::AdamWConfig;
use crate::optim::sgd::SgdConfig;
use crate::optim::slot::Slot;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use snn_core::{Parameter, arrays};
use snn_ir::Weights;
use tch::Kind;

/// Added to the norm before it divides (`PyTorch`'s `clip_grad_norm_`).
const CLIP_EPS: f64 = 1e-6;
/// Name of the number of steps in a saved state.
const STEPS: &str = "steps";

/// Which optimiser, and its settings; a table without `kind` is that of [`SgdConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "lowercase")]
pub enum OptimiserConfig {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdConfig),
    /// Adam with decoupled weight decay.
    AdamW(AdamWConfig),
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self::Sgd(SgdConfig::default())
    }
}

impl From<SgdConfig> for OptimiserConfig {
    fn from(sgd: SgdConfig) -> Self {
        Self::Sgd(sgd)
    }
}

impl From<AdamWConfig> for OptimiserConfig {
    fn from(adamw: AdamWConfig) -> Self {
        Self::AdamW(adamw)
    }
}

impl Serialize for OptimiserConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for OptimiserConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(DefaultKind { deserializer, kind: "sgd" })
    }
}

impl OptimiserConfig {
    /// The largest learning rate of the schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.learning_rate,
            Self::AdamW(adamw) => adamw.learning_rate,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.validate(),
            Self::AdamW(adamw) => adamw.validate(),
        }
    }

    /// An optimiser of the learned parameters that has done no step.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn init(&self, parameters: &[Parameter]) -> Result<Optimiser> {
        let slots = parameters
            .iter()
            .filter(|parameter| parameter.learned)
            .map(|parameter| {
                let tensor = parameter.tensor.shallow_clone();
                let zeros = |_| tensor.f_detach()?.f_zeros_like();
                let moments =
                    self.moments().iter().map(zeros).collect::<Result<_, tch::TchError>>()?;
                let synapse = parameter.decays;
                Ok(Slot { name: parameter.name.clone(), synapse, size: 1.0, tensor, moments })
            })
            .collect::<Result<_>>()?;
        Ok(Optimiser { config: *self, slots, steps: 0 })
    }

    /// Names of the state tensors of each parameter.
    fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) => &["momentum"],
            Self::AdamW(_) => &["first_moment", "second_moment"],
        }
    }
}

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimiser {
    config: OptimiserConfig,
    slots: Vec<Slot>,
    /// Steps done.
    steps: u32,
}

impl Optimiser {
    /// Makes the steps of each convolution's and linear layer's weight relative to its size
    /// `s = rms(w) / √(2/fan_in)`, as the weight is now.
    ///
    /// A layer that reads inputs c times as large, with weights c times as small, computes the same
    /// but has gradients c times as large: its steps would be c² times too large with SGD and c
    /// times with `AdamW`, whose steps do not depend on the size of gradients. The factors s² and s
    /// undo that, so that a layer which reads pixels, levels or sums moves as one of initial size
    /// (He 2015) that reads values of about 1.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn scale_rates_by_size(&mut self) -> Result<()> {
        for slot in self.slots.iter_mut().filter(|slot| slot.synapse) {
            let tensor = slot.tensor.f_detach()?.f_to_kind(Kind::Double)?;
            let outputs = tensor.size().first().copied().unwrap_or(1).max(1);
            let mean_square = tensor.f_square()?.f_mean(Kind::Double)?.f_double_value(&[])?;
            slot.size = (mean_square * (tensor.numel() as f64 / outputs as f64) / 2.0).sqrt();
        }
        Ok(())
    }

    /// Scales all gradients so that the norm of all of them together is at most `limit` (Pascanu
    /// 2013; `PyTorch`'s `clip_grad_norm_`), and returns the norm they had.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn clip_gradients(&mut self, limit: f64) -> Result<f64> {
        tch::no_grad(|| {
            let mut gradients = Vec::with_capacity(self.slots.len());
            for slot in &self.slots {
                let gradient = slot.tensor.f_grad()?;
                if gradient.defined() {
                    gradients.push(gradient);
                }
            }
            let mut square = 0.0;
            for gradient in &gradients {
                square += gradient.f_norm()?.f_double_value(&[])?.powi(2);
            }
            let norm = square.sqrt();
            let factor = limit / (norm + CLIP_EPS);
            if factor < 1.0 {
                for gradient in &mut gradients {
                    let _same_tensor = gradient.f_mul_scalar_(factor)?;
                }
            }
            Ok(norm)
        })
    }

    /// Moves every parameter that has a gradient, in place, and clears the gradients.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        self.steps = self.steps.saturating_add(1);
        tch::no_grad(|| {
            for slot in &mut self.slots {
                let mut gradient = slot.tensor.f_grad()?;
                if !gradient.defined() {
                    continue;
                }
                match &self.config {
                    OptimiserConfig::Sgd(sgd) => sgd.update(slot, &gradient, learning_rate)?,
                    OptimiserConfig::AdamW(adamw) => {
                        adamw.update(slot, &gradient, learning_rate, self.steps)?;
                    }
                }
                let _same_tensor = gradient.f_zero_()?;
            }
            Ok(())
        })
    }

    /// The state: what is kept of every parameter, as `<what>/<parameter>` in the precision of the
    /// parameter, and for `AdamW` the number of steps.
    ///
    /// # Errors
    /// libtorch cannot copy.
    pub fn state(&self) -> Result<Weights> {
        let mut state = Weights::new();
        for slot in &self.slots {
            for (moment, tensor) in self.config.moments().iter().zip(&slot.moments) {
                let values = match tensor.f_kind()? {
                    Kind::Double => arrays::array::<f64>(tensor)?.into(),
                    _ => arrays::array::<f32>(tensor)?.into(),
                };
                state.insert(format!("{moment}/{}", slot.name), values);
            }
        }
        if matches!(self.config, OptimiserConfig::AdamW(_)) {
            state.insert(STEPS.into(), ndarray::arr0(f64::from(self.steps)).into_dyn().into());
        }
        Ok(state)
    }

    /// Puts back what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// Something is missing or has another shape; nothing has been changed then.
    pub fn restore(&mut self, state: &Weights) -> Result<()> {
        let mut values = Vec::new();
        for slot in &self.slots {
            for (moment, tensor) in self.config.moments().iter().zip(&slot.moments) {
                let name = format!("{moment}/{}", slot.name);
                let value = arrays::weight(
                    snn_ir::weights::get(state, &name)?,
                    tensor.f_kind()?,
                    tensor.device(),
                )?;
                if value.size() != tensor.size() {
                    let expected = format!("shape {:?} for `{name}`", tensor.size());
                    return Err(Error::Mismatch {
                        what: "optimiser",
                        expected,
                        found: format!("{:?}", value.size()),
                    });
                }
                values.push(value);
            }
        }
        if matches!(self.config, OptimiserConfig::AdamW(_)) {
            self.steps = count(snn_ir::weights::get(state, STEPS)?)?;
        }
        let tensors = self.slots.iter_mut().flat_map(|slot| &mut slot.moments);
        for (tensor, value) in tensors.zip(&values) {
            tensor.f_copy_(value)?;
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number of 32 bits was checked"
)]
fn count(tensor: &snn_ir::Tensor) -> Result<u32> {
    let values = tensor.to_f64();
    match values.as_slice().unwrap_or_default() {
        [steps] if steps.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(steps) => {
            Ok(*steps as u32)
        }
        _ => Err(Error::Mismatch {
            what: "optimiser",
            expected: "one whole number for `steps`".into(),
            found: format!("{values}"),
        }),
    }
}
