//! The encoders and their settings, as data.

use super::phase;
use crate::error::{Error, Result};
use crate::graph::resolve::MAX_TIME_STEPS;
use crate::model::preprocessing::Preprocessing;
use serde::{Deserialize, Serialize};

/// How pixels become frames, one a macro-step.
///
/// A frame is `u8`, like an image; what its values mean is eq. 1 with [`Encoder::preprocessing`],
/// which every encoder but `Direct` has. Then a spike of `Poisson`, `Latency` and `Delta` enters as
/// exactly 1 and silence as exactly 0, so that conversion and the grid see integers.
///
/// ```
/// use snn_ir::{Encoder, Input};
/// let images = ndarray::arr2(&[[255_u8, 128, 0]]).into_dyn(); // one sample of three pixels
/// let frames = Encoder::Latency.encode(&Input::Static(images.view()), 4, 0)?;
/// assert_eq!(frames.shape(), [4, 1, 3]);
/// assert_eq!(frames.iter().copied().collect::<Vec<_>>(), [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
/// # Ok::<(), snn_ir::Error>(())
/// ```
///
/// # References
/// Each variant names its own; Auge et al. 2021 (*A survey of encoding techniques for signal
/// processing in spiking neural networks*) compares them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Encoder {
    /// The image at every macro-step (eq. E1; Rueckauer et al. 2017). The same as
    /// [`Input::Static`](crate::Input::Static), which is cheaper.
    Direct,
    /// Independent spikes with a probability in proportion to the pixel (eq. E2; Diehl and Cook
    /// 2015).
    Poisson {
        /// Key of all randomness.
        #[serde(default)]
        seed: u64,
        /// Probability of a spike of a pixel of 255 in one macro-step, in (0, 1].
        #[serde(default = "rate")]
        rate: f64,
    },
    /// One spike, the earlier the brighter (eq. E3; Thorpe et al. 2001).
    Latency,
    /// The bits of the pixel, most significant first, weighted by their place (eq. E4; Kim et al.
    /// 2018).
    Phase {
        /// Number of phases K of a period, 1 to 8: the K most significant bits.
        #[serde(default = "bits")]
        bits: u8,
    },
    /// ON and OFF spikes where two successive frames differ by at least a threshold (eq. E5;
    /// Lichtsteiner et al. 2008).
    Delta {
        /// Least difference of pixels that is a spike, at least 1.
        #[serde(default = "threshold")]
        threshold: u8,
    },
}

fn rate() -> f64 {
    1.0 // every pixel of 255 spikes at every macro-step
}
fn bits() -> u8 {
    8 // all bits
}
fn threshold() -> u8 {
    16 // a sixteenth of the range
}

impl Encoder {
    /// Name as used in reports.
    pub fn label(&self) -> &'static str {
        match self {
            Encoder::Direct => "direct",
            Encoder::Poisson { .. } => "poisson",
            Encoder::Latency => "latency",
            Encoder::Phase { .. } => "phase",
            Encoder::Delta { .. } => "delta",
        }
    }

    /// Checks the settings, also against the macro-steps they are for.
    ///
    /// # Errors
    /// A setting is outside its range, or `time_steps` is none, too many or (phase) not a multiple
    /// of the period.
    pub fn validate(&self, time_steps: usize) -> Result<()> {
        if !(1..=MAX_TIME_STEPS).contains(&time_steps) {
            return self.refuse(
                "time_steps",
                format!("1 to {MAX_TIME_STEPS}"),
                time_steps.to_string(),
            );
        }
        match *self {
            Encoder::Poisson { rate, .. } if !(rate > 0.0 && rate <= 1.0) => {
                self.refuse("rate", "in (0, 1]".into(), rate.to_string())
            }
            Encoder::Phase { bits } if !(1..=8).contains(&bits) => {
                self.refuse("bits", "1 to 8".into(), bits.to_string())
            }
            Encoder::Phase { bits } if !time_steps.is_multiple_of(usize::from(bits)) => {
                let expected = format!("a multiple of the period of {bits} phases");
                self.refuse("time_steps", expected, time_steps.to_string())
            }
            Encoder::Delta { threshold: 0 } => {
                self.refuse("threshold", "1 to 255".into(), "0".into())
            }
            Encoder::Direct
            | Encoder::Poisson { .. }
            | Encoder::Latency
            | Encoder::Phase { .. }
            | Encoder::Delta { .. } => Ok(()),
        }
    }

    /// The preprocessing of a model that reads these frames, for `channels` channels of a frame;
    /// `None` for [`Encoder::Direct`], whose frames are images and keep the means and deviations of
    /// their data set.
    ///
    /// Mean 0 and deviation 1, but 256 for phase, whose spike of phase k then enters as `2^−k`.
    pub fn preprocessing(&self, channels: usize) -> Option<Preprocessing> {
        let std = match self {
            Encoder::Direct => return None,
            Encoder::Poisson { .. } | Encoder::Latency | Encoder::Delta { .. } => 1.0,
            Encoder::Phase { .. } => phase::DEVIATION,
        };
        Some(Preprocessing::new(vec![0; channels], vec![std; channels]))
    }

    /// Shape of one sample of a frame, for images of shape `image`: delta has the ON channels, then
    /// as many OFF channels.
    pub fn frame_shape(&self, image: &[usize]) -> Vec<usize> {
        let mut shape = image.to_vec();
        if let (Encoder::Delta { .. }, Some(channels)) = (self, shape.first_mut()) {
            *channels = channels.saturating_mul(2);
        }
        shape
    }

    fn refuse(&self, field: &'static str, expected: String, found: String) -> Result<()> {
        Err(Error::Encoder { encoder: self.label(), field, expected, found })
    }
}
