//! Counting events into frames: the loop that decides how fast framing is.

use super::slicing::Slices;
use crate::events::{Events, SensorSize};
use crate::{Error, Result};
use std::ops::Range;

/// Counts the events of all slices into `frames`, `[T, 2, H, W]` of zeros.
pub(super) fn count(events: &Events, slices: &Slices, size: SensorSize, frames: &mut [u16]) -> Result<()> {
    let places = Places::new(events.size(), size);
    let frame = 2 * size.pixels();
    match slices {
        Slices::Ranges(ranges) => {
            for (range, frame) in ranges.iter().zip(frames.chunks_exact_mut(frame)) {
                count_range(events, range.clone(), &places, frame)?;
            }
        }
        Slices::Times { count, first, duration } => {
            for event in events.iter() {
                let slice = usize::try_from(event.t.abs_diff(*first) / duration).unwrap_or(usize::MAX).min(count - 1);
                let value = &mut frames[slice * frame + places.of(event.x, event.y, event.polarity)];
                *value = value.checked_add(1).ok_or_else(overflow)?;
            }
        }
    }
    Ok(())
}

fn count_range(events: &Events, range: Range<usize>, places: &Places, frame: &mut [u16]) -> Result<()> {
    let columns =
        events.x()[range.clone()].iter().zip(&events.y()[range.clone()]).zip(&events.polarity()[range.clone()]);
    // Fewer events than a counter can hold cannot overflow it.
    if u16::try_from(range.len()).is_ok() {
        for ((&x, &y), &polarity) in columns {
            let value = &mut frame[places.of(x, y, polarity)];
            *value = value.wrapping_add(1);
        }
        return Ok(());
    }
    for ((&x, &y), &polarity) in columns {
        let value = &mut frame[places.of(x, y, polarity)];
        *value = value.checked_add(1).ok_or_else(overflow)?;
    }
    Ok(())
}

fn overflow() -> Error {
    let expected = "at most 65535 events of one slice at one pixel; take more slices".into();
    Error::InvalidEvents { expected, found: "more".into() }
}

/// Where each pixel of the sensor lies in a frame `[2, H, W]`.
#[derive(Debug)]
pub(super) struct Places {
    columns: Vec<usize>,
    rows: Vec<usize>,
    pixels: usize,
}

impl Places {
    pub(super) fn new(sensor: SensorSize, size: SensorSize) -> Self {
        let scaled =
            |side: u16, to: u16| (0..usize::from(side)).map(move |at| at * usize::from(to) / usize::from(side));
        Self {
            columns: scaled(sensor.width, size.width).collect(),
            rows: scaled(sensor.height, size.height).map(|row| row * usize::from(size.width)).collect(),
            pixels: size.pixels(),
        }
    }

    pub(super) fn of(&self, x: u16, y: u16, polarity: bool) -> usize {
        usize::from(polarity) * self.pixels + self.rows[usize::from(y)] + self.columns[usize::from(x)]
    }
}
