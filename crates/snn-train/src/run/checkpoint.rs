//! A checkpoint: everything that the rest of a run depends on, in one safetensors file.

use crate::error::{Error, Result};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use snn_ir::write_atomically;
use snn_ir::{Tensor, Weights};
use std::collections::HashMap;
use std::path::Path;

/// Version of the format; another one is refused.
const VERSION: u32 = 1;
/// The key of the safetensors metadata.
const METADATA_KEY: &str = "snn-train";
/// Prefix of the names of weights.
const WEIGHT: &str = "weight/";
/// Prefix of the names of averaged weights.
const AVERAGE: &str = "average/";
/// Prefix of the names of Lookahead's slow weights. Everything else is the optimiser's.
const SLOW: &str = "slow/";

/// Everything that the rest of a run depends on, beside its config.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    /// Weights, running statistics included.
    pub(crate) weights: Weights,
    /// Averaged weights; empty without an average.
    pub(crate) average: Weights,
    /// Slow weights; empty without Lookahead.
    pub(crate) slow: Weights,
    /// State of the optimiser.
    pub(crate) optimiser: Weights,
    /// Where in the run it was taken.
    pub(crate) position: Position,
}

/// A place in a run, and what has been summed up to it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// The epoch, from 0.
    pub(crate) epoch: usize,
    /// Steps done in it.
    pub(crate) step: usize,
    /// Sum over the images of this epoch so far of their loss.
    pub(crate) loss: f64,
    /// Images of this epoch so far that were classified right.
    pub(crate) correct: usize,
    /// Images of this epoch so far.
    pub(crate) images: usize,
    /// Seconds spent in this epoch so far.
    pub(crate) epoch_seconds: f64,
    /// Seconds spent in the run so far.
    pub(crate) seconds: f64,
    /// Bytes of the event file so far.
    #[serde(default)]
    pub(crate) events: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    position: Position,
}

impl Checkpoint {
    /// Writes it: all of it, or nothing.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let fail = |reason: String| Error::Model(snn_ir::Error::Graph(reason));
        let header = Header { version: VERSION, position: self.position };
        let json = serde_json::to_string(&header).map_err(|e| fail(e.to_string()))?;
        let named = |prefix: &str, (name, tensor): (&String, &Tensor)| {
            let (dtype, bytes) = match tensor {
                Tensor::F32(array) => (Dtype::F32, bytes(array, f32::to_le_bytes)),
                Tensor::F64(array) => (Dtype::F64, bytes(array, f64::to_le_bytes)),
                other => {
                    return Err(fail(format!(
                        "checkpoint: expected floats, found {} in `{name}`",
                        other.dtype()
                    )));
                }
            };
            Ok((format!("{prefix}{name}"), dtype, tensor.shape().to_vec(), bytes))
        };
        let weights = self.weights.iter().map(|entry| named(WEIGHT, entry));
        let average = self.average.iter().map(|entry| named(AVERAGE, entry));
        let slow = self.slow.iter().map(|entry| named(SLOW, entry));
        let optimiser = self.optimiser.iter().map(|entry| named("", entry));
        let tensors: Vec<_> =
            weights.chain(average).chain(slow).chain(optimiser).collect::<Result<_>>()?;
        let views: Vec<_> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|e| fail(e.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
        let bytes =
            safetensors::serialize(views, Some(metadata)).map_err(|e| fail(e.to_string()))?;
        Ok(write_atomically(path, &bytes)?)
    }

    /// Reads it.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        Self::from_bytes(&bytes)
            .map_err(|reason| Error::Damaged { path: path.to_path_buf(), reason })
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (_, metadata) = SafeTensors::read_metadata(bytes)
            .map_err(|e| format!("not a whole safetensors file: {e}"))?;
        let json = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(METADATA_KEY))
            .ok_or_else(|| {
                format!("no metadata `{METADATA_KEY}`, so not a checkpoint of this project")
            })?;
        let header: Header =
            serde_json::from_str(json).map_err(|e| format!("metadata `{METADATA_KEY}`: {e}"))?;
        if header.version != VERSION {
            return Err(format!(
                "checkpoint version {} (this build reads {VERSION})",
                header.version
            ));
        }
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| format!("not a whole safetensors file: {e}"))?;
        let mut checkpoint = Self {
            weights: Weights::new(),
            average: Weights::new(),
            slow: Weights::new(),
            optimiser: Weights::new(),
            position: header.position,
        };
        for (name, view) in file.tensors() {
            let tensor = floats(&view).map_err(|reason| format!("`{name}`: {reason}"))?;
            if let Some(weight) = name.strip_prefix(WEIGHT) {
                checkpoint.weights.insert(weight.to_string(), tensor);
            } else if let Some(weight) = name.strip_prefix(AVERAGE) {
                checkpoint.average.insert(weight.to_string(), tensor);
            } else if let Some(weight) = name.strip_prefix(SLOW) {
                checkpoint.slow.insert(weight.to_string(), tensor);
            } else {
                checkpoint.optimiser.insert(name, tensor);
            }
        }
        Ok(checkpoint)
    }
}

/// The values of an array one after another, each as `to_bytes` writes it.
fn bytes<T: Copy, const N: usize>(array: &ArrayD<T>, to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = vec![0; N * array.len()];
    for (word, value) in bytes.as_chunks_mut().0.iter_mut().zip(array) {
        *word = to_bytes(*value);
    }
    bytes
}

fn floats(view: &TensorView<'_>) -> Result<Tensor, String> {
    let (shape, data) = (IxDyn(view.shape()), view.data());
    let misfit = |e: ndarray::ShapeError| e.to_string();
    Ok(match view.dtype() {
        Dtype::F32 => {
            let values = data.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
            Tensor::F32(ArrayD::from_shape_vec(shape, values).map_err(misfit)?)
        }
        Dtype::F64 => {
            let values = data.as_chunks().0.iter().map(|word| f64::from_le_bytes(*word)).collect();
            Tensor::F64(ArrayD::from_shape_vec(shape, values).map_err(misfit)?)
        }
        other => return Err(format!("expected f32 or f64, found {other:?}")),
    })
}
