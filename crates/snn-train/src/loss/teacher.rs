//! Distillation: a student learns from a teacher's class scores beside the labels.

use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::loss::Targets;
use crate::loss::distillation::{distillation, right_steps, step_distillation};
use crate::recipe::Recipe;
use crate::run::{RunFolder, Start};
use snn_core::{Forward, Mode, Network, NetworkOptions, Pixels, Registry};
use snn_data::DatasetName;
use snn_ir::{Form, Model};
use std::path::Path;
use tch::{Device, Tensor};

/// The teacher of a run in `folder`: the one that it was started with, or that its config names.
pub(crate) fn of_run(config: &RunConfig, folder: &Path, start: Start) -> Result<Option<Model>> {
    let begun = RunFolder::begun(folder, start);
    match begun.as_ref().map_or(Ok(None), RunFolder::teacher)? {
        Some(kept) if config.distillation.is_on() => Ok(Some(kept)),
        _ => find(config),
    }
}

/// The model of the teacher that a config names; `None` if it names none.
pub(crate) fn find(config: &RunConfig) -> Result<Option<Model>> {
    if !config.distillation.is_on() {
        return Ok(None);
    }
    let path = &config.distillation.teacher;
    let misfit =
        |expected: String, found: String| Error::Teacher { path: path.clone(), expected, found };
    let unreadable = |error: Error| misfit("the folder of a run".into(), error.to_string());
    let run = RunFolder::open(path).map_err(unreadable)?;
    check_dataset(config, run.config().map_err(unreadable)?.data.dataset)?;
    if !run.model_path().is_file() {
        let expected = "a run that has finished an epoch".into();
        return Err(misfit(expected, "no model.safetensors".into()));
    }
    Ok(Some(Model::load(run.model_path())?))
}

/// Checks that a teacher was trained on the data set of a config.
pub(crate) fn check_dataset(config: &RunConfig, found: DatasetName) -> Result<()> {
    let expected = config.data.dataset;
    if found == expected {
        return Ok(());
    }
    Err(Error::Teacher {
        path: config.distillation.teacher.clone(),
        expected: format!("a run on {expected}"),
        found: format!("one on {found}"),
    })
}

/// Checks that a teacher reads what the network reads, in the same way, and knows the same classes;
/// `frames` is the number of frames of a sample.
pub(crate) fn check(teacher: &Model, model: &Model, frames: Option<usize>) -> Result<()> {
    let same = |of: &str, own: String, found: String| {
        let expected = format!("{of} {own}, as in the network");
        if own == found {
            Ok(())
        } else {
            Err(Error::Mismatch { what: "teacher", expected, found })
        }
    };
    if matches!(teacher.form(), Form::Grid { .. }) {
        let (expected, found) = ("a model off the grid".into(), "one on the grid".into());
        return Err(Error::Mismatch { what: "teacher", expected, found });
    }
    let (own, other) = (model.validate()?, teacher.validate()?);
    let text = |sizes: &[usize]| format!("{sizes:?}");
    same("samples", text(own.input_shape()), text(other.input_shape()))?;
    same("classes", own.classes().to_string(), other.classes().to_string())?;
    if !model.classes().is_empty() && !teacher.classes().is_empty() {
        same("classes", format!("{:?}", model.classes()), format!("{:?}", teacher.classes()))?;
    }
    if frames.is_some() {
        let steps = |model: &Model| model.time_steps().to_string();
        same("time steps", steps(model), steps(teacher))?;
    }
    let encoders = |model: &Model| format!("{:?}", model.encoder());
    same("encoder", encoders(model), encoders(teacher))?;
    // Conversion takes deviations into the weights.
    let means = |model: &Model| format!("{:?}", model.preprocessing().mean);
    same("mean pixels", means(model), means(teacher))?;
    if (model.form(), teacher.form()) == (Form::Trained, Form::Trained) {
        let deviations = |model: &Model| format!("{:?}", model.preprocessing().std);
        same("deviations of pixels", deviations(model), deviations(teacher))?;
    }
    Ok(())
}

/// The teacher's network.
#[derive(Debug)]
pub(crate) struct Teacher {
    network: Network,
}

impl Teacher {
    /// Takes the teacher to the device. It computes in the precision of training, and as training
    /// passes do.
    pub(crate) fn new(
        model: &Model,
        recipe: &Recipe,
        registry: &Registry,
        device: Device,
    ) -> Result<Self> {
        let options = NetworkOptions {
            registry: registry.clone(),
            training: recipe.training(),
            ..NetworkOptions::new(device)
        };
        Ok(Self { network: Network::with_options(model, &options)? })
    }

    /// Class scores of a batch.
    fn logits(&self, pixels: &Pixels) -> Result<Tensor> {
        Ok(self.network.forward(pixels, Mode::EvaluateFast)?.logits)
    }
}

/// The loss of a student with what it would be by the labels alone.
pub(crate) fn distilled(
    recipe: &Recipe,
    teacher: Option<&Teacher>,
    loss: Tensor,
    student: &Forward,
    targets: &Targets,
    pixels: &Pixels,
) -> Result<Tensor> {
    let (weight, temperature) = (recipe.distillation_weight, recipe.distillation_temperature);
    let mut loss = loss;
    if let Some(teacher) = teacher {
        let logits = teacher.logits(pixels)?;
        loss = if recipe.distillation_per_step {
            let taught = step_distillation(&student.step_logits, &logits, temperature)?;
            loss.f_add(&taught.f_mul_scalar(weight)?)?
        } else {
            let taught = distillation(&student.logits, &logits, temperature)?;
            loss.f_mul_scalar(1.0 - weight)?.f_add(&taught.f_mul_scalar(weight)?)?
        };
    }
    if recipe.distillation_own_weight > 0.0 {
        let right = right_steps(&student.step_logits, targets.dominant())?;
        let taught = step_distillation(&student.step_logits, &right, temperature)?;
        loss = loss.f_add(&taught.f_mul_scalar(recipe.distillation_own_weight)?)?;
    }
    Ok(loss)
}
