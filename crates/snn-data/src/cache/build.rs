//! Building a cache: pieces in any order, each noted in a journal with its checksum once it is
//! written.

use super::layout::Header;
use crate::{Error, Result, SampleMut, SampleRng, Source};
use fs_err as fs;
use rayon::prelude::*;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Bytes of a piece, roughly.
const PIECE_BYTES: u64 = 1 << 20;
/// Bytes of a line of the journal: number of the piece, checksum of its samples, checksum of its
/// labels, checksum of these three.
const LINE: usize = 16;

/// The files of a cache that is being built.
struct Files {
    data: fs::File,
    journal: fs::File,
}

/// Fills the file `partial` with what is missing, noting it in `journal`; the caller holds the
/// lock.
pub(super) fn build(
    source: &dyn Source,
    header: &Header,
    partial: &Path,
    journal: &Path,
) -> Result<()> {
    let bytes = header.file_bytes().ok_or_else(|| Error::InvalidConfig {
        field: "cache",
        expected: "at least one sample, and less than 16 TiB".into(),
        found: format!("{} of {}", header.count, header.shape()),
    })?;
    let open = |path: &Path| {
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    };
    let mut files = Files { data: open(partial)?, journal: open(journal)? };
    let pieces = pieces(header);
    let done = if begins_with(&mut files.data, &header.bytes())? {
        files.done(header, &pieces)?
    } else {
        vec![false; pieces.len()]
    };
    if !done.iter().any(|&done| done) {
        files.journal.set_len(0)?;
        files.data.set_len(0)?;
        files.data.seek(SeekFrom::Start(0))?;
        files.data.write_all(&header.bytes())?;
    }
    files.data.set_len(bytes)?;
    let files = Mutex::new(files);
    let missing: Vec<_> = (0..pieces.len()).filter(|&piece| !done[piece]).collect();
    missing.into_par_iter().try_for_each(|piece| {
        let (labels, samples) = make(source, header, pieces[piece].clone())?;
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        files.write(header, piece, pieces[piece].start, &labels, &samples)
    })?;
    let files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(files.data.sync_all()?)
}

/// The samples of each piece.
fn pieces(header: &Header) -> Vec<Range<u64>> {
    let length = (PIECE_BYTES / header.sample_bytes()).max(1);
    (0..header.count.div_ceil(length))
        .map(|piece| piece * length..((piece + 1) * length).min(header.count))
        .collect()
}

/// Makes labels and samples of a piece.
fn make(source: &dyn Source, header: &Header, range: Range<u64>) -> Result<(Vec<u8>, Vec<u8>)> {
    let sample = usize::try_from(header.sample_bytes()).unwrap_or(usize::MAX);
    let shape = header.shape();
    let count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut labels = Vec::with_capacity(2 * count);
    let mut samples = vec![0; sample * count];
    for (index, bytes) in range.zip(samples.chunks_exact_mut(sample)) {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let mut sample = SampleMut::from_bytes(shape, bytes)?;
        let label = source.load(index, &mut sample, &mut SampleRng::for_sample(0, 0, index))?;
        if u32::from(label) >= header.classes {
            let expected = format!("labels below {}", header.classes);
            return Err(Error::InvalidImages {
                expected,
                found: format!("{label} at sample {index}"),
            });
        }
        labels.extend(label.to_le_bytes());
    }
    Ok((labels, samples))
}

impl Files {
    /// Which pieces are whole: noted, and with the checksums that were noted.
    fn done(&mut self, header: &Header, pieces: &[Range<u64>]) -> Result<Vec<bool>> {
        let mut done = vec![false; pieces.len()];
        let mut lines = Vec::new();
        self.journal.seek(SeekFrom::Start(0))?;
        (&mut self.journal).take((LINE * pieces.len() * 2) as u64).read_to_end(&mut lines)?;
        for line in lines.as_chunks::<LINE>().0 {
            let [number, samples, labels, sum] = [0, 4, 8, 12].map(|at| u32_at(line, at));
            let Some(range) =
                pieces.get(number as usize).filter(|_| crc32c::crc32c(&line[..12]) == sum)
            else {
                continue;
            };
            let count = range.end - range.start;
            let read = self.sum(
                header.samples_at() + range.start * header.sample_bytes(),
                count * header.sample_bytes(),
            )? == Some(samples)
                && self.sum(Header::LABELS + 2 * range.start, 2 * count)? == Some(labels);
            done[number as usize] |= read;
        }
        // A line that was cut off would put all later ones out of step.
        let whole = lines.len() - lines.len() % LINE;
        self.journal.set_len(whole as u64)?;
        self.journal.seek(SeekFrom::End(0))?;
        Ok(done)
    }

    /// The checksum of a part of the file; `None` if it is shorter.
    fn sum(&mut self, at: u64, length: u64) -> Result<Option<u32>> {
        let mut bytes = Vec::new();
        self.data.seek(SeekFrom::Start(at))?;
        (&mut self.data).take(length).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 == length).then(|| crc32c::crc32c(&bytes)))
    }

    /// Writes a piece, and then its line in the journal.
    fn write(
        &mut self,
        header: &Header,
        piece: usize,
        first: u64,
        labels: &[u8],
        samples: &[u8],
    ) -> Result<()> {
        self.data.seek(SeekFrom::Start(Header::LABELS + 2 * first))?;
        self.data.write_all(labels)?;
        self.data.seek(SeekFrom::Start(header.samples_at() + first * header.sample_bytes()))?;
        self.data.write_all(samples)?;
        let number = u32::try_from(piece).unwrap_or(u32::MAX);
        let mut line: Vec<u8> = [number, crc32c::crc32c(samples), crc32c::crc32c(labels)]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        line.extend(crc32c::crc32c(&line).to_le_bytes());
        Ok(self.journal.write_all(&line)?)
    }
}

fn u32_at(line: &[u8; LINE], at: usize) -> u32 {
    u32::from_le_bytes([line[at], line[at + 1], line[at + 2], line[at + 3]])
}

fn begins_with(file: &mut fs::File, expected: &[u8]) -> Result<bool> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(expected.len() as u64).read_to_end(&mut bytes)?;
    Ok(bytes == expected)
}
