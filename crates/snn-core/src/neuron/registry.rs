//! The registry of custom neurons and surrogate gradients: a value that is passed to networks.
//!
//! A neuron end to end, in both forms: trained here, and checked against the naive evaluator.
//!
//! ```
//! use snn_core::tch::{Device, Kind, Tensor};
//! use snn_core::{
//!     Libtorch, Mode, Network, NetworkOptions, Pixels, Registry, Result, TensorNeuron,
//!     TensorParameters, surrogate,
//! };
//! use snn_ir::networks::SmallNet;
//! use snn_ir::Naive;
//! use snn_ir::{Custom, LearnedParam};
//! use snn_ir::{Evaluate, Form, Input, Model, Neuron, NeuronKind, Neurons, Op};
//! use snn_ir::{Preprocessing, Record, Signature, Site, Surrogate};
//! use std::collections::BTreeMap;
//!
//! /// Leaks a constant amount: `u[t] = max(u[t−1] − loss, 0) + I[t]`, a spike at `u ≥ θ`, reset
//! /// to 0; θ is learned.
//! #[derive(Debug)]
//! struct Linear;
//!
//! impl TensorNeuron for Linear {
//!     fn step(
//!         &self,
//!         parameters: &TensorParameters<'_>,
//!         current: &Tensor,
//!         state: Option<Vec<Tensor>>,
//!     ) -> Result<(Tensor, Vec<Tensor>)> {
//!         let loss = parameters.number("loss")?;
//!         let u = match state.and_then(|mut state| state.pop()) {
//!             Some(before) => before.f_sub_scalar(loss)?.f_clamp_min(0.0)?.f_add(current)?,
//!             None => current.shallow_clone(),
//!         };
//!         let distance = u.f_sub(parameters.learned("theta")?)?;
//!         let spikes = surrogate::spike(&distance, &Surrogate::default())?;
//!         let after = u.f_masked_fill(&spikes.f_detach()?.f_ne(0.0)?, 0.0)?;
//!         Ok((spikes, vec![after]))
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct LinearNeuron {
//!     loss: f64,
//!     theta: f64,
//! }
//!
//! impl NeuronKind for Linear {
//!     fn neuron(
//!         &self,
//!         parameters: &BTreeMap<String, f64>,
//!     ) -> std::result::Result<Box<dyn Neuron>, String> {
//!         let get = |name: &str| parameters.get(name).copied().ok_or(format!("no `{name}`"));
//!         Ok(Box::new(LinearNeuron { loss: get("loss")?, theta: get("theta")? }))
//!     }
//! }
//!
//! impl Neuron for LinearNeuron {
//!     fn rest(&self) -> Vec<f64> {
//!         vec![0.0]
//!     }
//!
//!     fn step(&self, state: &mut [f64], current: f64) -> i16 {
//!         let u = (state[0] - self.loss).max(0.0) + current;
//!         let fires = u - self.theta >= 0.0;
//!         state[0] = if fires { 0.0 } else { u };
//!         i16::from(fires)
//!     }
//! }
//!
//! // The graph has its name, its parameters and, by default, that it emits 0 or 1.
//! let theta = LearnedParam { initial: 0.5, share: Default::default() };
//! let linear = Custom {
//!     params: BTreeMap::from([("loss".into(), 0.1)]),
//!     learned: BTreeMap::from([("theta".into(), theta)]),
//!     ..Custom::new("linear")
//! };
//! let mut graph = SmallNet { width: 4, ..SmallNet::default() }.build();
//! for node in &mut graph.nodes {
//!     if let Op::Activation { site, .. } = &mut node.op {
//!         *site = Site::Custom(linear.clone());
//!     }
//! }
//! let weights = graph.initial_weights(1)?;
//! let preprocessing = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
//! let model = Model::new(Signature::new(Form::Trained, graph, 3, preprocessing), weights);
//! let images = ndarray::ArrayD::<u8>::from_shape_fn(vec![4, 3, 16, 16], |at| {
//!     (at[0] * 91 + at[2] * 37 + at[3] * 53) as u8
//! });
//! let input = Input::Static(images.view());
//!
//! let registry = Registry::default().with_neuron("linear", Linear);
//! let options =
//!     NetworkOptions { kind: Kind::Double, registry, ..NetworkOptions::new(Device::Cpu) };
//! let network = Network::with_options(&model, &options)?;
//! let forward = network.forward(&Pixels::new(&input, Device::Cpu)?, Mode::Train)?;
//! forward.logits.f_square()?.f_sum(Kind::Double)?.f_backward()?;
//! let mut parameters = network.parameters().iter();
//! let theta = parameters.find(|p| p.name.ends_with(".theta")).ok_or("no weight")?;
//! assert!(theta.tensor.f_grad()?.f_double_value(&[0])? != 0.0);
//!
//! let neurons = Neurons::default().with("linear", Linear);
//! let naive = Naive::with_neurons(&model, &neurons)?.evaluate(&input, Record::Sites)?;
//! let torch = Libtorch::with_options(&model, &options)?.evaluate(&input, Record::Sites)?;
//! assert!(naive.sites.iter().any(|site| site.output.active() > 0));
//! assert!(naive.sites.iter().zip(&torch.sites).all(|(a, b)| a.output == b.output));
//!
//! // Without it the error names the node and the neuron.
//! let error = Network::new(&model, Device::Cpu, Kind::Double).unwrap_err().to_string();
//! assert!(error.contains("no neuron `linear`"), "{error}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::{Error, Result};
use snn_ir::unknown_neuron;
use snn_ir::{Graph, Op, Site, Surrogate};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tch::Tensor;

/// The training form of a custom neuron: one macro-step on tensors. Its counterpart for one neuron
/// at a time is [`snn_ir::NeuronKind`].
pub trait TensorNeuron: fmt::Debug + Send + Sync {
    /// One macro-step: maps a current and the state (absent at rest) to levels, with a gradient,
    /// and the next state, whose first tensor is shown as the membrane.
    ///
    /// # Shapes
    /// Levels have the shape of `current`, `[B, C, H, W]` or `[B, F]`.
    ///
    /// # Errors
    /// A parameter is missing or out of range, or libtorch fails.
    fn step(
        &self,
        parameters: &TensorParameters<'_>,
        current: &Tensor,
        state: Option<Vec<Tensor>>,
    ) -> Result<(Tensor, Vec<Tensor>)>;
}

/// Parameters of a custom neuron.
#[derive(Debug)]
pub struct TensorParameters<'p> {
    pub(crate) neuron: &'p str,
    pub(crate) numbers: &'p BTreeMap<String, f64>,
    pub(crate) learned: BTreeMap<&'p str, Tensor>,
}

impl TensorParameters<'_> {
    /// A constant.
    ///
    /// # Errors
    /// The graph has none of this name.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.numbers.get(name).copied().ok_or_else(|| self.missing(name, "params"))
    }

    /// A learned parameter, in a shape that broadcasts over a current.
    ///
    /// # Errors
    /// The graph has none of this name.
    pub fn learned(&self, name: &str) -> Result<&Tensor> {
        self.learned.get(name).ok_or_else(|| self.missing(name, "learned"))
    }

    fn missing(&self, name: &str, field: &str) -> Error {
        let expected = format!("with `{name}` among its {field}");
        Error::Argument {
            what: "custom neuron",
            expected,
            found: format!("`{}` without it", self.neuron),
        }
    }
}

/// A custom surrogate derivative.
pub trait SurrogateDerivative: fmt::Debug + Send + Sync {
    /// `h′(x)`, elementwise, with the parameters of the graph; called without gradient.
    ///
    /// # Shapes
    /// The result has the shape of `x`.
    ///
    /// # Errors
    /// A parameter is missing, or libtorch fails.
    fn derivative(&self, params: &BTreeMap<String, f64>, x: &Tensor) -> Result<Tensor>;
}

/// Custom neurons and surrogate derivatives by name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    neurons: BTreeMap<String, Arc<dyn TensorNeuron>>,
    surrogates: BTreeMap<String, Arc<dyn SurrogateDerivative>>,
}

impl Registry {
    /// Adds a neuron under a name; one that had the name before is replaced.
    #[must_use]
    pub fn with_neuron(
        mut self,
        name: impl Into<String>,
        neuron: impl TensorNeuron + 'static,
    ) -> Self {
        self.neurons.insert(name.into(), Arc::new(neuron));
        self
    }

    /// Adds a surrogate under a name; one that had the name before is replaced.
    #[must_use]
    pub fn with_surrogate(
        mut self,
        name: impl Into<String>,
        surrogate: impl SurrogateDerivative + 'static,
    ) -> Self {
        self.surrogates.insert(name.into(), Arc::new(surrogate));
        self
    }

    pub(crate) fn neuron(&self, name: &str) -> Option<&dyn TensorNeuron> {
        self.neurons.get(name).map(AsRef::as_ref)
    }

    pub(crate) fn surrogate(&self, name: &str) -> Result<Arc<dyn SurrogateDerivative>> {
        self.surrogates.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.surrogates.keys().map(String::as_str).collect();
            let expected = format!("one in the registry, `{}`", known.join("`, `"));
            Error::Argument { what: "custom surrogate", expected, found: format!("`{name}`") }
        })
    }

    /// Checks that every name in a graph is known.
    ///
    /// # Errors
    /// The first node with a name that is not.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        for node in &graph.nodes {
            let refuse = |reason: String| {
                Error::Model(snn_ir::Error::Refused { node: node.name.clone(), reason })
            };
            match &node.op {
                Op::Activation { site: Site::Custom(custom), .. }
                    if self.neuron(&custom.name).is_none() =>
                {
                    return Err(refuse(unknown_neuron(
                        &custom.name,
                        self.neurons.keys().map(String::as_str),
                    )));
                }
                Op::Activation { site: Site::Lif(lif), .. } => {
                    if let Surrogate::Custom { name, .. } = &lif.surrogate {
                        self.surrogate(name).map_err(|error| refuse(error.to_string()))?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
