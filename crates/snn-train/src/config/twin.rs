//! Staged training: a twin at T = 1 first, then the network itself.

use crate::config::RunConfig;
use crate::config::activity::ActivityConfig;
use crate::config::crossover::CrossoverConfig;
use crate::config::distillation::DistillationConfig;
use crate::config::finetuning::FinetuningConfig;
use crate::config::stage_name::{CROSSOVER, TWIN};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use snn_data::Form;
use snn_hybrid::Policy;
use snn_ir::Encoder;
use toml::{Table, Value};

/// Staged training (`[twin]`): a twin of the network is trained first, and the network starts from
/// its weights, with it as teacher.
///
/// The table has keys of a config, which replace those of the run for the twin; `epochs` must be
/// among them. Without others the twin is the network with every site the `replacement` (`policy =
/// "all"`), at T = 1 (at the T of the run where samples are frames), without a teacher and without
/// `activity`, and the run's `start_from` is the twin's. The run itself starts from the trained
/// twin, with `start_from.swap` unless the twin has its `policy` and so its kinds of sites; its
/// teacher is the twin, unless it names another or `distillation.weight` is 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TwinConfig {
    /// The keys that the twin has of its own.
    keys: Table,
}

/// Keys that the twin has in common with the run, or cannot have.
const NOT_ITS_OWN: [&str; 5] = ["seed", "network", FINETUNING, TWIN, CROSSOVER];
const FINETUNING: &str = "finetuning";

impl RunConfig {
    /// The config of the twin; `None` for a run without one.
    ///
    /// # Errors
    /// The table has no `epochs`, or a key that a twin cannot have; a key does not exist or is out
    /// of range.
    pub fn twin_config(&self) -> Result<Option<Self>> {
        let Some(TwinConfig { keys }) = &self.twin else { return Ok(None) };
        if !keys.contains_key("epochs") {
            let message = "`twin` needs `epochs`, those of the twin; its other keys are those of \
                           the run where they are absent";
            return Err(Error::Toml(message.into()));
        }
        if let Some(key) = NOT_ITS_OWN.iter().find(|key| keys.contains_key(**key)) {
            let why = match *key {
                TWIN | CROSSOVER => "a twin has no stages before it",
                FINETUNING => "a twin is not converted",
                _ => "the twin has that of the run",
            };
            return Err(Error::Toml(format!("`twin.{key}` must be absent: {why}")));
        }
        let base = Self {
            twin: None,
            crossover: CrossoverConfig::default(),
            policy: Policy::All,
            time_steps: if self.has_frames() { self.time_steps } else { 1 },
            distillation: DistillationConfig::default(),
            activity: ActivityConfig::default(),
            finetuning: FinetuningConfig::default(),
            ..self.clone()
        };
        let mut table = Table::try_from(&base).map_err(|error| Error::Toml(error.to_string()))?;
        merge(&mut table, keys);
        let text = toml::to_string(&table).map_err(|error| Error::Toml(error.to_string()))?;
        let twin = Self::from_toml(&text).map_err(|error| match error {
            Error::Toml(message) => Error::Toml(format!("`twin`: {message}")),
            Error::Key { key, expected, found } => {
                Error::Toml(format!("`twin.{key}` must be {expected}, found {found}"))
            }
            other => Error::Toml(format!("`twin`: {other}")),
        })?;
        Ok(Some(twin))
    }

    /// A table `twin` that has every key of the twin, so that it says the same in a config whose
    /// own keys are others.
    pub(crate) fn whole_twin(&self, twin: &Self) -> Result<TwinConfig> {
        let mut keys = Table::try_from(twin).map_err(|error| Error::Toml(error.to_string()))?;
        if let Some(own) = &self.twin {
            // Keys that are left out of a file where they have their defaults.
            merge(&mut keys, &own.keys);
        }
        for key in NOT_ITS_OWN {
            keys.remove(key);
        }
        Ok(TwinConfig { keys })
    }

    /// `true` if samples are as many frames as there are time steps.
    fn has_frames(&self) -> bool {
        let recordings = matches!(self.data.dataset.spec().form, Form::Recordings(_));
        recordings || self.encoder != Encoder::Direct
    }
}

/// Puts keys over those of a table. Where a table gets another `kind`, its other keys go.
fn merge(table: &mut Table, keys: &Table) {
    for (key, value) in keys {
        match (table.get_mut(key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if is_same_kind(old, new) => {
                merge(old, new);
            }
            (Some(Value::Table(old)), Value::String(kind)) if old.contains_key("kind") => {
                *old = Table::from_iter([("kind".to_string(), Value::String(kind.clone()))]);
            }
            _ => drop(table.insert(key.clone(), value.clone())),
        }
    }
}

/// `true` if one table changes another and does not replace it.
fn is_same_kind(old: &Table, new: &Table) -> bool {
    match (old.get("kind"), new.get("kind")) {
        (Some(old), Some(new)) => old == new,
        (Some(_), None) => true,
        // Of two keys that stand for each other (`warm_up.steps`, `.fraction`) there is one.
        (None, _) => old.len() > 1 || old.keys().eq(new.keys()),
    }
}
