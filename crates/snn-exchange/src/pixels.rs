//! From the normalisation of other frameworks to [`Preprocessing`]: they read
//! `x = (p/255 − m)/s`, we read `x = (p − M)/S` with an integer mean `M` (eq. 1), so that a zero of
//! the padding is a pixel.

use crate::{Error, Result};
use ndarray::{ArrayD, Axis};
use serde::Serialize;
use snn_ir::{Graph, Op, PoolKind, Preprocessing, Tensor, Weights};
use std::collections::BTreeMap;
use std::fmt;

/// Pixels of full intensity.
const WHITE: f64 = 255.0;

/// Normalisation of images as PyTorch and ONNX networks read them: `x = (p/255 − m_c)/s_c` of a
/// pixel `p` of 0 to 255 and a channel c.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// `m` of each channel, in units of full intensity.
    pub mean: Vec<f64>,
    /// `s` of each channel, in units of full intensity.
    pub std: Vec<f64>,
}

/// Differences between the normalisation of a network and the one with integer means, and where
/// they went.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Remainder {
    /// `d_c = (M_c − 255·m_c)/(255·s_c)`: what every value of a channel lacks with the integer
    /// mean.
    pub offset: Vec<f64>,
    /// Nodes whose bias (of a batch norm, mean) took it up.
    pub taken_up_by: Vec<String>,
    /// Upper bound of what remains in a current at the border: where a convolution reads zero
    /// padding, the network has a zero and we have `d_c`. It is the largest `Σ |w|·|d_c|` over the
    /// taps that may lie in the padding; 0 where none does, or no mean was rounded.
    pub at_border: f64,
}

impl Normalisation {
    /// `x = p/255`, for each of some channels: mean 0, deviation 1.
    pub fn unit(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// The statistics of the training images of `ImageNet`, which torchvision and timm use.
    pub fn imagenet() -> Self {
        Self { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// The normalisation that a model does exactly: integer means and deviations of pixels.
    pub fn of_pixels(preprocessing: &Preprocessing) -> Self {
        Self {
            mean: preprocessing.mean.iter().map(|mean| f64::from(*mean) / WHITE).collect(),
            std: preprocessing.std.iter().map(|std| std / WHITE).collect(),
        }
    }

    /// `x = p`, for each of some channels: mean 0, deviation 1/255.
    pub fn raw(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], std: vec![1.0 / WHITE; channels] }
    }

    /// Checks the number of channels and the values; one mean or deviation stands for all channels.
    ///
    /// # Errors
    /// Another number of channels, a mean outside 0 to 1 (which no pixel has), a deviation that is
    /// not positive.
    pub fn for_channels(mut self, channels: usize) -> Result<Self> {
        for (option, values) in [("mean", &mut self.mean), ("std", &mut self.std)] {
            if values.len() == 1 {
                *values = vec![values[0]; channels];
            }
            if values.len() != channels {
                return Err(Error::Option {
                    option,
                    expected: format!("one value, or one for each of {channels} channels"),
                    found: format!("{} values", values.len()),
                });
            }
        }
        if let Some(mean) = self.mean.iter().find(|mean| !(0.0..=1.0).contains(*mean)) {
            return Err(Error::Option {
                option: "mean",
                expected: "0 to 1, in units of full intensity (of x = (p/255 − mean)/std)".into(),
                found: mean.to_string(),
            });
        }
        if let Some(std) = self.std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
            return Err(Error::Option {
                option: "std",
                expected: "positive, in units of full intensity (of x = (p/255 − mean)/std)".into(),
                found: std.to_string(),
            });
        }
        Ok(self)
    }

    /// The normalisation of `factor·x + offset` in place of `x`; `None` of a factor that is not
    /// positive.
    #[must_use]
    pub fn scaled(&self, channel: usize, factor: f64, offset: f64) -> Option<(f64, f64)> {
        (factor > 0.0 && factor.is_finite() && offset.is_finite()).then(|| {
            let std = self.std[channel] / factor;
            (self.mean[channel] - offset * std, std)
        })
    }

    /// The preprocessing of eq. 1: the integer mean `round(255·m)` and the deviation `255·s`.
    pub fn preprocessing(&self) -> Preprocessing {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the range of a pixel"
        )]
        let mean = self.mean.iter().map(|m| (m * WHITE).round().clamp(0.0, WHITE) as u8).collect();
        Preprocessing::new(mean, self.std.iter().map(|s| s * WHITE).collect())
    }

    /// What `x` lacks with the integer mean: `d = (M − 255·m)/(255·s)`, which is to be added to
    /// `(p − M)/(255·s)`. Differences that are the rounding of `255·m` itself count as none.
    pub fn offset(&self) -> Vec<f64> {
        let integer = self.preprocessing().mean;
        let channels = self.mean.iter().zip(&self.std).zip(integer);
        channels
            .map(|((mean, std), integer)| {
                let missing = f64::from(integer) - mean * WHITE;
                if missing.abs() <= 1e-9 { 0.0 } else { missing / (std * WHITE) }
            })
            .collect()
    }
}

impl fmt::Display for Remainder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.offset.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
        if most == 0.0 {
            return write!(f, "means are integers in pixel terms");
        }
        write!(
            f,
            "means were rounded to integers in pixel terms: each value differs by at most \
             {most:.3e}, which {} take up; at the border at most {:.3e} of a current remains",
            self.taken_up_by.join(", "),
            self.at_border
        )
    }
}

/// Adds `offset[c]` to every value of channel c of the input node, in the biases of the layers that
/// read it (of a batch norm in its mean), so that the network computes what it would of `x + d`.
/// That is exact but where a convolution reads zero padding, since the padding is not offset.
///
/// # Errors
/// The image reaches an operation through which a constant cannot be moved; it is named.
pub fn take_up(graph: &mut Graph, weights: &mut Weights, offset: &[f64]) -> Result<Remainder> {
    let mut remainder = Remainder { offset: offset.to_vec(), ..Remainder::default() };
    let Some(input) = graph.nodes.first() else { return Ok(remainder) };
    if offset.iter().all(|d| *d == 0.0) {
        return Ok(remainder);
    }
    let shapes = graph.shapes()?;
    // Offset of each channel of the nodes that move the image on.
    let mut moved = BTreeMap::from([(input.name.clone(), offset.to_vec())]);
    for (node, shape) in graph.nodes.iter_mut().zip(&shapes).skip(1) {
        let Some(from) = node.inputs.iter().find_map(|input| moved.get(input)).cloned() else {
            continue;
        };
        let name = node.name.clone();
        let refuse = |what: &str| snn_ir::Error::Refused {
            node: name.clone(),
            reason: format!(
                "it reads the image and is {what}, through which the difference to an integer mean \
                 cannot be moved; give means that are integers in pixel terms (m = n/255)"
            ),
        };
        let average = |window: &snn_ir::Window| window.padding.iter().all(|p| *p == 0);
        match &mut node.op {
            Op::Conv(conv) => {
                let padded = conv.padding.iter().any(|p| *p > 0);
                let at_border = add_to_bias(weights, &name, conv.groups, &from, conv.bias)?;
                if padded {
                    remainder.at_border = remainder.at_border.max(at_border);
                }
                conv.bias = true;
                remainder.taken_up_by.push(name);
            }
            Op::Linear { bias, .. } => {
                add_to_bias(weights, &name, 1, &from, *bias)?;
                *bias = true;
                remainder.taken_up_by.push(name);
            }
            Op::BatchNorm(_) => {
                let part = format!("{name}.running_mean");
                let means = real(weights, &part)?;
                let values = means.iter().zip(&from).map(|(mean, d)| mean - d).collect::<Vec<_>>();
                let values = of_type(snn_ir::weights::get(weights, &part)?.dtype(), values);
                weights.insert(part, values);
                remainder.taken_up_by.push(name);
            }
            Op::Flatten => {
                let each = shape[0] / from.len().max(1);
                let spread = from.iter().flat_map(|d| std::iter::repeat_n(*d, each)).collect();
                moved.insert(name, spread);
            }
            Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::Pool { pool: PoolKind::Max, .. }
            | Op::GlobalPool { pool: PoolKind::Max | PoolKind::Average } => {
                moved.insert(name, from);
            }
            Op::Pool { pool: PoolKind::Average, window } if average(window) => {
                moved.insert(name, from);
            }
            op => return Err(refuse(op.label()).into()),
        }
    }
    Ok(remainder)
}

fn real(weights: &Weights, name: &str) -> Result<ArrayD<f64>> {
    Ok(snn_ir::weights::get(weights, name)?.to_f64())
}

/// Adds `Σ w·d` to the bias of a synapse, which is made where there is none; the largest
/// `Σ |w|·|d|` of an output.
fn add_to_bias(
    weights: &mut Weights,
    node: &str,
    groups: usize,
    offset: &[f64],
    has_bias: bool,
) -> Result<f64> {
    let weight = real(weights, &format!("{node}.weight"))?;
    let outputs = weight.shape()[0];
    let part = format!("{node}.bias");
    let mut bias =
        if has_bias { real(weights, &part)?.iter().copied().collect() } else { vec![0.0; outputs] };
    let mut largest = 0.0_f64;
    for (o, row) in weight.axis_iter(Axis(0)).enumerate() {
        let first = o / (outputs / groups) * row.shape()[0];
        let mut most = 0.0;
        for (c, taps) in row.axis_iter(Axis(0)).enumerate() {
            bias[o] += taps.sum() * offset[first + c];
            most += taps.mapv(f64::abs).sum() * offset[first + c].abs();
        }
        largest = largest.max(most);
    }
    let bias = of_type(snn_ir::weights::get(weights, &format!("{node}.weight"))?.dtype(), bias);
    weights.insert(part, bias);
    Ok(largest)
}

/// Values in f64, or rounded to f32: in the type of the weights beside them, which training asks
/// for.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the type of the weights")]
fn of_type(dtype: &str, values: Vec<f64>) -> Tensor {
    let values = ndarray::Array1::from_vec(values);
    if dtype == "f64" { values.into() } else { values.mapv(|value| value as f32).into() }
}
