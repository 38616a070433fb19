//! The start of a run, so that it is resumed with the same.

use crate::config::flatten::flatten;
use crate::error::{Error, Result};
use crate::evaluate::check_labels;
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use snn_core::ProcessRank;
use snn_data::{LoaderConfig, SampleShape, Source};
use snn_ir::{Encoder, Form, Graph, Model, Preprocessing, Tensor};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Samples of a source that are read to recognise it.
const SAMPLES: usize = 16;

/// `trainer.json`: recipe, model and sources that a run was started with.
///
/// The values are compared, not the text: a key that a later version adds has the default with
/// which a run is what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    recipe: Recipe,
    model: ModelIdentity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    teacher: Option<ModelIdentity>,
    /// Training, validation and test samples.
    sources: BTreeMap<String, SourceIdentity>,
}

/// How a model is recognised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelIdentity {
    form: Form,
    graph: Graph,
    time_steps: usize,
    preprocessing: Preprocessing,
    #[serde(default = "direct")]
    encoder: Encoder,
    classes: Vec<String>,
    /// Checksum of the names, shapes and values of its weights.
    weights: String,
}

fn direct() -> Encoder {
    Encoder::Direct
}

/// How the samples of a source are recognised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceIdentity {
    samples: usize,
    shape: SampleShape,
    /// Checksum of a few samples and their labels.
    checksum: String,
}

impl Identity {
    /// The identity of a run of `classes` classes.
    ///
    /// # Errors
    /// One of the samples cannot be read, or its label is not a class.
    pub(crate) fn new<'s>(
        recipe: &Recipe,
        model: &Model,
        classes: usize,
        teacher: Option<&Model>,
        sources: impl IntoIterator<Item = (&'static str, &'s Arc<dyn Source>)>,
    ) -> Result<Self> {
        let sources = sources.into_iter().map(|(part, source)| {
            Ok((part.to_string(), SourceIdentity::new(part, source, classes)?))
        });
        Ok(Self {
            recipe: recipe.clone(),
            model: ModelIdentity::new(model),
            teacher: teacher.map(ModelIdentity::new),
            sources: sources.collect::<Result<_>>()?,
        })
    }

    /// Refuses to go on where another process has another recipe, model or source.
    pub(crate) fn agree(&self, process: &ProcessRank) -> Result<()> {
        for (what, value) in [
            ("recipe", serde_json::to_vec(&self.recipe)),
            ("model", serde_json::to_vec(&self.model)),
            ("teacher", serde_json::to_vec(&self.teacher)),
            ("data", serde_json::to_vec(&self.sources)),
        ] {
            process.agree(what, &value.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Refuses to go on with another recipe, model or source than this one of `file`, naming the
    /// first that differs. The first weights count only where training begins with them.
    pub(crate) fn check(&self, file: &Path, given: &Self, with_weights: bool) -> Result<()> {
        let flat = |identity: &Self| -> Result<BTreeMap<String, String>> {
            let value = serde_json::to_value(identity)
                .map_err(|e| Error::Damaged { path: file.to_path_buf(), reason: e.to_string() })?;
            let mut values = flatten(&value);
            if !with_weights {
                values.remove("model.weights");
            }
            Ok(values)
        };
        let (run, given) = (flat(self)?, flat(given)?);
        let differs = |key: &&String| run.get(*key) != given.get(*key);
        // Weights and samples follow from the model and the sources: they come last.
        let follows = |key: &str| key.ends_with("weights") || key.ends_with("checksum");
        let keys = run.keys().chain(given.keys()).filter(differs);
        let Some(key) = keys.min_by_key(|key| (follows(key), *key)) else { return Ok(()) };
        // Where a whole table is on one side only, it is what differs.
        let lacks = |values: &BTreeMap<String, String>, path: &str| {
            let of = |key: &str| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
            !values.keys().any(|key| key == path || of(key))
        };
        let ends = key.match_indices('.').map(|(end, _)| end).chain([key.len()]);
        let path = { ends }
            .filter_map(|end| key.get(..end))
            .find(|path| lacks(&run, path) || lacks(&given, path))
            .unwrap_or(key);
        let show = |values: &BTreeMap<String, String>| match values.get(path) {
            Some(value) => value.clone(),
            None if lacks(values, path) => "nothing".into(),
            None => "one".into(),
        };
        Err(Error::RunDiffers {
            path: file.to_path_buf(),
            key: path.to_string(),
            run: show(&run),
            given: show(&given),
        })
    }
}

impl ModelIdentity {
    fn new(model: &Model) -> Self {
        let mut checksum = 0;
        let mut add = |bytes: &[u8]| checksum = crc32c::crc32c_append(checksum, bytes);
        for (name, tensor) in model.weights() {
            add(format!("{name} {} {:?}", tensor.dtype(), tensor.shape()).as_bytes());
            match tensor {
                Tensor::F32(array) => array.iter().for_each(|value| add(&value.to_le_bytes())),
                Tensor::F64(array) => array.iter().for_each(|value| add(&value.to_le_bytes())),
                Tensor::I8(array) => array.iter().for_each(|value| add(&value.to_le_bytes())),
                Tensor::I32(array) => array.iter().for_each(|value| add(&value.to_le_bytes())),
            }
        }
        Self {
            form: model.form(),
            graph: model.graph().clone(),
            time_steps: model.time_steps(),
            preprocessing: model.preprocessing().clone(),
            encoder: model.encoder(),
            classes: model.classes().to_vec(),
            weights: format!("{checksum:08x}"),
        }
    }
}

impl SourceIdentity {
    /// Reads samples in an order that follows none of the source's own (classes in turn, say), as a
    /// loader does, which makes errors of panics.
    fn new(part: &'static str, source: &Arc<dyn Source>, classes: usize) -> Result<Self> {
        let (samples, shape) = (source.len(), source.shape());
        let mut checksum = 0;
        if samples > 0 {
            let loader = LoaderConfig { batch_size: 1, threads: 0, ..LoaderConfig::default() }
                .init_source(Arc::clone(source), None)?;
            for (batch, index) in loader.epoch(0)?.zip(loader.order(0)).take(SAMPLES) {
                let batch = batch.map_err(|error| {
                    let (name, index) = (source.sample_name(index), source.random_key(index));
                    let source = match error {
                        snn_data::Error::Load { source, .. } => source,
                        other => Box::new(other),
                    };
                    Error::Sample { part, index, name, source }
                })?;
                check_labels(part, source, &batch, classes)?;
                checksum = crc32c::crc32c_append(checksum, batch.samples.bytes());
                for label in &batch.targets.labels {
                    checksum = crc32c::crc32c_append(checksum, &label.to_le_bytes());
                }
            }
        }
        Ok(Self { samples, shape, checksum: format!("{checksum:08x}") })
    }
}
