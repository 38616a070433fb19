//! `finetune`: a model on the grid, trained further on it.

use crate::cli::Finetune;
use crate::commands::processes;
use crate::commands::train::{ResumeHint, report, stop_on_ctrl_c, with_progress};
use crate::outcome::Outcome;
use crate::output;
use anyhow::Result;
use snn_ir::Model;
use snn_train::{FinetuningConfig, Options, RunConfig, RunFolder, RunResult};
use std::path::Path;

pub(crate) fn run(arguments: &Finetune, json: bool) -> Result<Outcome> {
    let run = RunFolder::open(&arguments.run)?;
    let mut config = run.config()?;
    let usual = config.finetuning;
    config.finetuning = FinetuningConfig {
        epochs: arguments.epochs.unwrap_or(usual.epochs),
        learning_rate: arguments.learning_rate.unwrap_or(usual.learning_rate),
    };
    let mut config = config.for_finetuning(run.path());
    let mut options = Options { stop: stop_on_ctrl_c()?, ..arguments.target.options() };
    processes::join(&mut config, &mut options)?;
    let is_silent = processes::is_silent(&options);
    if !is_silent && config.distillation.is_on() {
        output::tell(format_args!("the teacher is {}", config.distillation.teacher.display()));
    }
    let model = Model::load(&arguments.model)?;
    let out = &arguments.target.out;
    let result = finetune(&config, &model, out, &options, ResumeHint::Resume)?;
    if is_silent { Ok(Outcome::Holds) } else { report(out, &result, json) }
}

/// Fine-tunes with progress on stderr.
pub(crate) fn finetune(
    config: &RunConfig,
    model: &Model,
    folder: &Path,
    options: &Options,
    hint: ResumeHint,
) -> Result<RunResult> {
    with_progress(options, hint, |show| snn_train::finetune(config, model, folder, options, show))
}
