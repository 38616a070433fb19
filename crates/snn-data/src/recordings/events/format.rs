//! Which format a file has.

use super::bytes::ByteSource;
use super::{aedat2, aedat3, aedat4};
use crate::Result;
use crate::names::names;

names! {
    /// A format of recordings.
    pub enum EventFormat("format of recordings") {
        /// AEDAT 2.0 of jAER: DVS128 (CIFAR10-DVS) and DAVIS.
        Aedat2 = "aedat2",
        /// AEDAT 3.1 of cAER (DVS128 Gesture); not tried on a real file.
        Aedat3 = "aedat3",
        /// AEDAT 4 of DV.
        Aedat4 = "aedat4",
        /// The five-byte events of N-MNIST and N-Caltech101.
        NMnist = "n-mnist",
        /// Prophesee DAT.
        Dat = "dat",
        /// Prophesee EVT2.
        Evt2 = "evt2",
        /// Prophesee EVT3.
        Evt3 = "evt3",
        /// NPZ with arrays `t`, `x`, `y` and `p` ([`read_npz_frames`](super::read_npz_frames) reads
        /// frames).
        Npz = "npz",
    }
}

impl EventFormat {
    /// The format of a file: by its first bytes, and by its extension where they say nothing
    /// (N-MNIST) or not enough (Prophesee).
    pub(super) fn of(source: &mut ByteSource) -> Result<Self> {
        let extension = source
            .path()
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        // Most formats are told by a few bytes; a pipe may pause after them.
        let mut head = source.fill(16)?;
        let unknown = !head.starts_with(b"#!AER-DAT") && !head.starts_with(b"PK\x03\x04");
        let five_bytes = matches!(extension.as_deref(), Some("bin" | "bs2"));
        if unknown && !five_bytes {
            head = source.fill(1 << 12)?;
        }
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
        if five_bytes {
            return Ok(Self::NMnist);
        }
        let found =
            head.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x} "));
        let expected = "the first bytes of AEDAT 2.0, 3.1 or 4, EVT2, EVT3, DAT or NPZ, or the extension .bin \
             or .bs2";
        Err(source.error(
            "format",
            expected,
            if found.is_empty() { "an empty file" } else { found.trim_end() },
        ))
    }
}
