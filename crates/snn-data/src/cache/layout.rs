//! Layout of a cache file: a header of 4,096 bytes, the labels (16 bits each), room up to the next
//! 4,096 bytes, the samples.
//!
//! The header: `SNNCACHE`, the version, channels, height, width, classes (32 bits each), samples
//! (64 bits), the length of the title (32 bits) and the title; numbers have the least significant
//! byte first. Version 1 holds static images; version 2 holds frames, and its header ends with the
//! number of time steps (the last 32 bits).

use crate::{Error, Result, SampleShape};
use std::path::Path;

/// Version of a cache of static images; changes whenever a file of the old format must not be read.
pub(super) const VERSION: u32 = 1;
/// Version of a cache of frames.
const FRAMES_VERSION: u32 = 2;
/// Where the number of time steps is in the header of version 2.
const STEPS_AT: usize = HEADER - 4;
const MAGIC: &[u8; 8] = b"SNNCACHE";
/// Bytes of the header.
pub(super) const HEADER: usize = 4096;
/// Labels and samples begin at multiples of this.
const PAGE: u64 = HEADER as u64;
/// Bytes of the header before the title.
const FIXED: usize = 40;
/// Most bytes of a cache: 16 TiB.
const MAX_BYTES: u64 = 1 << 44;

/// Header of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `[C, H, W]` of the image or of each frame.
    pub(super) image: [u32; 3],
    /// Time steps of frames; `None` for static images.
    pub(super) steps: Option<u32>,
    pub(super) classes: u32,
    pub(super) count: u64,
    pub(super) title: String,
}

impl Header {
    /// Title of the cache, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Shape of every sample.
    pub fn shape(&self) -> SampleShape {
        let [channels, height, width] = self.image.map(|side| side as usize);
        match self.steps {
            None => SampleShape::Static([channels, height, width]),
            Some(steps) => SampleShape::Frames([steps as usize, channels, height, width]),
        }
    }

    /// Bytes of a sample.
    pub(super) fn sample_bytes(&self) -> u64 {
        self.shape().bytes() as u64
    }

    /// Where the labels begin.
    pub(super) const LABELS: u64 = PAGE;

    /// Where the samples begin.
    pub(super) fn samples_at(&self) -> u64 {
        Self::LABELS + (2 * self.count).next_multiple_of(PAGE)
    }

    /// Bytes of the whole file; `None` beyond all bounds.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        let mut sides = self.image.into_iter().chain(self.steps).map(u64::from);
        let sample = sides.try_fold(1_u64, u64::checked_mul)?;
        let labels = self.count.checked_mul(2).filter(|&bytes| bytes < MAX_BYTES)?;
        let whole = sample.checked_mul(self.count)?.checked_add(labels)?.checked_add(2 * PAGE)?;
        (whole < MAX_BYTES && sample > 0 && self.count > 0)
            .then(|| self.samples_at() + sample * self.count)
    }

    /// The header as it stands in the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let version = if self.steps.is_some() { FRAMES_VERSION } else { VERSION };
        let [channels, height, width] = self.image;
        for number in [version, channels, height, width, self.classes] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.count.to_le_bytes());
        let most = STEPS_AT - FIXED;
        let title = &self.title.as_bytes()[..self.title.floor_char_boundary(most)];
        bytes.extend(u32::try_from(title.len()).unwrap_or(0).to_le_bytes());
        bytes.extend(title);
        bytes.resize(STEPS_AT, 0);
        bytes.extend(self.steps.unwrap_or(0).to_le_bytes());
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
    let version = number(8);
    if version != VERSION && version != FRAMES_VERSION {
        let expected = format!("{VERSION} or {FRAMES_VERSION}");
        return wrong(8, "version", expected, version.to_string());
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
        image: [12, 16, 20].map(number),
        steps: (version == FRAMES_VERSION).then(|| number(STEPS_AT)),
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
