//! A model as tensors: parameters, and the forward pass for training and evaluation off the grid.

use crate::convert::{Pixels, weight};
use crate::error::{Error, Result};
use crate::fused::{BatchNorm, Moments, Term};
use crate::monitor::{Monitor, Monitoring, SiteMonitor};
use crate::parameter::Parameter;
use crate::real_site::{SiteContext, real_site};
use crate::record::{FiringRate, Record};
use crate::registry::Registry;
use crate::stateless::{convolve, merged_pixels, per_channel, refused, split_time, stateless};
use crate::walk::{Read, Step, Value, every_node, fused_sites, walk};
use snn_ir::model::{WeightSpec, weight_specs};
use snn_ir::{Form, Graph, Model, Op, Preprocessing, Resolved};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// Weight of a new batch in the running statistics (PyTorch's default, which all surveyed recipes keep).
pub const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// A network in the form `trained` or `events` on a device.
#[derive(Debug)]
pub struct Network {
    form: Form,
    pub(crate) graph: Graph,
    resolved: Resolved,
    time_steps: usize,
    preprocessing: Preprocessing,
    pub(crate) device: Device,
    pub(crate) kind: Kind,
    pub(crate) parameters: Vec<Parameter>,
    index: HashMap<String, usize>,
    registry: Registry,
    every_node: Vec<Step>,
    fused_sites: Vec<Step>,
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Gradients; batch norm uses batch statistics and updates the running ones.
    Train,
    /// No gradients; batch norm uses running statistics.
    Evaluate,
}

/// What a forward pass returns.
#[derive(Debug)]
pub struct Forward {
    /// Class scores, the mean over macro-steps (eq. 7): `[B, classes]`.
    pub logits: Tensor,
    /// Class scores of every macro-step: `[T, B, classes]`, or `[1, B, classes]` if they do not vary.
    pub step_logits: Tensor,
}

impl Network {
    /// Takes a model to a device in a precision (`Float` or `Double`).
    ///
    /// # Errors
    /// The model is invalid or on the grid, has a neuron or surrogate of a user's own (see [`Network::with_registry`]), the kind is another one, or libtorch cannot
    /// allocate.
    pub fn new(model: &Model, device: Device, kind: Kind) -> Result<Self> {
        Self::with_registry(model, device, kind, &Registry::default())
    }

    /// Takes a model that may have neurons and surrogates of a user's own to a device in a precision (`Float` or `Double`).
    ///
    /// # Errors
    /// As [`Network::new`], or a name is not in the registry; the message names node and name.
    pub fn with_registry(model: &Model, device: Device, kind: Kind, registry: &Registry) -> Result<Self> {
        if !matches!(kind, Kind::Float | Kind::Double) {
            let expected = "Float or Double".into();
            return Err(Error::Argument { what: "kind", expected, found: format!("{kind:?}") });
        }
        if matches!(model.form, Form::Grid { .. }) {
            let expected = "trained or events (the grid has an evaluator of its own)".into();
            return Err(Error::Argument { what: "form", expected, found: model.form.label().into() });
        }
        let resolved = model.validate()?;
        registry.check(&model.graph)?;
        let (every_node, fused_sites) = (every_node(&resolved), fused_sites(&model.graph, &resolved));
        let mut network = Self {
            form: model.form,
            graph: model.graph.clone(),
            resolved,
            time_steps: model.time_steps,
            preprocessing: model.preprocessing.clone(),
            device,
            kind,
            parameters: Vec::new(),
            index: HashMap::new(),
            registry: registry.clone(),
            every_node,
            fused_sites,
        };
        for WeightSpec { name, learned, .. } in weight_specs(&model.graph, &network.resolved, model.form)? {
            let tensor = weight(snn_ir::weights::get(&model.weights, &name)?, kind, device)?;
            let tensor = tensor.f_set_requires_grad(learned)?;
            network.index.insert(name.clone(), network.parameters.len());
            network.parameters.push(Parameter { name, tensor, learned });
        }
        Ok(network)
    }

    /// The parameters in the order of the nodes.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        self.time_steps
    }

    /// Where its tensors are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Class scores of a batch.
    ///
    /// # Errors
    /// The pixels do not fit the model, a batch is too small for batch statistics, or libtorch fails.
    pub fn forward(&self, pixels: &Pixels, mode: Mode) -> Result<Forward> {
        self.run(pixels, mode, None)
    }

    /// As [`Network::forward`], with the firing rate of every site in the order of the graph.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn forward_with_rates(&self, pixels: &Pixels, mode: Mode) -> Result<(Forward, Vec<FiringRate>)> {
        let mut rates = Vec::new();
        let forward = self.run(pixels, mode, Some(&mut rates))?;
        Ok((forward, rates))
    }

    /// As [`Network::forward`], with what `monitor` asks for of every site in the order of the graph.
    ///
    /// # Errors
    /// As [`Network::forward`].
    ///
    /// ```
    /// # use snn_core::{Mode, Monitor, Network, Pixels, tch::{Device, Kind}};
    /// # use snn_ir::{Form, Input, Model, Preprocessing, models::SmallNet};
    /// # let graph = SmallNet { width: 4, ..SmallNet::default() }.build();
    /// # let weights = graph.initial_weights(1)?;
    /// # let preprocessing = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
    /// # let model = Model { form: Form::Trained, graph, weights, time_steps: 2, preprocessing, classes: Vec::new() };
    /// # let images = ndarray::ArrayD::<u8>::from_elem(vec![8, 3, 16, 16], 200);
    /// # let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu)?;
    /// let network = Network::new(&model, Device::Cpu, Kind::Float)?;
    /// let monitor = Monitor { membranes: true, gradients: true, ..Monitor::default() };
    /// let (forward, sites) = network.forward_monitored(&pixels, Mode::Train, monitor)?;
    /// forward.logits.f_square()?.f_sum(Kind::Float)?.f_backward()?;
    /// for site in &sites {
    ///     let norm = site.gradient_norm()?;
    ///     assert!(norm.is_some() && site.membranes.is_some(), "{}: {} {:?}", site.site, site.firing_rate, site.warning);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forward_monitored(
        &self,
        pixels: &Pixels,
        mode: Mode,
        monitor: Monitor,
    ) -> Result<(Forward, Vec<SiteMonitor>)> {
        let mut monitoring = Monitoring { monitor, sites: Vec::new() };
        let forward = self.run(pixels, mode, Some(&mut monitoring))?;
        Ok((forward, monitoring.sites))
    }

    /// The forward pass; `record` hears of every site.
    pub(crate) fn run(&self, pixels: &Pixels, mode: Mode, record: Option<&mut dyn Record>) -> Result<Forward> {
        match mode {
            Mode::Train => self.interpret(pixels, mode, record),
            Mode::Evaluate => tch::no_grad(|| self.interpret(pixels, mode, record)),
        }
    }

    fn interpret(&self, pixels: &Pixels, mode: Mode, mut record: Option<&mut dyn Record>) -> Result<Forward> {
        let input = self.input(pixels)?;
        let wants = record.as_ref().map(|record| record.wants()).unwrap_or_default();
        let steps = if mode == Mode::Train && self.device == Device::Cpu && !wants.ties && !wants.membranes {
            &self.fused_sites
        } else {
            &self.every_node
        };
        let scores = walk(&self.graph, steps, input, |step, inputs| {
            let (node, info) = (&self.graph.nodes[step.node], &self.resolved.nodes[step.node]);
            let x = &inputs[0];
            match &node.op {
                Op::Conv(conv) => {
                    let bias = if conv.bias { Some(self.part(&node.name, "bias")?) } else { None };
                    Ok(x.with(convolve(&x.data, self.part(&node.name, "weight")?, bias, conv)?))
                }
                Op::Linear { bias, .. } => {
                    let bias = if *bias { Some(self.part(&node.name, "bias")?) } else { None };
                    Ok(x.with(x.data.f_linear(self.part(&node.name, "weight")?, bias)?))
                }
                Op::Scale => Ok(x.with(x.data.f_mul(&per_channel(self.part(&node.name, "weight")?, &x.data)?)?)),
                Op::BatchNorm { eps } => Ok(x.with(self.batch_norm(&node.name, &x.data, mode, *eps)?)),
                Op::Activation { site, code } => {
                    let context = SiteContext {
                        info,
                        coded: code.is_some(),
                        time_steps: self.time_steps,
                        parameter: &|part| self.part(&node.name, part),
                        registry: &self.registry,
                    };
                    let moments = step.reads.iter().zip(inputs).map(|(read, value)| self.moments(read, value));
                    let moments = moments.collect::<Result<Vec<_>>>()?;
                    let terms = step.reads.iter().zip(inputs).zip(&moments);
                    let terms = terms.map(|((read, value), moments)| {
                        let norm = read.norm.zip(moments.as_ref()).map(|(norm, moments)| self.norm(norm, moments));
                        Ok(Term { data: &value.data, steps: value.steps, norm: norm.transpose()? })
                    });
                    real_site(site, &context, &terms.collect::<Result<Vec<_>>>()?, &mut record)
                        .and_then(|value| value.ok_or_else(|| refused(node, "is a site of the grid")))
                }
                Op::Pool { .. } | Op::GlobalPool { .. } | Op::Flatten | Op::Add | Op::Concat => stateless(node, inputs),
                Op::Input { .. } | Op::TimeMean => Err(refused(node, "can only stand at an end of the graph")),
            }
        })?;
        let step_logits = split_time(&scores.data, scores.steps)?;
        let logits = match scores.steps {
            1 => scores.data,
            _ => step_logits.f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?,
        };
        Ok(Forward { logits, step_logits })
    }

    /// Eq. 1.
    fn input(&self, pixels: &Pixels) -> Result<Value> {
        let shape = &self.resolved.nodes[0].shape;
        pixels.check(shape, self.time_steps)?;
        let merged = merged_pixels(pixels.tensor(), shape)?.f_to(self.device)?.f_to_kind(self.kind)?;
        let mean: Vec<f64> = self.preprocessing.mean.iter().map(|&m| f64::from(m)).collect();
        let constant = |values: &[f64]| -> Result<Tensor> {
            let values = Tensor::f_from_slice(values)?.f_to_kind(self.kind)?.f_to(self.device)?;
            per_channel(&values, &merged)
        };
        let data = merged.f_sub(&constant(&mean)?)?.f_div_(&constant(&self.preprocessing.std)?)?;
        Ok(Value { data, steps: if pixels.varies() { self.time_steps } else { 1 } })
    }

    /// The moments of what a site reads through a batch norm, which take the running ones a step on.
    fn moments(&self, read: &Read, value: &Value) -> Result<Option<Moments>> {
        let Some(norm) = read.norm else { return Ok(None) };
        enough_for_statistics(&value.data)?;
        let moments = Moments::of(&value.data)?.ok_or_else(|| Error::Torch("moments of other than floats".into()))?;
        let node = &self.graph.nodes[norm].name;
        let unbiased = moments.count as f64 / (moments.count as f64 - 1.0);
        let variance: Vec<f64> = moments.variance.iter().map(|variance| variance * unbiased).collect();
        for (part, batch) in [("running_mean", &moments.mean), ("running_var", &variance)] {
            let running = self.part(node, part)?;
            let batch = Tensor::f_from_slice(batch)?.f_to_kind(running.f_kind()?)?;
            let _same_tensor = tch::no_grad(|| running.shallow_clone().f_lerp_(&batch, BATCH_NORM_MOMENTUM))?;
        }
        Ok(Some(moments))
    }

    fn norm<'n>(&'n self, index: usize, moments: &'n Moments) -> Result<BatchNorm<'n>> {
        let node = &self.graph.nodes[index];
        let Op::BatchNorm { eps } = node.op else { return Err(refused(node, "is no batch norm")) };
        Ok(BatchNorm { weight: self.part(&node.name, "weight")?, bias: self.part(&node.name, "bias")?, eps, moments })
    }

    /// Eq. 4.
    fn batch_norm(&self, node: &str, x: &Tensor, mode: Mode, eps: f64) -> Result<Tensor> {
        let part = |part| self.part(node, part).map(Some);
        let train = mode == Mode::Train;
        if train {
            enough_for_statistics(x)?;
        }
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let (scale, shift) = (part("weight")?, part("bias")?);
        Ok(x.f_batch_norm(scale, shift, mean, variance, train, BATCH_NORM_MOMENTUM, eps, true)?)
    }

    fn part(&self, node: &str, part: &str) -> Result<&Tensor> {
        let name = format!("{node}.{part}");
        match self.index.get(&name) {
            Some(&position) => Ok(&self.parameters[position].tensor),
            None => Err(snn_ir::Error::MissingWeight { name, expected: format!("form {}", self.form.label()) }.into()),
        }
    }
}

fn enough_for_statistics(x: &Tensor) -> Result<()> {
    let size = x.size();
    if x.numel() >= 2 * usize::try_from(size[1]).unwrap_or(1) {
        return Ok(());
    }
    let expected = "two values or more of each channel, for the statistics of a batch".into();
    Err(Error::Shape { what: "input of batch norm", expected, found: size })
}
