//! Where one frame ends and the next begins.

use crate::recordings::events::Events;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// More values than this are a mistake in the settings or in the times of a recording: 1 GiB.
pub(super) const MAX_VALUES: usize = 1 << 29;

/// How a recording is cut into slices; no event is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Slicing {
    /// Slices of equal duration Δ = `max(1, ⌊(t_max − t_min)/slices⌋)`; the last one takes the
    /// rest.
    ///
    /// This is SpikingJelly's `split_by="time"`. Tonic's `n_time_bins` leaves the rest out.
    Time {
        /// Number of slices.
        slices: usize,
    },
    /// Slices of equal numbers ⌊N/slices⌋ of events, in the order of the file; the last one takes
    /// the rest.
    ///
    /// This is SpikingJelly's `split_by="number"`. Tonic's `n_event_bins` leaves the rest out.
    Number {
        /// Number of slices.
        slices: usize,
    },
    /// Slices of this many µs from the first time on; the last one is the one with the last event,
    /// and need not be full.
    Duration {
        /// Duration of a slice in µs.
        micros: u64,
    },
    /// Slices of this many events, in the order of the file; the last one need not be full.
    Count {
        /// Events of a slice.
        events: usize,
    },
}

/// The slices of one recording.
#[derive(Debug)]
pub(super) enum Slices {
    /// Each slice is a range of events.
    Ranges(Vec<Range<usize>>),
    /// Event times are not sorted: each event says its slice, ⌊(t − first)/duration⌋ but at most
    /// `count − 1`.
    Times { count: usize, first: i64, duration: u64 },
}

impl Slices {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Ranges(ranges) => ranges.len(),
            Self::Times { count, .. } => *count,
        }
    }
}

impl Slicing {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a zero.
    pub fn validate(&self) -> Result<()> {
        let (field, zero) = match *self {
            Self::Time { slices } | Self::Number { slices } => ("slices", slices == 0),
            Self::Duration { micros } => ("micros", micros == 0),
            Self::Count { events } => ("events", events == 0),
        };
        if zero {
            return Err(Error::InvalidConfig {
                field,
                expected: "at least 1".into(),
                found: "0".into(),
            });
        }
        Ok(())
    }

    /// Cuts a recording of `length` events by their number; `None` if it is cut by their times.
    pub(super) fn ranges(&self, length: usize) -> Result<Option<Vec<Range<usize>>>> {
        self.validate()?;
        let (slices, events) = match *self {
            Self::Number { slices } => (slices, length / slices),
            Self::Count { events } => (length.div_ceil(events), events),
            Self::Time { .. } | Self::Duration { .. } => return Ok(None),
        };
        if length == 0 {
            return Err(no_events());
        }
        let start = |slice: usize| slice.saturating_mul(events).min(length);
        let end = |slice: usize| if slice + 1 == slices { length } else { start(slice + 1) };
        Ok(Some((0..slices).map(|slice| start(slice)..end(slice)).collect()))
    }

    /// Cuts a recording.
    pub(super) fn slices(&self, events: &Events) -> Result<Slices> {
        if let Some(ranges) = self.ranges(events.len())? {
            return Ok(Slices::Ranges(ranges));
        }
        let (first, last) = events.span().ok_or_else(no_events)?;
        let span = last.abs_diff(first);
        let (count, duration) = match *self {
            Self::Duration { micros } => {
                (usize::try_from(span / micros).unwrap_or(usize::MAX).saturating_add(1), micros)
            }
            Self::Time { slices: count }
            | Self::Number { slices: count }
            | Self::Count { events: count } => (count, (span / count as u64).max(1)),
        };
        // Above this the frames are refused anyway, and a range each would be too much as well.
        if count > MAX_VALUES {
            return Ok(Slices::Times { count, first, duration });
        }
        Ok(by_time(events, first, duration, count))
    }
}

fn no_events() -> Error {
    Error::InvalidEvents { expected: "at least one event".into(), found: "none".into() }
}

fn by_time(events: &Events, first: i64, duration: u64, count: usize) -> Slices {
    if !events.is_sorted() {
        return Slices::Times { count, first, duration };
    }
    let times = events.t();
    let mut start = 0;
    let ranges = (1..=count).map(|slice| {
        let end = if slice == count {
            times.len()
        } else {
            let until = duration.saturating_mul(slice as u64);
            start + times[start..].partition_point(|t| t.abs_diff(first) < until)
        };
        let range = start..end;
        start = end;
        range
    });
    Slices::Ranges(ranges.collect())
}
