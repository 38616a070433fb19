//! Training on the grid, to win back what rounding lost.

use crate::config::RunConfig;
use crate::config::batch_norm::BatchNormReestimationConfig;
use crate::config::crossover::CrossoverConfig;
use crate::config::data::RunData;
use crate::config::distillation::DistillationConfig;
use crate::config::finetuning::FinetuningConfig;
use crate::error::{Error, Result};
use crate::loss::{LossConfig, teacher};
use crate::optim::OptimiserConfig;
use crate::optim::lookahead::LookaheadConfig;
use crate::optim::schedule::ScheduleConfig;
use crate::optim::sgd::SgdConfig;
use crate::optim::warm_up::WarmUpConfig;
use crate::processes::in_own_folder;
use crate::progress::{Options, Outcome, Progress};
use crate::trainer::{Trainer, check_threads};
use snn_ir::{Form, Model};
use std::path::Path;

impl RunConfig {
    /// The config to fine-tune a model of this run, which is in the folder `run`, with: the same
    /// data, batch, teacher (that of a staged run is its twin, in that folder) and surrogate, but
    /// the epochs and the rate of [`finetuning`](Self::finetuning) with stochastic gradient descent
    /// along half a cosine, without weight decay (it would shrink weights whose batch norm is
    /// gone), groups (the weights have other names), Lookahead, warm-up and clipping (gradients are
    /// of another size on the grid), and with the loss of the mean over macro-steps, the only one
    /// that the grid tells.
    #[must_use]
    pub fn for_finetuning(&self, run: &Path) -> Self {
        let FinetuningConfig { epochs, learning_rate } = self.finetuning;
        let sgd = match self.optimiser {
            OptimiserConfig::Sgd(sgd) => sgd,
            OptimiserConfig::AdamW(_) | OptimiserConfig::Muon(_) => SgdConfig::default(),
        };
        let DistillationConfig { weight, per_step, .. } = self.distillation;
        Self {
            epochs,
            optimiser: OptimiserConfig::Sgd(SgdConfig { learning_rate, weight_decay: 0.0, ..sgd }),
            schedule: ScheduleConfig::Cosine { warm_up: 0.0, final_factor: 0.0 },
            warm_up: WarmUpConfig::default(),
            groups: Vec::new(),
            twin: None,
            crossover: CrossoverConfig::default(),
            lookahead: LookaheadConfig::None,
            gradient_clip: 0.0,
            loss: LossConfig::CrossEntropy,
            distillation: DistillationConfig {
                // `L + α·KD` is `1 + α` times `(1 − w)·L + w·KD` with this w.
                weight: if per_step { weight / (1.0 + weight) } else { weight },
                per_step: false,
                own_weight: 0.0,
                ..self.after_stages(run).distillation
            },
            batch_norm_reestimation: BatchNormReestimationConfig::default(),
            ..self.clone()
        }
    }
}

/// Trains a model on the grid further, in the folder `folder`: the loop of
/// [`train`](crate::train()) over integers, with gradients straight through their rounding, whose
/// steps are relative to the size of each layer's weights
/// ([`Optimiser::scale_rates_by_size`](crate::Optimiser::scale_rates_by_size)). Of the config the
/// data, batch, loss, rates and the surrogate of the neuron count; network and policy are the
/// model's.
///
/// `model.safetensors` is on the grid. The model started from is kept in the folder as
/// `base.safetensors`, and a resume with another one is refused.
///
/// # Errors
/// The model is not on the grid or does not fit the config or the data; and as
/// [`train`](crate::train()).
pub fn finetune(
    config: &RunConfig,
    model: &Model,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    config.validate()?;
    check_threads("", config.threads, config.data.loader_threads)?;
    let data = config.open_data(options.data_root.as_deref())?;
    check_model(config, model, &data)?;
    in_own_folder(Some(config), folder, options, |folder| {
        let teacher = teacher::of_run(config, folder, options.start)?;
        let trainer = Trainer::of_data(config, &data, model.clone(), teacher);
        trainer.with_policy(config.policy.clone())?.fit_in(folder, options, progress)
    })
}

/// Checks what a trainer of any model does not: that the model belongs to config and data.
fn check_model(config: &RunConfig, model: &Model, data: &RunData) -> Result<()> {
    let compare = |what: &'static str, expected: String, found: String| {
        if expected == found { Ok(()) } else { Err(Error::Mismatch { what, expected, found }) }
    };
    let grid = matches!(model.form(), Form::Grid { .. });
    compare(
        "form of the model",
        "grid".into(),
        if grid { "grid" } else { model.form().label() }.into(),
    )?;
    let expected = format!("{:?}", [model.validate()?.classes()]);
    let found = format!("{:?}", [data.classes.len()]);
    compare("classes of the data", expected, found)?;
    let (steps, found) = (model.time_steps().to_string(), config.time_steps.to_string());
    compare("time_steps of the config", steps, found)?;
    let mean = config.preprocessing(data).mean;
    let (expected, found) = (format!("{:?}", model.preprocessing().mean), format!("{mean:?}"));
    compare("mean pixel of the data", expected, found)
}
