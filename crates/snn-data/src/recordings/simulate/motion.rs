//! How the picture moves before the camera.

use super::number::{check, single};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Steps of the grid that displacements are rounded to: a 256th of a pixel, so that they are the
/// same on every machine.
const FRACTION: f64 = 256.0;
/// Pixels that the picture moves between two times of the grid at most.
const STRIDE: f64 = 0.5;

/// Motion of the picture before the camera. On each straight side the speed rises from rest and
/// falls to rest again: after a share u of its time the share `u − sin(2πu)/2π` is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Motion {
    /// Repeated closed loops, as CIFAR10-DVS was recorded (Li et al. 2017): a square that stands on
    /// a corner, with its middle at the centre of the sensor.
    Loops {
        /// Number of loops.
        loops: u32,
        /// Duration of a loop in µs.
        loop_us: u32,
        /// Distance of the corners from the middle in pixels.
        radius: f64,
    },
    /// Three saccades along a triangle, as N-MNIST was recorded (Orchard et al. 2015): to
    /// `(reach/2, reach)`, to `(reach, 0)` and back.
    Saccades {
        /// Duration of a saccade in µs.
        saccade_us: u32,
        /// Width and height of the triangle in pixels.
        reach: f64,
    },
}

impl Default for Motion {
    fn default() -> Self {
        Self::LOOPS
    }
}

impl Motion {
    /// Six loops of 200 ms.
    pub const LOOPS: Self = Self::Loops { loops: 6, loop_us: 200_000, radius: 4.0 };
    /// Three saccades of 100 ms.
    pub const SACCADES: Self = Self::Saccades { saccade_us: 100_000, reach: 16.0 };

    /// The same with another radius of the loops, or width of the triangle, in pixels.
    #[must_use]
    pub fn with_reach(mut self, pixels: f64) -> Self {
        match &mut self {
            Self::Loops { radius: size, .. } | Self::Saccades { reach: size, .. } => *size = pixels,
        }
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Loops { .. } => "loops",
            Self::Saccades { .. } => "saccades",
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let (count, duration) = match *self {
            Self::Loops { loops, loop_us, radius } => {
                check("radius", radius, 0.1, 64.0)?;
                check("loops", f64::from(loops), 1.0, 1_000.0)?;
                check("loop_us", f64::from(loop_us), 1_000.0, 1e8)?;
                (loops, loop_us)
            }
            Self::Saccades { saccade_us, reach } => {
                check("reach", reach, 0.1, 64.0)?;
                check("saccade_us", f64::from(saccade_us), 1_000.0, 1e8)?;
                (3, saccade_us)
            }
        };
        // Times of AEDAT 2.0 have 31 bits.
        let total = u64::from(count) * u64::from(duration);
        if total > 1_000_000_000 {
            return Err(Error::InvalidConfig {
                field: "motion",
                expected: "at most 1000 s".into(),
                found: format!("{} s", total / 1_000_000),
            });
        }
        // Between two times of the grid pixels follow their light from 1 µs to 1 s.
        let step_us = self.path().step_us();
        if !(1.0..=1e6).contains(&step_us) {
            return Err(Error::InvalidConfig {
                field: "motion",
                expected:
                    "1 µs to 1 s for each half pixel of the way, and at most 8 s for a side; \
                           change its duration or its size"
                        .into(),
                found: format!("steps of {step_us:.3} µs"),
            });
        }
        Ok(())
    }

    /// The motion on its grid of times.
    pub(super) fn path(&self) -> Path {
        let (corners, side_us, sides) = match *self {
            Self::Loops { loops, loop_us, radius: r } => {
                let corners = vec![[0.0, r], [r, 0.0], [0.0, -r], [-r, 0.0]];
                (corners, f64::from(loop_us) / 4.0, u64::from(loops) * 4)
            }
            Self::Saccades { saccade_us, reach } => {
                let corners = vec![[0.0, 0.0], [reach / 2.0, reach], [reach, 0.0]];
                (corners, f64::from(saccade_us), 3)
            }
        };
        // The greatest speed is twice the mean of the longest side.
        let next = corners.iter().cycle().skip(1);
        let length = |(from, to): (&[f64; 2], &[f64; 2])| (to[0] - from[0]).hypot(to[1] - from[1]);
        let longest = corners.iter().zip(next).map(length).fold(0.0, f64::max);
        let steps = whole((2.0 * longest / STRIDE).ceil()).max(8);
        Path { corners, side_us, sides, steps }
    }
}

/// A way along sides, on a grid of times.
#[derive(Debug, Clone)]
pub(super) struct Path {
    corners: Vec<[f64; 2]>,
    /// Duration of a side.
    side_us: f64,
    /// Sides altogether.
    sides: u64,
    /// Steps of the grid in a side.
    steps: u64,
}

/// A time of the grid, with the displacement then in 256ths of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) time_us: i64,
    pub(super) shift: [i32; 2],
}

impl Path {
    pub(super) fn duration_us(&self) -> i64 {
        time(self.side_us * self.sides as f64)
    }

    /// Duration of a step of the grid.
    fn step_us(&self) -> f64 {
        self.side_us / self.steps as f64
    }

    /// Pixels that the picture moves at most in one direction.
    pub(super) fn reach(&self) -> usize {
        let far = self.corners.iter().flatten().fold(0.0_f64, |far, at| far.max(at.abs()));
        usize::try_from(whole(far.ceil())).unwrap_or(usize::MAX)
    }

    /// All times of the grid, the first and the last too.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        (0..=self.sides * self.steps).map(|at| {
            let (side, step) = (at / self.steps, at % self.steps);
            let share = step as f64 / self.steps as f64;
            let turn = std::f64::consts::TAU;
            let behind = share - (turn * share).sin() / turn;
            let corner =
                |side: u64| self.corners[usize::try_from(side).unwrap_or(0) % self.corners.len()];
            let (from, to) = (corner(side), corner(side + 1));
            let shift = [0, 1].map(|axis| {
                fixed(single(FRACTION * (from[axis] + behind * (to[axis] - from[axis]))))
            });
            Step { time_us: time(self.side_us * (side as f64 + share)), shift }
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 64 pixels of 256 parts")]
fn fixed(value: f32) -> i32 {
    value.round() as i32
}

#[expect(clippy::cast_possible_truncation, reason = "at most a thousand seconds")]
fn time(value: f64) -> i64 {
    value.round() as i64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small number of pixels"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the pixels would refuse in the middle of a recording is refused before.
    #[test]
    fn steps_that_pixels_cannot_follow_are_refused() {
        let saccades = |saccade_us, reach| Motion::Saccades { saccade_us, reach };
        let loops = |loop_us, radius| Motion::Loops { loops: 1, loop_us, radius };
        for (motion, found) in [
            (loops(1_000, 64.0), "steps of 0.689 µs"),
            (saccades(1_000, 64.0), "steps of 3.484 µs"),
            (saccades(100_000_000, 0.1), "steps of 12500000.000 µs"),
            (saccades(8_000_001, 0.1), "steps of 1000000.125 µs"),
            (saccades(8_000_000, 0.1), "steps of 1000000.000 µs"),
        ] {
            let path = motion.path();
            let times: Vec<i64> = path.steps().map(|step| step.time_us).collect();
            let can = times.windows(2).all(|pair| (1..=1_000_000).contains(&(pair[1] - pair[0])));
            assert_eq!(format!("steps of {:.3} µs", path.step_us()), found);
            match motion.validate() {
                Ok(()) => assert!(can, "{motion:?}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!can && error.contains("motion") && error.contains(found), "{error}");
                }
            }
        }
    }

    #[test]
    fn both_motions_are_closed_smooth_and_of_their_duration() {
        for (motion, duration) in [(Motion::LOOPS, 1_200_000), (Motion::SACCADES, 300_000)] {
            let path = motion.path();
            let steps: Vec<_> = path.steps().collect();
            assert_eq!(path.duration_us(), duration);
            let (first, last) = (steps[0], steps[steps.len() - 1]);
            assert_eq!((first.time_us, last.time_us), (0, duration));
            assert_eq!(first.shift, last.shift, "{motion:?}");
            let reach = i32::try_from(path.reach()).unwrap() * 256;
            for pair in steps.windows(2) {
                assert!(pair[1].time_us > pair[0].time_us);
                let [x, y] =
                    [0, 1].map(|axis| f64::from(pair[1].shift[axis] - pair[0].shift[axis]));
                assert!(x.hypot(y) <= 256.0 * STRIDE + 2.0, "{pair:?}");
                assert!(pair[0].shift.iter().all(|shift| shift.abs() <= reach));
            }
        }
        // The corners of the triangle are those of the saccades.
        let path = Motion::Saccades { saccade_us: 100_000, reach: 7.0 }.path();
        let at = |time: i64| path.steps().find(|step| step.time_us == time).unwrap().shift;
        assert_eq!([at(0), at(100_000), at(200_000)], [[0, 0], [896, 1792], [1792, 0]]);
        // Half of the time is half of the way.
        assert_eq!(at(50_000), [448, 896]);
    }
}
