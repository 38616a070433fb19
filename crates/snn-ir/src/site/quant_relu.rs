//! Clipped, quantised ReLU with a learned step.

use super::Share;
use super::parts::{Fault, Initial, PartSpec, Range, positive};
use crate::model::form::Form;
use serde::{Deserialize, Serialize};

/// Clipped, quantised ReLU (eq. 10); its step is the weight `<node>.step`, shape `[1]` or `[C]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantRelu {
    /// Number of levels D, 1 to 255.
    pub levels: u8,
    /// Step s at the start of training.
    pub step: f64,
    /// Which values share a step.
    pub share: Share,
}

/// Four levels: the number in the published placement trial (docs of the method, recommended {3, 4,
/// 7}).
pub const DEFAULT_LEVELS: u8 = 4;
/// LSQ's start `2·E|z|/√D` for a standard normal z and D = 4 (Esser 2020).
pub const DEFAULT_STEP: f64 = 0.8;

impl Default for QuantRelu {
    fn default() -> Self {
        Self { levels: DEFAULT_LEVELS, step: DEFAULT_STEP, share: Share::Layer }
    }
}

impl QuantRelu {
    /// The weights over `channels` channels.
    pub(super) fn parts(&self, channels: usize, form: Form) -> Vec<PartSpec> {
        let initial = Initial::Constant(self.step);
        let step = PartSpec::learned("step", self.share.shape(channels), form, initial);
        vec![step.within(Range::Positive)]
    }

    /// The first attribute that is outside its range.
    pub(super) fn fault(&self) -> Option<Fault> {
        if self.levels == 0 {
            return Some(("levels", "1 to 255", "0".into()));
        }
        (!positive(self.step)).then(|| ("step", "positive", self.step.to_string()))
    }
}
