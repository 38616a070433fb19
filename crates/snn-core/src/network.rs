//! A model as tensors: parameters, and the forward pass for training and evaluation off the grid.

use crate::convert::{Pixels, weight};
use crate::error::{Error, Result};
use crate::interpreter::Interpreter;
use crate::monitor::{Monitor, Monitoring, SiteMonitor};
use crate::parameter::Parameter;
use crate::recompute;
use crate::record::{FiringRate, Record};
use crate::registry::Registry;
use crate::stateless::{merged_pixels, per_channel, split_time};
use crate::training::{Memory, Precision, Training};
use crate::walk::Value;
use snn_ir::model::{WeightSpec, weight_specs};
use snn_ir::{Form, Graph, Model, Preprocessing};
use tch::{Device, Kind, Tensor};

/// Weight of a new batch in the running statistics (PyTorch's default, which all surveyed recipes
/// keep).
pub const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// A network in the form `trained` or `events` on a device.
#[derive(Debug)]
pub struct Network {
    preprocessing: Preprocessing,
    interpreter: Interpreter,
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
    /// Class scores of every macro-step: `[T, B, classes]`, or `[1, B, classes]` if they do not
    /// vary.
    pub step_logits: Tensor,
}

impl Network {
    /// Takes a model to a device in a precision (`Float` or `Double`).
    ///
    /// # Errors
    /// The model is invalid or on the grid, has a neuron or surrogate of a user's own (see
    /// [`Network::with_registry`]), the kind is another one, or libtorch cannot allocate.
    pub fn new(model: &Model, device: Device, kind: Kind) -> Result<Self> {
        Self::with_registry(model, device, kind, &Registry::default())
    }

    /// Takes a model that may have neurons and surrogates of a user's own to a device in a
    /// precision (`Float` or `Double`).
    ///
    /// # Errors
    /// As [`Network::new`], or a name is not in the registry; the message names node and name.
    pub fn with_registry(
        model: &Model,
        device: Device,
        kind: Kind,
        registry: &Registry,
    ) -> Result<Self> {
        if !matches!(kind, Kind::Float | Kind::Double) {
            let expected = "Float or Double".into();
            return Err(Error::Argument { what: "kind", expected, found: format!("{kind:?}") });
        }
        if matches!(model.form(), Form::Grid { .. }) {
            let expected = "trained or events (the grid has an evaluator of its own)".into();
            return Err(Error::Argument {
                what: "form",
                expected,
                found: model.form().label().into(),
            });
        }
        let resolved = model.validate()?;
        registry.check(model.graph())?;
        let mut parameters = Vec::new();
        for WeightSpec { name, learned, .. } in
            weight_specs(model.graph(), &resolved, model.form())?
        {
            let tensor = weight(snn_ir::weights::get(model.weights(), &name)?, kind, device)?;
            parameters.push(Parameter {
                name,
                tensor: tensor.f_set_requires_grad(learned)?,
                learned,
            });
        }
        let graph = (model.form(), model.graph().clone(), resolved);
        let interpreter = Interpreter::new(
            graph,
            model.time_steps(),
            (device, kind),
            parameters,
            registry.clone(),
        );
        Ok(Self { preprocessing: model.preprocessing().clone(), interpreter })
    }

    /// The same network, which trains otherwise.
    ///
    /// # Errors
    /// The parameters are not in single precision, and activations are to be in bf16.
    pub fn with_training(mut self, training: Training) -> Result<Self> {
        if training.precision != Precision::F32 && self.kind() != Kind::Float {
            let expected = "f32, or the parameters of kind Float".into();
            return Err(Error::Argument {
                what: "precision",
                expected,
                found: format!("{:?}", self.kind()),
            });
        }
        self.interpreter.training = training;
        Ok(self)
    }

    /// The parameters in the order of the nodes.
    pub fn parameters(&self) -> &[Parameter] {
        &self.interpreter.parameters
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.interpreter.graph
    }

    /// Macro-steps T.
    pub fn time_steps(&self) -> usize {
        self.interpreter.time_steps
    }

    /// Where its tensors are.
    pub fn device(&self) -> Device {
        self.interpreter.device
    }

    /// Of its parameters.
    pub fn kind(&self) -> Kind {
        self.interpreter.kind
    }

    /// Class scores of a batch.
    ///
    /// # Errors
    /// The pixels do not fit the model, a batch is too small for batch statistics, or libtorch
    /// fails.
    pub fn forward(&self, pixels: &Pixels, mode: Mode) -> Result<Forward> {
        self.run(pixels, mode, None)
    }

    /// As [`Network::forward`], with the firing rate of every site in the order of the graph.
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
        Ok((forward, rates))
    }

    /// As [`Network::forward`], with what `monitor` asks for of every site in the order of the
    /// graph.
    ///
    /// # Errors
    /// As [`Network::forward`].
    ///
    /// ```
    /// # use snn_core::{Mode, Monitor, Network, Pixels, tch::{Device, Kind}};
    /// # use snn_ir::{Form, Input, Model, Preprocessing, Signature, models::SmallNet};
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
    pub(crate) fn run(
        &self,
        pixels: &Pixels,
        mode: Mode,
        record: Option<&mut dyn Record>,
    ) -> Result<Forward> {
        match mode {
            Mode::Train => self.interpret(pixels, mode, record),
            Mode::Evaluate => tch::no_grad(|| self.interpret(pixels, mode, record)),
        }
    }

    fn interpret(
        &self,
        pixels: &Pixels,
        mode: Mode,
        record: Option<&mut dyn Record>,
    ) -> Result<Forward> {
        let input = self.input(pixels, mode)?;
        let again = mode == Mode::Train && self.interpreter.training.memory == Memory::Recompute;
        let scores = match record {
            None if again => recompute::run(&self.interpreter, input)?,
            record => self.interpreter.run(input, mode, record)?,
        };
        let scores = scores.with(scores.data.f_to_kind(self.kind())?);
        let step_logits = split_time(&scores.data, scores.steps)?;
        let logits = match scores.steps {
            1 => scores.data,
            _ => step_logits.f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?,
        };
        Ok(Forward { logits, step_logits })
    }

    /// Eq. 1.
    fn input(&self, pixels: &Pixels, mode: Mode) -> Result<Value> {
        let shape = &self.interpreter.resolved.nodes[0].shape;
        pixels.check(shape, self.time_steps())?;
        let merged =
            merged_pixels(pixels.tensor(), shape)?.f_to(self.device())?.f_to_kind(self.kind())?;
        let mean: Vec<f64> = self.preprocessing.mean.iter().map(|&m| f64::from(m)).collect();
        let constant = |values: &[f64]| -> Result<Tensor> {
            let values =
                Tensor::f_from_slice(values)?.f_to_kind(self.kind())?.f_to(self.device())?;
            per_channel(&values, &merged)
        };
        let data = merged.f_sub(&constant(&mean)?)?.f_div_(&constant(&self.preprocessing.std)?)?;
        let data = data.f_to_kind(self.interpreter.activations(mode))?;
        Ok(Value { data, steps: if pixels.varies() { self.time_steps() } else { 1 } })
    }
}
