//! Frames of a recording while it is read.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

use super::accumulate::{BLOCK, Count, Places, add};
use crate::Result;
use crate::recordings::events::{EventReader, Events, SensorSize};
use snn_simd::{Kernel, run_with_avx2};
use std::ops::Range;

/// The place in a frame of every event of a recording: all that slices of so many events need, a
/// third of the memory that events need.
pub(super) struct Trace {
    places: Vec<u32>,
    /// Values of a frame.
    frame: usize,
}

impl Trace {
    pub(super) fn read(size: SensorSize, reader: &mut EventReader) -> Result<Self> {
        let places = Places::new(reader.size(), size);
        let mut trace =
            Self { places: Vec::with_capacity(reader.expected_events()), frame: 2 * size.pixels() };
        let mut piece = Events::new(reader.size());
        while reader.read_chunk(&mut piece)? {
            run_with_avx2(Append { places: &places, events: &piece, into: &mut trace.places });
            piece.clear();
            reader.check_count(trace.places.len())?;
        }
        Ok(trace)
    }

    /// Number of events.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Counts the events of ranges into `frames`, one a range, of zeros.
    pub(super) fn count<C: Count>(&self, ranges: &[Range<usize>], frames: &mut [C]) -> Result<()> {
        let mut frames = frames.chunks_exact_mut(self.frame);
        ranges
            .iter()
            .zip(&mut frames)
            .try_for_each(|(range, frame)| add(frame, &self.places[range.clone()]))
    }
}

struct Append<'a> {
    places: &'a Places,
    events: &'a Events,
    into: &'a mut Vec<u32>,
}

impl Kernel for Append<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut block = [0; BLOCK];
        for start in (0..self.events.len()).step_by(BLOCK) {
            let range = start..self.events.len().min(start + BLOCK);
            self.into.extend_from_slice(self.places.of(self.events, range, &mut block));
        }
    }
}
