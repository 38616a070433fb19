//! From the normalisation of other frameworks to [`Preprocessing`]: they read
//! `x = (p/255 − m)/s`, we read `x = (p − M)/S` with an integer mean `M` (eq. 1), so that a zero of
//! the padding is a pixel.

use crate::{Error, Result};
use snn_ir::{Graph, Preprocessing, Weights};
pub use snn_reparam::image_offset::Remainder;
use snn_reparam::image_offset::{keep, nearest_mean, take_up};

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
        let mean = self.mean.iter().map(|m| nearest_mean(m * WHITE)).collect();
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

/// Adds what values lack with integer means ([`Normalisation::offset`]): in the first layers where
/// that is exact, or is asked for by `round`; else, since the image is read with zero padding, by a
/// batch norm of the image.
///
/// # Errors
/// `round` is asked for and the image reaches an operation through which a constant cannot be
/// moved; it is named.
pub fn add_offset(
    graph: &mut Graph,
    weights: &mut Weights,
    offset: &[f64],
    round: bool,
) -> Result<Remainder> {
    if offset.iter().all(|d| *d == 0.0) {
        return Ok(Remainder { offset: offset.to_vec(), ..Remainder::default() });
    }
    let (mut taken, mut changed) = (graph.clone(), weights.clone());
    match take_up(&mut taken, &mut changed, offset) {
        Ok(remainder) if round || remainder.at_border == 0.0 => {
            (*graph, *weights) = (taken, changed);
            Ok(remainder)
        }
        Err(error) if round => Err(error.into()),
        Ok(_) | Err(_) => Ok(keep(graph, weights, offset)?),
    }
}
