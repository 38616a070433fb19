//! The libtorch interpreter behind the trait that all interpreters share.

use crate::convert::{Pixels, array};
use crate::error::{Error, Result};
use crate::grid::{Grid, WeightsAre};
use crate::network::{Mode, Network};
use crate::record::Record as Listener;
use crate::registry::Registry;
use ndarray::{Array2, Ix2};
use snn_ir::{Evaluate, Evaluation, Form, Input, Logits, Model, Record, SiteTrace};
use tch::{Device, Kind};

/// Name as used in reports.
pub(crate) const NAME: &str = "libtorch";

/// Runs a model of any form with libtorch.
///
/// Off the grid it computes in double precision unless asked otherwise; on the grid in exact
/// integers (held in floats that are proved large enough).
#[derive(Debug)]
pub struct Libtorch {
    engine: Engine,
    device: Device,
}

#[derive(Debug)]
enum Engine {
    Real(Box<Network>),
    Grid(Box<Grid>),
}

impl Libtorch {
    /// Takes a model to a device; double precision off the grid.
    ///
    /// # Errors
    /// The model is invalid or libtorch cannot allocate.
    ///
    /// ```
    /// use snn_core::Libtorch;
    /// use snn_ir::{Evaluate, Form, Input, Model, Preprocessing, Record, Signature, models::SmallNet};
    ///
    /// let graph = SmallNet { width: 4, ..SmallNet::default() }.build();
    /// let weights = graph.initial_weights(1)?;
    /// let preprocessing = Preprocessing::new(vec![128; 3], vec![64.0; 3]);
    /// let model = Model::new(Signature::new(Form::Trained, graph, 2, preprocessing), weights);
    /// let images = ndarray::ArrayD::<u8>::zeros(vec![1, 3, 16, 16]);
    /// let result = Libtorch::new(&model, tch::Device::Cpu)?.evaluate(&Input::Static(images.view()), Record::Sites)?;
    /// assert_eq!(result.sites.len(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(model: &Model, device: Device) -> Result<Self> {
        Self::with_registry(model, device, &Registry::default())
    }

    /// As [`Libtorch::new`], of a model that may have neurons of a user's own.
    ///
    /// # Errors
    /// As [`Libtorch::new`], or a name is not in the registry; the message names node and name.
    pub fn with_registry(model: &Model, device: Device, registry: &Registry) -> Result<Self> {
        let engine = match model.form() {
            Form::Grid { .. } => {
                Engine::Grid(Box::new(Grid::new(model, device, WeightsAre::Fixed)?))
            }
            Form::Trained | Form::Events => Engine::Real(Box::new(Network::with_registry(
                model,
                device,
                Kind::Double,
                registry,
            )?)),
        };
        Ok(Self { engine, device })
    }

    /// Takes a model off the grid to a device in single precision, as it was trained.
    ///
    /// # Errors
    /// The model is invalid or on the grid, or libtorch cannot allocate.
    pub fn single_precision(model: &Model, device: Device) -> Result<Self> {
        Ok(Self {
            engine: Engine::Real(Box::new(Network::new(model, device, Kind::Float)?)),
            device,
        })
    }

    fn run(&self, input: &Input<'_>, record: Record) -> Result<Evaluation> {
        let pixels = Pixels::new(input, self.device)?;
        let mut sites: Vec<SiteTrace> = Vec::new();
        let listener: Option<&mut dyn Listener> = match record {
            Record::Logits => None,
            Record::Sites => Some(&mut sites),
        };
        let logits = match &self.engine {
            Engine::Real(network) => Logits::Real(two_axes(array(
                &network.run(&pixels, Mode::Evaluate, listener)?.logits,
            )?)?),
            Engine::Grid(grid) => {
                Logits::Integer(two_axes(array(&grid.evaluate(&pixels, listener)?)?)?)
            }
        };
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
        Ok(self.run(input, record)?)
    }
}
