//! Distillation: a student learns from a teacher's class scores beside the labels.

use crate::config::RunConfig;
use crate::config::data::RunData;
use crate::error::{Error, Result};
use crate::loss::distillation;
use crate::progress::Options;
use crate::recipe::Recipe;
use crate::run::{RunFolder, Start};
use snn_core::{Mode, Network, NetworkOptions, Pixels, Registry};
use snn_ir::{Form, Model};
use std::path::Path;
use tch::{Device, Tensor};

/// Finds and checks the model of the teacher of a run in `folder`; `None` if the config has
/// none. A resumed run goes on with the copy it has kept.
pub(crate) fn find(
    config: &RunConfig,
    data: &RunData,
    folder: &Path,
    options: &Options,
) -> Result<Option<Model>> {
    if !config.distillation.is_on() {
        return Ok(None);
    }
    let copy = RunFolder::teacher_path(folder);
    if options.start == Start::Resume && copy.is_file() {
        return Ok(Some(Model::load(copy)?));
    }
    let path = &config.distillation.teacher;
    let misfit =
        |expected: String, found: String| Error::Teacher { path: path.clone(), expected, found };
    let unreadable = |error: Error| misfit("the folder of a run".into(), error.to_string());
    let run = RunFolder::open(path).map_err(unreadable)?;
    let dataset = run.config().map_err(unreadable)?.data.dataset;
    if dataset != config.data.dataset {
        return Err(misfit(
            format!("a run on {}", config.data.dataset),
            format!("one on {dataset}"),
        ));
    }
    if !run.model_path().is_file() {
        return Err(misfit(
            "a run that has finished an epoch".into(),
            "no model.safetensors".into(),
        ));
    }
    let model = Model::load(run.model_path())?;
    if matches!(model.form(), Form::Grid { .. }) {
        return Err(misfit("a model off the grid".into(), "one on the grid".into()));
    }
    let found = model.validate()?.input_shape();
    let images = config.encoded(data.shape).image();
    if images != found {
        return Err(misfit(format!("images {images:?}"), format!("images {found:?}")));
    }
    if model.classes() != data.classes {
        return Err(misfit(
            format!("classes {:?}", data.classes),
            format!("classes {:?}", model.classes()),
        ));
    }
    Ok(Some(model))
}

/// The teacher's network, with its share in the loss.
#[derive(Debug)]
pub(crate) struct Teacher {
    network: Network,
    weight: f64,
    temperature: f64,
}

impl Teacher {
    /// Takes the teacher to the device.
    pub(crate) fn new(
        model: &Model,
        recipe: &Recipe,
        registry: &Registry,
        device: Device,
    ) -> Result<Self> {
        let options = NetworkOptions { registry: registry.clone(), ..NetworkOptions::new(device) };
        let network = Network::with_options(model, &options)?;
        let (weight, temperature) = (recipe.distillation_weight, recipe.distillation_temperature);
        Ok(Self { network, weight, temperature })
    }

    /// The loss of a student with what it would be by the labels alone.
    pub(crate) fn correct(
        &self,
        loss: &Tensor,
        student: &Tensor,
        pixels: &Pixels,
    ) -> Result<Tensor> {
        let logits = self.network.forward(pixels, Mode::Evaluate)?.logits;
        let taught = distillation(student, &logits, self.temperature)?;
        Ok(loss.f_mul_scalar(1.0 - self.weight)?.f_add(&taught.f_mul_scalar(self.weight)?)?)
    }
}
