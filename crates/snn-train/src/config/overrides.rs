//! `--set key.path=value`, and where two configs differ.

use crate::config::stage_name::TWIN;
use crate::config::unknown::{Failure, Problem, attempt, is_read, nearest};
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The config with each `key.path=value` set, one after the other, so that a kind can be chosen and
/// then its keys set: a kind that lacks a key waits for the rest.
pub(crate) fn apply<C: DeserializeOwned + Serialize>(config: C, sets: &[String]) -> Result<C> {
    let mut table = table(&config)?;
    let mut read = Ok(config);
    for set in sets {
        let (key, text) =
            set.split_once('=').ok_or_else(|| Error::Override { set: set.clone() })?;
        read = match (read, put(&mut table, key.trim(), text.trim())?) {
            (Err(first), Err(_)) => Err(first),
            (_, Err(message)) => Err(Error::Toml(format!("after `{set}`: {message}"))),
            (_, Ok(config)) => {
                table = self::table(&config)?;
                Ok(config)
            }
        };
    }
    read
}

/// Sets one key. Keys that a config does not write out, since they have their defaults, are tried:
/// their type is known to whoever reads them. The inner error is that a key is missing.
fn put<C: DeserializeOwned>(
    table: &mut Table,
    key: &str,
    text: &str,
) -> Result<std::result::Result<C, String>> {
    // A kind by itself, with defaults for its other keys: those of the old kind go.
    let parent = key.strip_suffix(".kind").filter(|_| lookup(table, key).is_some());
    let key = parent.unwrap_or(key);
    let mut refused = None;
    let guesses = match lookup(table, key) {
        Some(old) => match (value(key, text, old), parsed(text)) {
            (Ok(value), _) => vec![value],
            // Some keys take a number or a table (a threshold, an augmentation with settings).
            (Err(error), Some(new)) if old.is_table() != new.is_table() => {
                refused = Some(error);
                guesses(text)
            }
            (Err(error), _) => return Err(error),
        },
        None => guesses(text),
    };
    let mut failure: Option<Failure> = None;
    let (alone, alternative) = (table.clone(), without_alternative(table, key));
    let bases = [Some(alone), alternative].into_iter().flatten();
    let tries =
        bases.flat_map(|base| guesses.iter().map(move |value| (base.clone(), value.clone())));
    for (mut changed, value) in tries {
        let inserted = insert(&mut changed, key, value);
        match inserted.then(|| attempt::<C>(&changed)) {
            Some(Ok(config)) if is_read::<C>(&changed, &key.split('.').collect::<Vec<_>>()) => {
                *table = changed;
                return Ok(Ok(config));
            }
            Some(Err(Failure { problem: Problem::MissingField, message, .. })) => {
                *table = changed;
                return Ok(Err(message));
            }
            Some(Err(other)) if failure.as_ref().is_none_or(|first| first.nearest.is_none()) => {
                failure = Some(other);
            }
            Some(Ok(_) | Err(_)) | None => {}
        }
    }
    if let Some(error) = refused {
        return Err(error);
    }
    let mut known: Vec<String> = paths(table).into_iter().map(|(path, _)| path).collect();
    if let Some(Failure { problem, nearest: hint, message }) = failure {
        match problem {
            Problem::UnknownField(field) if key.split('.').any(|part| part == field) => {
                known.extend(hint.map(|hint| key.replacen(&field, hint, 1)));
            }
            _ => return Err(Error::Toml(format!("after `{key}={text}`: {message}"))),
        }
    }
    let nearest = nearest(key, known.iter().map(String::as_str)).unwrap_or_default().into();
    Err(Error::UnknownKey { key: key.into(), nearest })
}

/// The table without the only other key beside `key`: of two keys that stand for each other
/// (`warm_up.steps`, `warm_up.fraction`) the new one replaces the old one.
fn without_alternative(table: &Table, key: &str) -> Option<Table> {
    let (parent, last) = key.rsplit_once('.')?;
    let mut changed = table.clone();
    let siblings = parent
        .split('.')
        .try_fold(&mut changed, |table, name| table.get_mut(name)?.as_table_mut())?;
    let replaced = siblings.len() == 1 && !siblings.contains_key("kind");
    (replaced && !siblings.contains_key(last)).then(|| siblings.clear())?;
    Some(changed)
}

/// The values that a text from the command line may mean: itself, a number, a kind by its name.
fn guesses(text: &str) -> Vec<Value> {
    match parsed(text) {
        Some(Value::Integer(integer)) => {
            vec![Value::Integer(integer), Value::Float(integer as f64)]
        }
        Some(Value::String(text)) => vec![Value::String(text.clone()), short("kind", text)],
        Some(value) => vec![value],
        None => vec![Value::String(text.into()), short("kind", text.into())],
    }
}

fn parsed(text: &str) -> Option<Value> {
    toml::from_str::<Table>(&format!("value = {text}")).ok()?.remove("value")
}

/// Puts a value at a path, with the tables on the way; `false` if something else is in the way.
fn insert(table: &mut Table, key: &str, value: Value) -> bool {
    match key.split_once('.') {
        None => {
            table.insert(key.into(), value);
            true
        }
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            inner.as_table_mut().is_some_and(|inner| insert(inner, rest, value))
        }
    }
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

fn lookup<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => lookup(table.get(first)?.as_table()?, rest),
    }
}

/// A value from the command line, of the type of the value it replaces.
fn value(key: &str, text: &str, old: &Value) -> Result<Value> {
    let fail =
        || Error::OverrideType { key: key.into(), expected: old.type_str(), found: text.into() };
    match (old, parsed(text)) {
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
    let of_twin = key.strip_prefix(TWIN).and_then(|key| key.strip_prefix('.'));
    match of_twin.unwrap_or(key) {
        "start_from" => Some("path"),
        // A twin has the keys that differ, so that a table need not say its kind.
        _ if of_twin.is_some() => Some("kind"),
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
