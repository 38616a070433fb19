//! Floating-point activation sites, of form `events` (eqs. 8 to 11), in the order of operations of
//! `docs/semantics.md`: multiply, then add, never fused.

use crate::arithmetic::Real;
use crate::neuron::custom::CustomNeurons;
use crate::neuron::{NeuronState, SiteKernel, SiteNumber, SiteSource};
use snn_ir::{Adaptation, FirstMembrane, Leak, Reset};
use snn_ir::{Lif, Result, Site, Spike, Synapse, Threshold};

/// A site off the grid.
#[derive(Debug)]
pub(crate) enum RealSite<A> {
    Lif(RealNeurons<A>),
    Relu { limit: Option<A> },
    QuantRelu { levels: A, steps: Vec<A> },
    Custom(CustomNeurons),
}

/// LIF neurons of every kind, one a channel.
#[derive(Debug)]
pub(crate) struct RealNeurons<A> {
    pub(crate) factor: A,
    /// The potential at rest, `v_r`.
    pub(crate) rest: A,
    pub(crate) reset: Reset,
    /// Membranes before the first macro-step.
    first: Vec<A>,
    spike: Spike,
    /// Base thresholds θ.
    pub(crate) thresholds: Vec<A>,
    /// α of a synaptic current.
    alpha: Option<A>,
    adaptation: Option<RealAdaptation<A>>,
}

#[derive(Debug, Clone, Copy)]
struct RealAdaptation<A> {
    decay: A,
    strength: A,
}

impl SiteNumber for f32 {
    type Site = RealSite<f32>;
}

impl SiteNumber for f64 {
    type Site = RealSite<f64>;
}

impl<A: Real> SiteKernel<A> for RealSite<A> {
    fn compile(source: &SiteSource<'_>, site: &Site) -> Result<Self> {
        match site {
            Site::Lif(lif) => Ok(Self::Lif(RealNeurons::compile(source, lif)?)),
            Site::Relu { limit } => Ok(Self::Relu { limit: limit.map(A::nearest) }),
            Site::QuantRelu(q) => Ok(Self::QuantRelu {
                levels: A::from(i16::from(q.levels)),
                steps: A::part(source.model, source.node, "step")?,
            }),
            Site::Custom(custom) => Ok(Self::Custom(CustomNeurons::compile(source, custom)?)),
            Site::GridLif(_) | Site::GridQuantRelu { .. } => source.refuse(
                "an integer neuron in a model of form `events`, whose neurons are \
                     floating-point; convert the trained network again",
            ),
        }
    }

    fn rest(&self) -> NeuronState<A> {
        match self {
            Self::Lif(neurons) => NeuronState { values: neurons.memory(), own: Vec::new() },
            Self::Relu { .. } | Self::QuantRelu { .. } => NeuronState::default(),
            Self::Custom(neurons) => NeuronState { values: Vec::new(), own: neurons.rest() },
        }
    }

    fn step(
        &self,
        currents: &[A],
        memory: &mut [A],
        own: &mut [f64],
        emitted: &mut [A],
    ) -> Result<()> {
        match self {
            Self::Lif(neurons) => neurons.step(currents, memory, emitted),
            Self::Relu { limit: None } => {
                for (&current, emitted) in currents.iter().zip(emitted) {
                    *emitted = current.max(A::default());
                }
            }
            Self::Relu { limit: Some(limit) } => {
                for (&current, emitted) in currents.iter().zip(emitted) {
                    *emitted = current.clamp(A::default(), *limit);
                }
            }
            Self::QuantRelu { levels, steps } => match steps.as_slice() {
                [step] => {
                    for (&current, emitted) in currents.iter().zip(emitted) {
                        *emitted = quantised(current / *step, *levels);
                    }
                }
                steps => {
                    for ((&current, &step), emitted) in currents.iter().zip(steps).zip(emitted) {
                        *emitted = quantised(current / step, *levels);
                    }
                }
            },
            Self::Custom(neurons) => return neurons.step(currents, own, emitted),
        }
        Ok(())
    }
}

/// `clip(⌊ratio + ½⌋, 0, D)`.
fn quantised<A: Real>(ratio: A, levels: A) -> A {
    (ratio + A::HALF).floor().clamp(A::default(), levels)
}

impl<A: Real> RealNeurons<A> {
    pub(crate) fn compile(source: &SiteSource<'_>, lif: &Lif) -> Result<Self> {
        let rounded = |value, part| A::rounded(value, source.node, part);
        let Leak::Factor { factor } = lif.leak else {
            return source.refuse("a learned leak becomes a fixed one in conversion");
        };
        let mut thresholds = match lif.threshold {
            Threshold::Fixed(threshold) => vec![rounded(threshold, "threshold")?],
            Threshold::Learned { .. } => A::part(source.model, source.node, "threshold")?,
        };
        if let [threshold] = thresholds[..] {
            thresholds = vec![threshold; source.channels];
        }
        let rest = rounded(lif.rest(), "potential")?;
        let first = match lif.initial {
            FirstMembrane::Rest => vec![rest; source.channels],
            FirstMembrane::Potential(potential) => {
                vec![rounded(potential, "initial")?; source.channels]
            }
            FirstMembrane::Threshold { share } => {
                let share = rounded(share, "initial")?;
                thresholds.iter().map(|&theta| rest + share * (theta - rest)).collect()
            }
        };
        Ok(Self {
            factor: rounded(factor, "leak")?,
            rest,
            first,
            reset: lif.reset,
            spike: lif.spike,
            thresholds,
            alpha: match lif.synapse {
                Synapse::Instant => None,
                Synapse::Current { alpha } => Some(rounded(alpha, "alpha")?),
            },
            adaptation: match lif.adaptation {
                Adaptation::None => None,
                Adaptation::Threshold { decay, strength } => Some(RealAdaptation {
                    decay: rounded(decay, "decay")?,
                    strength: rounded(strength, "strength")?,
                }),
            },
        })
    }

    /// A row of first membranes, then of zeros for synaptic currents and for adaptations.
    fn memory(&self) -> Vec<A> {
        let more = usize::from(self.alpha.is_some()) + usize::from(self.adaptation.is_some());
        let mut values = self.first.clone();
        values.resize((1 + more) * values.len(), A::default());
        values
    }

    /// Eq. 8, row by row, so that every loop does one thing.
    fn step(&self, currents: &[A], memory: &mut [A], emitted: &mut [A]) {
        let channels = currents.len();
        let (membranes, memory) = memory.split_at_mut(channels);
        let charge = |membrane: A, input: A| {
            let decayed = self.factor * (membrane - self.rest);
            self.rest + decayed + input
        };
        let adaptations = if let Some(alpha) = self.alpha {
            let (synaptic, adaptations) = memory.split_at_mut(channels);
            for ((membrane, i), &current) in membranes.iter_mut().zip(synaptic).zip(currents) {
                *i = alpha * *i + current;
                *membrane = charge(*membrane, *i);
            }
            adaptations
        } else {
            for (membrane, &current) in membranes.iter_mut().zip(currents) {
                *membrane = charge(*membrane, current);
            }
            memory
        };
        let bases = self.thresholds.iter().copied();
        match self.adaptation {
            None => self.fire(membranes, bases, emitted),
            Some(RealAdaptation { decay, strength }) => {
                let edges = bases.zip(&*adaptations).map(|(base, &a)| base + strength * a);
                self.fire(membranes, edges, emitted);
                for (a, &level) in adaptations.iter_mut().zip(&*emitted) {
                    *a = decay * *a + level.abs();
                }
            }
        }
        match self.reset {
            Reset::Hard { .. } => {
                for (membrane, &level) in membranes.iter_mut().zip(&*emitted) {
                    *membrane = if level == A::default() { *membrane } else { self.rest };
                }
            }
            Reset::Soft => {
                for ((membrane, &level), &base) in
                    membranes.iter_mut().zip(&*emitted).zip(&self.thresholds)
                {
                    *membrane = *membrane - base * level;
                }
            }
            Reset::None => {}
        }
    }

    /// Levels that membranes emit at these effective thresholds.
    fn fire(&self, membranes: &[A], edges: impl Iterator<Item = A>, emitted: &mut [A]) {
        let (zero, neurons) = (A::default(), membranes.iter().zip(edges).zip(emitted));
        let one = |fires: bool| if fires { A::ONE } else { zero };
        match self.spike {
            Spike::Binary => neurons.for_each(|((&u, edge), emitted)| *emitted = one(u >= edge)),
            Spike::Ternary => {
                neurons.for_each(|((&u, edge), emitted)| {
                    *emitted = one(u >= edge) - one(u <= zero - edge);
                });
            }
            Spike::Integer { levels } => {
                let levels = A::from(i16::from(levels));
                neurons.for_each(|((&u, edge), emitted)| *emitted = quantised(u / edge, levels));
            }
        }
    }
}
