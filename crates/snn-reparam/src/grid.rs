//! The last pass: every quantity an integer, by the rules of `ARCHITECTURE.md` ("The grid") and the equations 12 and 13.

use crate::convert::Conversion;
use crate::convert::newer_than_conversion;
use crate::error::{Error, Result};
use crate::fold::channels;
use crate::plan::{Action, Plan};
use crate::units::Channels;
use ndarray::{Array1, ArrayD, Axis};
use serde::{Deserialize, Serialize};
use snn_ir::naive::MEMBRANE_LIMIT;
use snn_ir::site::GridReset;
use snn_ir::streams::{F32_EXACT, Streams};
use snn_ir::{Error as IrError, Form, GridLif, Leak, Lif, Model, Op, Reset, Resolved, Site, Tensor, weights};

/// Settings of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridOptions {
    /// Fractional bits of membranes, 0 to 16.
    pub guard_bits: u8,
    /// Largest shift m of the leak k/2^m, 0 to 16.
    pub leak_bits: u8,
}

/// Guard bits: the leak ½ is exact for 9 macro-steps, and a leaky membrane loses less than 1/256 of a unit a step otherwise.
pub const DEFAULT_GUARD_BITS: u8 = 8;
/// Bits of the leak: its error, below 2⁻¹³, is far below that of 8-bit weights.
pub const DEFAULT_LEAK_BITS: u8 = 12;

impl Default for GridOptions {
    fn default() -> Self {
        Self { guard_bits: DEFAULT_GUARD_BITS, leak_bits: DEFAULT_LEAK_BITS }
    }
}

/// Largest weight on the grid, as a number.
const WEIGHT_MAX: f64 = snn_ir::model::GRID_WEIGHT_MAX as f64;
/// No threshold, bias or identity weight is finer than this part of itself: near-dead channels would need integers up to 2³¹, and κ = 0 would divide by zero.
const FINEST: f64 = 65_536.0;
/// Where several weighted streams meet, the unit is this much finer than the finest stream's, so that rounding a stream's multiplier up costs at most 1/8 of a bit-step.
const REFINEMENT: f64 = 8.0;

/// Puts a converted network on the integer grid.
///
/// # Errors
/// The model is not in the form `events`; it has an unquantised ReLU; an accumulator could leave 32 bits.
pub fn to_grid(events: &Conversion, options: GridOptions) -> Result<Conversion> {
    let source = &events.model;
    if source.form != Form::Events {
        return Err(Error::Form { expected: "events", found: source.form.label() });
    }
    if options.guard_bits > 16 || options.leak_bits > 16 {
        let found = format!("guard_bits {} and leak_bits {}", options.guard_bits, options.leak_bits);
        return Err(IrError::Attribute { node: "grid".into(), field: "options", expected: "at most 16", found }.into());
    }
    let resolved = source.validate()?;
    let mut plan = events.plan.clone();
    refuse_unquantised(source, &mut plan)?;
    let streams = Streams::of(source, &resolved)?;
    let mut classes = Channels::of(source, &resolved, &streams);
    let units = units(source, &resolved, &streams, &mut classes)?;
    let mut model = source.clone();
    model.weights.clear();
    for (index, node) in source.graph.nodes.iter().enumerate() {
        let count = resolved.nodes[index].shape[0];
        let of = |classes: &mut Channels, node: usize| -> Array1<f64> {
            (0..count).map(|c| units[classes.class(node, c)]).collect()
        };
        match &node.op {
            Op::Conv(_) | Op::Linear { .. } => {
                synapse(source, &mut model, &node.name, &of(&mut classes, index), &mut plan)?;
            }
            Op::Scale => {
                let weight = channels(source, &node.name, "weight")?;
                let rounded = (&weight / &of(&mut classes, index)).mapv(f64::round);
                set_integers(&mut model, &node.name, "weight", &rounded.into_dyn())?;
            }
            Op::Activation { site, .. } => {
                let unit = of(&mut classes, resolved.nodes[index].inputs[0]);
                let grid_site = self::site(source, &mut model, &node.name, site, &unit, options, &mut plan)?;
                if let Op::Activation { site, .. } = &mut model.graph.nodes[index].op {
                    *site = grid_site;
                }
            }
            Op::Input { .. }
            | Op::BatchNorm { .. }
            | Op::Pool { .. }
            | Op::GlobalPool { .. }
            | Op::Flatten
            | Op::Add
            | Op::Concat
            | Op::TimeMean => {}
        }
    }
    let head = resolved.nodes.len() - 1;
    model.form = Form::Grid { logit_unit: units[classes.class(resolved.nodes[head].inputs[0], 0)] };
    let resolved = model.validate()?;
    note_bounds(&model, &resolved, &mut plan)?;
    Ok(Conversion { model, plan })
}

fn refuse_unquantised(source: &Model, plan: &mut Plan) -> Result<()> {
    for node in &source.graph.nodes {
        if let Op::Activation { site: Site::Relu, .. } = node.op {
            let reason =
                "an unquantised ReLU cannot be on the grid; train it as quant_relu, whose levels the grid keeps";
            plan.note(&node.name, "relu", Action::Refused, reason);
        }
    }
    if plan.is_refused() { Err(Error::Refused(Box::new(plan.clone()))) } else { Ok(()) }
}

/// What is known of one class of accumulator channels.
#[derive(Clone, Copy)]
struct Demand {
    /// Finest natural unit max|w|/127 of the streams that come in.
    finest: f64,
    /// Streams with weights.
    streams: usize,
    /// The unit must be at least this.
    floor: f64,
    /// Threshold of a site with soft reset: a whole number of units, so that subtracting it is exact.
    divides: Option<f64>,
}

/// The unit of every class.
fn units(model: &Model, resolved: &Resolved, streams: &Streams, classes: &mut Channels) -> Result<Vec<f64>> {
    let mut demands = vec![Demand { finest: f64::INFINITY, streams: 0, floor: 0.0, divides: None }; classes.len()];
    for (index, node) in model.graph.nodes.iter().enumerate() {
        let info = &resolved.nodes[index];
        match &node.op {
            Op::Conv(_) | Op::Linear { .. } | Op::Scale => {
                let weight = weights::real(&model.weights, &node.name, "weight")?;
                let bias = model.weights.get(&format!("{}.bias", node.name)).map(Tensor::to_f64);
                // The largest value that comes in: an identity's weight must stay precise when multiplied by it.
                let levels =
                    streams.bounds[info.inputs[0]].iter().copied().filter(|b| b.is_finite()).fold(1.0, f64::max);
                for (c, row) in weight.axis_iter(Axis(0)).enumerate() {
                    let demand = &mut demands[classes.class(index, c)];
                    let largest = row.iter().fold(0.0_f64, |max, w| max.max(w.abs()));
                    if largest > 0.0 {
                        demand.finest = demand.finest.min(largest / WEIGHT_MAX);
                        demand.streams += 1;
                    }
                    if matches!(node.op, Op::Scale) {
                        demand.floor = demand.floor.max(levels * largest / FINEST);
                    }
                    let bias = bias.as_ref().map_or(0.0, |b| b[[c]].abs());
                    demand.floor = demand.floor.max(bias / FINEST);
                }
            }
            Op::Activation { site, .. } => {
                for c in 0..info.shape[0] {
                    let demand = &mut demands[classes.class(info.inputs[0], c)];
                    let top = match site {
                        Site::Lif(lif) => {
                            if lif.reset == Reset::Soft {
                                demand.divides = demand.divides.or(Some(threshold(lif)));
                            }
                            threshold(lif)
                        }
                        Site::QuantRelu(q) => (f64::from(q.levels) - 0.5) * step(model, &node.name, c)?,
                        Site::Relu | Site::Custom(_) | Site::GridLif(_) | Site::GridQuantRelu { .. } => 0.0,
                    };
                    demand.floor = demand.floor.max(top / FINEST);
                }
            }
            _ => {}
        }
    }
    Ok(demands.iter().map(unit).collect())
}

fn unit(demand: &Demand) -> f64 {
    let natural = if demand.streams > 1 { demand.finest / REFINEMENT } else { demand.finest };
    let unit = if natural.is_finite() { natural.max(demand.floor) } else { demand.floor };
    if unit <= 0.0 {
        return 1.0; // nothing but zeros ever arrives and nothing is compared
    }
    match demand.divides {
        Some(threshold) => threshold / (threshold / unit).floor().max(1.0),
        None => unit,
    }
}

/// A hard reset to `v_r` moves into the threshold: eq. 8 depends on `u − v_r` and `θ − v_r` only.
fn threshold(lif: &Lif) -> f64 {
    match lif.reset {
        Reset::Hard { potential } => lif.threshold.initial() - potential,
        Reset::Soft | Reset::None => lif.threshold.initial(),
    }
}

fn step(model: &Model, node: &str, channel: usize) -> Result<f64> {
    let steps = channels(model, node, "step")?;
    Ok(steps[if steps.len() == 1 { 0 } else { channel }])
}

/// Eq. 12: `w ≈ n·M·unit` and `b ≈ b_int·unit`.
fn synapse(source: &Model, model: &mut Model, name: &str, unit: &Array1<f64>, plan: &mut Plan) -> Result<()> {
    let weight = weights::real(&source.weights, name, "weight")?;
    let mut multiplier = Array1::<f64>::ones(unit.len());
    let mut rounded = weight.clone();
    let mut error = 0.0_f64;
    for (o, mut row) in rounded.axis_iter_mut(Axis(0)).enumerate() {
        let largest = row.iter().fold(0.0_f64, |max, w| max.max(w.abs()));
        // The margin keeps a row whose natural unit *is* the unit at M = 1 despite rounding of the division.
        multiplier[o] = (largest / WEIGHT_MAX / unit[o] - 1e-9).ceil().max(1.0);
        let scale = multiplier[o] * unit[o];
        row.mapv_inplace(|w| {
            let n = (w / scale).round().clamp(-WEIGHT_MAX, WEIGHT_MAX);
            error = error.max((n * scale - w).abs() / largest.max(f64::MIN_POSITIVE));
            n
        });
    }
    plan.note(
        name,
        "grid",
        Action::Converted,
        format!(
            "8-bit weights, multipliers up to {}, rounding up to {:.2} % of a channel's largest weight",
            max(&multiplier),
            100.0 * error
        ),
    );
    #[expect(clippy::cast_possible_truncation, reason = "clamped to ±127 above")]
    let bytes = rounded.mapv(|n| n as i8);
    model.weights.insert(format!("{name}.weight"), Tensor::I8(bytes));
    set_integers(model, name, "multiplier", &multiplier.into_dyn())?;
    if let Some(bias) = source.weights.get(&format!("{name}.bias")) {
        let scaled = bias.to_f64() / unit.clone().into_dyn();
        set_integers(model, name, "bias", &scaled.mapv(f64::round))?;
    }
    Ok(())
}

fn max(values: &Array1<f64>) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Eq. 13: thresholds in units, rounded up, so that an integer current meets them exactly when the real one does.
fn site(
    source: &Model,
    model: &mut Model,
    name: &str,
    site: &Site,
    unit: &Array1<f64>,
    options: GridOptions,
    plan: &mut Plan,
) -> Result<Site> {
    match site {
        Site::Lif(lif) if newer_than_conversion(lif) => {
            Err(IrError::Refused { node: name.into(), reason: "the grid does not know this kind of LIF site".into() }
                .into())
        }
        Site::Lif(lif) => {
            let factor = match lif.leak {
                Leak::Factor { factor } | Leak::Learned { initial: factor } => factor,
            };
            let (multiplier, shift) = leak(factor, options.leak_bits);
            let threshold = unit.mapv(|unit| match lif.reset {
                Reset::Hard { .. } | Reset::None => ceil(threshold(lif) / unit),
                Reset::Soft => (threshold(lif) / unit).round(),
            });
            let threshold = threshold.mapv(|t| t.max(1.0));
            reachable(name, max(&threshold), options.guard_bits)?;
            set_integers(model, name, "threshold", &threshold.into_dyn())?;
            let exact = usize::from(options.guard_bits) >= usize::from(shift) * (source.time_steps - 1);
            let error = f64::from(multiplier) / f64::from(1_u32 << shift) - factor;
            plan.note(
                name,
                "grid",
                Action::Converted,
                format!(
                    "leak {multiplier}/2^{shift} (off by {error:.1e}), {} guard bits, floor {}",
                    options.guard_bits,
                    if exact { "exact" } else { "loses less than a guard bit a step" }
                ),
            );
            let reset = match lif.reset {
                Reset::Hard { .. } => GridReset::Hard,
                Reset::Soft => GridReset::Soft,
                Reset::None => GridReset::None,
            };
            Ok(Site::GridLif(GridLif::new(multiplier, shift, options.guard_bits, reset)))
        }
        Site::QuantRelu(q) => {
            let mut thresholds = ArrayD::<f64>::zeros(vec![usize::from(q.levels), unit.len()]);
            for c in 0..unit.len() {
                let step = step(source, name, c)?;
                for d in 0..usize::from(q.levels) {
                    thresholds[[d, c]] = ceil((d as f64 + 0.5) * step / unit[c]);
                }
            }
            set_integers(model, name, "thresholds", &thresholds)?;
            plan.note(name, "grid", Action::Converted, format!("{} integer thresholds a channel", q.levels));
            Ok(Site::GridQuantRelu { levels: q.levels })
        }
        Site::Relu | Site::Custom(_) | Site::GridLif(_) | Site::GridQuantRelu { .. } => {
            Err(IrError::Refused { node: name.into(), reason: "not a site of the form events".into() }.into())
        }
    }
}

/// A threshold above the value at which membranes saturate could never be reached.
fn reachable(name: &str, threshold: f64, guard_bits: u8) -> Result<()> {
    let largest = |bits: u8| (MEMBRANE_LIMIT >> bits) as f64;
    if threshold <= largest(guard_bits) {
        return Ok(());
    }
    let way_out = match (0..guard_bits).rev().find(|bits| threshold <= largest(*bits)) {
        Some(most) => format!("use at most {most}"),
        None => "no number of guard bits is small enough".into(),
    };
    let reason = format!(
        "with {guard_bits} guard bits its threshold of {threshold} units is above 2^30, where membranes saturate, so that it would never fire; {way_out}"
    );
    Err(IrError::Refused { node: name.into(), reason }.into())
}

/// Rounds up, but takes a quotient that is a whole number but for rounding as that number.
fn ceil(quotient: f64) -> f64 {
    let nearest = quotient.round();
    if (quotient - nearest).abs() <= 1e-9 * nearest.abs().max(1.0) { nearest } else { quotient.ceil() }
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

fn set_integers(model: &mut Model, node: &str, part: &str, values: &ArrayD<f64>) -> Result<()> {
    let name = format!("{node}.{part}");
    if let Some(value) = values.iter().find(|v| v.abs() >= f64::from(i32::MAX)) {
        return Err(IrError::Weight { name, expected: "integers below 2^31".into(), found: value.to_string() }.into());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let integers = values.mapv(|v| v as i32);
    model.weights.insert(name, Tensor::I32(integers));
    Ok(())
}

/// Writes into the plan how large sums can grow, and where libtorch needs f64 to be exact.
fn note_bounds(model: &Model, resolved: &Resolved, plan: &mut Plan) -> Result<()> {
    let streams = Streams::of(model, resolved)?;
    for (index, node) in model.graph.nodes.iter().enumerate() {
        let sum = streams.sums[index];
        if sum > 0.0 && !matches!(node.op, Op::Scale) {
            let width = if sum < F32_EXACT { "f32" } else { "f64" };
            plan.note(
                &node.name,
                "grid",
                Action::Kept,
                format!("|Σ n·x| < 2^{:.0}, exact in {width}", sum.log2().ceil()),
            );
        }
    }
    Ok(())
}
