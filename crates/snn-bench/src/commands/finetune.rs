//! `finetune`: a model on the grid, trained further on it.

use crate::cli::Finetune;
use crate::commands::processes;
use crate::commands::train::{ResumeHint, report, stop_on_ctrl_c, with_progress};
use crate::outcome::Outcome;
use crate::output;
use anyhow::Result;
use snn_ir::Model;
use snn_train::{Options, RunFolder};

pub(crate) fn run(arguments: &Finetune, json: bool) -> Result<Outcome> {
    let run = RunFolder::open(&arguments.run)?;
    let config = run.config()?;
    let mut config = config.for_finetuning(run.path(), arguments.epochs, arguments.learning_rate);
    let mut options = Options { stop: stop_on_ctrl_c()?, ..arguments.target.options() };
    processes::join(&mut config, &mut options)?;
    let is_silent = processes::is_silent(&options);
    if !is_silent && config.distillation.is_on() {
        output::tell(format_args!("the teacher is {}", config.distillation.teacher.display()));
    }
    let model = Model::load(&arguments.model)?;
    let result = with_progress(&options, ResumeHint::Resume, |show| {
        snn_train::finetune(&config, &model, &arguments.target.out, &options, show)
    })?;
    if is_silent { Ok(Outcome::Holds) } else { report(&arguments.target.out, &result, json) }
}
