//! The input of a network on a device.

use crate::error::{Error, Result};
use crate::tensor::{int, tensor};
use snn_ir::{Encoder, Input};
use tch::{Device, Kind, Tensor};

/// Raw pixels on a device, `u8`.
#[derive(Debug)]
pub enum Pixels {
    /// One image a sample, shown at every macro-step: `[B, …]`.
    Static(Tensor),
    /// One frame a macro-step: `[T, B, …]`.
    Frames(Tensor),
}

impl Pixels {
    /// Copies a batch to a device.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn new(input: &Input<'_>, device: Device) -> Result<Self> {
        let tensor = tensor(input.pixels(), device)?;
        Ok(match input {
            Input::Static(_) => Pixels::Static(tensor),
            Input::Frames(_) => Pixels::Frames(tensor),
        })
    }

    /// The tensor, time first where there is one.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Pixels::Static(tensor) | Pixels::Frames(tensor) => tensor,
        }
    }

    /// `true` if every macro-step has its own frame.
    pub fn varies(&self) -> bool {
        matches!(self, Pixels::Frames(_))
    }

    /// The samples from `first` on, `count` of them, without a copy.
    ///
    /// # Errors
    /// There are not so many.
    pub fn part(&self, first: usize, count: usize) -> Result<Self> {
        let (first, count) = (int(first), int(count));
        Ok(match self {
            Pixels::Static(tensor) => Pixels::Static(tensor.f_narrow(0, first, count)?),
            Pixels::Frames(tensor) => Pixels::Frames(tensor.f_narrow(1, first, count)?),
        })
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        let axis = usize::from(self.varies());
        let samples = self.tensor().size().get(axis).copied().unwrap_or_default();
        usize::try_from(samples).unwrap_or_default()
    }

    /// Refuses images where a network reads the frames of an encoder.
    pub(crate) fn check_encoded(&self, encoder: Encoder) -> Result<()> {
        if encoder == Encoder::Direct || self.varies() {
            return Ok(());
        }
        Err(Error::Argument {
            what: "pixels",
            expected: format!(
                "`Pixels::Frames`, as the network reads what the encoder `{}` makes of images; \
                 encode them first (`Encoder::encode`)",
                encoder.label()
            ),
            found: "`Pixels::Static`".into(),
        })
    }

    /// Checks type and shape against a model's input shape and macro-steps.
    ///
    /// # Errors
    /// They differ.
    pub fn check(&self, shape: &[usize], time_steps: usize) -> Result<()> {
        let found = self.tensor().size();
        let (leading, expected) = match self {
            Pixels::Static(_) => (1, format!("[B, {shape:?}]")),
            Pixels::Frames(_) => (2, format!("[{time_steps}, B, {shape:?}]")),
        };
        let fits = found.len() == leading + shape.len()
            && found.iter().skip(leading).zip(shape).all(|(&a, &b)| a == int(b))
            && found.first() != Some(&0)
            && (leading == 1 || (found[0] == int(time_steps) && found[1] > 0));
        if !fits {
            return Err(Error::Shape { what: "pixels", expected, found });
        }
        match self.tensor().f_kind()? {
            Kind::Uint8 => Ok(()),
            other => Err(Error::Argument {
                what: "pixels",
                expected: "of kind Uint8".into(),
                found: format!("{other:?}"),
            }),
        }
    }
}
