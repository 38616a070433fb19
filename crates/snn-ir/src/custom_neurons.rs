//! A user's own neurons: the form that the naive evaluator and event-driven interpreters run.

use crate::error::{Error, Result};
use crate::site::Custom;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Makes neurons of one kind from their parameters.
///
/// ```
/// use snn_ir::{Neuron, NeuronKind, Neurons};
/// use std::collections::BTreeMap;
///
/// /// Fires at every `count`-th positive current.
/// #[derive(Debug)]
/// struct Counting;
///
/// #[derive(Debug)]
/// struct Count(f64);
///
/// impl NeuronKind for Counting {
///     fn neuron(&self, parameters: &BTreeMap<String, f64>) -> Result<Box<dyn Neuron>, String> {
///         let count = parameters.get("count").ok_or("it needs the parameter `count`")?;
///         Ok(Box::new(Count(*count)))
///     }
/// }
///
/// impl Neuron for Count {
///     fn rest(&self) -> Vec<f64> {
///         vec![0.0]
///     }
///
///     fn step(&self, state: &mut [f64], current: f64) -> i16 {
///         state[0] += f64::from(u8::from(current > 0.0));
///         let fires = state[0] >= self.0;
///         if fires {
///             state[0] = 0.0;
///         }
///         i16::from(fires)
///     }
/// }
///
/// let neurons = Neurons::default().with("counting", Counting);
/// assert_eq!(neurons.names().collect::<Vec<_>>(), ["counting"]);
/// ```
pub trait NeuronKind: fmt::Debug + Send + Sync {
    /// A neuron with these parameters: those of the graph and, under their names, the learned ones
    /// of its channel.
    ///
    /// # Errors
    /// A parameter is missing or out of range; the message says which.
    fn neuron(
        &self,
        parameters: &BTreeMap<String, f64>,
    ) -> std::result::Result<Box<dyn Neuron>, String>;
}

/// A neuron without parameters is its own kind.
impl<N: Neuron + Clone + 'static> NeuronKind for N {
    fn neuron(&self, _: &BTreeMap<String, f64>) -> std::result::Result<Box<dyn Neuron>, String> {
        Ok(Box::new(self.clone()))
    }
}

/// One neuron with its constants; the caller holds its state.
pub trait Neuron: fmt::Debug + Send + Sync {
    /// The state at rest; its first value, where there is one, is shown as the membrane.
    fn rest(&self) -> Vec<f64>;

    /// One macro-step: takes a current, changes the state, returns the level it emits (within
    /// [`crate::site::Spike::range`] of its site).
    fn step(&self, state: &mut [f64], current: f64) -> i16;
}

/// Kinds of neurons by name; a value that is passed to interpreters.
#[derive(Debug, Clone, Default)]
pub struct Neurons(BTreeMap<String, Arc<dyn NeuronKind>>);

impl Neurons {
    /// Adds a kind under a name; one that had the name before is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, kind: impl NeuronKind + 'static) -> Self {
        self.0.insert(name.into(), Arc::new(kind));
        self
    }

    /// The names that are known.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// `true` if a name is known.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The neuron of a site. `learned` has the values of its learned parameters for its channel.
    ///
    /// # Errors
    /// No kind has its name, or the kind refuses the parameters; the message names `node` and the
    /// kind.
    pub fn neuron(
        &self,
        node: &str,
        custom: &Custom,
        learned: &BTreeMap<String, f64>,
    ) -> Result<Box<dyn Neuron>> {
        let refuse = |reason: String| Error::Refused { node: node.into(), reason };
        let kind =
            self.0.get(&custom.name).ok_or_else(|| refuse(unknown(&custom.name, self.names())))?;
        let mut parameters = custom.params.clone();
        parameters.extend(learned.iter().map(|(name, value)| (name.clone(), *value)));
        kind.neuron(&parameters)
            .map_err(|reason| refuse(format!("neuron `{}`: {reason}", custom.name)))
    }
}

/// Message for a name that a registry lacks.
pub fn unknown<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() {
        "no others".to_string()
    } else {
        format!("only `{}`", known.join("`, `"))
    };
    format!("the registry given to this interpreter has no neuron `{name}` (it has {known})")
}
