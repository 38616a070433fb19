//! Paths given on the command line: runs, models, files to write.

use anyhow::{Context, Result, bail};
use snn_data::Dataset;
use snn_ir::Model;
use snn_train::{RunConfig, RunFolder};
use std::path::Path;

/// A trained network with the config of its run, if it came from one.
pub(crate) struct Trained {
    pub(crate) model: Model,
    pub(crate) config: Option<RunConfig>,
}

/// Reads a trained model from a run folder or a file.
pub(crate) fn trained(path: &Path) -> Result<Trained> {
    if path.is_dir() {
        let run = RunFolder::open(path)?;
        let model = run.model_path();
        if !model.is_file() {
            bail!(
                "{}: the run has not finished an epoch yet (no model.safetensors); continue it \
                 with --resume",
                path.display()
            );
        }
        return Ok(Trained { model: Model::load(model)?, config: Some(run.config()?) });
    }
    Ok(Trained { model: Model::load(path)?, config: None })
}

/// Makes sure that a model and a data set are meant for each other: as many classes, of the same
/// names where the model has names.
pub(crate) fn fits(model: &Model, path: &Path, data: &Dataset) -> Result<()> {
    let (name, classes) = (data.name, data.classes.len());
    let found = model.validate()?.classes();
    if found != classes {
        bail!("{}: {found} classes, but {name} has {classes}", path.display());
    }
    if let Some((model, data)) = model.classes().iter().zip(&data.classes).find(|(a, b)| a != b) {
        bail!("{}: has a class `{model}` where {name} has `{data}`", path.display());
    }
    Ok(())
}

/// Makes sure that nothing is overwritten unasked.
pub(crate) fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if path.exists() && !force {
        bail!("{} exists; --force replaces it", path.display());
    }
    Ok(())
}

/// Makes sure that a converted model does not replace the trained one, which cannot be made from it
/// again.
pub(crate) fn refuse_source(out: &Path, run: &Path) -> Result<()> {
    let source = if run.is_dir() { RunFolder::open(run)?.model_path() } else { run.to_path_buf() };
    if let (Ok(out), Ok(source)) = (out.canonicalize(), source.canonicalize())
        && out == source
    {
        bail!("{} is the trained model itself; name another file", out.display());
    }
    Ok(())
}

/// Writes a text; never over a file, unless asked to.
pub(crate) fn write(path: &Path, text: &[u8], force: bool) -> Result<()> {
    refuse_existing(path, force)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs_err::create_dir_all(folder)?;
    }
    Ok(snn_ir::file::write_atomically(path, text)?)
}

/// Writes a model, making its folder.
pub(crate) fn save(model: &Model, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs_err::create_dir_all(folder)?;
    }
    model.save(path).with_context(|| format!("cannot write the model {}", path.display()))
}
