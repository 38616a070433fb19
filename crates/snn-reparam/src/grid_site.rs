//! Sites on the grid (eq. 13): thresholds in units, leaks as fractions of powers of two.

use crate::error::{Error, Result};
use crate::fold::channels;
use crate::grid::{GridOptions, set_integers};
use crate::plan::{Action, Plan};
use ndarray::{Array1, ArrayD};
use snn_ir::naive::MEMBRANE_LIMIT;
use snn_ir::site::{Adaptation, GridAdaptation, GridReset, GridSynapse};
use snn_ir::{
    Error as IrError, GridLif, Leak, Lif, Model, Op, Reset, Site, Spike, Synapse, Threshold,
};

/// Refuses the sites that have no twin on the grid, by name.
pub(crate) fn refuse_without_twin(source: &Model, plan: &mut Plan) -> Result<()> {
    for node in &source.graph().nodes {
        let reason = match &node.op {
            Op::Activation { site: Site::Relu, .. } => {
                "an unquantised ReLU cannot be on the grid; train it as quant_relu, whose levels \
                 the grid keeps"
                    .into()
            }
            Op::Activation { site: Site::Custom(custom), .. } => format!(
                "`{}` is a neuron of a user's own, which has no twin of integers; keep the network \
                 off the grid, or make the site a kind of LIF",
                custom.name
            ),
            _ => continue,
        };
        plan.note(&node.name, node.op.label(), Action::Refused, reason);
    }
    if plan.is_refused() { Err(Error::Refused(Box::new(plan.clone()))) } else { Ok(()) }
}

/// Where a site decides, for each channel.
pub(crate) struct Edges {
    /// Threshold θ less the reset potential, or step: eq. 8 depends on `u − v_r` and `θ − v_r`
    /// only, so a reset potential moves into the threshold.
    pub(crate) base: Array1<f64>,
    /// The highest edge in multiples of the base: D − ½ for levels.
    pub(crate) highest: f64,
    /// Whether the base must be a whole number of units: a soft reset subtracts it, integer spikes
    /// count multiples of it.
    pub(crate) whole: bool,
    /// β of an adaptation.
    pub(crate) strength: f64,
}

impl Edges {
    /// Those of a site of `count` channels; none of one that has no threshold.
    pub(crate) fn of(model: &Model, node: &str, site: &Site, count: usize) -> Result<Option<Self>> {
        let each = |part: &str| -> Result<Array1<f64>> {
            let values = channels(model, node, part)?;
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
                    whole: counts || lif.reset == Reset::Soft,
                    strength,
                }
            }
            Site::QuantRelu(q) => Self {
                base: each("step")?,
                highest: highest(q.levels),
                whole: false,
                strength: 0.0,
            },
            Site::Relu | Site::Custom(_) | Site::GridLif(_) | Site::GridQuantRelu { .. } => {
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
    pub(crate) name: &'a str,
    /// Unit of each channel of its current.
    pub(crate) unit: &'a Array1<f64>,
    pub(crate) options: GridOptions,
}

impl SiteToGrid<'_> {
    /// Eq. 13: thresholds in units, rounded up, so that an integer current meets them exactly when
    /// the real one does.
    pub(crate) fn convert(&self, site: &Site, model: &mut Model, plan: &mut Plan) -> Result<Site> {
        let edges = Edges::of(self.source, self.name, site, self.unit.len())?;
        match (site, edges) {
            (Site::Lif(lif), Some(edges)) => self.lif(lif, &edges, model, plan),
            (Site::QuantRelu(q), Some(edges)) => {
                let mut thresholds =
                    ArrayD::<f64>::zeros(vec![usize::from(q.levels), self.unit.len()]);
                for (c, (step, unit)) in edges.base.iter().zip(self.unit).enumerate() {
                    for d in 0..usize::from(q.levels) {
                        thresholds[[d, c]] = ceil((d as f64 + 0.5) * step / unit);
                    }
                }
                set_integers(model, self.name, "thresholds", &thresholds)?;
                self.note(plan, format!("{} integer thresholds a channel", q.levels));
                Ok(Site::GridQuantRelu { levels: q.levels })
            }
            _ => Err(IrError::Refused {
                node: self.name.into(),
                reason: "not a site of the form events".into(),
            }
            .into()),
        }
    }

    fn note(&self, plan: &mut Plan, detail: String) {
        plan.note(self.name, "grid", Action::Converted, detail);
    }

    fn lif(&self, lif: &Lif, edges: &Edges, model: &mut Model, plan: &mut Plan) -> Result<Site> {
        let GridOptions { guard_bits, leak_bits } = self.options;
        let steps = self.source.time_steps() - 1;
        let factor = match lif.leak {
            Leak::Factor { factor } | Leak::Learned { initial: factor } => factor,
        };
        let reset = match lif.reset {
            Reset::Hard { .. } => GridReset::Hard,
            Reset::Soft => GridReset::Soft,
            Reset::None => GridReset::None,
        };
        let (multiplier, shift) = leak(factor, leak_bits);
        let mut grid =
            GridLif { spike: lif.spike, ..GridLif::new(multiplier, shift, guard_bits, reset) };
        let mut details = vec![format!("leak {}", fraction(factor, multiplier, shift))];
        let mut longest = shift;
        if let Synapse::Current { alpha } = lif.synapse {
            let (multiplier, shift) = leak(alpha, leak_bits);
            grid.synapse = GridSynapse::Current { multiplier, shift };
            details.push(format!("synapse {}", fraction(alpha, multiplier, shift)));
            longest = longest.max(shift);
        }
        let mut exact = true;
        if let Adaptation::Threshold { decay, strength } = lif.adaptation {
            let (multiplier, shift) = leak(decay, leak_bits);
            grid.adaptation = GridAdaptation::Threshold { multiplier, shift };
            let wanted = self.unit.mapv(|unit| strength * 2_f64.powi(i32::from(guard_bits)) / unit);
            let jumps = wanted.mapv(f64::round);
            details.push(format!("adaptation {}", fraction(decay, multiplier, shift)));
            details.extend(error("jump", &jumps, &wanted));
            // ⌊b·k/2^m⌋ loses nothing in T − 1 steps where 2^m divides each jump as often; no i32
            // is divisible by more than 2³¹.
            let divisor =
                2_f64.powi(i32::from(shift) * i32::try_from(steps).unwrap_or(i32::MAX).min(64));
            exact = jumps.iter().all(|jump| (jump / divisor).fract() == 0.0);
            set_integers(model, self.name, "adaptation", &jumps.into_dyn())?;
        }
        let wanted = &edges.base / self.unit;
        let threshold = wanted.mapv(|t| if edges.whole { t.round() } else { ceil(t) }.max(1.0));
        if edges.whole {
            details.extend(error("threshold", &threshold, &wanted));
        }
        self.reachable(edges.highest * threshold.iter().copied().fold(0.0, f64::max))?;
        set_integers(model, self.name, "threshold", &threshold.into_dyn())?;
        exact &= usize::from(guard_bits) >= usize::from(longest) * steps;
        details.push(format!("{guard_bits} guard bits"));
        details.push(
            if exact { "floor exact" } else { "floor loses less than a guard bit a step" }.into(),
        );
        self.note(plan, details.join(", "));
        Ok(Site::GridLif(grid))
    }

    /// A threshold above the value at which membranes saturate could never be reached.
    fn reachable(&self, threshold: f64) -> Result<()> {
        let guard_bits = self.options.guard_bits;
        let largest = |bits: u8| (MEMBRANE_LIMIT >> bits) as f64;
        if threshold <= largest(guard_bits) {
            return Ok(());
        }
        let way_out = match (0..guard_bits).rev().find(|bits| threshold <= largest(*bits)) {
            Some(most) => format!("use at most {most}"),
            None => "no number of guard bits is small enough".into(),
        };
        let reason = format!(
            "with {guard_bits} guard bits its threshold of {threshold} units is above 2^30, where \
             membranes saturate, so that it would never fire; {way_out}"
        );
        Err(IrError::Refused { node: self.name.into(), reason }.into())
    }
}

/// What the plan says of a factor that became `k/2^m`.
fn fraction(factor: f64, multiplier: u32, shift: u8) -> String {
    let error = f64::from(multiplier) / f64::from(1_u32 << shift) - factor;
    let error = if error == 0.0 { "exact".to_string() } else { format!("off by {error:.1e}") };
    format!("{multiplier}/2^{shift} ({error})")
}

/// What the plan says of integers that stand for numbers of units which are not whole.
fn error(what: &str, integers: &Array1<f64>, wanted: &Array1<f64>) -> Option<String> {
    let relative = |(n, w): (&f64, &f64)| (n - w).abs() / w.max(f64::MIN_POSITIVE);
    let error = integers.iter().zip(wanted).map(relative).fold(0.0, f64::max);
    (error > 1e-9).then(|| format!("{what} off by up to {:.2} %", 100.0 * error))
}

/// Rounds up, but takes a quotient that is a whole number but for rounding as that number.
fn ceil(quotient: f64) -> f64 {
    let nearest = quotient.round();
    if (quotient - nearest).abs() <= 1e-9 * nearest.abs().max(1.0) {
        nearest
    } else {
        quotient.ceil()
    }
}

/// λ as k/2^m in lowest terms, m at most `bits`.
fn leak(factor: f64, bits: u8) -> (u32, u8) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a leak is in [0, 1], so k is in 0 to 2^16"
    )]
    let (mut k, mut m) = ((factor * f64::from(1_u32 << bits)).round() as u32, bits);
    while m > 0 && k.is_multiple_of(2) {
        (k, m) = (k / 2, m - 1);
    }
    (k, m)
}
