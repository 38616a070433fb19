//! A model as tensors: parameters, and the forward pass for training and evaluation off the grid.

mod batch_norm;
mod checkpointing;
mod dropout;
mod interpreter;
pub(crate) mod parameter;
pub(crate) mod schedule;
pub(crate) mod site;
pub(crate) mod stateless;
mod synchronised;
pub(crate) mod value;
mod weights;

use crate::device;
use crate::error::{Error, Result};
use crate::observe::activity::{Activities, SiteActivity};
use crate::observe::monitor::{Monitor, Monitoring, SiteMonitor};
use crate::observe::observer::{FiringRate, Observer};
use crate::options::{Checkpointing, Mode, NetworkOptions, Precision};
use crate::ranks::Ranks;
use crate::tensor::{Pixels, int, weight};
pub use dropout::DropoutKey;
use interpreter::{Interpreter, Setup};
use parameter::Parameter;
use snn_ir::{Encoder, Form, Graph, Model, Op, PartSpec, Readout, Stage, WeightSpec, weight_specs};
use stateless::{merged_pixels, per_channel, split_time};
use std::collections::HashMap;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};
use value::Value;

/// A network in the form `trained` or `events` on a device.
#[derive(Debug)]
pub struct Network {
    /// Mean and deviation of each input channel, `[C]`.
    constants: [Tensor; 2],
    encoder: Encoder,
    interpreter: Interpreter,
}

/// The result of a forward pass.
#[derive(Debug)]
pub struct Forward {
    /// Class scores as the head reads them out over macro-steps (eq. 7): `[B, classes]`.
    pub logits: Tensor,
    /// Class scores of every macro-step: `[T, B, classes]`, or `[1, B, classes]` if they do not
    /// vary.
    pub step_logits: Tensor,
}

impl Network {
    /// Loads a model onto a device with parameters of a kind (`Float` or `Double`).
    ///
    /// # Errors
    /// The model is invalid or on the grid, names a custom neuron or surrogate (see
    /// [`Network::with_options`]), the kind is another one, or libtorch cannot allocate.
    pub fn new(model: &Model, device: Device, kind: Kind) -> Result<Self> {
        Self::with_options(model, &NetworkOptions { kind, ..NetworkOptions::new(device) })
    }

    /// Loads a model with options: device and kind of the parameters, execution of training, custom
    /// neurons and surrogates.
    ///
    /// # Errors
    /// The model is invalid or on the grid, a custom neuron or surrogate is not in the registry
    /// (the message names node and neuron), the kind is neither `Float` nor `Double`, activations
    /// are to be in bf16 and the parameters are not `Float`, or libtorch cannot allocate.
    pub fn with_options(model: &Model, options: &NetworkOptions) -> Result<Self> {
        let NetworkOptions { device, kind, training, ref registry } = *options;
        if !matches!(kind, Kind::Float | Kind::Double) {
            let expected = "Float or Double".into();
            return Err(Error::Argument { what: "kind", expected, found: format!("{kind:?}") });
        }
        if training.precision != Precision::F32 && kind != Kind::Float {
            let expected = "f32, or the parameters of kind Float".into();
            let found = format!("{kind:?}");
            return Err(Error::Argument { what: "precision", expected, found });
        }
        if matches!(model.form(), Form::Grid { .. }) {
            let expected = "trained or events (Libtorch and GridNetwork take the grid)".into();
            let found = model.form().label().into();
            return Err(Error::Argument { what: "form", expected, found });
        }
        let resolved = model.validate()?.resolved();
        registry.check(model.graph())?;
        let mut parameters = Vec::new();
        for WeightSpec { name, part: PartSpec { learned, range, decays, .. }, .. } in
            weight_specs(model.graph(), resolved, model.form())?
        {
            let tensor = weight(snn_ir::weights::get(model.weights(), &name)?, kind, device)?;
            parameters.push(Parameter {
                name,
                tensor: tensor.f_set_requires_grad(learned)?,
                learned,
                range,
                decays,
            });
        }
        let mut interpreter = Interpreter::new(Setup {
            form: model.form(),
            graph: model.graph().clone(),
            resolved: resolved.clone(),
            time_steps: model.time_steps(),
            device,
            kind,
            parameters,
            registry: registry.clone(),
            training,
        });
        // Without kernels the operations of libtorch compute the same: `check_kernels` says why.
        if let (Device::Cuda(_), Ok(machine)) = (device, device::of(device)) {
            interpreter.set_machine(machine);
        }
        let snn_ir::Preprocessing { mean, std } = model.preprocessing();
        // Once: the host waits for each copy to a GPU.
        let constant = |values: &[f64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_to_kind(kind)?.f_to(device)?)
        };
        let mean: Vec<f64> = mean.iter().map(|&mean| f64::from(mean)).collect();
        let constants = [constant(&mean)?, constant(std)?];
        Ok(Self { constants, encoder: model.encoder(), interpreter })
    }

    /// Computes sites by kernels of a device.
    #[cfg(test)]
    pub(crate) fn set_machine(&mut self, machine: Arc<dyn device::Machine>) {
        self.interpreter.set_machine(machine);
    }

    /// The parameters in the order of the nodes.
    pub fn parameters(&self) -> &[Parameter] {
        &self.interpreter.parameters
    }

    /// The tensor of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Result<&Tensor> {
        self.interpreter.parameter(name)
    }

    /// The form of the model.
    pub(crate) fn form(&self) -> Form {
        self.interpreter.form
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.interpreter.graph
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        self.interpreter.time_steps
    }

    /// The device that holds the tensors.
    pub fn device(&self) -> Device {
        self.interpreter.device
    }

    /// The kind of the parameters.
    pub fn kind(&self) -> Kind {
        self.interpreter.kind
    }

    /// What the masks of dropout and drop-path are drawn from in the training passes from here on.
    /// Give each optimisation step its own; a network without dropout needs none.
    pub fn set_dropout_key(&mut self, key: DropoutKey) {
        self.interpreter.dropout_key = Some(key);
    }

    /// Makes the network one of several replicas, each of which has a part of every batch: in
    /// training passes it reads the statistics of all their parts, and its gradients are those of
    /// its part for the loss of all of them. A replica whose parameters are another's
    /// ([`Network::share_parameters`]) leaves the running statistics to that one.
    pub fn set_ranks(&mut self, ranks: Arc<dyn Ranks>) {
        self.interpreter.ranks = Some(ranks);
    }

    /// Computes with the parameters of another network of the same model from here on. Gradients
    /// are its own, and running statistics are left to the other one.
    ///
    /// # Errors
    /// Names or shapes differ; nothing has been changed then.
    pub fn share_parameters(&mut self, others: &[Parameter]) -> Result<()> {
        parameter::share(&mut self.interpreter.parameters, others)?;
        self.interpreter.keeps_statistics = false;
        Ok(())
    }

    /// Class scores of a batch.
    ///
    /// # Errors
    /// The pixels do not fit the model, a batch is too small for batch statistics, the graph has
    /// dropout and a training pass no key of its masks ([`Network::set_dropout_key`]), or libtorch
    /// fails.
    pub fn forward(&self, pixels: &Pixels, mode: Mode) -> Result<Forward> {
        self.run(pixels, mode, None)
    }

    /// [`Network::forward`] with the firing rate of every site in the order of the graph.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn forward_with_rates(
        &self,
        pixels: &Pixels,
        mode: Mode,
    ) -> Result<(Forward, Vec<FiringRate>)> {
        let mut rates = Vec::new();
        let forward = self.run(pixels, mode, Some(&mut rates))?;
        in_graph_order(self.graph(), &mut rates, |rate: &FiringRate| &rate.site);
        Ok((forward, rates))
    }

    /// [`Network::forward`] with the activity of every site but ReLUs, which have no largest
    /// output, in the order of the graph. The activities of a training pass have gradients. Every
    /// activation is kept for the backward pass, whatever
    /// [`TrainingOptions::checkpointing`](crate::TrainingOptions::checkpointing) says.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn forward_with_activity(
        &self,
        pixels: &Pixels,
        mode: Mode,
    ) -> Result<(Forward, Vec<SiteActivity>)> {
        let mut activities = Activities::of(self);
        let forward = self.run(pixels, mode, Some(&mut activities))?;
        Ok((forward, activities.finish()))
    }

    /// [`Network::forward`] with the values that `monitor` requests of every site in the order of
    /// the graph.
    ///
    /// # Errors
    /// As [`Network::forward`].
    ///
    /// ```
    /// # use snn_core::{Mode, Monitor, Network, Pixels, tch::{Device, Kind}};
    /// # use snn_ir::{Form, Input, Model, Preprocessing, Signature, networks::SmallNet};
    /// # let graph = SmallNet { width: 4, ..SmallNet::default() }.build();
    /// # let weights = graph.initial_weights(1)?;
    /// # let preprocessing = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
    /// # let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    /// # let images = ndarray::ArrayD::<u8>::from_elem(vec![8, 3, 16, 16], 200);
    /// # let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu)?;
    /// let network = Network::new(&model, Device::Cpu, Kind::Float)?;
    /// let monitor = Monitor { membranes: true, gradients: true, ..Monitor::default() };
    /// let (forward, sites) = network.forward_monitored(&pixels, Mode::Train, monitor)?;
    /// forward.logits.f_square()?.f_sum(Kind::Float)?.f_backward()?;
    /// for site in &sites {
    ///     let norm = site.gradient_norm()?;
    ///     assert!(norm.is_some() && site.membranes.is_some());
    ///     println!("{}: {} {:?}", site.site, site.firing_rate, site.warning);
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
        in_graph_order(self.graph(), &mut monitoring.sites, |site| &site.site);
        Ok((forward, monitoring.sites))
    }

    /// The forward pass; `observer` is told of every site.
    pub(crate) fn run(
        &self,
        pixels: &Pixels,
        mode: Mode,
        observer: Option<&mut dyn Observer>,
    ) -> Result<Forward> {
        match mode {
            Mode::Train => self.interpret(pixels, mode, observer),
            Mode::Evaluate | Mode::EvaluateFast => {
                tch::no_grad(|| self.interpret(pixels, mode, observer))
            }
        }
    }

    fn interpret(
        &self,
        pixels: &Pixels,
        mode: Mode,
        observer: Option<&mut dyn Observer>,
    ) -> Result<Forward> {
        let input = self.input(pixels, mode)?;
        let checkpointed =
            mode == Mode::Train && self.interpreter.training.checkpointing != Checkpointing::Off;
        let scores = match observer {
            None if checkpointed => checkpointing::run(&self.interpreter, input)?,
            observer => self.interpreter.run(input, mode, observer)?,
        };
        let scores = scores.with(scores.data.f_to_kind(self.kind())?);
        let step_logits = split_time(&scores.data, scores.steps)?;
        let logits = match (scores.steps, self.graph().readout()) {
            (1, _) => scores.data,
            (_, Readout::Mean) => {
                step_logits.f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?
            }
            (steps, Readout::Last) => step_logits.f_select(0, int(steps - 1))?,
            // The gradient goes to the one step that is largest.
            (_, Readout::Max) => step_logits.f_max_dim(0, false)?.0,
        };
        Ok(Forward { logits, step_logits })
    }

    /// Eq. 1.
    fn input(&self, pixels: &Pixels, mode: Mode) -> Result<Value> {
        let shape = &self.interpreter.resolved.nodes[0].shape;
        pixels.check_encoded(self.encoder)?;
        pixels.check(shape, self.time_steps())?;
        let merged =
            merged_pixels(pixels.tensor(), shape)?.f_to(self.device())?.f_to_kind(self.kind())?;
        let [mean, std] = &self.constants;
        let [mean, std] = [per_channel(mean, &merged)?, per_channel(std, &merged)?];
        let data = merged.f_sub(&mean)?.f_div_(&std)?;
        let data = data.f_to_kind(self.interpreter.activations(mode))?;
        Ok(Value::new(data, if pixels.varies() { self.time_steps() } else { 1 }))
    }
}

/// Checks that a model has nothing that can be evaluated but not trained.
///
/// # Errors
/// The model is invalid, or a batch norm stands in a recurrence: the message names it.
pub fn check_training(model: &Model) -> Result<()> {
    let resolved = model.validate()?.resolved();
    let looped = resolved.stages().into_iter().filter_map(|stage| match stage {
        Stage::Loop(nodes) => Some(nodes),
        Stage::AtOnce(_) => None,
    });
    for node in looped.flatten().map(|node| &model.graph().nodes[node]) {
        if matches!(node.op, Op::BatchNorm { .. }) {
            return Err(stateless::refused(node, interpreter::NORM_IN_RECURRENCE));
        }
    }
    Ok(())
}

/// Sorts what was seen of sites: around recurrences they are computed in another order.
pub(crate) fn in_graph_order<V>(graph: &Graph, seen: &mut [V], site: impl Fn(&V) -> &String) {
    if !graph.nodes.iter().any(|node| matches!(node.op, Op::Delay { .. })) {
        return;
    }
    let places: HashMap<&String, usize> =
        graph.nodes.iter().enumerate().map(|(place, node)| (&node.name, place)).collect();
    seen.sort_by_key(|value| places.get(site(value)).copied());
}
