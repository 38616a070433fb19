//! From recordings of event cameras to the frames that a network reads.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a recording becomes the T frames `[2, H, W]` that a network was trained on: OFF and ON
/// events of a slice counted by pixel, where column x of the sensor is column ⌊x · W / width⌋ of
/// the frame, rows alike.
///
/// Size and number of the frames are those of the network's input and its macro-steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// The quantity that is equal in all slices of a recording.
    pub by: SliceBy,
    /// Height and width of the sensor, as pictures stand upright on it.
    pub sensor: [usize; 2],
    /// `true` if rows and columns of the files change places to turn pictures upright, as in
    /// CIFAR10-DVS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transposed: bool,
}

/// By what a recording is cut into slices, one a macro-step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceBy {
    /// Slices of equally many events.
    Number,
    /// Slices of equal duration.
    Time,
}

impl Framing {
    /// Checks that frames of this sensor can be the input of a network.
    ///
    /// # Errors
    /// [`Error::Graph`] if the input is not `[2, H, W]` with sides of at most those of the sensor.
    pub fn validate(&self, input: &[usize]) -> Result<()> {
        let [height, width] = self.sensor;
        match *input {
            [2, h, w] if h <= height && w <= width => Ok(()),
            _ => Err(Error::Graph(format!(
                "framing: expected an input of [2, height, width] of at most the sensor, {height} \
                 and {width}, found {input:?}"
            ))),
        }
    }
}
