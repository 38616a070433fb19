//! Counting events into frames: the loops that decide how fast framing is.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

use super::slicing::Slices;
use crate::recordings::events::{Events, SensorSize};
use crate::{Error, Result};
use snn_simd::{Kernel, run_with_avx2};
use std::ops::Range;

/// Events whose places are found before they are counted: finding vectorises, counting does not.
pub(super) const BLOCK: usize = 512;

/// A counter of events.
pub(super) trait Count: Copy + Default {
    /// One more; `None` beyond what can be told.
    fn more(self) -> Option<Self>;
}

impl Count for u16 {
    fn more(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Pixels stay at 255.
impl Count for u8 {
    fn more(self) -> Option<Self> {
        Some(self.saturating_add(1))
    }
}

/// Counts the events of all slices into `frames`, T of `[2, H, W]`, of zeros.
pub(super) fn count<C: Count>(
    events: &Events,
    slices: &Slices,
    size: SensorSize,
    frames: &mut [&mut [C]],
) -> Result<()> {
    let places = Places::new(events.size(), size);
    match slices {
        Slices::Ranges(ranges) => {
            for (range, frame) in ranges.iter().zip(frames) {
                run_with_avx2(CountRange { events, range: range.clone(), places: &places, frame })?;
            }
        }
        Slices::Times { count, first, duration } => {
            let (t, mut block) = (events.t().chunks(BLOCK), [0; BLOCK]);
            for (t, start) in t.zip((0..).step_by(BLOCK)) {
                let places = places.of(events, start..start + t.len(), &mut block);
                for (t, &place) in t.iter().zip(places) {
                    let slice = usize::try_from(t.abs_diff(*first) / duration)
                        .unwrap_or(usize::MAX)
                        .min(count - 1);
                    add(frames[slice], &[place])?;
                }
            }
        }
    }
    Ok(())
}

/// Counts events at their places in a frame.
#[inline(always)]
pub(super) fn add<C: Count>(frame: &mut [C], places: &[u32]) -> Result<()> {
    for &place in places {
        let value = &mut frame[place as usize];
        *value = value.more().ok_or_else(|| {
            let expected =
                "at most 65535 events of one slice at one pixel; take more slices".into();
            Error::InvalidEvents { expected, found: "more".into() }
        })?;
    }
    Ok(())
}

struct CountRange<'c, C> {
    events: &'c Events,
    range: Range<usize>,
    places: &'c Places,
    frame: &'c mut [C],
}

impl<C: Count> Kernel for CountRange<'_, C> {
    type Output = Result<()>;

    #[inline(always)]
    fn run(self) -> Result<()> {
        let mut block = [0; BLOCK];
        for start in self.range.clone().step_by(BLOCK) {
            add(
                self.frame,
                self.places.of(self.events, start..self.range.end.min(start + BLOCK), &mut block),
            )?;
        }
        Ok(())
    }
}

/// Where each pixel of the sensor lies in a frame `[2, H, W]`.
#[derive(Debug)]
pub(super) struct Places {
    columns: Vec<u32>,
    rows: Vec<u32>,
    /// Pixels of a row, if frames are as large as the sensor: places are computed then, and need no
    /// table.
    row: Option<u32>,
    pixels: u32,
}

impl Places {
    pub(super) fn new(sensor: SensorSize, size: SensorSize) -> Self {
        let scaled = |side: u16, to: u16| {
            (0..u32::from(side)).map(move |at| at * u32::from(to) / u32::from(side))
        };
        Self {
            columns: scaled(sensor.width, size.width).collect(),
            rows: scaled(sensor.height, size.height)
                .map(|row| row * u32::from(size.width))
                .collect(),
            row: (sensor == size).then_some(u32::from(size.width)),
            pixels: u32::from(size.width) * u32::from(size.height),
        }
    }

    /// The places of the events `range`, at most [`BLOCK`] of them, in `block`.
    #[inline(always)]
    pub(super) fn of<'b>(
        &self,
        events: &Events,
        range: Range<usize>,
        block: &'b mut [u32; BLOCK],
    ) -> &'b [u32] {
        let block = &mut block[..range.len()];
        let columns = events.x()[range.clone()]
            .iter()
            .zip(&events.y()[range.clone()])
            .zip(&events.polarity()[range]);
        let places = block.iter_mut().zip(columns);
        if let Some(row) = self.row {
            for (place, ((&x, &y), &on)) in places {
                *place = u32::from(on) * self.pixels + u32::from(y) * row + u32::from(x);
            }
        } else {
            for (place, ((&x, &y), &on)) in places {
                *place = u32::from(on) * self.pixels
                    + self.rows[usize::from(y)]
                    + self.columns[usize::from(x)];
            }
        }
        block
    }
}
