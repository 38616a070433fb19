//! Staged training: the twin in a folder of its own inside the run's, then the run.

use crate::config::RunConfig;
use crate::config::twin_name::TWIN;
use crate::error::{Error, Result};
use crate::from_config::undrawn_model;
use crate::loss::teacher;
use crate::progress::{Options, Outcome, Progress};
use crate::run::{RunFolder, Start};
use crate::swap::{Activity, swap_sites};
use crate::trainer::{Trainer, check_threads};
use std::path::Path;

/// Trains the twin of a config, unless it is trained, and then the network that starts from it.
///
/// The folder of the run is taken before the twin begins, so that `config.toml` of the whole stands
/// in it; killed at any time, it resumes in the stage that it was in.
pub(crate) fn train(
    config: &RunConfig,
    twin: &RunConfig,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    for (table, stage) in [("", config), ("twin.", twin)] {
        check_threads(table, stage.threads, stage.data.loader_threads)?;
    }
    let mut options = options.clone();
    if RunFolder::begun(folder, options.start).is_none() {
        let nested = folder.join(TWIN);
        let begun = match options.start {
            Start::Resume => RunFolder::open(&nested).ok(),
            Start::New | Start::Overwrite => None,
        };
        if begun.is_none() {
            check(config, twin, folder, &options)?;
        }
        let given = options.twin.as_deref().map(|path| finished(path, twin)).transpose()?;
        let claimed = RunFolder::claim(folder, config, options.start)?;
        let is_trained = begun.as_ref().map(RunFolder::result).transpose()?.flatten().is_some();
        if let (false, Some(given)) = (is_trained, given) {
            given.copy_to(&nested)?;
        } else if !is_trained {
            progress(Progress::Stage { number: 1, of: 2, name: TWIN });
            let start = if begun.is_some() { Start::Resume } else { Start::New };
            let of_twin = Options { start, ..options.clone() };
            let mut steps = 0;
            let mut counted = |told: Progress<'_>| {
                steps += usize::from(matches!(told, Progress::Step { .. }));
                progress(told);
            };
            let trainer = Trainer::from_config(twin, &nested, &of_twin)?;
            let outcome = trainer.fit(&nested, &of_twin, &mut counted)?;
            if !matches!(outcome, Outcome::Finished(_)) {
                return Ok(outcome);
            }
            options.step_limit = options.step_limit.map(|limit| limit.saturating_sub(steps));
        }
        options.start = Start::Resume;
        drop(claimed);
    }
    progress(Progress::Stage { number: 2, of: 2, name: "network" });
    Trainer::from_config(config, folder, &options)?.fit(folder, &options, progress)
}

/// A twin that was trained elsewhere, as this config says.
fn finished(path: &Path, twin: &RunConfig) -> Result<RunFolder> {
    let run = RunFolder::open(path)?;
    run.check_config(twin)?;
    match run.result()? {
        Some(_) => Ok(run),
        None => Err(Error::Unfinished { path: path.to_path_buf() }),
    }
}

/// Refuses before the twin is trained what could only be refused after it.
fn check(config: &RunConfig, twin: &RunConfig, folder: &Path, options: &Options) -> Result<()> {
    let root = options.data_root.as_deref();
    let data = config.open_data(root)?;
    let own = (twin.data != config.data).then(|| twin.open_data(root)).transpose()?;
    let of_twin = own.as_ref().unwrap_or(&data);
    let source = undrawn_model(twin, of_twin)?;
    let mut model = undrawn_model(config, &data)?;
    if source.classes() != model.classes() {
        return Err(Error::Mismatch {
            what: "`twin.data`",
            expected: format!("the classes of the run, {:?}", model.classes()),
            found: format!("{:?}", source.classes()),
        });
    }
    let after = config.after_twin(folder);
    after.start_from.take(&source, &mut model)?;
    if after.start_from.swap {
        swap_sites(&source, &Activity::new(), &mut model)?;
    }
    let is_taught_by_twin = after.distillation.teacher == after.start_from.path;
    let teacher = if is_taught_by_twin {
        teacher::check_dataset(&after, twin.data.dataset)?;
        Some(source.clone())
    } else {
        teacher::find(&after)?
    };
    Trainer::of_data(twin, of_twin, source, teacher::find(twin)?).check_whole(options)?;
    let checked = Trainer::of_data(&after, &data, model, teacher).check_whole(options);
    checked.map_err(|error| match error {
        Error::Mismatch { what: what @ "teacher", expected, found } if is_taught_by_twin => {
            let way_out = "the teacher is the twin; `distillation.teacher` names another, and \
                           `distillation.weight = 0` is for none";
            Error::Mismatch { what, expected: format!("{expected} ({way_out})"), found }
        }
        other => other,
    })
}
