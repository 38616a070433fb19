//! Which format a file has.

use super::source::Source;
use super::{aedat2, aedat3, aedat4};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A format of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventFormat {
    /// AEDAT 2.0 of jAER: DVS128 (CIFAR10-DVS) and DAVIS.
    #[serde(rename = "aedat2")]
    Aedat2,
    /// AEDAT 3.1 of cAER (DVS128 Gesture); not tried on a real file.
    #[serde(rename = "aedat3")]
    Aedat3,
    /// AEDAT 4 of DV.
    #[serde(rename = "aedat4")]
    Aedat4,
    /// The five-byte events of N-MNIST and N-Caltech101.
    #[serde(rename = "n-mnist")]
    NMnist,
    /// Prophesee DAT.
    #[serde(rename = "dat")]
    Dat,
    /// Prophesee EVT2.
    #[serde(rename = "evt2")]
    Evt2,
    /// Prophesee EVT3.
    #[serde(rename = "evt3")]
    Evt3,
    /// NPZ with arrays `t`, `x`, `y` and `p` ([`read_npz_frames`](super::read_npz_frames) reads
    /// frames).
    #[serde(rename = "npz")]
    Npz,
}

impl EventFormat {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Aedat2,
        Self::Aedat3,
        Self::Aedat4,
        Self::NMnist,
        Self::Dat,
        Self::Evt2,
        Self::Evt3,
        Self::Npz,
    ];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aedat2 => "aedat2",
            Self::Aedat3 => "aedat3",
            Self::Aedat4 => "aedat4",
            Self::NMnist => "n-mnist",
            Self::Dat => "dat",
            Self::Evt2 => "evt2",
            Self::Evt3 => "evt3",
            Self::Npz => "npz",
        }
    }

    /// The format of a file: by its first bytes, and by its extension where they say nothing
    /// (N-MNIST) or not enough (Prophesee).
    pub(super) fn of(source: &mut Source) -> Result<Self> {
        let extension = source
            .path()
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let head = source.fill(1 << 12)?;
        if head.starts_with(aedat4::MAGIC) {
            return Ok(Self::Aedat4);
        }
        if head.starts_with(aedat3::MAGIC) {
            return Ok(Self::Aedat3);
        }
        if head.starts_with(aedat2::MAGIC) {
            return Ok(Self::Aedat2);
        }
        if head.starts_with(b"PK\x03\x04") {
            return Ok(Self::Npz);
        }
        if head.starts_with(b"% ") {
            let says =
                |text: &str| head.windows(text.len()).any(|window| window == text.as_bytes());
            return match extension.as_deref() {
                Some("dat") => Ok(Self::Dat),
                _ if says("% evt 3.0") || says("% format EVT3") => Ok(Self::Evt3),
                _ if says("% evt 2.0") || says("% format EVT2;") => Ok(Self::Evt2),
                _ => Err(source.error(
                    "header",
                    "`% evt 2.0` or `% evt 3.0`, or the extension .dat",
                    "neither",
                )),
            };
        }
        if extension.as_deref() == Some("bin") {
            return Ok(Self::NMnist);
        }
        let found =
            head.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x} "));
        let expected =
            "the first bytes of AEDAT 2.0, 3.1 or 4, EVT2, EVT3, DAT or NPZ, or the extension .bin";
        Err(source.error(
            "format",
            expected,
            if found.is_empty() { "an empty file" } else { found.trim_end() },
        ))
    }
}

impl fmt::Display for EventFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for EventFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name).ok_or_else(|| {
            Error::InvalidConfig {
                field: "format",
                expected: Self::ALL.map(Self::as_str).join(", "),
                found: format!("`{name}`"),
            }
        })
    }
}
