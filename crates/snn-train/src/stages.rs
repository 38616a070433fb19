//! Staged training: each stage in a folder inside that of the next, the run last.

use crate::config::RunConfig;
use crate::config::stage_name::{CROSSOVER, TWIN};
use crate::error::{Error, Result};
use crate::from_config::undrawn_model;
use crate::loss::teacher;
use crate::progress::{Options, Outcome, Progress};
use crate::run::metrics::{RunResult, TwinResult};
use crate::run::{RunFolder, Start};
use crate::swap::{Activity, swap_sites};
use crate::trainer::{Trainer, check_threads};
use std::path::Path;

/// Trains the stages before a run, each unless it is trained, and then the run, which starts from
/// the last of them.
///
/// The folder of the run is taken before they begin, so that `config.toml` of the whole stands in
/// it; killed at any time, it resumes in the stage that it was in.
pub(crate) fn train(
    config: &RunConfig,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    train_stage("network", config, folder, (options, config.stage_count()?), progress)
}

/// Trains one stage of so many, after those before it.
fn train_stage(
    name: &'static str,
    config: &RunConfig,
    folder: &Path,
    (options, of): (&Options, usize),
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome> {
    let mut options = options.clone();
    if let Some((name, before)) = config.before()? {
        for (table, stage) in [("", config), ("twin.", &before)] {
            check_threads(table, stage.threads, stage.data.loader_threads)?;
        }
        if RunFolder::begun(folder, options.start).is_none() {
            let outcome =
                train_before(name, &before, config, folder, (&mut options, of), progress)?;
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            options.start = Start::Resume;
        }
    }
    progress(Progress::Stage { number: config.stage_count()?, of, name });
    Trainer::from_config(config, folder, &options)?.fit_in(folder, &options, progress)
}

/// Trains the stage before a run in a folder inside its own, unless it is trained; `None` where the
/// run can begin. Steps that it took are no longer left for the run.
fn train_before(
    name: &'static str,
    before: &RunConfig,
    config: &RunConfig,
    folder: &Path,
    (options, of): (&mut Options, usize),
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Option<Outcome>> {
    let nested = folder.join(name);
    let begun = match options.start {
        Start::Resume => RunFolder::open(&nested).ok(),
        Start::New | Start::Overwrite => None,
    };
    if begun.is_none() {
        check_all(config, folder, options)?;
    }
    let given = match (&options.twin, config.twin_config()?) {
        (Some(path), Some(twin)) => Some(finished(path, &twin)?).filter(|_| name == TWIN),
        _ => None,
    };
    if let (Some(given), Start::Overwrite) = (&options.twin, options.start)
        && let (Ok(given), Ok(folder)) = (given.canonicalize(), folder.canonicalize())
        && given.starts_with(&folder)
    {
        return Err(Error::Toml(format!(
            "the twin {} lies in the folder that would be overwritten; name another folder",
            given.display()
        )));
    }
    let _claimed = RunFolder::claim(folder, config, options.start)?;
    let is_trained = begun.as_ref().map(RunFolder::result).transpose()?.flatten().is_some();
    if is_trained {
        return Ok(None);
    }
    if let Some(given) = given {
        given.copy_to(&nested)?;
        return Ok(None);
    }
    let start = if begun.is_some() { Start::Resume } else { Start::New };
    let of_stage = Options { start, ..options.clone() };
    let mut steps = 0;
    let mut counted = |told: Progress<'_>| {
        steps += usize::from(matches!(told, Progress::Step { .. }));
        progress(told);
    };
    let outcome = train_stage(name, before, &nested, (&of_stage, of), &mut counted)?;
    options.step_limit = options.step_limit.map(|limit| limit.saturating_sub(steps));
    Ok((!matches!(outcome, Outcome::Finished(_))).then_some(outcome))
}

/// What the twin of the staged run in a folder reached, with the time of all stages before the run.
pub(crate) fn twin_result(folder: &Path) -> Result<Option<TwinResult>> {
    let result = |name: &str| match RunFolder::open(folder.join(name)) {
        Ok(stage) => stage.result(),
        Err(_) => Ok(None),
    };
    match result(CROSSOVER)? {
        Some(RunResult { twin: Some(twin), wall_seconds, .. }) => {
            Ok(Some(TwinResult { wall_seconds: twin.wall_seconds + wall_seconds, ..twin }))
        }
        _ => Ok(result(TWIN)?.map(TwinResult::from)),
    }
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

/// Refuses before anything is trained what could only be refused after a stage.
fn check_all(config: &RunConfig, folder: &Path, options: &Options) -> Result<()> {
    let Some((name, before)) = config.before()? else { return Ok(()) };
    check(config, &before, folder, options).map_err(|error| match error {
        Error::Policy(snn_hybrid::Error::Stages { of, sites, .. }) => Error::Toml(format!(
            "`crossover.stages` must be at most {sites}, the sites that `policy` leaves spiking, \
             found {of}"
        )),
        other => other,
    })?;
    check_all(&before, &folder.join(name), options)
}

/// Refuses before a stage is trained what could only be refused after it.
fn check(config: &RunConfig, before: &RunConfig, folder: &Path, options: &Options) -> Result<()> {
    let root = options.data_root.as_deref();
    let data = config.open_data(root)?;
    let own = (before.data != config.data).then(|| before.open_data(root)).transpose()?;
    let data_before = own.as_ref().unwrap_or(&data);
    let source = undrawn_model(before, data_before)?;
    let mut model = undrawn_model(config, &data)?;
    if source.classes() != model.classes() {
        return Err(Error::Mismatch {
            what: "`twin.data`",
            expected: format!("the classes of the run, {:?}", model.classes()),
            found: format!("{:?}", source.classes()),
        });
    }
    let after = config.after_stages(folder);
    after.start_from.take(&source, &mut model)?;
    if after.start_from.swap {
        swap_sites(&source, &Activity::new(), &mut model)?;
    }
    let is_taught_by_twin =
        config.twin_folder(folder)?.is_some_and(|twin| twin == after.distillation.teacher);
    let teacher = match config.twin_config()?.filter(|_| is_taught_by_twin) {
        Some(twin) => {
            teacher::check_dataset(&after, twin.data.dataset)?;
            Some(undrawn_model(&twin, &twin.open_data(root)?)?)
        }
        None => teacher::find(&after)?,
    };
    let teacher_before = teacher::find(before)?;
    Trainer::of_data(before, data_before, source, teacher_before).check_whole(options)?;
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
