//! `--set key.path=value`, and where two configs differ.

use crate::config::unknown::{hint, nearest};
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The config with each `key.path=value` set, one after the other, so that a kind can be chosen and
/// then its keys set.
pub(crate) fn apply<C: DeserializeOwned + Serialize>(mut config: C, sets: &[String]) -> Result<C> {
    for set in sets {
        let mut table = table(&config)?;
        let (key, text) =
            set.split_once('=').ok_or_else(|| Error::Override { set: set.clone() })?;
        let (key, text) = (key.trim(), text.trim());
        let Some(slot) = lookup(&mut table, key) else {
            let keys = paths(&table);
            let nearest = nearest(key, keys.iter().map(|(path, _)| path.as_str()));
            return Err(Error::UnknownKey {
                key: key.into(),
                nearest: nearest.unwrap_or_default().into(),
            });
        };
        *slot = value(key, text, slot)?;
        config = Value::Table(table.clone()).try_into().map_err(|error: toml::de::Error| {
            Error::Toml(format!(
                "after `{set}`: {}{}",
                error.message().trim_end(),
                hint::<C>(&table)
            ))
        })?;
    }
    Ok(config)
}

/// The first key, in alphabetical order, that has another value in `given` than in `run`:
/// `(key, in run, in given)`.
pub(crate) fn difference<C: Serialize>(
    run: &C,
    given: &C,
) -> Result<Option<(String, String, String)>> {
    let (run, given) = (paths(&table(run)?), paths(&table(given)?));
    let show = |paths: &[(String, Value)], key: &str| {
        paths
            .iter()
            .find(|(path, _)| path == key)
            .map_or_else(|| "nothing".to_string(), |(_, value)| value.to_string())
    };
    let mut keys: Vec<&String> = run.iter().chain(&given).map(|(path, _)| path).collect();
    keys.sort();
    let pairs = keys.into_iter().map(|key| (key.clone(), show(&run, key), show(&given, key)));
    Ok({ pairs }.find(|(_, run, given)| run != given))
}

fn table(config: &impl Serialize) -> Result<Table> {
    Table::try_from(config).map_err(|e| Error::Toml(e.to_string()))
}

fn lookup<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((first, rest)) => lookup(table.get_mut(first)?.as_table_mut()?, rest),
    }
}

/// A value from the command line, of the type of the value it replaces.
fn value(key: &str, text: &str, old: &Value) -> Result<Value> {
    let parsed = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"));
    let fail =
        || Error::OverrideType { key: key.into(), expected: old.type_str(), found: text.into() };
    match (old, parsed) {
        (Value::String(_), Some(Value::String(string))) => Ok(Value::String(string)),
        // Not TOML: a string without its quotes.
        (Value::String(_), None) => Ok(Value::String(text.into())),
        (Value::Float(_), Some(Value::Integer(integer))) => Ok(Value::Float(integer as f64)),
        (Value::Table(table), None) => {
            main_key(key, table).map(|main| short(main, text.into())).ok_or_else(fail)
        }
        (Value::Table(table), Some(Value::String(string))) => {
            main_key(key, table).map(|main| short(main, string)).ok_or_else(fail)
        }
        (old, Some(new)) if old.same_type(&new) => Ok(new),
        _ => Err(fail()),
    }
}

/// The key that a table may be written by alone, with defaults for the others.
fn main_key(key: &str, table: &Table) -> Option<&'static str> {
    match key {
        "start_from" => Some("path"),
        _ => table.contains_key("kind").then_some("kind"),
    }
}

fn short(key: &str, text: String) -> Value {
    Value::Table(Table::from_iter([(key.to_string(), Value::String(text))]))
}

/// Every key with its path; tables are walked into, not listed.
fn paths(table: &Table) -> Vec<(String, Value)> {
    let mut paths = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                paths.extend(
                    self::paths(inner)
                        .into_iter()
                        .map(|(path, value)| (format!("{key}.{path}"), value)),
                );
            }
            other => paths.push((key.clone(), other.clone())),
        }
    }
    paths
}
