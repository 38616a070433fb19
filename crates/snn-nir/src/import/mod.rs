//! From a NIR graph to a model: differential equations become steps of time (`docs/nir.md`).

mod assembled;
mod build;
mod integrators;
mod neurons;
mod numbers;
mod order;
mod shapes;
mod soft_reset;

use crate::error::{Error, Result};
use crate::flat::Flat;
use crate::graph::NirGraph;
use crate::names;
use crate::report::{Report, primitives};
use crate::time::{DEFAULT_DT, Discretisation, check_dt};
use crate::value::Value;
use build::Builder;
use snn_ir::{Form, Model, Preprocessing, Readout, Signature};
use std::path::Path;

/// What NIR does not say, and a model needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Duration of a macro-step in seconds, NIR's unit of time; `None` for what a file of ours
    /// names, else [`DEFAULT_DT`].
    pub dt: Option<f64>,
    /// How a differential equation becomes steps.
    pub discretisation: Discretisation,
    /// Macro-steps; `None` for those that a file of ours names, without which it is an error.
    pub time_steps: Option<usize>,
    /// How class scores are read out of what reaches the Output; `None` for what a file of ours
    /// names, else the mean.
    pub readout: Option<Readout>,
    /// From pixels to what the Input reads; `None` for what a file of ours names, else pixels of
    /// 0 to 255 enter as 0 to 1.
    pub preprocessing: Option<Preprocessing>,
}

/// A model that was made of a NIR graph, and what was done.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The model, in the trained form; valid.
    pub model: Model,
    /// What was done.
    pub report: Report,
}

/// Reads a `.nir` file into a model: [`NirGraph::read`], then [`NirGraph::to_model`].
///
/// # Errors
/// As those two; the message names the file.
pub fn read(path: &Path, options: &Options) -> Result<Imported> {
    NirGraph::read(path)?.to_model(options).map_err(|error| error.within(path))
}

impl NirGraph {
    /// The model of this graph in the trained form: the same nodes, those of sub-graphs under
    /// names with dots, differential equations in steps of [`Options::dt`].
    ///
    /// # Errors
    /// The graph is not valid, or holds what our graphs cannot express; the message names the node
    /// and says why.
    pub fn to_model(&self, options: &Options) -> Result<Imported> {
        self.check()?;
        let dt = options.dt.or_else(|| self.named_dt()).unwrap_or(DEFAULT_DT);
        check_dt(dt)?;
        let time_steps = match options.time_steps {
            Some(steps) => steps,
            None => self.named_steps().ok_or_else(|| {
                Error::Graph(
                    "NIR says nothing of how long a network runs: give the number of time steps"
                        .into(),
                )
            })?,
        };
        let readout = options.readout.or_else(|| self.named_readout()).unwrap_or_default();
        let mut flat = Flat::new(self)?;
        let lost = flat.prune();
        let mut builder = Builder::new(&flat, dt, options.discretisation)?;
        for name in lost {
            builder.note(&name, "left out: nothing leads from it to the Output");
        }
        let channels = builder.build(readout)?;
        let Builder { graph, weights, notes, .. } = builder;
        let preprocessing = options
            .preprocessing
            .clone()
            .or_else(|| self.named_preprocessing(channels))
            .unwrap_or_else(|| Preprocessing::new(vec![0; channels], vec![255.0; channels]));
        let signature = Signature::new(Form::Trained, graph, time_steps, preprocessing);
        let model = Model::new(signature, weights);
        model.validate()?;
        let report = Report {
            primitives: primitives(self),
            dt,
            time_steps,
            discretisation: options.discretisation,
            notes,
        };
        Ok(Imported { model, report })
    }

    fn named_dt(&self) -> Option<f64> {
        match self.metadata.get(names::DT)? {
            Value::Floats(dt) => dt.to_f64().iter().next().copied(),
            _ => None,
        }
    }

    fn named_steps(&self) -> Option<usize> {
        match self.metadata.get(names::TIME_STEPS)? {
            Value::Integers(steps) => usize::try_from(*steps.iter().next()?).ok(),
            _ => None,
        }
    }

    fn named_readout(&self) -> Option<Readout> {
        match self.metadata.get(names::READOUT)? {
            Value::Text(readout) => names::readout_of(readout),
            _ => None,
        }
    }

    fn named_preprocessing(&self, channels: usize) -> Option<Preprocessing> {
        let (Value::Integers(mean), Value::Floats(std)) =
            (self.metadata.get(names::MEAN)?, self.metadata.get(names::DEVIATION)?)
        else {
            return None;
        };
        let mean: Option<Vec<u8>> = mean.iter().map(|&mean| u8::try_from(mean).ok()).collect();
        let std: Vec<f64> = std.to_f64().iter().copied().collect();
        let mean = mean.filter(|mean| mean.len() == channels && std.len() == channels)?;
        Some(Preprocessing::new(mean, std))
    }
}
