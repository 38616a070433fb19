//! The last pass: every quantity an integer, by the rules of `ARCHITECTURE.md` ("The grid") and the
//! equations 12 and 13.

use super::calibrated::Rounding;
use super::integers::{TOO_WIDE, UNEQUAL, set_integers};
use super::site::{Edges, SiteToGrid, refuse_without_counterpart};
use super::units::Channels;
use super::wide;
use crate::convert::{Conversion, stop_if_refused};
use crate::error::{Error, Result};
use crate::graph_edit::per_channel;
use crate::plan::{Action, Plan};
use ndarray::{Array1, ArrayD, Axis};
use snn_ir::{
    CodeChoice, ConversionOptions, Form, GridOptions, InputMoments, LayerInputs, Model, Op,
    Resolved, Tensor, Weights, weights,
};
use snn_ir::{Error as IrError, F32_EXACT, Streams};

/// Largest weight of 8 bits, as a number.
const WEIGHT_MAX: f64 = snn_ir::GRID_WEIGHT_MAX as f64;

/// What follows from the bits of weights.
#[derive(Debug, Clone, Copy)]
struct Precision {
    /// Largest weight.
    weight_max: f64,
    /// No threshold, bias or identity weight is finer than this part of itself: near-dead channels
    /// would need integers up to 2³¹, and κ = 0 would divide by zero.
    finest: f64,
    /// Where several weighted streams meet, the unit is this much finer than the finest stream's,
    /// so that rounding a stream's multiplier up costs at most that part of a step of 8 bits; with
    /// 16 bits there are enough of them to lose one.
    refinement: f64,
}

impl Precision {
    fn of(options: GridOptions) -> Self {
        if is_wide(options) {
            // A membrane saturates at 2³⁰: what reaches 16 times its threshold must fit, with its
            // guard bits.
            let bits = 26_u8.saturating_sub(options.guard_bits).max(16);
            let finest = 2_f64.powi(i32::from(bits));
            return Self { weight_max: wide::WEIGHT_MAX, finest, refinement: 1.0 };
        }
        Self { weight_max: WEIGHT_MAX, finest: 65_536.0, refinement: 8.0 }
    }
}

fn is_wide(options: GridOptions) -> bool {
    options.weight_bits == snn_ir::WIDE_WEIGHT_BITS
}

/// Puts a converted network on the integer grid, one that was read from a file as well as one that
/// was just made. The plan has the steps of the grid alone: [`Plan::then`] joins it to that of the
/// conversion.
///
/// Weights are rounded to the nearest, also where the options say that a file is calibrated.
///
/// # Errors
/// The model is not in the form `events`; it has an unquantised ReLU or a neuron of a user's own; a
/// threshold is out of reach; an accumulator could leave 32 bits.
pub fn to_grid(events: &Model, options: GridOptions) -> Result<Conversion> {
    put_on_grid(events, options, None)
}

/// [`to_grid`] with weights rounded by what layers read (`docs/semantics.md`, eq. G6), so that
/// their currents change least: every integer is one of the two beside its real weight, and biases
/// take up what the mean current would change by. `inputs` are the moments of what the layers of
/// the network that [`to_grid`] makes read, over [`GridOptions::calibration`] training samples.
///
/// # Errors
/// As [`to_grid`]; a layer has no moments, or such of another number of inputs.
pub fn to_grid_calibrated(
    events: &Model,
    options: GridOptions,
    inputs: &LayerInputs,
) -> Result<Conversion> {
    put_on_grid(events, options, Some(inputs))
}

fn put_on_grid(
    events: &Model,
    options: GridOptions,
    inputs: Option<&LayerInputs>,
) -> Result<Conversion> {
    if events.form() != Form::Events {
        return Err(Error::Form { expected: "events", found: events.form().label() });
    }
    options.check()?;
    let checked = events.validate()?;
    let (resolved, streams) = (checked.resolved(), checked.streams()?);
    let mut plan = Plan::default();
    refuse_without_counterpart(events, &mut plan);
    stop_if_refused(&plan)?;
    let mut classes = Channels::of(events, resolved, streams);
    let precision = Precision::of(options);
    let units = units(events, resolved, streams, &mut classes, precision)?;
    let (mut signature, mut rounded) = (events.signature().clone(), Weights::new());
    for (index, node) in events.graph().nodes.iter().enumerate() {
        let count = resolved.nodes[index].shape[0];
        let of = |classes: &mut Channels, node: usize| -> Array1<f64> {
            (0..count).map(|c| units[classes.class(node, c)]).collect()
        };
        match &node.op {
            Op::Conv(_) | Op::Linear { .. } => {
                let layer = Layer {
                    source: events,
                    name: &node.name,
                    unit: &of(&mut classes, index),
                    precision,
                };
                let action = layer.round(&mut rounded, inputs)?;
                plan.note(&node.name, node.op.label(), action);
            }
            Op::Scale => {
                let weight = per_channel(events, &node.name, "weight")?;
                let nearest = (&weight / &of(&mut classes, index)).mapv(f64::round);
                set_integers(&mut rounded, &node.name, "weight", &nearest.into_dyn())?;
            }
            Op::Activation { site, .. } => {
                let unit = of(&mut classes, resolved.nodes[index].inputs[0]);
                let to_grid = SiteToGrid { source: events, node, unit: &unit, options };
                let on_grid = to_grid.convert(site, &mut rounded, &mut plan)?;
                if let (Some(on_grid), Op::Activation { site, .. }) =
                    (on_grid, &mut signature.graph.nodes[index].op)
                {
                    *site = on_grid;
                }
            }
            // What has no weights has nothing to round.
            _ => {}
        }
    }
    stop_if_refused(&plan)?;
    if is_wide(options) {
        wide::split_layers(&mut signature.graph, &mut rounded)?;
    }
    let head = resolved.nodes.len() - 1;
    let logit_unit = units[classes.class(resolved.nodes[head].inputs[0], 0)];
    signature.form = Form::Grid { logit_unit };
    let codes = match &signature.conversion {
        Some(conversion) => conversion.codes.clone(),
        None => CodeChoice::of_graph(&signature.graph),
    };
    signature.conversion = Some(ConversionOptions { codes, grid: Some(options) });
    let model = Model::new(signature, rounded);
    note_bounds(&model, &mut plan).map_err(|error| match error {
        Error::Ir(cause @ IrError::Refused { .. }) => {
            let way_out = if is_wide(options) { TOO_WIDE } else { UNEQUAL };
            Error::Overflow { cause, way_out }
        }
        error => error,
    })?;
    Ok(Conversion { model, plan })
}

/// Requirements of one class of accumulator channels.
#[derive(Clone, Copy)]
struct Demand {
    /// Finest natural unit, max|w| over the largest weight of the grid, of the streams that come
    /// in.
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
    precision: Precision,
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
                        demand.finest = demand.finest.min(largest / precision.weight_max);
                        demand.streams += 1;
                    }
                    if matches!(node.op, Op::Scale) {
                        demand.floor = demand.floor.max(levels * largest / precision.finest);
                    }
                    let bias = bias.as_ref().map_or(0.0, |b| b[[c]].abs());
                    demand.floor = demand.floor.max(bias / precision.finest);
                }
            }
            Op::Activation { site, .. } => {
                let Some(edges) = Edges::of(model, &node.name, site, info.shape[0])? else {
                    continue;
                };
                for c in 0..info.shape[0] {
                    let demand = &mut demands[classes.class(info.inputs[0], c)];
                    demand.floor = demand.floor.max(edges.top(c) / precision.finest);
                    if edges.whole {
                        demand.divides = demand.divides.or(Some(edges.base[c]));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(demands.iter().map(|demand| unit(demand, precision.refinement)).collect())
}

fn unit(demand: &Demand, refinement: f64) -> f64 {
    let natural = if demand.streams > 1 { demand.finest / refinement } else { demand.finest };
    let unit = if natural.is_finite() { natural.max(demand.floor) } else { demand.floor };
    if unit <= 0.0 {
        return 1.0; // nothing but zeros ever arrives and nothing is compared
    }
    match demand.divides {
        Some(threshold) => threshold / (threshold / unit).floor().max(1.0),
        None => unit,
    }
}

/// A convolution or linear layer of the form `events`.
struct Layer<'a> {
    source: &'a Model,
    name: &'a str,
    /// Unit of each output channel.
    unit: &'a Array1<f64>,
    precision: Precision,
}

impl Layer<'_> {
    /// Eq. 12: `w ≈ n·M·unit` and `b ≈ b_int·unit`.
    fn round(&self, integers: &mut Weights, inputs: Option<&LayerInputs>) -> Result<Action> {
        let Self { source, name, unit, precision } = *self;
        let weight_max = precision.weight_max;
        let weight = weights::real(source.weights(), name, "weight")?;
        let roundings = inputs.map(|inputs| self.roundings(&weight, inputs)).transpose()?;
        let mut multiplier = Array1::<f64>::ones(unit.len());
        // What each current loses in the mean, in units.
        let mut mean_error = Array1::<f64>::zeros(unit.len());
        let mut rounded = weight.clone();
        let mut error = 0.0_f64;
        for (o, mut row) in rounded.axis_iter_mut(Axis(0)).enumerate() {
            let largest = row.iter().fold(0.0_f64, |max, w| max.max(w.abs()));
            // The margin keeps a row whose natural unit *is* the unit at M = 1 despite rounding of
            // the division.
            multiplier[o] = (largest / weight_max / unit[o] - 1e-9).ceil().max(1.0);
            let scale = multiplier[o] * unit[o];
            let steps: Vec<f64> = row.iter().map(|w| w / scale).collect();
            let nearest = |w: &f64| w.round().clamp(-weight_max, weight_max);
            let chosen = match &roundings {
                Some(all) => {
                    let rounding = &all[o * all.len() / unit.len()];
                    let chosen = rounding.row(&steps, weight_max);
                    let errors: Vec<f64> = steps.iter().zip(&chosen).map(|(w, n)| w - n).collect();
                    mean_error[o] = multiplier[o] * rounding.mean_error(&errors);
                    chosen
                }
                None => steps.iter().map(nearest).collect(),
            };
            for (value, n) in row.iter_mut().zip(chosen) {
                error = error.max((n * scale - *value).abs() / largest.max(f64::MIN_POSITIVE));
                *value = n;
            }
        }
        let is_wide = weight_max > WEIGHT_MAX;
        if is_wide {
            // Until layers are split.
            set_integers(integers, name, "weight", &rounded)?;
        } else {
            integers.insert(format!("{name}.weight"), bytes(&rounded));
        }
        let largest = max(&multiplier);
        set_integers(integers, name, "multiplier", &multiplier.into_dyn())?;
        if let Some(bias) = source.weights().get(&format!("{name}.bias")) {
            let scaled = bias.to_f64() / unit.clone().into_dyn() + mean_error.into_dyn();
            set_integers(integers, name, "bias", &scaled.mapv(f64::round))?;
        }
        Ok(Action::Rounded { bits: if is_wide { 16 } else { 8 }, multiplier: largest, error })
    }

    /// How the rows of each group of channels are rounded.
    fn roundings(&self, weight: &ArrayD<f64>, inputs: &LayerInputs) -> Result<Vec<Rounding>> {
        let wrong = |found: String| {
            let expected = "moments of the inputs of each group of channels".into();
            Error::Ir(IrError::Weight { name: self.name.into(), expected, found })
        };
        let groups = inputs.get(self.name).ok_or_else(|| wrong("none".into()))?;
        let size = weight.len() / self.unit.len().max(1);
        let fits = |moments: &InputMoments| {
            moments.sums.len() == size && moments.products.dim() == (size, size)
        };
        if groups.is_empty()
            || !self.unit.len().is_multiple_of(groups.len())
            || !groups.iter().all(fits)
        {
            let sizes: Vec<usize> = groups.iter().map(|moments| moments.sums.len()).collect();
            return Err(wrong(format!("groups of {sizes:?} inputs for rows of {size}")));
        }
        let has_bias = self.source.weights().contains_key(&format!("{}.bias", self.name));
        Ok(groups.iter().map(|moments| Rounding::new(moments, has_bias)).collect())
    }
}

fn max(values: &Array1<f64>) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Whole numbers within ±127 as weights.
#[expect(clippy::cast_possible_truncation, reason = "the caller keeps them within ±127")]
pub(super) fn bytes(integers: &ArrayD<f64>) -> Tensor {
    Tensor::I8(integers.mapv(|n| n as i8))
}

/// Writes into the plan how large sums can grow, and where libtorch needs f64 to be exact.
fn note_bounds(model: &Model, plan: &mut Plan) -> Result<()> {
    let streams = model.validate()?.streams()?;
    for (index, node) in model.graph().nodes.iter().enumerate() {
        let sum = streams.sums[index];
        if sum > 0.0 && !matches!(node.op, Op::Scale) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "sums are whole numbers from 1 to 2^31"
            )]
            let bits = sum.log2().ceil() as u32;
            let action = Action::SumBelow { bits, single_precision: sum < F32_EXACT };
            plan.note(&node.name, node.op.label(), action);
        }
    }
    Ok(())
}
