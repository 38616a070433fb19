//! Training on the grid: integers forward, a gradient straight through their rounding
//! (`docs/semantics.md`, eqs. 12 and 13).

use crate::error::{Error, Result};
use crate::grid::scale::units;
use crate::grid::{GridInterpreter, Substitute, WeightUse};
use crate::network::parameter::{Parameter, share};
use crate::neuron::registry::Registry;
use crate::neuron::surrogate::SurrogateGradient;
use crate::observe::activity::{Activities, SiteActivity};
use crate::observe::observer::Observer;
use crate::options::Mode;
use crate::tensor::with_values;
use crate::tensor::{Pixels, array, int, weight};
use ndarray::ArrayD;
use snn_ir::GRID_WEIGHT_MAX;
use snn_ir::{Form, Model, Op, Range, Surrogate};
use tch::{Device, Kind, Tensor};

/// A model on the grid whose weights learn.
///
/// Each convolution and linear layer has a *shadow* of its integer weights `n` and bias `b`, and
/// the forward pass uses its rounding:
///
/// ```text
/// n = clip(round(w / (M·v)), −127, 127)        b = round(β / v)
/// ```
///
/// `M` is the multiplier of the output channel and `v` the value of one unit of the accumulator it
/// feeds: `1/θ` where a LIF site reads it, one over the mean spacing of the thresholds where a
/// QuantRelu does, the unit of the logits at the head. So shadows have the size of the trained
/// weights, batch norm folded, relative to a threshold (or step) of 1. Their inputs do not have the
/// size of the trained network's (the stem reads raw pixels, the head sums over an image), so a
/// trainer must scale rates layer by layer, as snn-train does. Thresholds, multipliers, one-to-one
/// synapses, units, leaks and guard bits are frozen.
///
/// Gradients: rounding, the floor of leaks and saturation pass them on; a LIF site has those of its
/// counterpart off the grid with `u/θ` for `u` and 1 for `θ`, a reset is a constant; a level of a
/// QuantRelu has the slope of the line through its thresholds, half a spacing beyond them at most.
#[derive(Debug)]
pub struct GridNetwork {
    model: Model,
    grid: GridInterpreter,
    logit_unit: f64,
    parameters: Vec<Parameter>,
    layers: Vec<TunedLayer>,
}

/// Where the shadows of a layer are and what one integer of them is worth.
#[derive(Debug)]
struct TunedLayer {
    node: usize,
    weight: usize,
    bias: Option<usize>,
    /// `M·v`, `[O, 1, …]`.
    weight_unit: Tensor,
    /// `v`, `[O]`.
    bias_unit: Tensor,
}

/// Result of a forward pass on the grid.
#[derive(Debug)]
pub struct GridForward {
    /// `unit · Σ_t J[t] / T` in double precision, with gradient in training: `[B, classes]`; of
    /// heads that do not sum `unit · J`.
    pub logits: Tensor,
    /// `Σ_t J[t]`, or the last or largest `J[t]`, exact integers in double precision:
    /// `[B, classes]`.
    pub sums: Tensor,
}

impl GridNetwork {
    /// Loads a model on the grid onto a device, with the default surrogate.
    ///
    /// # Errors
    /// The model is invalid or not on the grid, or libtorch cannot allocate.
    pub fn new(model: &Model, device: Device) -> Result<Self> {
        let surrogate = SurrogateGradient::new(&Surrogate::default(), &Registry::default())?;
        Self::with_surrogate(model, device, surrogate)
    }

    /// Loads a model on the grid onto a device; the argument of the surrogate is in units of the
    /// threshold.
    ///
    /// # Errors
    /// The model is invalid or not on the grid, or libtorch cannot allocate.
    pub fn with_surrogate(
        model: &Model,
        device: Device,
        surrogate: SurrogateGradient,
    ) -> Result<Self> {
        let mut grid = GridInterpreter::new(model, device, WeightUse::FineTuning)?;
        grid.set_surrogate(surrogate);
        let Form::Grid { logit_unit } = model.form() else {
            return Err(Error::Argument {
                what: "form",
                expected: "grid".into(),
                found: model.form().label().into(),
            });
        };
        let units = units(model, &grid.resolved)?;
        let mut network = Self {
            model: model.clone(),
            grid,
            logit_unit,
            parameters: Vec::new(),
            layers: Vec::new(),
        };
        for (index, unit) in units.iter().enumerate() {
            if matches!(model.graph().nodes[index].op, Op::Conv(_) | Op::Linear { .. }) {
                network.add_layer(index, unit)?;
            }
        }
        Ok(network)
    }

    fn add_layer(&mut self, index: usize, unit: &[f64]) -> Result<()> {
        let node = &self.model.graph().nodes[index];
        let device = self.grid.device;
        let weights = self.model.weights();
        let name = |part: &str| format!("{}.{part}", node.name);
        let load = |part: &str| -> Result<Tensor> {
            weight(snn_ir::weights::get(weights, &name(part))?, Kind::Double, device)
        };
        let has_bias = weights.contains_key(&name("bias"));
        let integers = load("weight")?;
        let mut broadcast = vec![1_i64; integers.dim()];
        broadcast[0] = int(unit.len());
        let bias_unit = Tensor::f_from_slice(unit)?.f_to(device)?;
        let weight_unit = load("multiplier")?.f_mul(&bias_unit)?.f_view(broadcast.as_slice())?;
        // Half a unit of a weight is far above the rounding of f32; a bias has up to 31 bits and
        // stays f64.
        let shadow = integers.f_mul(&weight_unit)?.f_to_kind(Kind::Float)?;
        let mut parameters = vec![("weight", shadow)];
        if has_bias {
            parameters.push(("bias", load("bias")?.f_mul(&bias_unit)?));
        }
        let first = self.parameters.len();
        for (part, shadow) in parameters {
            let name = format!("{}.{part}", node.name);
            self.parameters.push(Parameter {
                name,
                tensor: shadow.f_set_requires_grad(true)?,
                learned: true,
                range: Range::Finite,
                decays: part == "weight",
            });
        }
        let bias = has_bias.then_some(first + 1);
        self.layers.push(TunedLayer { node: index, weight: first, bias, weight_unit, bias_unit });
        Ok(())
    }

    /// The shadows in the order of the nodes: weights f32, biases f64.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Computes with the shadows of another network of the same model from here on; gradients are
    /// its own.
    ///
    /// # Errors
    /// Names or shapes differ; nothing has been changed then.
    pub fn share_parameters(&mut self, others: &[Parameter]) -> Result<()> {
        share(&mut self.parameters, others)
    }

    /// Class scores of a batch, by the same integers as [`crate::Libtorch`] computes of
    /// [`GridNetwork::model`].
    ///
    /// # Errors
    /// The pixels do not fit the model, or libtorch fails.
    pub fn forward(&self, pixels: &Pixels, mode: Mode) -> Result<GridForward> {
        match mode {
            Mode::Train => self.interpret(pixels, None),
            Mode::Evaluate | Mode::EvaluateFast => tch::no_grad(|| self.interpret(pixels, None)),
        }
    }

    /// [`GridNetwork::forward`] in training, with the activity of every site in the order of the
    /// graph.
    ///
    /// # Errors
    /// As [`GridNetwork::forward`].
    pub fn forward_with_activity(
        &self,
        pixels: &Pixels,
    ) -> Result<(GridForward, Vec<SiteActivity>)> {
        let mut activities = Activities::of_levels(&self.grid.graph);
        let forward = self.interpret(pixels, Some(&mut activities))?;
        Ok((forward, activities.finish()))
    }

    fn interpret(
        &self,
        pixels: &Pixels,
        observer: Option<&mut dyn Observer>,
    ) -> Result<GridForward> {
        let mut substitutes: Vec<Option<Substitute>> =
            self.grid.graph.nodes.iter().map(|_| None).collect();
        for layer in &self.layers {
            substitutes[layer.node] = Some(self.substitute(layer)?);
        }
        let sums = self.grid.run(pixels, observer, &|index| substitutes[index].as_ref())?;
        let divisor = self.grid.graph.readout().divisor(self.grid.time_steps as u64);
        let logits = sums.f_mul_scalar(self.logit_unit / divisor as f64)?;
        Ok(GridForward { logits, sums: sums.f_detach()? })
    }

    fn substitute(&self, layer: &TunedLayer) -> Result<Substitute> {
        let weight = self.rounded(layer.weight, &layer.weight_unit)?;
        let bias = layer.bias.map(|bias| self.rounded(bias, &layer.bias_unit)).transpose()?;
        let spatial = self.grid.resolved.nodes[layer.node].shape.len() > 1;
        let shape: &[i64] = if spatial { &[1, -1, 1, 1] } else { &[1, -1] };
        Ok(Substitute {
            weight: weight.f_to_kind(self.grid.sum_kind(layer.node))?,
            bias: bias.map(|bias| bias.f_view(shape)).transpose()?,
        })
    }

    /// Integers in double precision, with the gradient of the quotient.
    fn rounded(&self, parameter: usize, unit: &Tensor) -> Result<Tensor> {
        let shadow = &self.parameters[parameter].tensor;
        let is_weight = shadow.f_kind()? == Kind::Float;
        let limit = if is_weight { f64::from(GRID_WEIGHT_MAX) } else { f64::from(i32::MAX) };
        let quotient = shadow.f_to_kind(Kind::Double)?.f_div(unit)?;
        with_values(quotient, |values| {
            let _in_place = values.f_round_()?.f_clamp_(-limit, limit)?;
            Ok(())
        })
    }

    /// Moves shadows of weights that an optimiser took beyond ±127 units back there, where they can
    /// return from. Call it after every step.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn project(&mut self) -> Result<()> {
        tch::no_grad(|| {
            for layer in &self.layers {
                let limit = layer
                    .weight_unit
                    .f_mul_scalar(f64::from(GRID_WEIGHT_MAX))?
                    .f_to_kind(Kind::Float)?;
                let shadow = &mut self.parameters[layer.weight].tensor;
                let inside = shadow.f_minimum(&limit)?.f_maximum(&limit.f_neg()?)?;
                shadow.f_copy_(&inside)?;
            }
            Ok(())
        })
    }

    /// The model on the grid with the weights as they are now.
    ///
    /// # Errors
    /// The new weights allow an accumulator to overflow (`Model::validate`), or libtorch fails.
    pub fn model(&self) -> Result<Model> {
        let mut model = self.model.clone();
        for layer in &self.layers {
            let integers: ArrayD<i8> = self.integers(layer.weight, &layer.weight_unit)?;
            model
                .weights_mut()
                .insert(self.parameters[layer.weight].name.clone(), snn_ir::Tensor::I8(integers));
            if let Some(bias) = layer.bias {
                let integers: ArrayD<i32> = self.integers(bias, &layer.bias_unit)?;
                model
                    .weights_mut()
                    .insert(self.parameters[bias].name.clone(), snn_ir::Tensor::I32(integers));
            }
        }
        model.validate()?;
        Ok(model)
    }

    fn integers<T: tch::kind::Element + Clone + Default>(
        &self,
        parameter: usize,
        unit: &Tensor,
    ) -> Result<ArrayD<T>> {
        tch::no_grad(|| array(&self.rounded(parameter, unit)?))
    }

    /// Overwrites the shadows in place, as [`GridNetwork::shadows`] gave them.
    ///
    /// # Errors
    /// A shadow is missing or has another shape.
    pub fn load(&mut self, shadows: &snn_ir::Weights) -> Result<()> {
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                let kind = parameter.tensor.f_kind()?;
                let value = weight(
                    snn_ir::weights::get(shadows, &parameter.name)?,
                    kind,
                    self.grid.device,
                )?;
                if value.size() != parameter.tensor.size() {
                    let expected = format!("{:?} of `{}`", parameter.tensor.size(), parameter.name);
                    return Err(Error::Shape { what: "shadows", expected, found: value.size() });
                }
                parameter.tensor.f_copy_(&value)?;
            }
            Ok(())
        })
    }

    /// A copy of the shadows, for a checkpoint.
    ///
    /// # Errors
    /// libtorch cannot copy.
    pub fn shadows(&self) -> Result<snn_ir::Weights> {
        self.parameters
            .iter()
            .map(|parameter| {
                let values = match parameter.tensor.f_kind()? {
                    Kind::Double => snn_ir::Tensor::F64(array(&parameter.tensor)?),
                    _ => snn_ir::Tensor::F32(array(&parameter.tensor)?),
                };
                Ok((parameter.name.clone(), values))
            })
            .collect()
    }
}
