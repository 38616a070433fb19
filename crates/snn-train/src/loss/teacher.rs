//! Distillation: a student learns from a teacher's class scores beside the labels.

use crate::config::RunConfig;
use crate::config::distillation::DistillationConfig;
use crate::error::{Error, Result};
use crate::loss::distillation;
use crate::progress::Options;
use crate::run::{RunFolder, Start};
use snn_core::{Mode, Network, Pixels};
use snn_data::Dataset;
use snn_ir::{Form, Model};
use std::path::Path;
use tch::{Kind, Tensor};

/// A network that knows better.
#[derive(Debug)]
pub(crate) struct Teacher {
    network: Network,
    weight: f64,
    temperature: f64,
}

impl Teacher {
    /// Finds and checks the model of the teacher of a run in `folder`; `None` if the config has
    /// none. A resumed run goes on with the copy it has kept.
    pub(crate) fn find(
        config: &RunConfig,
        data: &Dataset,
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
        let misfit = |expected: String, found: String| Error::Teacher {
            path: path.clone(),
            expected,
            found,
        };
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
        let resolved = model.validate()?;
        let (images, found) = (data.train.image_shape(), &resolved.nodes[0].shape);
        if images != found.as_slice() {
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

    /// Keeps the teacher's model in the folder and takes it to the device.
    pub(crate) fn keep(
        model: &Model,
        config: &RunConfig,
        folder: &RunFolder,
        options: &Options,
    ) -> Result<Self> {
        folder.keep_teacher(model)?;
        let network = Network::new(model, options.device, Kind::Float)?;
        let DistillationConfig { weight, temperature, .. } = config.distillation;
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
