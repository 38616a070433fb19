//! Sites of a deployment: run a row at a time where they have a kernel for that, else as the
//! counting interpreter runs them.

use crate::arithmetic::Arithmetic;
use crate::deploy::kernels::levels::{self, Line};
use crate::deploy::kernels::neurons::{self, Binary, RealBinary};
use crate::deploy::number::Number;
use crate::neuron::real::RealNeurons;
use crate::neuron::{SiteKernel, SiteSource};
use snn_ir::MEMBRANE_LIMIT;
use snn_ir::{Adaptation, GridAdaptation, GridLif, GridSynapse};
use snn_ir::{Lif, Result, Site, Spike, Synapse};
use snn_simd::Available;

/// A site ready to run on image rows.
#[derive(Debug)]
pub(crate) enum StageNeurons<N: Number> {
    PackedWeights {
        kernel: N::RowKernel,
        rest: Vec<N>,
    },
    /// Position by position.
    General {
        site: N::Site,
        channels: usize,
        rest: Vec<N>,
    },
}

/// Sites whose neurons are run a row at a time.
pub(crate) trait RowKernel<N>: Sized + std::fmt::Debug + Send + Sync {
    /// The kernel of a site, if it has one and the arithmetic was proved to fit. `bound` is the
    /// largest absolute current.
    ///
    /// # Errors
    /// A part of the site is missing, or is not within the range of the numbers.
    fn compile(source: &SiteSource<'_>, site: &Site, bound: f64) -> Result<Option<Self>>;
    /// One macro-step of an image row: flags of what is not zero, and its levels where they may
    /// differ from one.
    fn step(
        &self,
        instructions: Available,
        currents: &[N],
        memory: &mut [N],
        emitted: (&mut [u8], &mut [i32]),
    );
    fn description(&self) -> &'static str;
}

/// Buffers of one image row.
#[derive(Debug, Default)]
pub(crate) struct Emitted<N> {
    pub(crate) flags: Vec<u8>,
    pub(crate) levels: Vec<i32>,
    /// Levels as the neurons of the counting interpreter emit them.
    pub(crate) values: Vec<N>,
}

impl<N: Number> StageNeurons<N> {
    /// `bound` is the largest absolute current.
    pub(crate) fn compile(source: &SiteSource<'_>, site: &Site, bound: f64) -> Result<Self> {
        let channels = source.channels;
        if let Site::Custom(custom) = site {
            return source.refuse(format!(
                "neuron `{}` is a custom one, which a deployment does not run; run the model in \
                 snn_runtime::Counting::with_neurons with the registry that defines it",
                custom.name
            ));
        }
        if site.levels().is_none() {
            return source.refuse(
                "its outputs are real numbers, but a deployment transmits integers only; run the \
                 model in snn_runtime::Counting, or train the site as LIF or QuantRelu",
            );
        }
        let general = N::Site::compile(source, site)?;
        let rest = general.rest().values;
        Ok(match N::RowKernel::compile(source, site, bound)? {
            Some(kernel) => Self::PackedWeights { kernel, rest },
            None => Self::General { site: general, channels, rest },
        })
    }

    /// State of one position before the first macro-step.
    pub(crate) fn rest(&self) -> &[N] {
        match self {
            Self::PackedWeights { rest, .. } | Self::General { rest, .. } => rest,
        }
    }

    pub(crate) fn is_stateful(&self) -> bool {
        !self.rest().is_empty()
    }

    /// One macro-step of an image row: flags of what is not zero, and its levels where they may
    /// differ from one.
    pub(crate) fn step(
        &self,
        instructions: Available,
        currents: &[N],
        memory: &mut [N],
        emitted: &mut Emitted<N>,
    ) -> Result<()> {
        let flags = &mut emitted.flags[..currents.len()];
        let levels = &mut emitted.levels[..currents.len()];
        match self {
            Self::PackedWeights { kernel, .. } => {
                kernel.step(instructions, currents, memory, (flags, levels));
            }
            Self::General { site, channels, rest } => {
                let values = &mut emitted.values[..currents.len()];
                let positions =
                    currents.chunks_exact(*channels).zip(values.chunks_exact_mut(*channels));
                for (position, (currents, values)) in positions.enumerate() {
                    let memory = &mut memory[position * rest.len()..][..rest.len()];
                    site.step(currents, memory, &mut [], values)?;
                }
                for ((flag, level), value) in flags.iter_mut().zip(&mut *levels).zip(values) {
                    *level = value.level();
                    *flag = u8::from(*level != 0);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::PackedWeights { kernel, .. } => kernel.description(),
            Self::General { .. } => "general neurons",
        }
    }
}

/// Sites on the grid with kernels of their own.
#[derive(Debug)]
pub(crate) enum GridKernel {
    Binary(Binary),
    Levels {
        thresholds: Vec<i32>,
        channels: usize,
    },
    /// Levels whose thresholds are a line.
    Line(Line),
}

impl RowKernel<i32> for GridKernel {
    fn compile(source: &SiteSource<'_>, site: &Site, bound: f64) -> Result<Option<Self>> {
        let part = |part| i32::part(source.model, source.node, part);
        Ok(match site {
            Site::GridLif(lif) if is_plain(lif, bound) => Some(Self::Binary(Binary {
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
            Site::GridQuantRelu { .. } => {
                let (thresholds, channels) = (part("thresholds")?, source.channels);
                Some(match Line::of(&thresholds, channels) {
                    Some(line) => Self::Line(line),
                    None => Self::Levels { thresholds, channels },
                })
            }
            _ => None,
        })
    }

    fn step(
        &self,
        instructions: Available,
        currents: &[i32],
        memory: &mut [i32],
        (flags, emitted): (&mut [u8], &mut [i32]),
    ) {
        match self {
            Self::Binary(binary) => neurons::fire(instructions, binary, currents, memory, flags),
            Self::Levels { thresholds, channels } => {
                levels::quantise(instructions, thresholds, *channels, currents, emitted, flags);
            }
            Self::Line(line) => {
                levels::quantise_along(instructions, line, currents, emitted, flags);
            }
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Self::Binary(_) => "binary LIF in 32 bits",
            Self::Levels { .. } => "thresholds",
            Self::Line(_) => "thresholds of a line",
        }
    }
}

/// The largest m for which 32 bits hold the product of a number of m bits and one of at most 2^m.
const LARGEST_SHIFT: u8 = 16;

/// `true` if 32 bits hold every step of `⌊u·k/2^m⌋ + J·2^f`, and the neuron has one membrane and
/// spikes of one.
fn is_plain(lif: &GridLif, bound: f64) -> bool {
    let limit = f64::from(i32::MAX);
    let membrane = MEMBRANE_LIMIT as f64;
    let current = bound * f64::from(1_u32 << lif.guard_bits);
    lif.spike == Spike::Binary
        && lif.synapse == GridSynapse::Instant
        && lif.adaptation == GridAdaptation::None
        && current < limit
        && lif.leak_shift <= LARGEST_SHIFT
        && lif.leak_multiplier <= 1 << lif.leak_shift
        && membrane * f64::from(lif.leak_multiplier) / f64::from(1_u32 << lif.leak_shift) + current
            < limit
}

/// Sites off the grid with a kernel of their own.
#[derive(Debug)]
pub(crate) struct RealKernel(RealBinary);

impl RowKernel<f32> for RealKernel {
    fn compile(source: &SiteSource<'_>, site: &Site, _bound: f64) -> Result<Option<Self>> {
        let Site::Lif(lif) = site else { return Ok(None) };
        let Lif {
            spike: Spike::Binary,
            synapse: Synapse::Instant,
            adaptation: Adaptation::None,
            ..
        } = lif
        else {
            return Ok(None);
        };
        let RealNeurons { factor, rest, reset, thresholds, .. } =
            RealNeurons::compile(source, lif)?;
        Ok(Some(Self(RealBinary { factor, rest, reset, thresholds })))
    }

    fn step(
        &self,
        instructions: Available,
        currents: &[f32],
        memory: &mut [f32],
        (flags, _): (&mut [u8], &mut [i32]),
    ) {
        neurons::fire_reals(instructions, &self.0, currents, memory, flags);
    }

    fn description(&self) -> &'static str {
        "binary LIF in f32"
    }
}
