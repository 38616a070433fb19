//! Changes of a recording whose parameters are known.

use crate::recordings::events::{Event, Events};

/// Operations on the positions of events, or that depend on them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EventOperation {
    /// `x' = width − 1 − x`.
    FlipColumns,
    /// `y' = height − 1 − y`.
    FlipRows,
    /// `x' = (x + right) mod width`, `y' = (y + down) mod height`.
    Roll {
        /// Pixels to the right.
        right: i32,
        /// Pixels downwards.
        down: i32,
    },
    /// Turns against the clock about the middle of the sensor; places are rounded, and events that
    /// leave the sensor are left out.
    Rotate {
        /// Degrees.
        degrees: f64,
    },
    /// `x' = x + factor · (y − (height − 1)/2)`, rounded; events that leave the sensor are left
    /// out.
    Shear {
        /// The factor.
        factor: f64,
    },
    /// Leaves out the events of a box.
    DropBox {
        /// First column.
        left: u16,
        /// First row.
        top: u16,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Leaves out the events with `from ≤ t ≤ to`.
    DropTime {
        /// First time in µs.
        from: f64,
        /// Last time in µs.
        to: f64,
    },
}

impl EventOperation {
    /// Changes the events; their order stays.
    #[must_use]
    pub fn apply(self, events: &Events) -> Events {
        let size = events.size();
        let [width, height] = [i32::from(size.width), i32::from(size.height)];
        let middle = [f64::from(width - 1) / 2.0, f64::from(height - 1) / 2.0];
        match self {
            Self::FlipColumns => moved(events, |x, y| Some((size.width - 1 - x, y))),
            Self::FlipRows => moved(events, |x, y| Some((x, size.height - 1 - y))),
            Self::Roll { right, down } => {
                let rolled = |at: u16, by: i32, side: i32| {
                    u16::try_from((i32::from(at) + by % side).rem_euclid(side)).ok()
                };
                moved(events, |x, y| Some((rolled(x, right, width)?, rolled(y, down, height)?)))
            }
            Self::Rotate { degrees } => {
                let (sin, cos) = degrees.to_radians().sin_cos();
                moved(events, |x, y| {
                    let (x, y) = (f64::from(x) - middle[0], f64::from(y) - middle[1]);
                    Some((
                        pixel(middle[0] + cos * x + sin * y)?,
                        pixel(middle[1] - sin * x + cos * y)?,
                    ))
                })
            }
            Self::Shear { factor } => moved(events, |x, y| {
                Some((pixel(f64::from(x) + factor * (f64::from(y) - middle[1]))?, y))
            }),
            Self::DropBox { left, top, width, height } => moved(events, |x, y| {
                let inside = |at: u16, start: u16, length: u16| at >= start && at - start < length;
                (!(inside(x, left, width) && inside(y, top, height))).then_some((x, y))
            }),
            Self::DropTime { from, to } => {
                let dropped: Vec<bool> =
                    events.t().iter().map(|&t| (from..=to).contains(&(t as f64))).collect();
                drop_events(events, &dropped)
            }
        }
    }
}

/// Leaves out the events for which `dropped` is `true`; those that it says nothing of stay.
#[must_use]
pub fn drop_events(events: &Events, dropped: &[bool]) -> Events {
    let dropped = dropped.iter().copied().chain(std::iter::repeat(false));
    collect(
        events,
        events.iter().zip(dropped).filter_map(|(event, dropped)| (!dropped).then_some(event)),
    )
}

/// Adds `shifts` (µs) to the times, and cuts the fraction; the order stays.
#[must_use]
pub fn jitter_times(events: &Events, shifts: &[f64]) -> Events {
    let shifts = shifts.iter().copied().chain(std::iter::repeat(0.0));
    let shaken = |(event, shift): (Event, f64)| Event { t: cut(event.t as f64 + shift), ..event };
    collect(events, events.iter().zip(shifts).map(shaken))
}

/// The events at other places; those without a place on the sensor are left out.
fn moved(events: &Events, place: impl Fn(u16, u16) -> Option<(u16, u16)>) -> Events {
    let size = events.size();
    let at = |event: Event| {
        let (x, y) = place(event.x, event.y).filter(|&(x, y)| size.holds(x, y))?;
        Some(Event { x, y, ..event })
    };
    collect(events, events.iter().filter_map(at))
}

fn collect(like: &Events, events: impl Iterator<Item = Event>) -> Events {
    let mut collected = Events::new(like.size());
    collected.reserve(like.len());
    events.for_each(|event| collected.append(event));
    collected
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie in 0 to 65,535"
)]
fn pixel(at: f64) -> Option<u16> {
    let at = at.round();
    (0.0..=f64::from(u16::MAX)).contains(&at).then_some(at as u16)
}

#[expect(clippy::cast_possible_truncation, reason = "cutting is asked for")]
fn cut(value: f64) -> i64 {
    value as i64
}
