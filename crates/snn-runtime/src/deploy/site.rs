//! Sites of a deployment: the one with a fast path where their arithmetic was proved to fit, else as the counting interpreter runs them.

use crate::arithmetic::Arithmetic;
use crate::deploy::events::LineMut;
use crate::grid_site::GridSite;
use crate::simd::{Available, emit, neurons};
use crate::site::{SiteKernel, SiteSource};
use snn_ir::naive::MEMBRANE_LIMIT;
use snn_ir::site::{GridAdaptation, GridLif, GridSynapse};
use snn_ir::{Result, Site, Spike};

/// A site ready to run on image rows.
#[derive(Debug)]
pub(crate) enum Neurons {
    Binary(neurons::Binary),
    Levels { thresholds: Vec<i32>, channels: usize },
    General { site: GridSite, channels: usize, remembered: usize },
}

/// Buffers of one image row.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    pub(crate) flags: Vec<u8>,
    pub(crate) levels: Vec<i32>,
}

impl Neurons {
    /// `bound` is the largest absolute current, `steps` how many macro-steps may be run.
    pub(crate) fn compile(source: &SiteSource<'_>, site: &Site, bound: f64) -> Result<Self> {
        let channels = source.channels;
        let part = |part| i32::part(source.model, source.node, part);
        match site {
            Site::GridLif(lif) if is_plain(lif, bound) => Ok(Self::Binary(neurons::Binary {
                multiplier: i32::try_from(lif.leak_multiplier).unwrap_or(i32::MAX),
                shift: lif.leak_shift,
                guard_bits: lif.guard_bits,
                reset: lif.reset,
                // A threshold that no membrane reaches stays one.
                thresholds: part("threshold")?
                    .into_iter()
                    .map(|t| i32::try_from(i64::from(t) << lif.guard_bits).unwrap_or(i32::MAX))
                    .collect(),
            })),
            Site::GridQuantRelu { .. } => Ok(Self::Levels { thresholds: part("thresholds")?, channels }),
            _ => {
                let site = GridSite::compile(source, site)?;
                let remembered = site.rest().values.len();
                Ok(Self::General { site, channels, remembered })
            }
        }
    }

    /// Integers that the neurons of one position remember.
    pub(crate) fn remembered(&self) -> usize {
        match self {
            Self::Binary(binary) => binary.thresholds.len(),
            Self::Levels { .. } => 0,
            Self::General { remembered, .. } => *remembered,
        }
    }

    pub(crate) fn is_stateful(&self) -> bool {
        self.remembered() > 0
    }

    /// One macro-step of an image row; `unit` if no level is above one.
    pub(crate) fn step(
        &self,
        level: Available,
        currents: &[i32],
        memory: &mut [i32],
        emitted: &mut Emitted,
        mut line: LineMut<'_>,
        unit: bool,
    ) -> Result<()> {
        let flags = &mut emitted.flags[..currents.len()];
        let levels = &mut emitted.levels[..currents.len()];
        let channels = match self {
            Self::Binary(binary) => {
                neurons::fire(level, binary, currents, memory, flags);
                emit::spikes(level, flags, binary.thresholds.len(), &mut line);
                return Ok(());
            }
            Self::Levels { thresholds, channels } => {
                neurons::quantise(level, thresholds, *channels, currents, levels, flags);
                *channels
            }
            Self::General { site, channels, remembered } => {
                let positions = currents.chunks_exact(*channels).zip(levels.chunks_exact_mut(*channels));
                for (position, (currents, levels)) in positions.enumerate() {
                    let memory = &mut memory[position * remembered..][..*remembered];
                    site.step(currents, memory, &mut [], levels)?;
                }
                flags.iter_mut().zip(&*levels).for_each(|(flag, level)| *flag = u8::from(*level != 0));
                *channels
            }
        };
        if unit {
            emit::spikes(level, flags, channels, &mut line);
        } else {
            emit::levels(level, levels, flags, channels, &mut line);
        }
        Ok(())
    }

    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::Binary(_) => "binary LIF in 32 bits",
            Self::Levels { .. } => "thresholds",
            Self::General { .. } => "general neurons in 64 bits",
        }
    }
}

/// Whether 32 bits hold every step of `⌊u·k/2^m⌋ + J·2^f`, and the neuron has one membrane and spikes of one.
fn is_plain(lif: &GridLif, bound: f64) -> bool {
    let limit = f64::from(i32::MAX);
    let membrane = MEMBRANE_LIMIT as f64;
    let current = bound * f64::from(1_u32 << lif.guard_bits);
    lif.spike == Spike::Binary
        && lif.synapse == GridSynapse::Instant
        && lif.adaptation == GridAdaptation::None
        && current < limit
        && membrane * f64::from(lif.leak_multiplier) <= limit
        && membrane * f64::from(lif.leak_multiplier) / f64::from(1_u32 << lif.leak_shift) + current < limit
}
