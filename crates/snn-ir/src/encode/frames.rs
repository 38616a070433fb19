//! Encoding batches (eqs. E1 to E5).

use super::poisson::Samples;
use super::{Encoder, delta, latency, phase, poisson};
use crate::error::{Error, Result};
use crate::evaluate::Input;
use ndarray::{ArrayD, IxDyn};

impl Encoder {
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
}
