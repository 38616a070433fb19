//! A user's own neurons and surrogate derivatives, by name: a value that is passed to networks.

use crate::error::{Error, Result};
use snn_ir::neurons::unknown;
use snn_ir::{Graph, Op, Site, Surrogate};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tch::Tensor;

/// The training form of a user's own neuron: one macro-step on tensors. Its twin for one neuron at a time is [`snn_ir::NeuronKind`].
///
/// ```
/// use snn_core::{Registry, Result, TensorNeuron, TensorParameters, lif, surrogate};
/// use snn_core::tch::Tensor;
/// use snn_ir::Surrogate;
///
/// /// Fires where the sum of all currents is at least `threshold`, and never forgets.
/// #[derive(Debug)]
/// struct Sum;
///
/// impl TensorNeuron for Sum {
///     fn step(
///         &self,
///         parameters: &TensorParameters<'_>,
///         current: &Tensor,
///         state: Option<Vec<Tensor>>,
///     ) -> Result<(Tensor, Vec<Tensor>)> {
///         let sum = match state.and_then(|mut state| state.pop()) {
///             Some(sum) => sum.f_add(current)?,
///             None => current.shallow_clone(),
///         };
///         let distance = sum.f_sub_scalar(parameters.number("threshold")?)?;
///         Ok((surrogate::spike(&distance, &Surrogate::default())?, vec![sum]))
///     }
/// }
///
/// let registry = Registry::default().with_neuron("sum", Sum);
/// # Ok::<(), snn_core::Error>(())
/// ```
pub trait TensorNeuron: fmt::Debug + Send + Sync {
    /// One macro-step: a current and the state (absent at rest) to levels, with a gradient, and the next state, whose first tensor is shown as the membrane.
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

/// Parameters of a user's own neuron.
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
        Error::Argument { what: "custom neuron", expected, found: format!("`{}` without it", self.neuron) }
    }
}

/// A user's own surrogate derivative.
pub trait SurrogateDerivative: fmt::Debug + Send + Sync {
    /// `h′(x)` with the parameters of the graph; called without gradient.
    ///
    /// # Shapes
    /// The result has the shape of `x`.
    ///
    /// # Errors
    /// A parameter is missing, or libtorch fails.
    fn derivative(&self, params: &BTreeMap<String, f64>, x: &Tensor) -> Result<Tensor>;
}

/// Neurons and surrogates by name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    neurons: BTreeMap<String, Arc<dyn TensorNeuron>>,
    surrogates: BTreeMap<String, Arc<dyn SurrogateDerivative>>,
}

impl Registry {
    /// Adds a neuron under a name; one that had the name before is replaced.
    #[must_use]
    pub fn with_neuron(mut self, name: impl Into<String>, neuron: impl TensorNeuron + 'static) -> Self {
        self.neurons.insert(name.into(), Arc::new(neuron));
        self
    }

    /// Adds a surrogate under a name; one that had the name before is replaced.
    #[must_use]
    pub fn with_surrogate(mut self, name: impl Into<String>, surrogate: impl SurrogateDerivative + 'static) -> Self {
        self.surrogates.insert(name.into(), Arc::new(surrogate));
        self
    }

    pub(crate) fn neuron(&self, name: &str) -> Option<&dyn TensorNeuron> {
        self.neurons.get(name).map(AsRef::as_ref)
    }

    pub(crate) fn surrogate(&self, name: &str) -> Result<Arc<dyn SurrogateDerivative>> {
        self.surrogates.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.surrogates.keys().map(String::as_str).collect();
            let expected = format!("one of the registry's own, `{}`", known.join("`, `"));
            Error::Argument { what: "custom surrogate", expected, found: format!("`{name}`") }
        })
    }

    /// Checks that every name in a graph is known.
    ///
    /// # Errors
    /// The first node with a name that is not.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        for node in &graph.nodes {
            let refuse = |reason: String| Error::Model(snn_ir::Error::Refused { node: node.name.clone(), reason });
            match &node.op {
                Op::Activation { site: Site::Custom(custom), .. } if self.neuron(&custom.name).is_none() => {
                    return Err(refuse(unknown(&custom.name, self.neurons.keys().map(String::as_str))));
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
