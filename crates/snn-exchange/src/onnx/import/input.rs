//! The image.

use super::{Edge, Importer, Stream, declared};
use crate::onnx::Options;
use crate::onnx::proto::DataType;
use crate::pixels::Normalisation;
use crate::{Error, Result};
use snn_ir::{MAX_VALUES, Op};

/// Nodes that are looked at behind the image for its transposition, at most.
const MAX_BEFORE: usize = 64;

impl Importer<'_> {
    pub(super) fn add_input(&mut self, options: &Options) -> Result<()> {
        let source = self.source;
        let [input] = source.inputs.as_slice() else {
            let names: Vec<&str> = source.inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(Error::Bytes(format!(
                "the network must have one input, the image; found {names:?}"
            )));
        };
        let (kind, sizes) = declared(input).unwrap_or((0, Vec::new()));
        let channels_last = self.channels_come_last(&input.name);
        let shape = self.sample_shape(&input.name, &sizes, channels_last, options)?;
        let channels = shape[0];
        let is_raw = DataType::try_from(kind) == Ok(DataType::Uint8);
        self.normalisation = match (&options.mean, &options.std) {
            (None, None) if is_raw => Normalisation::raw(channels),
            (mean, std) if is_raw => {
                return Err(Error::Option {
                    option: "mean, std",
                    expected: "none: the network reads bytes and normalises them itself".into(),
                    found: format!("{mean:?}, {std:?}"),
                });
            }
            (mean, std) => {
                let usual = options.usual.clone().unwrap_or_else(|| Normalisation::unit(1));
                let mean = mean.clone().unwrap_or(usual.mean);
                let std = std.clone().unwrap_or(usual.std);
                Normalisation { mean, std }.for_channels(channels)?
            }
        };
        let name = self.names.give("image", "", None);
        let node = self.graph.push(name, Op::Input { shape: shape.clone() }, &[]);
        let mut onnx = [&[self.batch], shape.as_slice()].concat();
        if channels_last {
            onnx[1..].rotate_left(1);
        }
        let stream = Stream {
            node,
            channel_axis: if channels_last { onnx.len() - 1 } else { 1 },
            onnx,
            shape,
            pad: Vec::new(),
            positive: false,
            sole: self.readers.get(input.name.as_str()) == Some(&1),
        };
        self.edges.insert(&input.name, Edge::Stream(stream));
        Ok(())
    }

    /// Shape of one sample, channels first.
    fn sample_shape(
        &mut self,
        name: &str,
        sizes: &[Option<usize>],
        channels_last: bool,
        options: &Options,
    ) -> Result<Vec<usize>> {
        if let Some(Some(batch)) = sizes.first() {
            self.batch = *batch;
        }
        let mut found: Vec<Option<usize>> = sizes.iter().skip(1).copied().collect();
        if channels_last && !found.is_empty() {
            found.rotate_right(1);
        }
        let written = |sizes: &[Option<usize>]| -> Vec<String> {
            sizes.iter().map(|n| n.map_or("?".into(), |n| n.to_string())).collect()
        };
        let fits = |shape: &[usize]| {
            sizes.is_empty()
                || shape.len() == found.len()
                    && shape.iter().zip(&found).all(|(n, found)| found.is_none_or(|f| f == *n))
        };
        let shape = match &options.shape {
            Some(shape) if fits(shape) => shape.clone(),
            Some(shape) => {
                return Err(Error::Option {
                    option: "shape",
                    expected: format!("a shape [{}] of one sample", written(&found).join(", ")),
                    found: format!("{shape:?}"),
                });
            }
            None => {
                let whole = || found.iter().copied().collect::<Option<Vec<_>>>();
                let fixed = if sizes.is_empty() { None } else { whole() };
                let usual = || options.usual_shape.clone().filter(|shape| fits(shape));
                fixed.or_else(usual).or_else(whole).ok_or(Error::Option {
                    option: "shape",
                    expected: format!(
                        "the shape of one sample of input `{name}`, which leaves it open: [{}]",
                        written(&found).join(", ")
                    ),
                    found: "none".into(),
                })?
            }
        };
        let values = shape.iter().try_fold(self.batch, |all, n| all.checked_mul(*n));
        let limit = MAX_VALUES;
        if !(1..=3).contains(&shape.len()) || values.is_none_or(|v| v == 0 || v > limit) {
            return Err(Error::Bytes(format!(
                "input `{name}` must be a batch of images [N, C, H, W], signals [N, C, L] or \
                 vectors [N, F] of at most {limit} values, found {shape:?} behind the batch of {}",
                self.batch
            )));
        }
        Ok(shape)
    }

    /// `true` if an image goes, through what keeps its shape alone, into the transposition of
    /// channels last to channels first, as exporters of TensorFlow write it.
    fn channels_come_last(&self, input: &str) -> bool {
        let mut name = input;
        for _ in 0..MAX_BEFORE {
            if self.readers.get(name) != Some(&1) {
                return false;
            }
            let reads = |node: &&super::SourceNode| node.inputs.iter().any(|read| read == name);
            let Some(reader) = self.source.nodes.iter().find(reads) else { return false };
            match reader.operator.as_str() {
                "Transpose" => {
                    let perm = reader.ints("perm").ok().flatten();
                    return matches!(perm, Some([0, 3, 1, 2] | [0, 2, 1]));
                }
                "Cast" | "Identity" | "Add" | "Sub" | "Mul" | "Div" => {
                    let Some(output) = reader.outputs.first() else { return false };
                    name = output;
                }
                _ => return false,
            }
        }
        false
    }
}
