//! Zip archives of `torch.save`: `NAME/data.pkl` and one entry `NAME/data/KEY` for each storage.
//!
//! PyTorch stores entries and does not compress them, so that no entry is larger than the file.

use flate2::Crc;
use std::io::{Read, Seek};
use std::ops::RangeInclusive;
use zip::{CompressionMethod, ZipArchive};

/// Bytes of the pickle at most; those of published networks have tens of thousands.
const MAX_PICKLE: u64 = 1 << 26;

/// Bytes of the name of a byte order at most.
const MAX_ORDER: u64 = 16;

/// What an entry is called, below the archive's own name.
const PICKLE: &str = "data.pkl";

pub(super) struct Archive<R> {
    archive: ZipArchive<R>,
    /// Name of the archive and a slash, with which all entries begin.
    root: String,
}

impl<R: Read + Seek> Archive<R> {
    /// Opens an archive, of which no two entries may share bytes.
    pub(super) fn open(reader: R) -> Result<Self, String> {
        let whole = |error: zip::result::ZipError| {
            format!("expected a whole zip archive as torch.save writes it, found: {error}")
        };
        let mut archive = ZipArchive::new(reader).map_err(whole)?;
        if archive.has_overlapping_entries().map_err(whole)? {
            return Err("expected entries of a zip archive that do not overlap, found two that \
                        share bytes; torch.save writes no such file"
                .into());
        }
        let mut roots = Vec::new();
        let mut script = false;
        for name in archive.file_names() {
            // Names that are no text are none of PyTorch's.
            let Ok(name) = name else { continue };
            if let Some(root) = name.strip_suffix(PICKLE)
                && root.matches('/').count() <= 1
            {
                roots.push(root.to_owned());
            }
            script |= name.ends_with("/constants.pkl");
        }
        if script {
            return Err("is a TorchScript archive, which holds code; save only the state dict: \
                        torch.save(model.state_dict(), \"model.pt\")"
                .into());
        }
        match roots.as_slice() {
            [root] => Ok(Self { root: root.clone(), archive }),
            [] => Err(format!("is a zip archive without `NAME/{PICKLE}`, so not of torch.save")),
            _ => Err(format!("expected one `NAME/{PICKLE}`, found {}", roots.len())),
        }
    }

    /// The pickle.
    pub(super) fn pickle(&mut self) -> Result<Vec<u8>, String> {
        self.check_byte_order()?;
        self.entry(PICKLE, 0..=MAX_PICKLE)
    }

    /// The storage of a key, of so many bytes.
    pub(super) fn storage(&mut self, key: &str, bytes: u64) -> Result<Vec<u8>, String> {
        self.entry(&format!("data/{key}"), bytes..=bytes)
    }

    /// Old archives do not say their order, which is little-endian.
    fn check_byte_order(&mut self) -> Result<(), String> {
        if self.archive.index_for_name(&format!("{}byteorder", self.root)).is_none() {
            return Ok(());
        }
        let order = self.entry("byteorder", 0..=MAX_ORDER)?;
        if order == b"little" {
            return Ok(());
        }
        Err(format!(
            "expected little-endian values, found byte order `{}`; load and save it on a \
             little-endian machine",
            String::from_utf8_lossy(&order)
        ))
    }

    /// The bytes of an entry of one of these sizes.
    fn entry(&mut self, name: &str, sizes: RangeInclusive<u64>) -> Result<Vec<u8>, String> {
        let path = format!("{}{name}", self.root);
        let missing = |error: zip::result::ZipError| format!("entry `{path}`: {error}");
        let index = self.archive.index_for_name(&path);
        let index = index.ok_or_else(|| format!("expected an entry `{path}`, found none"))?;
        let mut file = self.archive.by_index_raw(index).map_err(missing)?;
        let (size, packed, checksum) = (file.size(), file.compressed_size(), file.crc32());
        if file.compression() != CompressionMethod::Stored || file.encrypted() || size != packed {
            return Err(format!(
                "entry `{path}`: expected stored bytes, as torch.save writes them, found {packed} \
                 bytes that claim to unpack to {size}; load and save it with PyTorch"
            ));
        }
        if !sizes.contains(&size) {
            let (least, most) = sizes.into_inner();
            let expected = if least == most { "" } else { "at most " };
            return Err(format!("entry `{path}`: expected {expected}{most} bytes, found {size}"));
        }
        // Entries do not overlap and end before the directory, so `size` is bounded by the file.
        let length = usize::try_from(size).map_err(|_| format!("entry `{path}`: {size} bytes"))?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|error| format!("entry `{path}`: {error}"))?;
        bytes.resize(length, 0);
        file.read_exact(&mut bytes).map_err(|error| format!("entry `{path}`: {error}"))?;
        // PyTorch writes 0 where it was told not to compute checksums.
        let mut found = Crc::new();
        found.update(&bytes);
        if checksum != 0 && found.sum() != checksum {
            return Err(format!(
                "entry `{path}`: expected bytes of its checksum, found others: the file is damaged"
            ));
        }
        Ok(bytes)
    }
}
