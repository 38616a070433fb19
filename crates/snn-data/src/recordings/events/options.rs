//! Facts that a recording does not contain.

use super::EventFormat;
use crate::names::names;
use crate::{Error, OnDamage, Result};
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
    /// The chip that a header names: `ch.unizh.ini.jaer.chip.retina.DVS128`, `DAVIS240C`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL.into_iter().find(|chip| name.contains(chip.as_str()))
    }

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

/// How to read a recording; the default takes everything from the file and refuses damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadOptions {
    /// The format, instead of what the first bytes and the extension say.
    pub format: Option<EventFormat>,
    /// AEDAT 2.0: the sensor, instead of what header or addresses say.
    pub chip: Option<Chip>,
    /// Prophesee, NPZ and N-MNIST files and AEDAT 3.1: the size of the sensor, instead of what the
    /// header says.
    pub size: Option<SensorSize>,
    /// The size of the sensor of files that do not say it.
    pub default_size: Option<SensorSize>,
    /// NPZ files: names of the arrays, or of the fields of a record type, that hold the events.
    pub arrays: ArrayNames,
    /// Events outside the sensor, and a last record, word or packet that is cut: an error, or left
    /// out and counted ([`EventReader::damage`](super::EventReader::damage)).
    pub on_damage: OnDamage,
    /// Most events that are taken into memory at once; a recording with more is read in pieces.
    pub max_events: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            chip: None,
            size: None,
            default_size: None,
            arrays: ArrayNames::default(),
            on_damage: OnDamage::Fail,
            max_events: MAX_EVENTS,
        }
    }
}

/// Names of the arrays of an NPZ file, or of the fields of its record type, that hold the parts of
/// events; written `t=stamp,p=sign`. What is not named has one of its usual names
/// ([`ArrayNames::USUAL`]).
///
/// ```
/// use snn_data::recordings::events::ArrayNames;
/// let names: ArrayNames = "t=stamp,p=sign".parse()?;
/// assert_eq!((names.t.as_deref(), names.p.as_deref()), (Some("stamp"), Some("sign")));
/// assert!("time=stamp".parse::<ArrayNames>().is_err());
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArrayNames {
    /// Times in µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<String>,
    /// Columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Polarities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<String>,
}

impl ArrayNames {
    /// The usual names of times, columns, rows and polarities, in any case; the first of each is
    /// taken before the others.
    pub const USUAL: [&[&str]; 4] = [
        &["t", "ts", "time", "times", "timestamp", "timestamps", "t_us"],
        &["x", "xs", "col", "column", "columns"],
        &["y", "ys", "row", "rows"],
        &["p", "ps", "pol", "pols", "polarity", "polarities"],
    ];

    /// The names that were given, in the order of [`USUAL`](Self::USUAL).
    pub(super) fn given(&self) -> [Option<&str>; 4] {
        [&self.t, &self.x, &self.y, &self.p].map(|name| name.as_deref())
    }
}

impl FromStr for ArrayNames {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut names = Self::default();
        for part in text.split(',') {
            let wrong = || Error::InvalidConfig {
                field: "arrays",
                expected: "`t=NAME`, `x=NAME`, `y=NAME` and `p=NAME`, each at most once, \
                           separated by commas"
                    .into(),
                found: format!("`{text}`"),
            };
            let (part, name) = part.split_once('=').ok_or_else(wrong)?;
            let place = match part.trim() {
                "t" => &mut names.t,
                "x" => &mut names.x,
                "y" => &mut names.y,
                "p" => &mut names.p,
                _ => return Err(wrong()),
            };
            let name = name.trim();
            if name.is_empty() || place.replace(name.to_owned()).is_some() {
                return Err(wrong());
            }
        }
        Ok(names)
    }
}
