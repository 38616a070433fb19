//! Sites on the grid (eq. 13): thresholds in units, leaks as fractions of powers of two.

use super::integers::{ceil, set_integers};
use crate::error::Result;
use crate::graph_edit::per_channel;
use crate::plan::{Action, Fraction, Plan, Refusal};
use ndarray::{Array1, ArrayD};
use snn_ir::MEMBRANE_LIMIT;
use snn_ir::{Adaptation, FirstMembrane, GridAdaptation, GridReset, GridSynapse};
use snn_ir::{
    Error as IrError, GridLif, GridOptions, Leak, Lif, Model, Node, Op, Reset, Site, Spike,
    Synapse, Threshold, Weights,
};

/// Refuses the sites that have no integer counterpart, by name.
pub(crate) fn refuse_without_counterpart(source: &Model, plan: &mut Plan) {
    for node in &source.graph().nodes {
        let reason = match &node.op {
            Op::Activation { site: Site::Relu { .. }, .. } => Refusal::ReluOnGrid,
            Op::Activation { site: Site::Custom(custom), .. } => {
                Refusal::CustomOnGrid { neuron: custom.name.clone() }
            }
            _ => continue,
        };
        plan.refuse(&node.name, node.op.label(), reason);
    }
}

/// Where a site decides, for each channel.
pub(crate) struct Edges {
    /// Threshold θ less the reset potential, or step: eq. 8 depends on `u − v_r` and `θ − v_r`
    /// only, so a reset potential moves into the threshold.
    pub(crate) base: Array1<f64>,
    /// The highest edge in multiples of the base: D − ½ for levels.
    pub(crate) highest: f64,
    /// `true` if the base must be a whole number of units: a soft reset subtracts it, integer
    /// spikes count multiples of it, and the way from a first membrane that is not at rest is a
    /// part of it.
    pub(crate) whole: bool,
    /// β of an adaptation.
    pub(crate) strength: f64,
}

impl Edges {
    /// Edges of a site of `count` channels; none of one that has no threshold.
    pub(crate) fn of(model: &Model, node: &str, site: &Site, count: usize) -> Result<Option<Self>> {
        let each = |part: &str| -> Result<Array1<f64>> {
            let values = per_channel(model, node, part)?;
            Ok(if values.len() == 1 { Array1::from_elem(count, values[0]) } else { values })
        };
        let highest = |levels: u8| f64::from(levels) - 0.5;
        Ok(Some(match site {
            Site::Lif(lif) => {
                let threshold = match lif.threshold {
                    Threshold::Fixed(threshold) => Array1::from_elem(count, threshold),
                    Threshold::Learned { .. } => each("threshold")?,
                };
                let (highest, counts) = match lif.spike {
                    Spike::Binary | Spike::Ternary => (1.0, false),
                    Spike::Integer { levels } => (highest(levels), true),
                };
                let strength = match lif.adaptation {
                    Adaptation::None => 0.0,
                    Adaptation::Threshold { strength, .. } => strength,
                };
                Self {
                    base: threshold - lif.rest(),
                    highest,
                    whole: counts || lif.reset == Reset::Soft || lif.initial != FirstMembrane::Rest,
                    strength,
                }
            }
            Site::QuantRelu(q) => Self {
                base: each("step")?,
                highest: highest(q.levels),
                whole: false,
                strength: 0.0,
            },
            Site::Relu { .. } | Site::Custom(_) | Site::GridLif(_) | Site::GridQuantRelu { .. } => {
                return Ok(None);
            }
        }))
    }

    /// The largest value of a channel that must be precise.
    pub(crate) fn top(&self, channel: usize) -> f64 {
        (self.highest * self.base[channel]).max(self.strength)
    }
}

/// A site of the form `events` with what it needs to get onto the grid.
pub(crate) struct SiteToGrid<'a> {
    pub(crate) source: &'a Model,
    pub(crate) node: &'a Node,
    /// Unit of each channel of its current.
    pub(crate) unit: &'a Array1<f64>,
    pub(crate) options: GridOptions,
}

impl SiteToGrid<'_> {
    /// The integer counterpart of a site (eq. 13): thresholds in units, rounded up, so that an
    /// integer current meets them exactly when the real one does. `None` where the plan refuses it.
    pub(crate) fn convert(
        &self,
        site: &Site,
        weights: &mut Weights,
        plan: &mut Plan,
    ) -> Result<Option<Site>> {
        let name = &self.node.name;
        let edges = Edges::of(self.source, name, site, self.unit.len())?;
        match (site, edges) {
            (Site::Lif(lif), Some(edges)) => self.lif(lif, &edges, weights, plan),
            (Site::QuantRelu(q), Some(edges)) => {
                let mut thresholds =
                    ArrayD::<f64>::zeros(vec![usize::from(q.levels), self.unit.len()]);
                for (c, (step, unit)) in edges.base.iter().zip(self.unit).enumerate() {
                    for d in 0..usize::from(q.levels) {
                        thresholds[[d, c]] = ceil((d as f64 + 0.5) * step / unit);
                    }
                }
                set_integers(weights, name, "thresholds", &thresholds)?;
                plan.note(name, self.node.op.label(), Action::Thresholds { levels: q.levels });
                Ok(Some(Site::GridQuantRelu { levels: q.levels }))
            }
            _ => Err(IrError::Refused {
                node: name.into(),
                reason: "not a site of the form events".into(),
            }
            .into()),
        }
    }

    fn lif(
        &self,
        lif: &Lif,
        edges: &Edges,
        weights: &mut Weights,
        plan: &mut Plan,
    ) -> Result<Option<Site>> {
        let GridOptions { guard_bits, leak_bits, .. } = self.options;
        let name = &self.node.name;
        let steps = self.source.time_steps() - 1;
        let factor = match lif.leak {
            Leak::Factor { factor } | Leak::Learned { initial: factor } => factor,
        };
        let reset = match lif.reset {
            Reset::Hard { .. } => GridReset::Hard,
            Reset::Soft => GridReset::Soft,
            Reset::None => GridReset::None,
        };
        let leak = fraction(factor, leak_bits);
        let mut grid = GridLif {
            spike: lif.spike,
            ..GridLif::new(leak.multiplier, leak.shift, guard_bits, reset)
        };
        let mut longest = leak.shift;
        let mut synapse = None;
        if let Synapse::Current { alpha } = lif.synapse {
            let decay @ Fraction { multiplier, shift, .. } = fraction(alpha, leak_bits);
            grid.synapse = GridSynapse::Current { multiplier, shift };
            longest = longest.max(shift);
            synapse = Some(decay);
        }
        let (mut adaptation, mut jump_error, mut floor_exact) = (None, 0.0, true);
        if let Adaptation::Threshold { decay, strength } = lif.adaptation {
            let decay @ Fraction { multiplier, shift, .. } = fraction(decay, leak_bits);
            grid.adaptation = GridAdaptation::Threshold { multiplier, shift };
            let wanted = self.unit.mapv(|unit| strength * 2_f64.powi(i32::from(guard_bits)) / unit);
            let jumps = wanted.mapv(f64::round);
            jump_error = relative_error(&jumps, &wanted);
            // ⌊b·k/2^m⌋ loses nothing in T − 1 steps where 2^m divides each jump as often; no i32
            // is divisible by more than 2³¹.
            let divisor =
                2_f64.powi(i32::from(shift) * i32::try_from(steps).unwrap_or(i32::MAX).min(64));
            floor_exact = jumps.iter().all(|jump| (jump / divisor).fract() == 0.0);
            set_integers(weights, name, "adaptation", &jumps.into_dyn())?;
            adaptation = Some(decay);
        }
        let wanted = &edges.base / self.unit;
        let threshold = wanted.mapv(|t| if edges.whole { t.round() } else { ceil(t) }.max(1.0));
        let threshold_error = if edges.whole { relative_error(&threshold, &wanted) } else { 0.0 };
        let top = edges.highest * threshold.iter().copied().fold(0.0, f64::max);
        if let Some(reason) = out_of_reach(top, guard_bits) {
            plan.refuse(name, self.node.op.label(), reason);
            return Ok(None);
        }
        // A first membrane leaks once more than a current of the first macro-step.
        let leaks = i32::from(leak.shift) * i32::try_from(steps + 1).unwrap_or(i32::MAX).min(64);
        let first = self.first_membranes(lif, &threshold, leaks, weights, plan)?;
        let Some((initial_error, initial_exact)) = first else { return Ok(None) };
        floor_exact &= initial_exact;
        grid.initial = lif.initial != FirstMembrane::Rest;
        set_integers(weights, name, "threshold", &threshold.into_dyn())?;
        floor_exact &= usize::from(guard_bits) >= usize::from(longest) * steps;
        let action = Action::IntegerNeuron {
            leak,
            synapse,
            adaptation,
            jump_error,
            threshold_error,
            initial_error,
            guard_bits,
            floor_exact,
        };
        plan.note(name, self.node.op.label(), action);
        Ok(Some(Site::GridLif(grid)))
    }
}

impl SiteToGrid<'_> {
    /// Writes `V₀` of each channel, the nearest number of guard bits; a share of the threshold is
    /// one of the integer threshold. Returns the largest relative error, and `true` if the floors
    /// of the leak lose nothing of it, since `2^leaks` divides it. `None` where the plan refuses
    /// it.
    fn first_membranes(
        &self,
        lif: &Lif,
        threshold: &Array1<f64>,
        leaks: i32,
        weights: &mut Weights,
        plan: &mut Plan,
    ) -> Result<Option<(f64, bool)>> {
        let guard_bits = self.options.guard_bits;
        let guard = 2_f64.powi(i32::from(guard_bits));
        let wanted = match lif.initial {
            FirstMembrane::Rest => return Ok(Some((0.0, true))),
            FirstMembrane::Potential(potential) => {
                self.unit.mapv(|unit| (potential - lif.rest()) * guard / unit)
            }
            FirstMembrane::Threshold { share } => threshold.mapv(|theta| share * theta * guard),
        };
        let nearest = wanted.mapv(f64::round);
        let top = nearest.iter().fold(0.0, |top: f64, v| top.max(v.abs())) / guard;
        if let Some(Refusal::OutOfReach { threshold, guard_bits, most }) =
            out_of_reach(top, guard_bits)
        {
            let reason = Refusal::FirstMembraneOutOfReach { membrane: threshold, guard_bits, most };
            plan.refuse(&self.node.name, self.node.op.label(), reason);
            return Ok(None);
        }
        let error = relative_error(&nearest, &wanted);
        let divisor = 2_f64.powi(leaks);
        let exact = nearest.iter().all(|first| (first / divisor).fract() == 0.0);
        set_integers(weights, &self.node.name, "initial", &nearest.into_dyn())?;
        Ok(Some((error, exact)))
    }
}

/// Why a threshold could never be reached: it lies above the value at which membranes saturate.
fn out_of_reach(threshold: f64, guard_bits: u8) -> Option<Refusal> {
    let largest = |bits: u8| (MEMBRANE_LIMIT >> bits) as f64;
    if threshold <= largest(guard_bits) {
        return None;
    }
    let most = (0..guard_bits).rev().find(|bits| threshold <= largest(*bits));
    Some(Refusal::OutOfReach { threshold, guard_bits, most })
}

/// Largest relative error of integers that stand for numbers of units.
fn relative_error(integers: &Array1<f64>, wanted: &Array1<f64>) -> f64 {
    let relative = |(n, w): (&f64, &f64)| (n - w).abs() / w.abs().max(f64::MIN_POSITIVE);
    integers.iter().zip(wanted).map(relative).fold(0.0, f64::max)
}

/// A factor as k/2^m in lowest terms, m at most `bits`.
fn fraction(factor: f64, bits: u8) -> Fraction {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a leak is in [0, 1], so k is in 0 to 2^16"
    )]
    let (mut multiplier, mut shift) = ((factor * f64::from(1_u32 << bits)).round() as u32, bits);
    while shift > 0 && multiplier.is_multiple_of(2) {
        (multiplier, shift) = (multiplier / 2, shift - 1);
    }
    Fraction { factor, multiplier, shift }
}
