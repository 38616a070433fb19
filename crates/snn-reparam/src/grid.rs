//! The last pass: every quantity an integer, by the rules of `ARCHITECTURE.md` ("The grid") and the
//! equations 12 and 13.

use crate::convert::Conversion;
use crate::error::{Error, Result};
use crate::fold::channels;
use crate::grid_site::{Edges, SiteToGrid, refuse_without_twin};
use crate::plan::{Action, Plan};
use crate::units::Channels;
use ndarray::{Array1, ArrayD, Axis};
use serde::{Deserialize, Serialize};
use snn_ir::streams::{F32_EXACT, Streams};
use snn_ir::{Error as IrError, Form, Model, Op, Resolved, Tensor, weights};

/// Settings of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridOptions {
    /// Fractional bits of membranes, 0 to 16.
    pub guard_bits: u8,
    /// Largest shift m of the leak k/2^m, 0 to 16.
    pub leak_bits: u8,
}

/// Guard bits: the leak ½ is exact for 9 macro-steps, and a leaky membrane loses less than 1/256 of
/// a unit a step otherwise.
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
/// No threshold, bias or identity weight is finer than this part of itself: near-dead channels
/// would need integers up to 2³¹, and κ = 0 would divide by zero.
const FINEST: f64 = 65_536.0;
/// Where several weighted streams meet, the unit is this much finer than the finest stream's, so
/// that rounding a stream's multiplier up costs at most 1/8 of a bit-step.
const REFINEMENT: f64 = 8.0;

/// Puts a converted network on the integer grid.
///
/// # Errors
/// The model is not in the form `events`; it has an unquantised ReLU or a neuron of a user's own; a
/// threshold is out of reach; an accumulator could leave 32 bits.
pub fn to_grid(events: &Conversion, options: GridOptions) -> Result<Conversion> {
    let source = &events.model;
    if source.form() != Form::Events {
        return Err(Error::Form { expected: "events", found: source.form().label() });
    }
    if options.guard_bits > 16 || options.leak_bits > 16 {
        let found =
            format!("guard_bits {} and leak_bits {}", options.guard_bits, options.leak_bits);
        return Err(IrError::Attribute {
            node: "grid".into(),
            field: "options",
            expected: "at most 16",
            found,
        }
        .into());
    }
    let resolved = source.validate()?;
    let mut plan = events.plan.clone();
    refuse_without_twin(source, &mut plan)?;
    let streams = Streams::of(source, &resolved)?;
    let mut classes = Channels::of(source, &resolved, &streams);
    let units = units(source, &resolved, &streams, &mut classes)?;
    let mut model = source.clone();
    model.weights_mut().clear();
    for (index, node) in source.graph().nodes.iter().enumerate() {
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
                let site_to_grid = SiteToGrid { source, name: &node.name, unit: &unit, options };
                let grid_site = site_to_grid.convert(site, &mut model, &mut plan)?;
                if let Op::Activation { site, .. } = &mut model.graph_mut().nodes[index].op {
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
    model.signature_mut().form =
        Form::Grid { logit_unit: units[classes.class(resolved.nodes[head].inputs[0], 0)] };
    let resolved = model.validate()?;
    note_bounds(&model, &resolved, &mut plan)?;
    Ok(Conversion { model, plan })
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
    /// Threshold that must be a whole number of units, so that subtracting or counting it is exact;
    /// of several sites the first's.
    divides: Option<f64>,
}

/// The unit of every class.
fn units(
    model: &Model,
    resolved: &Resolved,
    streams: &Streams,
    classes: &mut Channels,
) -> Result<Vec<f64>> {
    let mut demands = vec![
        Demand { finest: f64::INFINITY, streams: 0, floor: 0.0, divides: None };
        classes.len()
    ];
    for (index, node) in model.graph().nodes.iter().enumerate() {
        let info = &resolved.nodes[index];
        match &node.op {
            Op::Conv(_) | Op::Linear { .. } | Op::Scale => {
                let weight = weights::real(model.weights(), &node.name, "weight")?;
                let bias = model.weights().get(&format!("{}.bias", node.name)).map(Tensor::to_f64);
                // The largest value that comes in: an identity's weight must stay precise when
                // multiplied by it.
                let levels = streams.bounds[info.inputs[0]]
                    .iter()
                    .copied()
                    .filter(|b| b.is_finite())
                    .fold(1.0, f64::max);
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
                let Some(edges) = Edges::of(model, &node.name, site, info.shape[0])? else {
                    continue;
                };
                for c in 0..info.shape[0] {
                    let demand = &mut demands[classes.class(info.inputs[0], c)];
                    demand.floor = demand.floor.max(edges.top(c) / FINEST);
                    if edges.whole {
                        demand.divides = demand.divides.or(Some(edges.base[c]));
                    }
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

/// Eq. 12: `w ≈ n·M·unit` and `b ≈ b_int·unit`.
fn synapse(
    source: &Model,
    model: &mut Model,
    name: &str,
    unit: &Array1<f64>,
    plan: &mut Plan,
) -> Result<()> {
    let weight = weights::real(source.weights(), name, "weight")?;
    let mut multiplier = Array1::<f64>::ones(unit.len());
    let mut rounded = weight.clone();
    let mut error = 0.0_f64;
    for (o, mut row) in rounded.axis_iter_mut(Axis(0)).enumerate() {
        let largest = row.iter().fold(0.0_f64, |max, w| max.max(w.abs()));
        // The margin keeps a row whose natural unit *is* the unit at M = 1 despite rounding of the
        // division.
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
            "8-bit weights, multipliers up to {}, rounding up to {:.2} % of a channel's largest \
             weight",
            max(&multiplier),
            100.0 * error
        ),
    );
    #[expect(clippy::cast_possible_truncation, reason = "clamped to ±127 above")]
    let bytes = rounded.mapv(|n| n as i8);
    model.weights_mut().insert(format!("{name}.weight"), Tensor::I8(bytes));
    set_integers(model, name, "multiplier", &multiplier.into_dyn())?;
    if let Some(bias) = source.weights().get(&format!("{name}.bias")) {
        let scaled = bias.to_f64() / unit.clone().into_dyn();
        set_integers(model, name, "bias", &scaled.mapv(f64::round))?;
    }
    Ok(())
}

fn max(values: &Array1<f64>) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Stores whole numbers as integers.
pub(crate) fn set_integers(
    model: &mut Model,
    node: &str,
    part: &str,
    values: &ArrayD<f64>,
) -> Result<()> {
    let name = format!("{node}.{part}");
    if let Some(value) = values.iter().find(|v| v.abs() >= f64::from(i32::MAX)) {
        return Err(IrError::Weight {
            name,
            expected: "integers below 2^31".into(),
            found: value.to_string(),
        }
        .into());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let integers = values.mapv(|v| v as i32);
    model.weights_mut().insert(name, Tensor::I32(integers));
    Ok(())
}

/// Writes into the plan how large sums can grow, and where libtorch needs f64 to be exact.
fn note_bounds(model: &Model, resolved: &Resolved, plan: &mut Plan) -> Result<()> {
    let streams = Streams::of(model, resolved)?;
    for (index, node) in model.graph().nodes.iter().enumerate() {
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
