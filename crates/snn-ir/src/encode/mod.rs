//! Input encoders: from `u8` images, or from frames, to the frames that [`Input::Frames`] takes
//! (`docs/semantics.md`, section 9).

mod delta;
mod latency;
mod phase;
mod poisson;

use crate::error::{Error, Result};
use crate::evaluate::Input;
use crate::model::{MAX_TIME_STEPS, Preprocessing};
use ndarray::{ArrayD, IxDyn};
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
    /// [`Input::Static`], which is cheaper.
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

    /// Encodes a batch.
    ///
    /// A frame is a function of the encoder, the image and, for Poisson,
    /// `(seed, index of the sample, t)`; the sample at position `b` of the batch has the index
    /// `first_sample + b`. So the frames do not depend on how samples are split into batches.
    ///
    /// # Shapes
    /// `[B, …shape]` in (delta: frames, `[T, B, …shape]`), `[T, B, …frame_shape]` out.
    ///
    /// # Errors
    /// Those of [`Encoder::validate`]; the input is of the wrong kind or shape, or too large.
    pub fn encode(
        &self,
        input: &Input<'_>,
        time_steps: usize,
        first_sample: u64,
    ) -> Result<ArrayD<u8>> {
        self.frames(input, time_steps, Samples { first: first_sample, step: 1 })
    }

    /// Runs a network that reads the frames of this encoder: static images are encoded, each as the
    /// sample of index 0, so that its frames do not depend on the batch; frames are what the
    /// network reads and stay as they are.
    ///
    /// # Errors
    /// As [`Encoder::encode`] and `run`.
    pub fn with_input<V, E: From<Error>>(
        &self,
        input: &Input<'_>,
        time_steps: usize,
        run: impl FnOnce(&Input<'_>) -> std::result::Result<V, E>,
    ) -> std::result::Result<V, E> {
        if *self == Encoder::Direct || input.varies() {
            return run(input);
        }
        let frames = self.frames(input, time_steps, Samples { first: 0, step: 0 })?;
        run(&Input::Frames(frames.view()))
    }

    fn frames(&self, input: &Input<'_>, time_steps: usize, samples: Samples) -> Result<ArrayD<u8>> {
        self.validate(time_steps)?;
        let pixels = input.pixels();
        let wrong = |expected: String| Error::Input { expected, found: pixels.shape().to_vec() };
        let image = match (self, input) {
            (Encoder::Delta { .. }, Input::Frames(frames)) => match frames.shape() {
                [steps, _, image @ ..] if *steps == time_steps && !image.is_empty() => image,
                _ => return Err(wrong(format!("frames [{time_steps}, B, …shape]"))),
            },
            (Encoder::Delta { .. }, Input::Static(_)) => {
                return Err(wrong(
                    "frames, one a macro-step, as delta encodes what changes between them: encode \
                     them with `Encoder::encode`, and give a network the result as frames \
                     (`run_frames`, `Input::Frames`)"
                        .into(),
                ));
            }
            (_, Input::Static(images)) => match images.shape() {
                [_, image @ ..] if !image.is_empty() => image,
                _ => return Err(wrong("images [B, …shape]".into())),
            },
            (_, Input::Frames(_)) => {
                return Err(wrong(format!(
                    "images without time, as {} makes the frames",
                    self.label()
                )));
            }
        };
        let shape = [&[time_steps, input.batch()], self.frame_shape(image).as_slice()].concat();
        let size = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        let mut frames = Vec::new();
        let size = size
            .filter(|&size| frames.try_reserve_exact(size).is_ok())
            .ok_or_else(|| wrong(format!("a batch whose frames {shape:?} fit into memory")))?;
        let pixels = pixels.as_standard_layout();
        let pixels = pixels.as_slice().unwrap_or_default();
        let sample = image.iter().product();
        match *self {
            Encoder::Direct => (0..time_steps).for_each(|_| frames.extend_from_slice(pixels)),
            Encoder::Poisson { seed, rate } => {
                frames.resize(size, 0);
                poisson::encode(pixels, sample, &mut frames, poisson::Law { seed, rate, samples });
            }
            Encoder::Latency => frames.extend(latency::frames(pixels, time_steps)),
            Encoder::Phase { bits } => frames.extend(phase::frames(pixels, time_steps, bits)),
            Encoder::Delta { threshold } => {
                frames.resize(size, 0);
                delta::encode(pixels, sample, input.batch(), threshold, &mut frames);
            }
        }
        ArrayD::from_shape_vec(IxDyn(&shape), frames).map_err(|e| wrong(e.to_string()))
    }

    fn refuse(&self, field: &'static str, expected: String, found: String) -> Result<()> {
        Err(Error::Encoder { encoder: self.label(), field, expected, found })
    }
}

/// Indices of the samples of a batch: `first + step·b`.
#[derive(Clone, Copy)]
struct Samples {
    first: u64,
    step: u64,
}
