//! Neuromorphic data augmentation.

use super::{EventOperation, both};
use crate::recordings::events::Events;
use crate::{Error, Result, SampleRng};
use serde::{Deserialize, Serialize};

/// For each of the three strengths: most pixels of rolling, most degrees of rotation and of
/// shearing, side of the box that is cut out.
///
/// The authors' code has the first two of rolling, rotation and shearing, for N-Caltech101 and for
/// CIFAR10-DVS; the third goes on in equal steps. It has no cutout in use: its sides are ours.
const STRENGTHS: [(u16, f64, u16); 3] = [(3, 15.0, 8), (5, 30.0, 16), (7, 45.0, 24)];
/// The side of the frames for which pixels are given; they grow with the sensor.
const SIDE: f64 = 48.0;

/// A flip in half of the cases, then some of rolling, rotation, cutout and shear, each at most
/// once, at one strength.
///
/// Pixels are those of frames of 48, and grow with the sensor. Li et al. mix batches as well: see
/// [`Mix`](crate::Mix). The code that they published rolls, rotates or shears, one of the three for
/// each recording and without a flip, by strength 1 (N-Caltech101) or 2 (CIFAR10-DVS).
///
/// # References
/// Li et al. 2022, *Neuromorphic data augmentation for training spiking neural networks*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nda {
    /// Strength, 1 to 3.
    pub magnitude: usize,
    /// Operations after the flip, 1 to 4.
    pub operations: usize,
}

impl Default for Nda {
    /// Strength 1, two operations (M1N2).
    fn default() -> Self {
        Self { magnitude: 1, operations: 2 }
    }
}

impl Nda {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(self) -> Result<()> {
        for (field, found, most) in
            [("magnitude", self.magnitude, STRENGTHS.len()), ("operations", self.operations, 4)]
        {
            if !(1..=most).contains(&found) {
                return Err(Error::InvalidConfig {
                    field,
                    expected: format!("1 to {most}"),
                    found: found.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Draws the operations for a sensor of these sides, in the order in which they are applied.
    pub fn draw(self, [width, height]: [u16; 2], rng: &mut SampleRng) -> Vec<EventOperation> {
        let (roll, degrees, side) = STRENGTHS[self.magnitude.clamp(1, STRENGTHS.len()) - 1];
        let scaled = |pixels: u16, side: u16| super::part(pixels, f64::from(side) / SIDE).max(1);
        let mut operations = Vec::new();
        if rng.below(2) == 1 {
            operations.push(EventOperation::FlipColumns);
        }
        let mut order = [0, 1, 2, 3];
        rng.shuffle(&mut order);
        for kind in order.into_iter().take(self.operations) {
            operations.push(match kind {
                0 => EventOperation::Roll {
                    right: both(scaled(roll, width), rng),
                    down: both(scaled(roll, height), rng),
                },
                1 => EventOperation::Rotate { degrees: rng.uniform(-degrees, degrees) },
                2 => {
                    // The centre is any pixel; a part of the box may lie outside.
                    let sides = [scaled(side, width), scaled(side, height)];
                    let [left, top] =
                        [(width, sides[0]), (height, sides[1])].map(|(length, side)| {
                            let centre = super::below(length, rng);
                            (
                                centre.saturating_sub(side / 2),
                                side - (side / 2).saturating_sub(centre),
                            )
                        });
                    EventOperation::DropBox {
                        left: left.0,
                        top: top.0,
                        width: left.1,
                        height: top.1,
                    }
                }
                _ => EventOperation::Shear {
                    factor: rng.uniform(-degrees, degrees).to_radians().tan(),
                },
            });
        }
        operations
    }

    pub(super) fn apply(self, events: Events, rng: &mut SampleRng) -> Events {
        let size = events.size();
        let operations = self.draw([size.width, size.height], rng);
        operations.into_iter().fold(events, |events, operation| operation.apply(&events))
    }
}
