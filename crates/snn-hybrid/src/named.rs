//! Data that is a name, or a table with `kind` and the settings of that kind.

use crate::nearest::nearest;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

/// A kind, and the keys that its table may have beside `kind`.
pub(crate) type Kind = (&'static str, &'static [&'static str]);

/// Reads a name or a table, refuses kinds and keys that do not exist, and hands the table to
/// `read`.
///
/// The keys are checked here because serde ignores those of a variant without fields.
pub(crate) fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    what: &str,
    kinds: &[Kind],
    read: impl FnOnce(Value) -> serde_json::Result<T>,
) -> Result<T, D::Error> {
    let table = match Value::deserialize(deserializer)? {
        Value::String(name) => Map::from_iter([("kind".to_string(), Value::String(name))]),
        Value::Object(table) => table,
        other => {
            let names = names(kinds.iter().map(|(name, _)| *name));
            return Err(D::Error::custom(format!(
                "expected {what}: one of {names}, or a table with `kind`; found {other}"
            )));
        }
    };
    check(&table, what, kinds).map_err(D::Error::custom)?;
    read(Value::Object(table)).map_err(|error| D::Error::custom(format!("{what}: {error}")))
}

fn check(table: &Map<String, Value>, what: &str, kinds: &[Kind]) -> Result<(), String> {
    let all = || kinds.iter().map(|(name, _)| *name);
    let Some(Value::String(kind)) = table.get("kind") else {
        return Err(format!("{what}: missing field `kind`, one of {}", names(all())));
    };
    let Some((_, keys)) = kinds.iter().find(|(name, _)| name == kind) else {
        let nearest = nearest(kind, all());
        return Err(format!(
            "unknown variant `{kind}`, expected {what}: one of {}; did you mean `{nearest}`?",
            names(all())
        ));
    };
    match table.keys().find(|key| *key != "kind" && !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) if keys.is_empty() => {
            Err(format!("{what}: unknown field `{key}`; `{kind}` takes no settings"))
        }
        Some(key) => Err(format!(
            "{what}: unknown field `{key}`; `{kind}` takes {}; did you mean `{}`?",
            names(keys.iter().copied()),
            nearest(key, keys.iter().copied())
        )),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
