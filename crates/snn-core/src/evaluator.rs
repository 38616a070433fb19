//! The libtorch interpreter behind the trait that all interpreters share.

use crate::error::{Error, NAME, Result};
use crate::grid::{GridInterpreter, WeightUse};
use crate::network::{Network, in_graph_order};
use crate::observe::observer::Observer;
use crate::options::{Mode, NetworkOptions};
use crate::tensor::{Pixels, array};
use ndarray::{Array2, Ix2};
use snn_ir::{Encoder, Evaluate, Evaluation, Form, Input, Logits, Model, Record, SiteTrace};
use tch::{Device, Kind};

/// Runs a model of any form with libtorch.
///
/// A model on the grid is computed in exact integers (held in floats that are proved large enough),
/// any other in double precision unless [`NetworkOptions::kind`] says otherwise.
#[derive(Debug)]
pub struct Libtorch {
    engine: Engine,
    device: Device,
    encoder: Encoder,
    time_steps: usize,
}

#[derive(Debug)]
enum Engine {
    Real(Box<Network>),
    Grid(Box<GridInterpreter>),
}

impl Libtorch {
    /// Loads a model onto a device, in double precision off the grid.
    ///
    /// # Errors
    /// The model is invalid, names a custom neuron (see [`Libtorch::with_options`]), or libtorch
    /// cannot allocate.
    ///
    /// ```
    /// use snn_core::Libtorch;
    /// use snn_ir::networks::SmallNet;
    /// use snn_ir::{Evaluate, Form, Input, Model, Preprocessing, Record, Signature};
    ///
    /// let graph = SmallNet { width: 4, ..SmallNet::default() }.build();
    /// let weights = graph.initial_weights(1)?;
    /// let preprocessing = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
    /// let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    /// let images = ndarray::ArrayD::<u8>::zeros(vec![1, 3, 16, 16]);
    /// let result = Libtorch::new(&model, tch::Device::Cpu)?
    ///     .evaluate(&Input::Static(images.view()), Record::Sites)?;
    /// assert_eq!(result.sites.len(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(model: &Model, device: Device) -> Result<Self> {
        let kind = Kind::Double;
        Self::with_options(model, &NetworkOptions { kind, ..NetworkOptions::new(device) })
    }

    /// Loads a model with options: device, kind of the parameters, custom neurons. Options of
    /// training do nothing here, and on the grid nothing but the device counts.
    ///
    /// # Errors
    /// The model is invalid, a custom neuron is not in the registry (the message names node and
    /// neuron), the kind is neither `Float` nor `Double`, or libtorch cannot allocate.
    pub fn with_options(model: &Model, options: &NetworkOptions) -> Result<Self> {
        let device = options.device;
        let engine = match model.form() {
            Form::Grid { .. } => {
                Engine::Grid(Box::new(GridInterpreter::new(model, device, WeightUse::Inference)?))
            }
            Form::Trained | Form::Events => {
                Engine::Real(Box::new(Network::with_options(model, options)?))
            }
        };
        let (encoder, time_steps) = (model.encoder(), model.time_steps());
        Ok(Self { engine, device, encoder, time_steps })
    }

    fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        let pixels = Pixels::new(input, self.device)?;
        let mut sites: Vec<SiteTrace> = Vec::new();
        let observer: Option<&mut dyn Observer> = match record {
            Record::Logits => None,
            Record::Sites => Some(&mut sites),
        };
        let graph = match &self.engine {
            Engine::Real(network) => network.graph(),
            Engine::Grid(grid) => &grid.graph,
        };
        let logits = match &self.engine {
            Engine::Real(network) => Logits::Real(two_axes(array(
                &network.run(&pixels, Mode::Evaluate, observer)?.logits,
            )?)?),
            Engine::Grid(grid) => {
                Logits::Integer(two_axes(array(&grid.evaluate(&pixels, observer)?)?)?)
            }
        };
        in_graph_order(graph, &mut sites, |trace| &trace.site);
        Ok(Evaluation { logits, sites })
    }
}

fn two_axes<A>(array: ndarray::ArrayD<A>) -> Result<Array2<A>> {
    array.into_dimensionality::<Ix2>().map_err(|e| Error::Torch(e.to_string()))
}

impl Evaluate for Libtorch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn evaluate(&mut self, input: &Input<'_>, record: Record) -> snn_ir::Result<Evaluation> {
        Ok(self.encoder.with_input(input, self.time_steps, |input| self.run(input, record))?)
    }
}
