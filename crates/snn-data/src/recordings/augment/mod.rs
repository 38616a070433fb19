//! Augmentation of recordings: geometry, dropped events, timestamp jitter, NDA.

mod nda;
mod operation;

pub use nda::Nda;
pub use operation::{EventOperation, drop_events, jitter_times};

use crate::recordings::events::Events;
use crate::{Error, Result, SampleRng};
use serde::{Deserialize, Serialize};

/// A random change of a recording; parameters are drawn from the stream of (seed, epoch, index).
///
/// ```
/// use snn_data::SampleRng;
/// use snn_data::recordings::augment::EventAugment;
/// use snn_data::recordings::events::{Event, Events, SensorSize};
/// let mut events = Events::new(SensorSize { width: 34, height: 34 });
/// events.push(Event { t: 5, x: 30, y: 2, polarity: true })?;
/// let roll = EventAugment::Roll { pixels: 5 };
/// let rolled = |epoch| roll.apply(events.clone(), &mut SampleRng::for_sample(7, epoch, 0));
/// assert_eq!(rolled(0)?, rolled(0)?);
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EventAugment {
    /// Left becomes right in half of the cases (tonic's `RandomFlipLR`).
    FlipColumns,
    /// Top becomes bottom in half of the cases (tonic's `RandomFlipUD`).
    FlipRows,
    /// Everything moves by −pixels to +pixels in each direction; what leaves the sensor comes back
    /// on the other side.
    Roll {
        /// Most pixels.
        pixels: u16,
    },
    /// Turns by −degrees to +degrees about the middle.
    Rotate {
        /// Most degrees, up to 180.
        degrees: f64,
    },
    /// Row y moves by a factor of −factor to +factor times its distance from the middle row.
    Shear {
        /// Greatest tangent of the angle, up to 1.
        factor: f64,
    },
    /// Leaves out a share of the events, each equally likely (tonic's `DropEvent`; Gu et al. 2021,
    /// *`EventDrop`*).
    DropEvents {
        /// Least and greatest share, 0 to below 1.
        share: [f64; 2],
    },
    /// Leaves out the events of an interval (tonic's `DropEventByTime`).
    DropTime {
        /// Least and greatest share of the recording's duration, 0 to below 1.
        share: [f64; 2],
    },
    /// Leaves out the events of a box (tonic's `DropEventByArea`).
    DropArea {
        /// Least and greatest share of width and height, 0 to below 1.
        share: [f64; 2],
    },
    /// Moves each time by a normal random number, cuts the fraction and sorts (tonic's
    /// `TimeJitter`, sorted; times may become negative).
    JitterTimes {
        /// Standard deviation in µs.
        micros: f64,
    },
    /// Neuromorphic data augmentation.
    Nda(Nda),
}

impl EventAugment {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let (field, expected, fine, found) = match *self {
            Self::FlipColumns | Self::FlipRows => return Ok(()),
            Self::Nda(nda) => return nda.validate(),
            Self::Roll { pixels } => ("pixels", "at most 4096", pixels <= 4096, pixels.to_string()),
            Self::Rotate { degrees } => {
                ("degrees", "0 to 180", (0.0..=180.0).contains(&degrees), degrees.to_string())
            }
            Self::Shear { factor } => {
                ("factor", "0 to 1", (0.0..=1.0).contains(&factor), factor.to_string())
            }
            Self::DropEvents { share } | Self::DropTime { share } | Self::DropArea { share } => {
                let [low, high] = share;
                (
                    "share",
                    "0 ≤ least ≤ greatest < 1",
                    low >= 0.0 && low <= high && high < 1.0,
                    format!("{share:?}"),
                )
            }
            Self::JitterTimes { micros } => {
                ("micros", "0 to 1e9", (0.0..=1e9).contains(&micros), micros.to_string())
            }
        };
        if fine {
            Ok(())
        } else {
            Err(Error::InvalidConfig { field, expected: expected.into(), found })
        }
    }

    /// Draws the parameters and changes the events; their order stays, but for timestamp jitter.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn apply(&self, events: Events, rng: &mut SampleRng) -> Result<Events> {
        self.validate()?;
        let size = events.size();
        let operation = match *self {
            Self::FlipColumns => {
                return Ok(if rng.below(2) == 1 {
                    EventOperation::FlipColumns.apply(&events)
                } else {
                    events
                });
            }
            Self::FlipRows => {
                return Ok(if rng.below(2) == 1 {
                    EventOperation::FlipRows.apply(&events)
                } else {
                    events
                });
            }
            Self::Roll { pixels } => {
                EventOperation::Roll { right: both(pixels, rng), down: both(pixels, rng) }
            }
            Self::Rotate { degrees } => {
                EventOperation::Rotate { degrees: rng.uniform(-degrees, degrees) }
            }
            Self::Shear { factor } => {
                EventOperation::Shear { factor: rng.uniform(-factor, factor) }
            }
            Self::DropEvents { share } => {
                let share = rng.uniform(share[0], share[1]);
                return Ok(drop_events(&events, &chosen(events.len(), share, rng)));
            }
            Self::DropTime { share } => {
                let Some((first, last)) = events.span() else { return Ok(events) };
                let span = last.abs_diff(first) as f64;
                let length = span * rng.uniform(share[0], share[1]);
                let from = first as f64 + rng.uniform(0.0, span - length);
                EventOperation::DropTime { from, to: from + length }
            }
            Self::DropArea { share } => {
                let share = rng.uniform(share[0], share[1]);
                let [width, height] = [size.width, size.height].map(|side| part(side, share));
                let left = below(size.width - width, rng);
                let top = below(size.height - height, rng);
                EventOperation::DropBox { left, top, width, height }
            }
            Self::JitterTimes { micros } => {
                let shifts: Vec<f64> = (0..events.len()).map(|_| micros * normal(rng)).collect();
                return Ok(jitter_times(&events, &shifts).sorted());
            }
            Self::Nda(nda) => return Ok(nda.apply(events, rng)),
        };
        Ok(operation.apply(&events))
    }
}

/// Draws `share` of `count` events without putting back: `true` for those that are left out.
/// Selection sampling (Knuth, algorithm S).
fn chosen(count: usize, share: f64, rng: &mut SampleRng) -> Vec<bool> {
    let mut left = rounded(share * count as f64).min(count);
    let mut rest = count;
    let mut choose = || {
        let takes = (rng.uniform(0.0, 1.0) * rest as f64) < left as f64;
        rest -= 1;
        left -= usize::from(takes);
        takes
    };
    (0..count).map(|_| choose()).collect()
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut SampleRng) -> f64 {
    // In (0, 1]: the logarithm of 0 is no number.
    let radius = (-2.0 * (1.0 - rng.uniform(0.0, 1.0)).ln()).sqrt();
    radius * rng.uniform(0.0, std::f64::consts::TAU).cos()
}

/// −most to +most.
fn both(most: u16, rng: &mut SampleRng) -> i32 {
    i32::try_from(rng.below(2 * u32::from(most) + 1)).unwrap_or_default() - i32::from(most)
}

/// 0 to below `bound`; 0 if that is 0.
fn below(bound: u16, rng: &mut SampleRng) -> u16 {
    u16::try_from(rng.below(u32::from(bound))).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number is at most the number"
)]
fn rounded(value: f64) -> usize {
    (value + 0.5) as usize
}

/// A share of a side, cut to whole pixels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a side is at most the side"
)]
fn part(side: u16, share: f64) -> u16 {
    (f64::from(side) * share) as u16
}
