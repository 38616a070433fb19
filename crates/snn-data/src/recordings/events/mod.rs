//! Recordings of event cameras.

mod aedat2;
mod aedat3;
mod aedat4;
mod block;
mod bytes;
mod dat;
mod detect;
mod evt2;
mod evt21;
mod evt3;
mod flat;
mod format;
mod header;
mod n_mnist;
mod npz;
mod options;
mod outside;
mod reader;
mod time;

pub use aedat2::to_aedat2;
pub use bytes::Damage;
pub use format::EventFormat;
#[cfg(all(feature = "pictures", feature = "cache"))]
pub(crate) use npz::arrays_of;
pub use npz::{NpzArray, npz_arrays, read_npz_frames};
pub use options::{ArrayNames, Chip, ReadOptions, SensorSize};
pub use reader::EventReader;

use crate::{Error, Result};

/// One event: the light at a pixel changed by a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Time in µs.
    pub t: i64,
    /// Column, from the left.
    pub x: u16,
    /// Row, from the top.
    pub y: u16,
    /// `true` if it became brighter (ON).
    pub polarity: bool,
}

/// The events of one recording, as a structure of arrays; the order is that of the file.
///
/// Every event lies on the sensor: x < width and y < height. Times are µs and need not rise;
/// cameras deliver some events late.
///
/// ```
/// use snn_data::recordings::events::{Event, Events, SensorSize};
/// let mut events = Events::new(SensorSize { width: 34, height: 34 });
/// events.push(Event { t: 5, x: 33, y: 0, polarity: true })?;
/// assert!(events.push(Event { t: 6, x: 34, y: 0, polarity: true }).is_err());
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    size: SensorSize,
    t: Vec<i64>,
    x: Vec<u16>,
    y: Vec<u16>,
    polarity: Vec<bool>,
}

impl Events {
    /// No event yet.
    pub fn new(size: SensorSize) -> Self {
        Self { size, t: Vec::new(), x: Vec::new(), y: Vec::new(), polarity: Vec::new() }
    }

    /// Events from their columns.
    ///
    /// # Errors
    /// [`Error::InvalidEvents`] if the columns differ in length or an event lies outside the
    /// sensor.
    pub fn from_columns(
        size: SensorSize,
        t: Vec<i64>,
        [x, y]: [Vec<u16>; 2],
        polarity: Vec<bool>,
    ) -> Result<Self> {
        let lengths = [t.len(), x.len(), y.len(), polarity.len()];
        if lengths.iter().any(|&length| length != lengths[0]) {
            let expected = "columns t, x, y and polarity of one length".into();
            return Err(Error::InvalidEvents { expected, found: format!("{lengths:?}") });
        }
        let events = Self { size, t, x, y, polarity };
        let off = events.iter().find(|event| !size.holds(event.x, event.y));
        match off {
            Some(event) => Err(outside(size, event.x, event.y)),
            None => Ok(events),
        }
    }

    /// Adds an event at the end.
    ///
    /// # Errors
    /// [`Error::InvalidEvents`] if it lies outside the sensor.
    pub fn push(&mut self, event: Event) -> Result<()> {
        if !self.size.holds(event.x, event.y) {
            return Err(outside(self.size, event.x, event.y));
        }
        self.append(event);
        Ok(())
    }

    /// Adds an event that is known to lie on the sensor.
    pub(crate) fn append(&mut self, Event { t, x, y, polarity }: Event) {
        debug_assert!(self.size.holds(x, y), "({x}, {y}) is outside {}", self.size);
        self.t.push(t);
        self.x.push(x);
        self.y.push(y);
        self.polarity.push(polarity);
    }

    pub(crate) fn reserve(&mut self, more: usize) {
        self.t.reserve(more);
        self.x.reserve(more);
        self.y.reserve(more);
        self.polarity.reserve(more);
    }

    /// Removes all events and keeps the memory.
    pub fn clear(&mut self) {
        self.t.clear();
        self.x.clear();
        self.y.clear();
        self.polarity.clear();
    }

    /// Width and height of the sensor.
    pub fn size(&self) -> SensorSize {
        self.size
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// `true` if there is none.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Times in µs.
    pub fn t(&self) -> &[i64] {
        &self.t
    }

    /// Columns, from the left.
    pub fn x(&self) -> &[u16] {
        &self.x
    }

    /// Rows, from the top.
    pub fn y(&self) -> &[u16] {
        &self.y
    }

    /// `true` if each event is ON (brighter).
    pub fn polarity(&self) -> &[bool] {
        &self.polarity
    }

    /// The events one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        let places = self.x.iter().zip(&self.y).zip(&self.polarity);
        self.t.iter().zip(places).map(|(&t, ((&x, &y), &polarity))| Event { t, x, y, polarity })
    }

    /// First and last time that occur, in µs; `None` without events.
    pub fn span(&self) -> Option<(i64, i64)> {
        // One pass that vectorises; most recordings are sorted, but that costs a pass to find out
        // as well.
        let first = *self.t.first()?;
        Some(self.t.iter().fold((first, first), |(low, high), &t| (low.min(t), high.max(t))))
    }

    /// `true` if no event is earlier than the one before it.
    pub fn is_sorted(&self) -> bool {
        self.t.is_sorted()
    }

    /// The same events in the order of their times; equal times keep their order.
    #[must_use]
    pub fn sorted(&self) -> Self {
        if self.is_sorted() {
            return self.clone();
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&index| self.t[index]);
        self.select(order.into_iter())
    }

    /// The events `range`, in order.
    ///
    /// # Errors
    /// [`Error::InvalidEvents`] if the range does not lie in `0..len`.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > self.len() {
            let expected = format!("a range in 0..{}", self.len());
            return Err(Error::InvalidEvents { expected, found: format!("{range:?}") });
        }
        Ok(Self {
            size: self.size,
            t: self.t[range.clone()].to_vec(),
            x: self.x[range.clone()].to_vec(),
            y: self.y[range.clone()].to_vec(),
            polarity: self.polarity[range].to_vec(),
        })
    }

    /// The events with t in `[from, until)`, in order; the recording need not be sorted.
    #[must_use]
    pub fn between(&self, from: i64, until: i64) -> Self {
        self.select((0..self.len()).filter(|&index| (from..until).contains(&self.t[index])))
    }

    /// Rows become columns: x and y change places, and so do width and height.
    #[must_use]
    pub fn transposed(self) -> Self {
        let size = SensorSize { width: self.size.height, height: self.size.width };
        Self { size, t: self.t, x: self.y, y: self.x, polarity: self.polarity }
    }

    fn select(&self, indices: impl Iterator<Item = usize>) -> Self {
        let mut chosen = Self::new(self.size);
        chosen.reserve(indices.size_hint().0);
        for index in indices {
            chosen.append(Event {
                t: self.t[index],
                x: self.x[index],
                y: self.y[index],
                polarity: self.polarity[index],
            });
        }
        chosen
    }
}

fn outside(size: SensorSize, x: u16, y: u16) -> Error {
    Error::InvalidEvents {
        expected: format!("x and y on a sensor of {size}"),
        found: format!("({x}, {y})"),
    }
}
