//! What a cache file looks like: a header of 4,096 bytes, the labels (16 bits each), room up to the
//! next 4,096 bytes, the samples.
//!
//! The header: `SNNCACHE`, the version, channels, height, width, classes (32 bits each), samples
//! (64 bits), the length of the title (32 bits) and the title; numbers have the least significant
//! byte first.

use crate::{Error, Result};
use std::path::Path;

/// Changes whenever a file of the old format must not be read.
pub(super) const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"SNNCACHE";
/// Bytes of the header.
pub(super) const HEADER: usize = 4096;
/// Labels and samples begin at multiples of this.
const PAGE: u64 = HEADER as u64;
/// Bytes of the header before the title.
const FIXED: usize = 40;
/// Most bytes of a cache: 16 TiB.
const MAX_BYTES: u64 = 1 << 44;

/// What a cache holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(super) shape: [u32; 3],
    pub(super) classes: u32,
    pub(super) count: u64,
    pub(super) title: String,
}

impl Header {
    /// What the cache holds, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// `[channels, height, width]` of every sample.
    pub fn shape(&self) -> [u32; 3] {
        self.shape
    }

    /// Bytes of a sample.
    pub(super) fn sample_bytes(&self) -> u64 {
        self.shape.iter().map(|&side| u64::from(side)).product()
    }

    /// Where the labels begin.
    pub(super) const LABELS: u64 = PAGE;

    /// Where the samples begin.
    pub(super) fn samples_at(&self) -> u64 {
        Self::LABELS + (2 * self.count).next_multiple_of(PAGE)
    }

    /// Bytes of the whole file; `None` beyond all bounds.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        let side = |at: usize| u64::from(self.shape[at]);
        let sample = side(0).checked_mul(side(1))?.checked_mul(side(2))?;
        let labels = self.count.checked_mul(2).filter(|&bytes| bytes < MAX_BYTES)?;
        let whole = sample.checked_mul(self.count)?.checked_add(labels)?.checked_add(2 * PAGE)?;
        (whole < MAX_BYTES && sample > 0 && self.count > 0)
            .then(|| self.samples_at() + sample * self.count)
    }

    /// The header as it stands in the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [VERSION, self.shape[0], self.shape[1], self.shape[2], self.classes] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.count.to_le_bytes());
        let most = HEADER - FIXED;
        let title = &self.title.as_bytes()[..self.title.floor_char_boundary(most)];
        bytes.extend(u32::try_from(title.len()).unwrap_or(0).to_le_bytes());
        bytes.extend(title);
        bytes.resize(HEADER, 0);
        bytes
    }
}

/// Reads the header of a cache file of `length` bytes from its beginning.
///
/// # Errors
/// [`Error::Parse`] naming the file, the offset, what was expected and what was found.
pub fn read_header(bytes: &[u8], length: u64, path: &Path) -> Result<Header> {
    let wrong = |offset: u64, field: &'static str, expected: String, found: String| {
        Err(Error::Parse { path: path.to_owned(), offset, field, expected, found })
    };
    let Some(bytes) = bytes.get(..HEADER) else {
        return wrong(
            0,
            "header",
            format!("{HEADER} bytes"),
            format!("{} bytes, then the end", bytes.len()),
        );
    };
    if !bytes.starts_with(MAGIC) {
        return wrong(
            0,
            "header",
            "SNNCACHE".into(),
            String::from_utf8_lossy(&bytes[..8]).into_owned(),
        );
    }
    let number =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if number(8) != VERSION {
        return wrong(8, "version", VERSION.to_string(), number(8).to_string());
    }
    let title = 40..40 + number(36) as usize;
    let Some(title) = bytes.get(title).and_then(|title| std::str::from_utf8(title).ok()) else {
        return wrong(
            36,
            "title",
            "text inside the header".into(),
            format!("{} bytes", number(36)),
        );
    };
    let count = u64::from(number(28)) | u64::from(number(32)) << 32;
    let header = Header {
        shape: [12, 16, 20].map(number),
        classes: number(24),
        count,
        title: title.to_owned(),
    };
    match header.file_bytes() {
        Some(expected) if expected == length => Ok(header),
        expected => {
            let expected =
                expected.map_or("sizes of a cache".into(), |bytes| format!("{bytes} bytes"));
            wrong(12, "size of the file", expected, format!("{length} bytes"))
        }
    }
}
