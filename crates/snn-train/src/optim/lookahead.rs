//! Lookahead: slow weights that the optimiser's weights return to every few steps.

use crate::config::check::check;
use crate::error::Result;
use crate::optim::named::Named;
use serde::{Deserialize, Serialize};
use snn_core::{Parameter, lists};
use snn_ir::Weights;

/// Steps between two returns (Zhang 2019, section 3; airbench).
pub const DEFAULT_EVERY: usize = 5;
/// α of constant Lookahead (Zhang 2019, section 5.1).
pub const DEFAULT_ALPHA: f64 = 0.5;
/// Decay of rising Lookahead (airbench).
pub const DEFAULT_DECAY: f64 = 0.95;
/// Power of rising Lookahead (airbench).
pub const DEFAULT_POWER: f64 = 3.0;

/// Lookahead around any optimiser (Zhang 2019): every k steps the slow weights take in the fast
/// ones and the fast ones go back to them, `s ← d·s + (1 − d)·p`, `p ← s`; after the last step of
/// the run `p ← s`. Momenta stay as they are. Running statistics of batch norm are weights too;
/// weights that are frozen at the time stay where they are.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LookaheadConfig {
    /// None.
    #[default]
    None,
    /// `d = 1 − α` (Zhang 2019).
    Constant {
        /// Steps k between two returns, at least 1.
        #[serde(default = "default_every")]
        every: usize,
        /// α, above 0 and at most 1.
        #[serde(default = "default_alpha")]
        alpha: f64,
    },
    /// `d = decay^k · (n/N)^power` after step n of the run's N: of airbench, where the slow weights
    /// follow at once at first and become an average in the end.
    Rising {
        /// Steps k between two returns, at least 1.
        #[serde(default = "default_every")]
        every: usize,
        /// Decay of one step, 0 to below 1.
        #[serde(default = "default_decay")]
        decay: f64,
        /// Power of the share of the run that is done, at least 0.
        #[serde(default = "default_power")]
        power: f64,
    },
}

fn default_every() -> usize {
    DEFAULT_EVERY
}
fn default_alpha() -> f64 {
    DEFAULT_ALPHA
}
fn default_decay() -> f64 {
    DEFAULT_DECAY
}
fn default_power() -> f64 {
    DEFAULT_POWER
}

impl LookaheadConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::None => Ok(()),
            Self::Constant { every, alpha } => {
                check("lookahead.every", every > 0, "at least 1", every)?;
                let fits = alpha > 0.0 && alpha <= 1.0;
                check("lookahead.alpha", fits, "above 0 and at most 1", alpha)
            }
            Self::Rising { every, decay, power } => {
                check("lookahead.every", every > 0, "at least 1", every)?;
                let fits = (0.0..1.0).contains(&decay);
                check("lookahead.decay", fits, "0 to below 1", decay)?;
                check("lookahead.power", power.is_finite() && power >= 0.0, "at least 0", power)
            }
        }
    }

    /// What is left of the slow weights after step `step` (from 1) of `total`; `None` for a step
    /// without a return.
    ///
    /// ```
    /// use snn_train::LookaheadConfig;
    /// let airbench = LookaheadConfig::Rising { every: 5, decay: 0.95, power: 3.0 };
    /// assert_eq!(airbench.keeps(4, 100), None);
    /// assert!((airbench.keeps(50, 100).unwrap() - 0.95_f64.powi(5) / 8.0).abs() < 1e-15);
    /// ```
    pub fn keeps(&self, step: usize, total: usize) -> Option<f64> {
        match *self {
            Self::Constant { every, alpha } if step.is_multiple_of(every) => Some(1.0 - alpha),
            Self::Rising { every, decay, power } if step.is_multiple_of(every) => {
                let kept = decay.powf(every as f64);
                Some(kept * (step as f64 / total as f64).powf(power))
            }
            Self::None | Self::Constant { .. } | Self::Rising { .. } => None,
        }
    }

    /// The slow weights of a run that begins: the weights.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub(crate) fn init(&self, parameters: &[Parameter]) -> Result<Lookahead> {
        let slow = if *self == Self::None { &[] } else { parameters };
        Ok(Lookahead { config: *self, slow: Named::copies(slow)? })
    }
}

/// The slow weights of a run.
#[derive(Debug)]
pub(crate) struct Lookahead {
    config: LookaheadConfig,
    slow: Named,
}

impl Lookahead {
    /// Takes in the weights after step `step` (from 1) of the run's `total`, and takes them back.
    pub(crate) fn update(
        &mut self,
        parameters: &[Parameter],
        (step, total): (usize, usize),
        is_frozen: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let kept = self.config.keeps(step, total);
        if kept.is_none() && step < total {
            return Ok(());
        }
        let pairs = || self.slow.tensors.iter().zip(parameters);
        if let Some(kept) = kept {
            let moving = pairs().filter(|((name, _), _)| !is_frozen(name));
            let moving = moving.map(|((_, slow), parameter)| (slow, &parameter.tensor));
            let (slow, fast): (Vec<_>, Vec<_>) = moving.unzip();
            lists::lerp(&slow, &fast, 1.0 - kept)?;
        }
        tch::no_grad(|| {
            for ((name, slow), parameter) in pairs() {
                let (from, to) = if is_frozen(name) {
                    (&parameter.tensor, slow)
                } else {
                    (slow, &parameter.tensor)
                };
                to.shallow_clone().f_copy_(from)?;
            }
            Ok(())
        })
    }

    /// The slow weights by name, for a checkpoint.
    pub(crate) fn state(&self) -> Result<Weights> {
        self.slow.state()
    }

    /// Puts back what [`state`](Self::state) returned.
    pub(crate) fn restore(&mut self, state: &Weights) -> Result<()> {
        self.slow.restore(state, "lookahead")
    }
}
