//! How many values a parameter of a site has.

use serde::{Deserialize, Serialize};

/// Which values of a site share a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// One value for the whole layer.
    #[default]
    Layer,
    /// One value for each channel.
    Channel,
}

impl Share {
    /// Shape of the weight.
    pub fn shape(self, channels: usize) -> Vec<usize> {
        match self {
            Share::Layer => vec![1],
            Share::Channel => vec![channels],
        }
    }
}
