//! Facts that a recording does not contain.

use crate::names::names;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Events that [`EventReader::read_all`](crate::recordings::events::EventReader::read_all) takes
/// into memory at most, unless told otherwise: 1.7 GB.
pub(super) const MAX_EVENTS: usize = 1 << 27;
/// Width or height above this is a damaged header; the largest addresses of all formats have 15
/// bits.
const MAX_SIDE: u16 = 1 << 15;

/// Width and height of a sensor, in pixels; written `WIDTHxHEIGHT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SensorSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl SensorSize {
    /// `true` if a pixel lies on the sensor.
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "whole blocks of events are asked at once: without branches"
    )]
    pub fn holds(self, x: u16, y: u16) -> bool {
        (x < self.width) & (y < self.height)
    }

    /// Pixels of the sensor.
    pub fn pixels(self) -> usize {
        usize::from(self.width) * usize::from(self.height)
    }
}

impl fmt::Display for SensorSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}", self.width, self.height)
    }
}

impl FromStr for SensorSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let side =
            |text: &str| text.trim().parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
        let parsed =
            text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = parsed.ok_or_else(|| Error::InvalidConfig {
            field: "sensor size",
            expected: format!("WIDTHxHEIGHT, each 1 to {MAX_SIDE}"),
            found: format!("`{text}`"),
        })?;
        Ok(Self { width, height })
    }
}

names! {
    /// Sensors that AEDAT 2.0 files come from; their addresses mean different things.
    pub enum Chip("chip") {
        /// DVS128 (CIFAR10-DVS): 128×128.
        Dvs128 = "dvs128",
        /// DAVIS240: 240×180.
        Davis240 = "davis240",
        /// DAVIS346: 346×260.
        Davis346 = "davis346",
        /// DAVIS640: 640×480.
        Davis640 = "davis640",
    }
}

impl Chip {
    /// Its size in pixels.
    pub fn size(self) -> SensorSize {
        let (width, height) = match self {
            Self::Dvs128 => (128, 128),
            Self::Davis240 => (240, 180),
            Self::Davis346 => (346, 260),
            Self::Davis640 => (640, 480),
        };
        SensorSize { width, height }
    }
}

/// How to read a recording; the default takes everything from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadOptions {
    /// AEDAT 2.0: the sensor, instead of what header or addresses say.
    pub chip: Option<Chip>,
    /// Prophesee and NPZ files: the size of the sensor, instead of what the header says.
    pub size: Option<SensorSize>,
    /// The size of the sensor of files that do not say it.
    pub default_size: Option<SensorSize>,
    /// Most events that are taken into memory at once; a recording with more is read in pieces.
    pub max_events: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { chip: None, size: None, default_size: None, max_events: MAX_EVENTS }
    }
}
