//! Distillation: a student learns from a teacher's class scores beside the labels.

use crate::config::{RunConfig, check};
use crate::error::{Error, Result};
use crate::loss::distillation;
use crate::progress::Options;
use crate::run::{RunFolder, Start};
use serde::{Deserialize, Serialize};
use snn_core::{Mode, Network, Pixels};
use snn_data::Dataset;
use snn_ir::{Form, Model};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Weight of the teacher (the baseline of Tian 2020, section 4).
pub const DEFAULT_DISTILLATION_WEIGHT: f64 = 0.9;
/// Temperature (the baseline of Tian 2020, section 4).
pub const DEFAULT_TEMPERATURE: f64 = 4.0;

/// Learning from a teacher (Hinton 2015): the loss is `(1 − w)·L + w·τ²·KL(teacher ‖ student)`, see
/// [`loss::distillation`](crate::loss::distillation()).
///
/// The teacher is any run off the grid on the same data, for instance the one whose every site is
/// `ReLU` (`policy = "all"`). It sees the images as the student does, and does not learn. With the
/// same `seed` and `held_out` it has never seen the images the student is watched on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distillation {
    /// Its run folder; empty for none.
    pub teacher: PathBuf,
    /// Its weight w, 0 to 1.
    pub weight: f64,
    /// Temperature τ.
    pub temperature: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            teacher: PathBuf::new(),
            weight: DEFAULT_DISTILLATION_WEIGHT,
            temperature: DEFAULT_TEMPERATURE,
        }
    }
}

impl Distillation {
    /// Whether there is a teacher.
    pub fn is_on(&self) -> bool {
        !self.teacher.as_os_str().is_empty()
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { weight, temperature, .. } = *self;
        check("distillation.weight", (0.0..=1.0).contains(&weight), "0 to 1", weight)?;
        let fits = temperature.is_finite() && temperature > 0.0;
        check("distillation.temperature", fits, "positive", temperature)
    }
}

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
        let Distillation { weight, temperature, .. } = config.distillation;
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
