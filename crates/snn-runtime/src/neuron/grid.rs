//! Integer activation sites, of form `grid` (eq. 13).

use crate::arithmetic::Arithmetic;
use crate::neuron::{NeuronState, SiteKernel, SiteNumber, SiteSource};
use snn_ir::{GridAdaptation, GridReset, GridSynapse};
use snn_ir::{GridLif, Result, Site, Spike};

/// A site on the grid.
#[derive(Debug)]
pub(crate) enum GridSite {
    Lif(GridNeurons),
    QuantRelu { thresholds: Vec<i32> },
}

/// LIF neurons of every kind, one a channel.
#[derive(Debug)]
pub(crate) struct GridNeurons {
    lif: GridLif,
    thresholds: Vec<i32>,
    /// B of the adaptation; empty without one.
    jumps: Vec<i32>,
    /// Membranes before the first macro-step.
    first: Vec<i32>,
}

impl SiteNumber for i32 {
    type Site = GridSite;
}

impl SiteKernel<i32> for GridSite {
    fn compile(source: &SiteSource<'_>, site: &Site) -> Result<Self> {
        let part = |part| i32::part(source.model, source.node, part);
        match site {
            Site::GridLif(lif) => Ok(Self::Lif(GridNeurons {
                lif: *lif,
                thresholds: part("threshold")?,
                first: if lif.initial { part("initial")? } else { vec![0; source.channels] },
                jumps: match lif.adaptation {
                    GridAdaptation::None => Vec::new(),
                    GridAdaptation::Threshold { .. } => part("adaptation")?,
                },
            })),
            Site::GridQuantRelu { .. } => Ok(Self::QuantRelu { thresholds: part("thresholds")? }),
            Site::Lif(_) | Site::Relu { .. } | Site::QuantRelu(_) | Site::Custom(_) => source
                .refuse(
                    "a floating-point neuron in a model of form `grid`, whose neurons are \
                     integers; convert the trained network to the grid again",
                ),
        }
    }

    fn rest(&self) -> NeuronState<i32> {
        let values = match self {
            Self::Lif(neurons) => {
                let mut values = neurons.first.clone();
                values.resize(neurons.rows() * neurons.first.len(), 0);
                values
            }
            Self::QuantRelu { .. } => Vec::new(),
        };
        NeuronState { values, own: Vec::new() }
    }

    fn step(
        &self,
        currents: &[i32],
        memory: &mut [i32],
        _own: &mut [f64],
        emitted: &mut [i32],
    ) -> Result<()> {
        match self {
            Self::Lif(neurons) => neurons.step(currents, memory, emitted),
            Self::QuantRelu { thresholds } => {
                emitted.fill(0);
                for row in thresholds.chunks_exact(currents.len()) {
                    for ((&current, &threshold), emitted) in
                        currents.iter().zip(row).zip(&mut *emitted)
                    {
                        *emitted += i32::from(current >= threshold);
                    }
                }
            }
        }
        Ok(())
    }
}

/// `sat` of eq. 13.
#[expect(clippy::cast_possible_truncation, reason = "within ±2³⁰")]
fn saturated(value: i64) -> i32 {
    value.clamp(-snn_ir::MEMBRANE_LIMIT, snn_ir::MEMBRANE_LIMIT) as i32
}

/// `⌊value·k/2^m⌋`.
fn leaked(value: i32, multiplier: u32, shift: u8) -> i64 {
    (i64::from(value) * i64::from(multiplier)) >> shift
}

impl GridNeurons {
    /// Rows of what is remembered.
    fn rows(&self) -> usize {
        1 + usize::from(self.lif.synapse != GridSynapse::Instant)
            + usize::from(!self.jumps.is_empty())
    }

    /// Row by row, so that every loop does one thing; what is remembered stays within ±2³⁰, since
    /// no reset leads away from 0.
    fn step(&self, currents: &[i32], memory: &mut [i32], emitted: &mut [i32]) {
        let (channels, lif) = (currents.len(), &self.lif);
        let (membranes, memory) = memory.split_at_mut(channels);
        let charge = |membrane: i32, input: i64| {
            saturated(leaked(membrane, lif.leak_multiplier, lif.leak_shift) + input)
        };
        let adaptations = match lif.synapse {
            GridSynapse::Instant => {
                for (membrane, &current) in membranes.iter_mut().zip(currents) {
                    *membrane = charge(*membrane, i64::from(current) << lif.guard_bits);
                }
                memory
            }
            GridSynapse::Current { multiplier, shift } => {
                let (synaptic, adaptations) = memory.split_at_mut(channels);
                for ((membrane, i), &current) in membranes.iter_mut().zip(synaptic).zip(currents) {
                    *i = saturated(
                        leaked(*i, multiplier, shift) + (i64::from(current) << lif.guard_bits),
                    );
                    *membrane = charge(*membrane, i64::from(*i));
                }
                adaptations
            }
        };
        let bases = self.thresholds.iter().map(|&threshold| i64::from(threshold) << lif.guard_bits);
        match lif.adaptation {
            GridAdaptation::None => self.fire(membranes, bases.clone(), emitted),
            GridAdaptation::Threshold { .. } => {
                self.fire(
                    membranes,
                    bases.clone().zip(&*adaptations).map(|(base, &b)| base + i64::from(b)),
                    emitted,
                );
            }
        }
        match lif.reset {
            GridReset::Hard => {
                for (membrane, &level) in membranes.iter_mut().zip(&*emitted) {
                    *membrane = if level == 0 { *membrane } else { 0 };
                }
            }
            GridReset::Soft => {
                for ((membrane, &level), base) in membranes.iter_mut().zip(&*emitted).zip(bases) {
                    *membrane = saturated(i64::from(*membrane) - base * i64::from(level));
                }
            }
            GridReset::None => {}
        }
        if let GridAdaptation::Threshold { multiplier, shift } = lif.adaptation {
            for ((b, &jump), &level) in adaptations.iter_mut().zip(&self.jumps).zip(&*emitted) {
                let jump = i64::from(jump) * i64::from(level.unsigned_abs());
                *b = saturated(leaked(*b, multiplier, shift) + jump);
            }
        }
    }

    /// Levels that membranes emit at these effective thresholds.
    fn fire(&self, membranes: &[i32], edges: impl Iterator<Item = i64>, emitted: &mut [i32]) {
        let neurons = membranes.iter().map(|&u| i64::from(u)).zip(edges).zip(emitted);
        match self.lif.spike {
            Spike::Binary => {
                neurons.for_each(|((u, edge), emitted)| *emitted = i32::from(u >= edge));
            }
            Spike::Ternary => {
                neurons.for_each(|((u, edge), emitted)| {
                    *emitted = i32::from(u >= edge) - i32::from(u <= -edge);
                });
            }
            Spike::Integer { levels } => neurons.for_each(|((u, edge), emitted)| {
                #[expect(clippy::cast_possible_truncation, reason = "a level is 0 to 255")]
                {
                    *emitted =
                        (2 * u + edge).div_euclid(2 * edge).clamp(0, i64::from(levels)) as i32;
                }
            }),
        }
    }
}
