//! `finetune`: a model on the grid, trained further on it.

use crate::Outcome;
use crate::cli::Finetune;
use crate::commands::train::{report, with_progress};
use anyhow::Result;
use snn_ir::Model;
use snn_train::{Options, RunFolder, Start};

pub(crate) fn run(arguments: &Finetune, json: bool) -> Result<Outcome> {
    let config = RunFolder::open(&arguments.run)?.config()?;
    let config = config.for_finetuning(arguments.epochs, arguments.learning_rate);
    let model = Model::load(&arguments.model)?;
    let start = match (arguments.resume, arguments.force) {
        (true, _) => Start::Resume,
        (_, true) => Start::Overwrite,
        _ => Start::New,
    };
    let options =
        Options { data_root: arguments.data.data.clone(), device: arguments.device, start, ..Options::default() };
    let result =
        with_progress(options.device, |show| snn_train::finetune(&config, &model, &arguments.out, &options, show))?;
    report(&arguments.out, &result, json)
}
