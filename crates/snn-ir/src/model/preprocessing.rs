//! From pixels to the numbers that a network reads.

use serde::{Deserialize, Serialize};

/// From pixels to the input node (eq. 1): `x = (p − mean_c)/std_c`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Integer mean of each channel, 0 to 255.
    pub mean: Vec<u8>,
    /// Deviation of each channel in pixel units, all 1 once converted.
    pub std: Vec<f64>,
}

impl Preprocessing {
    /// Means with deviations.
    pub fn new(mean: Vec<u8>, std: Vec<f64>) -> Self {
        Self { mean, std }
    }
}
