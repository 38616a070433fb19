//! Encoding of static images into spikes over time, in the loader's threads.

use crate::error::Result;
use ndarray::ArrayD;
use snn_data::{
    Batch, BatchTransform, Error as DataError, SampleMut, SampleRng, SampleShape, Samples, Source,
};
use snn_ir::{Encoder, Input};
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;

/// Shape of the samples that a network sees of a source: with an encoder frames, and without one
/// those of the source.
pub(crate) fn encoded_shape(
    shape: SampleShape,
    encoder: &Encoder,
    time_steps: usize,
) -> SampleShape {
    if *encoder == Encoder::Direct {
        return shape;
    }
    match encoder.frame_shape(&shape.image())[..] {
        [channels, height, width] => SampleShape::Frames([time_steps, channels, height, width]),
        _ => shape,
    }
}

/// A source whose samples are encoded: frames `[T, C, H, W]` that are a function of the encoder,
/// the sample and its index, the same in every epoch. For evaluation; training
/// encodes each batch anew in every epoch, after augmentation.
#[derive(Debug)]
pub struct Encoded {
    source: Arc<dyn Source>,
    encoder: Encoder,
    time_steps: usize,
}

impl Encoded {
    /// Encodes the samples of `source` into `time_steps` frames.
    ///
    /// # Errors
    /// A setting of the encoder is out of range, or does not fit the samples.
    pub fn new(source: Arc<dyn Source>, encoder: Encoder, time_steps: usize) -> Result<Self> {
        encoder.validate(time_steps)?;
        let encoded = Self { source, encoder, time_steps };
        // An encoder that reads frames refuses images, and the other way round.
        encoded.encode(&Samples::zeros(encoded.source.shape(), 1), 0)?;
        Ok(encoded)
    }

    fn encode(&self, samples: &Samples, first_sample: u64) -> Result<ArrayD<u8>> {
        Ok(self.encoder.encode(&crate::evaluate::input(samples), self.time_steps, first_sample)?)
    }
}

impl Source for Encoded {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn shape(&self) -> SampleShape {
        encoded_shape(self.source.shape(), &self.encoder, self.time_steps)
    }

    fn sample_name(&self, index: usize) -> Option<String> {
        self.source.sample_name(index)
    }

    fn random_key(&self, index: usize) -> usize {
        self.source.random_key(index)
    }

    fn damaged(&self) -> BTreeMap<usize, String> {
        self.source.damaged()
    }

    fn load(
        &self,
        index: usize,
        sample: &mut SampleMut<'_>,
        rng: &mut SampleRng,
    ) -> snn_data::Result<u16> {
        let mut bytes = vec![0; self.source.shape().bytes()];
        let shape = self.source.shape();
        let label = self.source.load(index, &mut SampleMut::from_bytes(shape, &mut bytes)?, rng)?;
        let invalid = |reason: String| DataError::InvalidImages {
            expected: "an image that can be encoded".into(),
            found: reason,
        };
        let [steps, channels, height, width] = shape.frames();
        let image = match shape {
            SampleShape::Static(_) => vec![1, channels, height, width],
            SampleShape::Frames(_) => vec![steps, 1, channels, height, width],
        };
        let image = ArrayD::from_shape_vec(image, bytes).map_err(|e| invalid(e.to_string()))?;
        let input = match shape {
            SampleShape::Static(_) => Input::Static(image.view()),
            SampleShape::Frames(_) => Input::Frames(image.view()),
        };
        let frames = self.encoder.encode(&input, self.time_steps, index as u64);
        let frames = frames.map_err(|e| invalid(e.to_string()))?;
        sample.copy_from(frames.as_slice().unwrap_or_default())?;
        Ok(label)
    }
}

/// The samples of a source as a network with this encoder reads them, for evaluation; training
/// encodes after augmentation.
///
/// # Errors
/// The encoder does not fit the samples.
pub fn encode(
    source: &Arc<dyn Source>,
    encoder: &Encoder,
    time_steps: usize,
) -> Result<Arc<dyn Source>> {
    if *encoder == Encoder::Direct {
        return Ok(Arc::clone(source));
    }
    Ok(Arc::new(Encoded::new(Arc::clone(source), *encoder, time_steps)?))
}

/// Encodes the batches of training after augmentation and mixing. What is random is a function of
/// (seed, epoch, batch).
#[derive(Debug)]
pub(crate) struct BatchEncoder {
    pub(crate) encoder: Encoder,
    pub(crate) time_steps: usize,
}

impl BatchTransform for BatchEncoder {
    fn apply(
        &self,
        batch: &mut Batch,
        rng: &mut SampleRng,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let word = |rng: &mut SampleRng| u64::from(rng.below(u32::MAX));
        let first_sample = word(rng) << 32 | word(rng);
        let input = crate::evaluate::input(&batch.samples);
        let frames = self.encoder.encode(&input, self.time_steps, first_sample)?;
        batch.samples = Samples::Frames(frames.into_dimensionality()?);
        Ok(())
    }
}
