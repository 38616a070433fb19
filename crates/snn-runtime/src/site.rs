//! Activation sites: what every precision offers, and the sites on the grid (eq. 13).

use crate::arithmetic::Arithmetic;
use snn_ir::model::Model;
use snn_ir::site::GridReset;
use snn_ir::{Error, GridLif, Result, Site};

/// A site ready to run on rows of channels.
pub(crate) trait SiteKernel<A>: Sized + std::fmt::Debug + Send + Sync {
    /// Reads what the site needs from the model.
    fn compile(model: &Model, node: &str, site: &Site) -> Result<Self>;
    /// The membrane at rest; `None` for a site without state.
    fn rest(&self) -> Option<A>;
    /// One macro-step of one position: all channels of `currents`, with their membranes (empty without state), to what is emitted.
    fn step(&self, currents: &[A], membranes: &mut [A], emitted: &mut [A]);
}

/// Membranes on the grid saturate here (eq. 13).
const LIMIT: i64 = snn_ir::naive::MEMBRANE_LIMIT;

/// A site on the grid.
#[derive(Debug)]
pub(crate) enum GridSite {
    Lif { leak_multiplier: i64, leak_shift: u8, guard_bits: u8, reset: GridReset, thresholds: Vec<i32> },
    QuantRelu { thresholds: Vec<i32> },
}

impl SiteKernel<i32> for GridSite {
    fn compile(model: &Model, node: &str, site: &Site) -> Result<Self> {
        match site {
            Site::GridLif(lif)
                if *lif != GridLif::new(lif.leak_multiplier, lif.leak_shift, lif.guard_bits, lif.reset) =>
            {
                let reason = "the event runtime knows binary LIF sites without synaptic current or adaptation only";
                Err(Error::Refused { node: node.into(), reason: reason.into() })
            }
            Site::GridLif(lif) => Ok(Self::Lif {
                leak_multiplier: i64::from(lif.leak_multiplier),
                leak_shift: lif.leak_shift,
                guard_bits: lif.guard_bits,
                reset: lif.reset,
                thresholds: i32::part(model, node, "threshold")?,
            }),
            Site::GridQuantRelu { .. } => Ok(Self::QuantRelu { thresholds: i32::part(model, node, "thresholds")? }),
            Site::Lif(_) | Site::Relu | Site::QuantRelu(_) | Site::Custom(_) => {
                Err(Error::Refused { node: node.into(), reason: "a site of the reals stands on the grid".into() })
            }
        }
    }

    fn rest(&self) -> Option<i32> {
        matches!(self, Self::Lif { .. }).then_some(0)
    }

    fn step(&self, currents: &[i32], membranes: &mut [i32], emitted: &mut [i32]) {
        match self {
            Self::Lif { leak_multiplier, leak_shift, guard_bits, reset, thresholds } => {
                let leak = |u: i32| (i64::from(u) * leak_multiplier) >> leak_shift;
                let parts = currents.iter().zip(thresholds).zip(membranes).zip(emitted);
                for (((&current, &threshold), membrane), emitted) in parts {
                    let threshold = i64::from(threshold) << guard_bits;
                    let u = (leak(*membrane) + (i64::from(current) << guard_bits)).clamp(-LIMIT, LIMIT);
                    let fires = u >= threshold;
                    let after = match reset {
                        GridReset::Hard if fires => 0,
                        GridReset::Soft if fires => u - threshold,
                        GridReset::Hard | GridReset::Soft | GridReset::None => u,
                    };
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "within ±2³⁰: a neuron fires at u ≥ θ > 0 only"
                    )]
                    {
                        *membrane = after as i32;
                    }
                    *emitted = i32::from(fires);
                }
            }
            Self::QuantRelu { thresholds } => {
                emitted.fill(0);
                for row in thresholds.chunks_exact(currents.len()) {
                    for ((&current, &threshold), emitted) in currents.iter().zip(row).zip(&mut *emitted) {
                        *emitted += i32::from(current >= threshold);
                    }
                }
            }
        }
    }
}
