//! Sites of the naive evaluator (eqs. 8 to 13), one neuron at a time.

use super::Number;
use crate::custom_neurons::{Neuron, Neurons};
use crate::error::{Error, Result};
use crate::evaluate::TIE;
use crate::graph::{Node, Op};
use crate::model::Model;
use crate::site::parts::PartSpec;
use crate::site::{
    Adaptation, Custom, GridAdaptation, GridLif, GridReset, GridSynapse, Leak, Lif, MEMBRANE_LIMIT,
    Reset, Site, Spike, Synapse, Threshold, logistic,
};
use ndarray::ArrayD;
use std::collections::BTreeMap;

/// A site with its weights.
pub(crate) struct NaiveSite<'m, A> {
    node: &'m str,
    site: &'m Site,
    coded: bool,
    /// By part.
    weights: BTreeMap<String, ArrayD<A>>,
    /// For a user's own neuron: one for each channel, or one for all.
    neurons: Vec<Box<dyn Neuron>>,
}

/// State of one neuron.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory<A> {
    /// `u⁺`; `v₀` until the first macro-step.
    membrane: Option<A>,
    /// `i`.
    current: A,
    /// `a` of the next macro-step; on the grid `b`.
    adaptation: A,
    /// The state of a user's own neuron.
    own: Option<Vec<f64>>,
}

/// Output of one neuron in one macro-step.
#[derive(Debug)]
pub(crate) struct Emitted<A> {
    pub(crate) level: i16,
    pub(crate) value: A,
    pub(crate) tie: bool,
}

impl<'m, A: Number> NaiveSite<'m, A> {
    /// The site of a node; `None` if it has none.
    pub(crate) fn new(
        model: &'m Model,
        node: &'m Node,
        channels: usize,
        neurons: &Neurons,
    ) -> Result<Option<Self>> {
        let Op::Activation { site, code } = &node.op else { return Ok(None) };
        let parts = site
            .parts(channels, model.form())
            .map_err(|reason| Error::Refused { node: node.name.clone(), reason: reason.into() })?;
        let weights = parts
            .into_iter()
            .map(|PartSpec { part, .. }| {
                let values = A::part(model, &node.name, &part)?;
                Ok((part, values))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        let neurons = match site {
            Site::Custom(custom) => own_neurons(model, node, custom, neurons)?,
            Site::Lif(_)
            | Site::Relu { .. }
            | Site::QuantRelu(_)
            | Site::GridLif(_)
            | Site::GridQuantRelu { .. } => Vec::new(),
        };
        Ok(Some(Self { node: &node.name, site, coded: code.is_some(), weights, neurons }))
    }

    /// A weight of channel `c`, which one value may stand for.
    fn weight(&self, part: &str, c: usize) -> Option<A> {
        let values = self.weights.get(part)?;
        values.get(if values.len() == 1 { 0 } else { c }).copied()
    }

    fn lost(&self) -> Error {
        Error::Refused {
            node: self.node.into(),
            reason: "its site does not belong to this form".into(),
        }
    }
}

/// Neurons of a user's own, for each channel unless all channels share all parameters.
fn own_neurons(
    model: &Model,
    node: &Node,
    custom: &Custom,
    neurons: &Neurons,
) -> Result<Vec<Box<dyn Neuron>>> {
    let parts = custom
        .learned
        .keys()
        .map(|part| {
            Ok((part.clone(), crate::model::weights::real(model.weights(), &node.name, part)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let channels = parts.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
    (0..channels)
        .map(|c| {
            let learned = parts
                .iter()
                .map(|(part, values)| {
                    (part.clone(), values[[if values.len() == 1 { 0 } else { c }]])
                })
                .collect();
            neurons.neuron(&node.name, custom, &learned)
        })
        .collect()
}

// === Off the grid ===

impl NaiveSite<'_, f64> {
    pub(crate) fn step_real(
        &self,
        c: usize,
        current: f64,
        memory: &mut Memory<f64>,
    ) -> Result<Emitted<f64>> {
        match self.site {
            Site::Lif(lif) => Ok(self.lif(lif, c, current, memory)),
            Site::QuantRelu(q) => {
                let s = self.weight("step", c).ok_or_else(|| self.lost())?;
                let (level, tie) = quantised(current / s, q.levels);
                Ok(Emitted {
                    level,
                    value: if self.coded { f64::from(level) } else { s * f64::from(level) },
                    tie,
                })
            }
            Site::Relu { limit } => {
                let value = current.max(0.0).min(limit.unwrap_or(f64::INFINITY));
                Ok(Emitted { level: 0, value, tie: false })
            }
            Site::Custom(custom) => self.own(custom, c, current, memory),
            Site::GridLif(_) | Site::GridQuantRelu { .. } => Err(self.lost()),
        }
    }

    /// Eq. 8.
    fn lif(&self, lif: &Lif, c: usize, input: f64, memory: &mut Memory<f64>) -> Emitted<f64> {
        let rest = lif.rest();
        let factor = match lif.leak {
            Leak::Factor { factor } => factor,
            Leak::Learned { initial } => self.weight("leak", c).map_or(initial, logistic),
        };
        let base = match lif.threshold {
            Threshold::Fixed(threshold) => threshold,
            Threshold::Learned { initial, .. } => self.weight("threshold", c).unwrap_or(initial),
        };
        if let Synapse::Current { alpha } = lif.synapse {
            memory.current = alpha * memory.current + input;
        } else {
            memory.current = input;
        }
        let before = memory.membrane.unwrap_or_else(|| lif.initial.of(rest, base));
        let decayed = factor * (before - rest);
        let u = rest + decayed + memory.current;
        let threshold = match lif.adaptation {
            Adaptation::None => base,
            Adaptation::Threshold { strength, .. } => base + strength * memory.adaptation,
        };
        let near = |edge: f64| (u - edge).abs() <= TIE * edge.abs().max(1.0);
        let (level, tie) = match lif.spike {
            Spike::Binary => (i16::from(u >= threshold), near(threshold)),
            Spike::Ternary => (
                i16::from(u >= threshold) - i16::from(u <= -threshold),
                near(threshold) || near(-threshold),
            ),
            Spike::Integer { levels } => quantised(u / threshold, levels),
        };
        let o = f64::from(level);
        memory.membrane = Some(match lif.reset {
            Reset::Hard { potential } if level != 0 => potential,
            Reset::Soft => u - base * o,
            Reset::Hard { .. } | Reset::None => u,
        });
        if let Adaptation::Threshold { decay, .. } = lif.adaptation {
            memory.adaptation = decay * memory.adaptation + o.abs();
        }
        Emitted { level, value: o, tie }
    }

    fn own(
        &self,
        custom: &Custom,
        c: usize,
        current: f64,
        memory: &mut Memory<f64>,
    ) -> Result<Emitted<f64>> {
        let neuron = self
            .neurons
            .get(if self.neurons.len() == 1 { 0 } else { c })
            .ok_or_else(|| self.lost())?;
        let state = memory.own.get_or_insert_with(|| neuron.rest());
        let level = neuron.step(state, current);
        let (least, most) = custom.spike.range();
        if !(least..=most).contains(&level) {
            let reason = format!(
                "neuron `{}` must emit levels of {least} to {most}, as the graph says; it emitted \
                 {level}",
                custom.name
            );
            return Err(Error::Refused { node: self.node.into(), reason });
        }
        Ok(Emitted { level, value: f64::from(level), tie: false })
    }
}

/// `clip(⌊ratio + ½⌋, 0, D)`, and whether the ratio lies at the edge of two levels.
fn quantised(ratio: f64, levels: u8) -> (i16, bool) {
    let shifted = ratio + 0.5;
    let tie = (shifted - shifted.round()).abs() <= TIE
        && (0.0..=f64::from(levels) + 0.5).contains(&shifted);
    #[expect(clippy::cast_possible_truncation, reason = "a level is a whole number of 0 to 255")]
    let level = shifted.floor().clamp(0.0, f64::from(levels)) as i16;
    (level, tie)
}

// === On the grid ===

fn saturated(u: i64) -> i64 {
    u.clamp(-MEMBRANE_LIMIT, MEMBRANE_LIMIT)
}

impl NaiveSite<'_, i64> {
    pub(crate) fn step_grid(
        &self,
        c: usize,
        current: i64,
        memory: &mut Memory<i64>,
    ) -> Result<Emitted<i64>> {
        let level = match self.site {
            Site::GridQuantRelu { .. } => {
                let thresholds = self.weights.get("thresholds").ok_or_else(|| self.lost())?;
                let met = thresholds
                    .index_axis(ndarray::Axis(1), c)
                    .iter()
                    .filter(|t| current >= **t)
                    .count();
                i16::try_from(met).map_err(|_| self.lost())?
            }
            Site::GridLif(lif) => {
                let threshold = self.weight("threshold", c).ok_or_else(|| self.lost())?;
                memory.membrane.get_or_insert(self.weight("initial", c).unwrap_or(0));
                grid_lif(lif, threshold, self.weight("adaptation", c).unwrap_or(0), current, memory)
            }
            Site::Lif(_) | Site::Relu { .. } | Site::QuantRelu(_) | Site::Custom(_) => {
                return Err(self.lost());
            }
        };
        Ok(Emitted { level, value: i64::from(level), tie: false })
    }
}

/// Eq. 13.
fn grid_lif(
    lif: &GridLif,
    threshold: i64,
    jump: i64,
    current: i64,
    memory: &mut Memory<i64>,
) -> i16 {
    let leaked = |value: i64, multiplier: u32, shift: u8| (value * i64::from(multiplier)) >> shift;
    let input = current << lif.guard_bits;
    memory.current = match lif.synapse {
        GridSynapse::Instant => input,
        GridSynapse::Current { multiplier, shift } => {
            saturated(leaked(memory.current, multiplier, shift) + input)
        }
    };
    let decayed = leaked(memory.membrane.unwrap_or(0), lif.leak_multiplier, lif.leak_shift);
    let u = saturated(decayed + memory.current);
    let base = threshold << lif.guard_bits;
    let edge = base + memory.adaptation;
    let level = match lif.spike {
        Spike::Binary => i64::from(u >= edge),
        Spike::Ternary => i64::from(u >= edge) - i64::from(u <= -edge),
        Spike::Integer { levels } => {
            (2 * u + edge).div_euclid(2 * edge).clamp(0, i64::from(levels))
        }
    };
    memory.membrane = Some(match lif.reset {
        GridReset::Hard if level != 0 => 0,
        GridReset::Soft => u - base * level,
        GridReset::Hard | GridReset::None => u,
    });
    if let GridAdaptation::Threshold { multiplier, shift } = lif.adaptation {
        memory.adaptation =
            saturated(leaked(memory.adaptation, multiplier, shift) + jump * level.abs());
    }
    #[expect(clippy::cast_possible_truncation, reason = "a level is −1 to 255")]
    let level = level as i16;
    level
}
