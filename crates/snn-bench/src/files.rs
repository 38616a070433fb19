//! Paths given on the command line: runs, models, files to write.

use anyhow::{Context, Result, bail};
use snn_data::{DatasetName, Source, SourceConfig, Sources, Subset};
use snn_ir::{Encoder, Form, Model};
use snn_train::{RunConfig, RunFolder, encode};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// A trained network with the config of its run, if it came from one that has a config.
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
        // A program that calls the trainer has a run without a config.
        let config = run.has_config().then(|| run.config()).transpose()?;
        return Ok(Trained { model: Model::load(model)?, config });
    }
    Ok(Trained { model: Model::load(path)?, config: None })
}

/// Reads a converted model.
pub(crate) fn converted(path: &Path) -> Result<Model> {
    let model = Model::load(path)?;
    if model.form() == Form::Trained {
        bail!(
            "{}: expected a converted model, found a trained one; convert it first with `snn \
             convert`",
            path.display()
        );
    }
    Ok(model)
}

/// The samples that a network is tried on.
pub(crate) struct TestSamples {
    /// The data set.
    data: Sources,
    /// Its test part as the network reads it.
    pub(crate) source: Arc<dyn Source>,
    /// How the samples are encoded.
    encoder: Encoder,
    time_steps: usize,
    /// How many of them the run tests on (`data.test_limit`); `None` for all.
    limit: Option<NonZeroUsize>,
    /// Seed by which the run chooses these.
    seed: u64,
}

impl TestSamples {
    /// At most `limit` of the samples; where there is no limit those that the run tests on.
    pub(crate) fn limited(&self, limit: Option<NonZeroUsize>) -> Result<Arc<dyn Source>> {
        let Some(limit) = limit.or(self.limit) else { return Ok(Arc::clone(&self.source)) };
        let indices = self.data.limit((0..self.source.len()).collect(), limit.get(), self.seed);
        // Chosen, then encoded, as in training: random spikes go by the place among the chosen.
        let chosen: Arc<dyn Source> = Arc::new(Subset::new(Arc::clone(&self.data.test), indices)?);
        Ok(encode(&chosen, &self.encoder, self.time_steps)?)
    }
}

/// The whole test part of the data set of the run with this config, or of the one that is named,
/// encoded as the model expects its samples; `None` where neither is given.
pub(crate) fn test_samples(
    model: &Model,
    config: Option<&RunConfig>,
    dataset: Option<DatasetName>,
    root: Option<&Path>,
) -> Result<Option<TestSamples>> {
    let source = match (dataset, config) {
        (Some(name), Some(config)) if config.data.dataset == name => config.data.source(),
        (Some(name), _) => SourceConfig::for_shape(name, model.validate()?.input_shape()),
        (None, Some(config)) => config.data.source(),
        (None, None) => return Ok(None),
    };
    let data = snn_data::open(&source, root)?;
    // Limit and seed are of the run's own data.
    let own = config.filter(|config| config.data.dataset == source.dataset);
    let limit = own.and_then(|config| NonZeroUsize::new(config.data.test_limit));
    let seed = own.filter(|_| limit.is_some()).map_or(0, |config| config.seed);
    // Files from before models had their encoder are encoded as their run was.
    let encoder = match (model.encoder(), config) {
        (Encoder::Direct, Some(config)) => config.encoder,
        (encoder, _) => encoder,
    };
    let time_steps = model.time_steps();
    let source = encode(&data.test, &encoder, time_steps)?;
    Ok(Some(TestSamples { data, source, encoder, time_steps, limit, seed }))
}

/// Makes sure that a model and a data set are meant for each other: as many classes, of the same
/// names where the model has names.
pub(crate) fn fits(model: &Model, path: &Path, samples: &TestSamples) -> Result<()> {
    let Sources { name, classes, .. } = &samples.data;
    let found = model.validate()?.classes();
    if found != classes.len() {
        bail!("{}: {found} classes, but {name} has {}", path.display(), classes.len());
    }
    if let Some((model, data)) = model.classes().iter().zip(classes).find(|(a, b)| a != b) {
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

/// Makes the folder of a file.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs_err::create_dir_all(folder)?;
    }
    Ok(())
}

/// Writes a text; never over a file, unless asked to.
pub(crate) fn write(path: &Path, text: &[u8], force: bool) -> Result<()> {
    refuse_existing(path, force)?;
    make_folder(path)?;
    Ok(snn_ir::write_atomically(path, text)?)
}

/// Writes a model, making its folder.
pub(crate) fn save(model: &Model, path: &Path) -> Result<()> {
    make_folder(path)?;
    model.save(path).with_context(|| format!("cannot write the model {}", path.display()))
}

/// A warning that samples were damaged and left out, of which the first was like this.
pub(crate) fn damage(part: &str, samples: usize, first: &str) -> String {
    format!(
        "warning: {samples} damaged {part} samples, as `on_damage = \"skip\"` leaves them out (of \
         one that cannot be read the next one counts twice); the first: {first}"
    )
}

/// Says which samples of a source were damaged and left out, if any were.
pub(crate) fn tell_damaged(source: &dyn Source) {
    let damaged = source.damaged();
    if let Some(first) = damaged.values().next() {
        crate::output::tell(damage("test", damaged.len(), first));
    }
}
