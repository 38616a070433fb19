//! Frames of a recording one after the other, as its events arrive.

use super::accumulate::{BLOCK, Count as _, Places};
use super::target;
use crate::recordings::events::{Events, SensorSize};
use crate::{Error, Result};

/// Where one frame of a stream ends and the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// So many events each, in the order in which they come, whatever their times are.
    Events(usize),
    /// So many µs each. Within a frame events may come in any order; one of an earlier frame, which
    /// is complete, is refused.
    Micros(u64),
}

/// One frame of a stream.
#[derive(Debug)]
pub struct Frame<'f> {
    /// Number of the frame, from 0 on.
    pub number: u64,
    /// Where it begins in µs: the time of its first event, or the beginning of its window.
    pub from: i64,
    /// Where it ends in µs: the time of its last event, or the end of its window.
    pub until: i64,
    /// Its events.
    pub events: usize,
    /// Counts `[2, H, W]`; above 255 they are 255.
    pub counts: &'f [u8],
}

/// Cuts a stream of events into frames and counts their events, in the memory of one frame.
///
/// ```
/// use snn_data::recordings::events::{Event, Events, SensorSize};
/// use snn_data::recordings::frames::{FrameStream, Window};
/// let size = SensorSize { width: 4, height: 2 };
/// let mut events = Events::new(size);
/// for t in [100, 109, 130, 135] {
///     events.push(Event { t, x: 3, y: 1, polarity: true })?;
/// }
/// let mut stream = FrameStream::new(size, None, Window::Micros(10))?;
/// let mut frames = Vec::new();
/// let mut keep = |frame: snn_data::recordings::frames::Frame<'_>| {
///     frames.push((frame.from, frame.events));
///     Ok::<(), snn_data::Error>(())
/// };
/// stream.push(&events, &mut keep)?;
/// stream.finish(&mut keep)?;
/// assert_eq!(frames, [(100, 2), (110, 0), (120, 0), (130, 2)]);
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug)]
pub struct FrameStream {
    sensor: SensorSize,
    places: Places,
    window: Window,
    /// Number of frames, the last of which takes all the rest; `None` for any number.
    limit: Option<u64>,
    /// The frame that is being counted.
    counts: Vec<u8>,
    number: u64,
    events: usize,
    /// Beginning of the frame; `None` before the first event.
    from: Option<i64>,
    last: i64,
}

impl FrameStream {
    /// Frames of `size` pixels (those of the sensor if absent) of a stream of any length.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a window of nothing, or frames larger than the sensor.
    pub fn new(sensor: SensorSize, size: Option<SensorSize>, window: Window) -> Result<Self> {
        let size = target(size, sensor)?;
        let (field, zero) = match window {
            Window::Events(events) => ("events", events == 0),
            Window::Micros(micros) => ("micros", micros == 0),
        };
        if zero {
            let expected = "at least 1".into();
            return Err(Error::InvalidConfig { field, expected, found: "0".into() });
        }
        Ok(Self {
            sensor,
            places: Places::new(sensor, size),
            window,
            limit: None,
            counts: vec![0; 2 * size.pixels()],
            number: 0,
            events: 0,
            from: None,
            last: 0,
        })
    }

    /// The same with so many frames in all, of which the last takes what is left; windows of time
    /// begin at `first`, the earliest time of the recording. With the window of its length and span
    /// these are the frames of [`Framing`](super::Framing).
    #[must_use]
    pub fn of_recording(mut self, frames: u64, first: i64) -> Self {
        self.limit = Some(frames);
        self.from = Some(first);
        self
    }

    /// Number of frames that are complete.
    pub fn frames(&self) -> u64 {
        self.number
    }

    /// Adds events; `each` is given every frame that they complete.
    ///
    /// # Errors
    /// [`Error::InvalidEvents`] for events of another sensor, and with windows of time for one of
    /// an earlier frame; what `each` returns.
    pub fn push<E: From<Error>>(
        &mut self,
        events: &Events,
        each: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if events.size() != self.sensor {
            let expected = format!("events of a sensor of {}", self.sensor);
            return Err(Error::InvalidEvents { expected, found: events.size().to_string() }.into());
        }
        let mut block = [0; BLOCK];
        for start in (0..events.len()).step_by(BLOCK) {
            let range = start..events.len().min(start + BLOCK);
            let places = self.places.of(events, range.clone(), &mut block);
            for (&t, &place) in events.t()[range].iter().zip(places) {
                let begin = *self.from.get_or_insert(t);
                match self.window {
                    Window::Events(most) => {
                        if self.events == most && !self.is_last() {
                            self.complete(self.last, each)?;
                            self.from = Some(t);
                        }
                    }
                    Window::Micros(micros) => {
                        // A frame that was given away takes no more events.
                        if t < begin {
                            return Err(Error::InvalidEvents {
                                expected: format!(
                                    "events in the order of time, at least frame by frame: the \
                                     current frame began at {begin} µs (sort the recording by \
                                     time, or cut it by the number of events)"
                                ),
                                found: format!("one at {t} µs"),
                            }
                            .into());
                        }
                        let mut end = until(begin, micros);
                        // A wrong time stamp would be frames without end.
                        let windows = || t.saturating_sub(begin).unsigned_abs() / micros.max(1);
                        if t >= end && self.limit.is_none() && windows() > MOST_EMPTY {
                            return Err(Error::InvalidEvents {
                                expected: format!(
                                    "an event at most {MOST_EMPTY} windows of {micros} µs after \
                                     {begin} µs, where a frame began"
                                ),
                                found: format!("one at {t} µs"),
                            }
                            .into());
                        }
                        while t >= end && !self.is_last() {
                            self.complete(end, each)?;
                            self.from = Some(end);
                            end = until(end, micros);
                        }
                    }
                }
                let value = &mut self.counts[place as usize];
                *value = value.more().unwrap_or(u8::MAX);
                self.events += 1;
                self.last = t;
            }
        }
        Ok(())
    }

    /// The end of the stream: the frame that has begun is complete, and of a recording so are all
    /// that are left. A stream without an event has no frame.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn finish<E>(
        &mut self,
        each: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(begin) = self.from else { return Ok(()) };
        let left = self.limit.map_or(1, |limit| limit.saturating_sub(self.number));
        for _ in 0..left {
            self.complete(self.last.max(begin), each)?;
        }
        self.from = None;
        Ok(())
    }

    fn is_last(&self) -> bool {
        self.limit.is_some_and(|limit| self.number + 1 >= limit)
    }

    fn complete<E>(
        &mut self,
        until: i64,
        each: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let from = self.from.unwrap_or(until);
        let (number, events) = (self.number, self.events);
        let done = each(Frame { number, from, until, events, counts: &self.counts });
        self.counts.fill(0);
        self.events = 0;
        self.number += 1;
        done
    }
}

/// The most windows without an event in a row.
const MOST_EMPTY: u64 = 1_000_000;

fn until(begin: i64, micros: u64) -> i64 {
    begin.saturating_add(i64::try_from(micros).unwrap_or(i64::MAX))
}
