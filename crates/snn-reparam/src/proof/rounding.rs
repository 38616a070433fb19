//! An independent bound on what the grid rounds, weight by weight.
//!
//! The grid is made by choosing a scale for every accumulator channel (`grid/units.rs`). This check
//! never learns that choice and shares no code with it. It asks whether *any* scale `u_c > 0`
//! explains the integers: an integer weight `n` with multiplier `M` says `|n·M·u − w| ≤ M·u/2`,
//! hence an interval of `u`; a bias, a threshold and a jump say the like; channels that are added,
//! pooled or read out together must agree. An empty interval is an integer that no scale explains.

use crate::error::{Error, Result};
use ndarray::{ArrayD, Axis};
use serde::{Deserialize, Serialize};
use snn_ir::Role;
use snn_ir::{Adaptation, FirstMembrane, GridAdaptation, GridSynapse};
use snn_ir::{
    Form, GridLif, GridOptions, Leak, Lif, Model, Op, Reset, Resolved, Site, Spike, Synapse,
    Threshold, weights,
};
use snn_ir::{StreamKind as Kind, Streams};

/// Room for the rounding of f64 quotients, relative.
pub(super) const SLACK: f64 = 1e-6;

/// Rounding errors of the weights of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRounding {
    /// The convolution or linear layer.
    pub node: String,
    /// Number of weights.
    pub weights: usize,
    /// Largest `|n·M·u − w|` in parts of the step `M·u`: at most ½.
    pub largest_error: f64,
    /// Root of the mean squared error in parts of the root mean square of the weights.
    pub relative_error: f64,
}

/// Scales that are possible for one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval {
    low: f64,
    high: f64,
}

const ANY: Interval = Interval { low: 0.0, high: f64::INFINITY };

impl Interval {
    fn and(self, other: Interval) -> Interval {
        Interval { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    fn is_empty(self) -> bool {
        // No scale is infinite: that is what an integer of the wrong sign would need.
        self.high <= 0.0 || self.low == f64::INFINITY || self.low > self.high * (1.0 + SLACK)
    }

    /// Scales `u` with `|n·step·u − value| ≤ step·u/2`.
    fn nearest(n: f64, step: f64, value: f64) -> Interval {
        // (n − ½)·step·u ≤ value ≤ (n + ½)·step·u, mirrored for negative values.
        let (n, value) = if value < 0.0 { (-n, -value) } else { (n, value) };
        let low = if n > -0.5 { value / ((n + 0.5) * step) } else { f64::INFINITY };
        let high = if n > 0.5 { value / ((n - 0.5) * step) } else { f64::INFINITY };
        if value == 0.0 && n == 0.0 { ANY } else { Interval { low, high } }
    }

    /// Scales `u` of which `n` is the least number that reaches `value > 0`.
    fn ceiling(n: f64, value: f64) -> Interval {
        let high = if n > 1.0 { value / (n - 1.0) } else { f64::INFINITY };
        Interval { low: value / n, high }
    }

    /// A scale inside: the middle, or the end that there is.
    fn inside(self) -> f64 {
        match (self.low > 0.0, self.high.is_finite()) {
            (true, true) => 0.5 * (self.low + self.high),
            (true, false) => self.low,
            (false, true) => self.high,
            (false, false) => 1.0,
        }
    }
}

/// Shows that the integers of `grid` are those of `events` rounded: for each channel there is one
/// scale with which no weight is further than half a step from its real value, thresholds are the
/// least integers that reach the real ones, and leaks are within half a bit.
///
/// Returns what rounding did to each layer, and why it is not so, one cause a node.
///
/// # Errors
/// The models are not of the forms `events` and `grid`, or not valid.
pub fn check_rounding(
    events: &Model,
    grid: &Model,
    options: GridOptions,
) -> Result<(Vec<LayerRounding>, Vec<String>)> {
    let Form::Grid { logit_unit } = grid.form() else {
        return Err(Error::Form { expected: "grid", found: grid.form().label() });
    };
    if events.form() != Form::Events {
        return Err(Error::Form { expected: "events", found: events.form().label() });
    }
    let checked = events.validate()?;
    let (resolved, streams) = (checked.resolved(), checked.streams()?);
    let mut check = Check {
        events,
        grid,
        scales: resolved.nodes.iter().map(|node| vec![ANY; node.shape[0]]).collect(),
        leak_bits: options.leak_bits,
        causes: Vec::new(),
    };
    let head = resolved.nodes.len() - 1;
    let exact = Interval { low: logit_unit, high: logit_unit };
    check.scales[head].fill(exact);
    for (index, node) in events.graph().nodes.iter().enumerate() {
        match &node.op {
            Op::Conv(_) | Op::Linear { .. } | Op::Scale => check.synapse(index)?,
            Op::Activation { site, .. } => {
                check.site(site, index, resolved.nodes[index].inputs[0])?;
            }
            _ => {}
        }
    }
    check.spread(resolved, streams);
    check.report_empty(streams);
    let layers = check.layers()?;
    Ok((layers, check.causes))
}

/// What a high weight of 16 bits counts for, in low ones (eq. G5).
const HIGH: f64 = 255.0;

struct Check<'a> {
    events: &'a Model,
    grid: &'a Model,
    /// Possible scales of every channel of every node.
    scales: Vec<Vec<Interval>>,
    /// Bits that decay factors were rounded to.
    leak_bits: u8,
    causes: Vec<String>,
}

impl Check<'_> {
    fn name(&self, index: usize) -> &str {
        &self.events.graph().nodes[index].name
    }

    fn real(&self, index: usize, part: &str) -> Result<ArrayD<f64>> {
        Ok(weights::real(self.events.weights(), self.name(index), part)?)
    }

    /// Integers of a node; of a layer of 16 bits those that its two halves make (eq. G5).
    fn whole(&self, index: usize, part: &str) -> Result<ArrayD<f64>> {
        let of = |node: &str, part| Ok(weights::real(self.grid.weights(), node, part)?);
        match (self.halves(index), part) {
            (Some([high, low]), "weight") => Ok(of(high, part)? * HIGH + of(low, part)?),
            (Some([_, low]), _) => of(low, part),
            (None, _) => of(self.name(index), part),
        }
    }

    /// The layers of high and of low weights whose sum stands in place of a layer.
    fn halves(&self, index: usize) -> Option<[&str; 2]> {
        let layer = &self.events.graph().nodes[index];
        let node = self.grid.graph().node(&layer.name)?;
        match (&layer.op, &node.op, node.inputs.as_slice()) {
            (Op::Conv(_) | Op::Linear { .. }, Op::Add, [high, low]) => Some([high, low]),
            _ => None,
        }
    }

    /// Multipliers of a layer; of a one-to-one synapse 1 each.
    fn multipliers(&self, index: usize) -> Result<Vec<f64>> {
        match self.events.graph().nodes[index].op {
            Op::Scale => Ok(vec![1.0; self.scales[index].len()]),
            _ => Ok(self.whole(index, "multiplier")?.iter().copied().collect()),
        }
    }

    fn narrow(&mut self, index: usize, channel: usize, interval: Interval) {
        self.scales[index][channel] = self.scales[index][channel].and(interval);
    }

    fn synapse(&mut self, index: usize) -> Result<()> {
        let (real, whole) = (self.real(index, "weight")?, self.whole(index, "weight")?);
        let multipliers = self.multipliers(index)?;
        if let Some([high, _]) = self.halves(index) {
            let of_high = weights::real(self.grid.weights(), high, "multiplier")?;
            if of_high.iter().zip(&multipliers).any(|(high, low)| (high - HIGH * low).abs() > 0.5) {
                let cause =
                    format!("the multipliers of `{high}` are not {HIGH} times those of low");
                self.causes.push(cause);
            }
        }
        for (c, (row, numbers)) in real.axis_iter(Axis(0)).zip(whole.axis_iter(Axis(0))).enumerate()
        {
            for (w, n) in row.iter().zip(&numbers) {
                self.narrow(index, c, Interval::nearest(*n, multipliers[c], *w));
            }
        }
        if self.events.weights().contains_key(&format!("{}.bias", self.name(index))) {
            let (real, whole) = (self.real(index, "bias")?, self.whole(index, "bias")?);
            for (c, (b, n)) in real.iter().zip(&whole).enumerate() {
                self.narrow(index, c, Interval::nearest(*n, 1.0, *b));
            }
        }
        Ok(())
    }

    fn site(&mut self, site: &Site, index: usize, input: usize) -> Result<()> {
        let channels = self.scales[input].len();
        let each = |values: ArrayD<f64>| -> Vec<f64> {
            let values: Vec<f64> = values.into_iter().collect();
            (0..channels).map(|c| values[c.min(values.len() - 1)]).collect()
        };
        match site {
            Site::QuantRelu(_) => {
                let steps = each(self.real(index, "step")?);
                let thresholds = self.whole(index, "thresholds")?;
                for (d, row) in thresholds.axis_iter(Axis(0)).enumerate() {
                    for (c, n) in row.iter().enumerate() {
                        let edge = (d as f64 + 0.5) * steps[c];
                        self.narrow(input, c, Interval::ceiling(*n, edge));
                    }
                }
            }
            Site::Lif(lif) => {
                let thresholds = match lif.threshold {
                    Threshold::Fixed(threshold) => vec![threshold; channels],
                    Threshold::Learned { .. } => each(self.real(index, "threshold")?),
                };
                let whole = self.whole(index, "threshold")?;
                // Subtracted, counted or begun at a part of it, a threshold is rounded to the
                // nearest; compared alone, up.
                let nearest = lif.reset == Reset::Soft
                    || matches!(lif.spike, Spike::Integer { .. })
                    || lif.initial != FirstMembrane::Rest;
                for (c, n) in whole.iter().enumerate() {
                    let threshold = thresholds[c] - lif.rest();
                    self.narrow(
                        input,
                        c,
                        match (nearest, *n <= 1.0) {
                            (false, _) => Interval::ceiling(*n, threshold),
                            (true, false) => Interval::nearest(*n, 1.0, threshold),
                            // The least threshold there is.
                            (true, true) => Interval { low: threshold / 1.5, ..ANY },
                        },
                    );
                }
                self.lif(lif, index, input)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Decay factors, and the jump of an adaptation.
    fn lif(&mut self, lif: &Lif, index: usize, input: usize) -> Result<()> {
        let Some(Op::Activation { site: Site::GridLif(on_grid), .. }) =
            self.grid.graph().node(self.name(index)).map(|node| node.op.clone())
        else {
            self.causes.push(format!("`{}` is no LIF on the grid", self.name(index)));
            return Ok(());
        };
        let bits = self.leak_bits;
        for (what, real, multiplier, shift) in decays(lif, &on_grid) {
            let fraction = f64::from(multiplier) / 2_f64.powi(i32::from(shift));
            let bound = 2_f64.powi(-i32::from(bits) - 1) * (1.0 + SLACK);
            if (fraction - real).abs() > bound {
                let name = self.name(index);
                self.causes.push(format!(
                    "`{name}`: the {what} {multiplier}/2^{shift} is further than half of 2^-{bits} \
                     from {real}"
                ));
            }
        }
        let guard = 2_f64.powi(i32::from(on_grid.guard_bits));
        match lif.initial {
            FirstMembrane::Rest => {}
            FirstMembrane::Potential(potential) => {
                let whole = self.whole(index, "initial")?;
                for (c, n) in whole.iter().enumerate() {
                    let distance = (potential - lif.rest()) * guard;
                    self.narrow(input, c, Interval::nearest(*n, 1.0, distance));
                }
            }
            FirstMembrane::Threshold { share } => {
                let whole = self.whole(index, "initial")?;
                let thresholds = self.whole(index, "threshold")?;
                for (c, (n, theta)) in whole.iter().zip(&thresholds).enumerate() {
                    let wanted = share * theta * guard;
                    if (n - wanted).abs() > 0.5 * (1.0 + SLACK) {
                        let name = self.name(index);
                        self.causes.push(format!(
                            "`{name}`: the first membrane {n} of channel {c} is further than half \
                             from {share} of its threshold, {wanted}"
                        ));
                    }
                }
            }
        }
        if let Adaptation::Threshold { strength, .. } = lif.adaptation {
            let jump = strength * guard;
            let whole = self.whole(index, "adaptation")?;
            for (c, n) in whole.iter().enumerate() {
                self.narrow(input, c, Interval::nearest(*n, 1.0, jump));
            }
        }
        Ok(())
    }

    /// Channels that are added, pooled, flattened, concatenated or read out together have one
    /// scale: what is known of one is known of all, forwards and backwards until nothing changes.
    fn spread(&mut self, resolved: &Resolved, streams: &Streams) {
        let last = self.events.graph().nodes.len();
        loop {
            let before = self.scales.clone();
            for index in (0..last).chain((0..last).rev()) {
                let info = &resolved.nodes[index];
                if info.inputs.iter().any(|input| streams.kinds[*input] != Kind::Current) {
                    continue;
                }
                let count = info.shape[0];
                let op = &self.events.graph().nodes[index].op;
                let widths: Vec<usize> =
                    info.inputs.iter().map(|&input| resolved.nodes[input].shape[0]).collect();
                let passed = op.passed_channels(&widths, count);
                for (&input, mut pairs) in info.inputs.iter().zip(passed) {
                    // All logits share one scale.
                    if op.role() == Role::Head {
                        pairs.extend((0..count).flat_map(|c| [(0, c), (c, c)]));
                    }
                    for (own, its) in pairs {
                        let both = self.scales[index][own].and(self.scales[input][its]);
                        self.scales[index][own] = both;
                        self.scales[input][its] = both;
                    }
                }
            }
            if before == self.scales {
                return;
            }
        }
    }

    /// Says which synapses have a channel that no scale explains.
    fn report_empty(&mut self, streams: &Streams) {
        for index in 0..self.scales.len() {
            let op = &self.events.graph().nodes[index].op;
            if op.role() != Role::Synapse || streams.kinds[index] != Kind::Current {
                continue;
            }
            let empty = |interval: &Interval| interval.is_empty();
            let count = self.scales[index].iter().filter(|interval| empty(interval)).count();
            if let Some(channel) = self.scales[index].iter().position(empty) {
                let name = self.name(index);
                self.causes.push(format!(
                    "no scale explains the integers of {count} channels of `{name}` (the first is \
                     {channel}) and of what reads them: a weight is further than half a step from \
                     its real value, or a threshold is not the least that reaches its own"
                ));
            }
        }
    }

    /// Rounding errors of each layer.
    fn layers(&self) -> Result<Vec<LayerRounding>> {
        let mut layers = Vec::new();
        for (index, node) in self.events.graph().nodes.iter().enumerate() {
            if !matches!(node.op, Op::Conv(_) | Op::Linear { .. }) {
                continue;
            }
            let (real, whole) = (self.real(index, "weight")?, self.whole(index, "weight")?);
            let multipliers = self.multipliers(index)?;
            let (mut largest, mut squares, mut size) = (0.0_f64, 0.0, 0.0);
            for (c, (row, numbers)) in
                real.axis_iter(Axis(0)).zip(whole.axis_iter(Axis(0))).enumerate()
            {
                let step = multipliers[c] * self.scales[index][c].inside();
                for (w, n) in row.iter().zip(&numbers) {
                    let error = (n * step - w).abs();
                    largest = largest.max(error / step);
                    squares += error * error;
                    size += w * w;
                }
            }
            let relative_error = if size > 0.0 { (squares / size).sqrt() } else { 0.0 };
            layers.push(LayerRounding {
                node: node.name.clone(),
                weights: real.len(),
                largest_error: largest,
                relative_error,
            });
        }
        Ok(layers)
    }
}

/// Decay factors of a neuron with their integers.
fn decays(lif: &Lif, grid: &GridLif) -> Vec<(&'static str, f64, u32, u8)> {
    let leak = match lif.leak {
        Leak::Factor { factor } | Leak::Learned { initial: factor } => factor,
    };
    let mut decays = vec![("leak", leak, grid.leak_multiplier, grid.leak_shift)];
    if let (Synapse::Current { alpha }, GridSynapse::Current { multiplier, shift }) =
        (lif.synapse, grid.synapse)
    {
        decays.push(("decay of the synaptic current", alpha, multiplier, shift));
    }
    if let (Adaptation::Threshold { decay, .. }, GridAdaptation::Threshold { multiplier, shift }) =
        (lif.adaptation, grid.adaptation)
    {
        decays.push(("decay of the adaptation", decay, multiplier, shift));
    }
    decays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scale_explains_an_integer_of_the_wrong_sign() {
        for (n, value) in [(3.0, -2.0), (-3.0, 2.0), (1.0, -1e-9), (-1.0, 1e9)] {
            assert!(Interval::nearest(n, 1.0, value).is_empty(), "{n} for {value}");
        }
        for (n, value) in [(3.0, 2.0), (-3.0, -2.0), (0.0, -2.0), (0.0, 2.0), (0.0, 0.0)] {
            assert!(!Interval::nearest(n, 1.0, value).is_empty(), "{n} for {value}");
        }
    }
}
