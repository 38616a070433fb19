//! The start of a run, so that it is resumed with the same.

use crate::error::{Error, Result};
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use snn_data::{SampleMut, SampleRng, SampleShape, Source};
use snn_ir::{Encoder, Model};
use std::collections::BTreeMap;
use std::path::Path;

/// Samples of a source that are read to recognise it.
const SAMPLES: usize = 16;

/// `trainer.json`: recipe, model and sources that a run was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    /// The recipe.
    recipe: Value,
    /// Form, graph, time steps, preprocessing and classes of the model.
    model: Value,
    /// Checksum of the weights that training starts with.
    weights: String,
    /// Checksum of the teacher's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    teacher: Option<String>,
    /// Training, validation and test samples.
    sources: BTreeMap<String, SourceIdentity>,
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
    /// The identity of a run.
    pub(crate) fn new<'s>(
        recipe: &Recipe,
        model: &Model,
        teacher: Option<&Model>,
        sources: impl IntoIterator<Item = (&'s str, &'s dyn Source)>,
    ) -> Result<Self> {
        let json = |error: serde_json::Error| {
            Error::Model(snn_ir::Error::Graph(format!("the settings of the run: {error}")))
        };
        let sources = sources
            .into_iter()
            .map(|(part, source)| Ok((part.to_string(), SourceIdentity::new(source)?)));
        Ok(Self {
            recipe: serde_json::to_value(recipe).map_err(json)?,
            model: serde_json::json!({
                "form": model.form(),
                "graph": model.graph(),
                "time_steps": model.time_steps(),
                "preprocessing": model.preprocessing(),
                "classes": model.classes(),
            }),
            weights: checksum(model)?,
            teacher: teacher.map(checksum).transpose()?,
            sources: sources.collect::<Result<_>>()?,
        })
    }

    /// Refuses to go on with another recipe, model or source than this one of `folder`, naming the
    /// first that differs.
    pub(crate) fn check(&self, folder: &Path, given: &Self) -> Result<()> {
        let flat = |identity: &Self| {
            let mut values = BTreeMap::new();
            // A value is compared as it is written.
            let text = serde_json::to_string(identity).unwrap_or_default();
            flatten("", &serde_json::from_str(&text).unwrap_or_default(), &mut values);
            values
        };
        let (run, given) = (flat(self), flat(given));
        let differs = |key: &&String| run.get(*key) != given.get(*key);
        // Weights and samples follow from the model and the sources: they come last.
        let follows = |key: &str| key.ends_with("weights") || key.ends_with("checksum");
        let mut keys: Vec<&String> = run.keys().chain(given.keys()).filter(differs).collect();
        keys.sort_by_key(|key| (follows(key), (*key).clone()));
        let Some(key) = keys.first() else { return Ok(()) };
        let show = |values: &BTreeMap<String, String>| {
            values.get(*key).cloned().unwrap_or_else(|| "nothing".into())
        };
        Err(Error::RunDiffers {
            path: folder.to_path_buf(),
            key: (*key).clone(),
            run: show(&run),
            given: show(&given),
        })
    }
}

impl SourceIdentity {
    fn new(source: &dyn Source) -> Result<Self> {
        let (samples, shape) = (source.len(), source.shape());
        let mut checksum = 0;
        let mut bytes = vec![0; shape.bytes()];
        for number in 0..samples.min(SAMPLES) {
            let index = number * samples / samples.min(SAMPLES);
            bytes.fill(0);
            let mut rng = SampleRng::for_sample(0, 0, source.random_key(index));
            let label =
                source.load(index, &mut SampleMut::from_bytes(shape, &mut bytes)?, &mut rng)?;
            checksum = crc32c::crc32c_append(checksum, &bytes);
            checksum = crc32c::crc32c_append(checksum, &label.to_le_bytes());
        }
        Ok(Self { samples, shape, checksum: format!("{checksum:08x}") })
    }
}

/// The encoder is the recipe's; runs from before files had it have the same checksum.
fn checksum(model: &Model) -> Result<String> {
    let bytes = model.clone().with_encoder(Encoder::Direct).to_bytes()?;
    Ok(format!("{:08x}", crc32c::crc32c(&bytes)))
}

/// Every value with its path, as text; nodes of a graph go by their names.
fn flatten(path: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(&below(key), value, values));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str);
                let key = name.map_or_else(|| number.to_string(), str::to_string);
                flatten(&below(&key), item, values);
            }
        }
        other => drop(values.insert(path.to_string(), other.to_string())),
    }
}
