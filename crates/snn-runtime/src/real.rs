//! Activation sites off the grid (eqs. 8 to 11), in the order of operations of `docs/semantics.md`: multiply, then add, never fused.

use crate::arithmetic::Arithmetic;
use crate::site::SiteKernel;
use snn_ir::model::Model;
use snn_ir::site::{Leak, Reset};
use snn_ir::{Error, Result, Site};
use std::ops::{Add, Div, Mul, Sub};

/// What the sites need of a float beyond [`Arithmetic`].
pub(crate) trait Real:
    Arithmetic + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + From<u8>
{
    const HALF: Self;
    fn nearest(value: f64) -> Self;
    fn is_finite(self) -> bool;
    fn floor(self) -> Self;
    fn max(self, other: Self) -> Self;
    fn clamp(self, low: Self, high: Self) -> Self;

    /// The weight in this precision.
    fn rounded(value: f64, node: &str, part: &str) -> Result<Self> {
        let rounded = Self::nearest(value);
        if rounded.is_finite() {
            return Ok(rounded);
        }
        Err(Error::Weight {
            name: format!("{node}.{part}"),
            expected: "values within the range of the precision".into(),
            found: value.to_string(),
        })
    }
}

macro_rules! real {
    ($real:ty, $nearest:expr) => {
        impl Real for $real {
            const HALF: Self = 0.5;

            fn nearest(value: f64) -> Self {
                $nearest(value)
            }

            fn is_finite(self) -> bool {
                <$real>::is_finite(self)
            }

            fn floor(self) -> Self {
                <$real>::floor(self)
            }

            fn max(self, other: Self) -> Self {
                <$real>::max(self, other)
            }

            fn clamp(self, low: Self, high: Self) -> Self {
                <$real>::clamp(self, low, high)
            }
        }
    };
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is what this precision means")]
fn nearest_f32(value: f64) -> f32 {
    value as f32
}

real!(f32, nearest_f32);
real!(f64, std::convert::identity);

/// A site off the grid.
#[derive(Debug)]
pub(crate) enum RealSite<A> {
    Hard { factor: A, threshold: A, potential: A },
    Soft { factor: A, threshold: A },
    Relu,
    QuantRelu { levels: A, steps: Vec<A> },
}

impl<A: Real> SiteKernel<A> for RealSite<A> {
    fn compile(model: &Model, node: &str, site: &Site) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::Refused { node: node.into(), reason: reason.into() });
        match site {
            Site::Lif(lif) => {
                let basic = snn_ir::Lif::default();
                if lif.spike != basic.spike || lif.synapse != basic.synapse || lif.adaptation != basic.adaptation {
                    return refuse(
                        "the event runtime knows binary LIF sites without synaptic current or adaptation only",
                    );
                }
                let snn_ir::Threshold::Fixed(threshold) = lif.threshold else {
                    return refuse("the event runtime knows fixed thresholds only");
                };
                let Leak::Factor { factor } = lif.leak else {
                    return refuse("a learned leak becomes a fixed one in conversion");
                };
                let factor = A::rounded(factor, node, "leak")?;
                let threshold = A::rounded(threshold, node, "threshold")?;
                match lif.reset {
                    Reset::Hard { potential } => {
                        Ok(Self::Hard { factor, threshold, potential: A::rounded(potential, node, "potential")? })
                    }
                    Reset::Soft => Ok(Self::Soft { factor, threshold }),
                    Reset::None => refuse("the event runtime knows hard and soft resets only"),
                }
            }
            Site::Relu => Ok(Self::Relu),
            Site::QuantRelu(q) => {
                Ok(Self::QuantRelu { levels: A::from(q.levels), steps: A::part(model, node, "step")? })
            }
            Site::Custom(_) => refuse("the event runtime knows no neurons of a user's own"),
            Site::GridLif(_) | Site::GridQuantRelu { .. } => refuse("a site of the grid stands off it"),
        }
    }

    fn rest(&self) -> Option<A> {
        match self {
            Self::Hard { potential, .. } => Some(*potential),
            Self::Soft { .. } => Some(A::default()),
            Self::Relu | Self::QuantRelu { .. } => None,
        }
    }

    fn step(&self, currents: &[A], membranes: &mut [A], emitted: &mut [A]) {
        match *self {
            Self::Hard { factor, threshold, potential } => {
                for ((&current, membrane), emitted) in currents.iter().zip(membranes).zip(emitted) {
                    let decayed = factor * (*membrane - potential);
                    let u = potential + decayed + current;
                    let fires = u >= threshold;
                    *membrane = if fires { potential } else { u };
                    *emitted = if fires { A::ONE } else { A::default() };
                }
            }
            Self::Soft { factor, threshold } => {
                let rest = A::default();
                for ((&current, membrane), emitted) in currents.iter().zip(membranes).zip(emitted) {
                    let decayed = factor * (*membrane - rest);
                    let u = rest + decayed + current;
                    let fires = u >= threshold;
                    *membrane = if fires { u - threshold } else { u };
                    *emitted = if fires { A::ONE } else { A::default() };
                }
            }
            Self::Relu => {
                for (&current, emitted) in currents.iter().zip(emitted) {
                    *emitted = current.max(A::default());
                }
            }
            Self::QuantRelu { levels, ref steps } => {
                let level = |current: A, step: A| (current / step + A::HALF).floor().clamp(A::default(), levels);
                match steps.as_slice() {
                    [step] => {
                        for (&current, emitted) in currents.iter().zip(emitted) {
                            *emitted = level(current, *step);
                        }
                    }
                    steps => {
                        for ((&current, &step), emitted) in currents.iter().zip(steps).zip(emitted) {
                            *emitted = level(current, step);
                        }
                    }
                }
            }
        }
    }
}
