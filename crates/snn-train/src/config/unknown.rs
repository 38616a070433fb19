//! Reading a config: keys and kinds that do not exist are errors which name the one that was meant.

use crate::config::stage_name::TWIN;
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use std::fmt;
use toml::{Table, Value};

/// Reads a config from TOML; `kinds` is the text of a config that writes out every table which has
/// a `kind`.
pub(crate) fn read<C: DeserializeOwned + Serialize>(text: &str, kinds: &str) -> Result<C> {
    let given: Table =
        toml::from_str(text).map_err(|error| Error::Toml(error.to_string().trim_end().into()))?;
    let mut expanded = expand(&given, &known_kinds::<C>(kinds)?);
    // The text where it says the same: its errors have lines.
    let read = if expanded == given {
        toml::from_str(text)
    } else {
        Value::Table(expanded.clone()).try_into()
    };
    let config: C = read.map_err(|error| {
        let text = error.to_string();
        // Without lines the key stands last, after the name that was meant.
        let text = match text.trim_end().split_once("\nin ") {
            Some((message, key)) => format!("{key}: {message}"),
            None => text.trim_end().to_string(),
        };
        Error::Toml(format!("{text}{}", hint::<C>(&expanded)))
    })?;
    let Some(path) = unread::<C>(&mut expanded, &mut Vec::new()) else { return Ok(config) };
    // A name beside it, of those that the config writes out.
    let mut known = Table::try_from(&config).map_err(|error| Error::Toml(error.to_string()))?;
    let (key, tables) = path.split_last().map_or(("", &path[..]), |(key, rest)| (key, rest));
    for name in tables {
        known = match known.remove(name) {
            Some(Value::Table(inner)) => inner,
            _ => Table::new(),
        };
    }
    let nearest = nearest(key, known.keys().map(String::as_str)).unwrap_or_default();
    let at = |key: &str| [tables, &[key.to_string()]].concat().join(".");
    let (key, nearest) = (at(key), at(nearest));
    Err(Error::Toml(format!("there is no key `{key}`; did you mean `{nearest}`?")))
}

/// A config that cannot be read.
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    /// The name that was probably meant.
    pub(crate) nearest: Option<&'static str>,
    pub(crate) message: String,
}

/// Reads a config from its table.
pub(crate) fn attempt<C: DeserializeOwned>(table: &Table) -> std::result::Result<C, Failure> {
    Value::Table(table.clone()).try_into().map_err(|error: toml::de::Error| {
        let message = format!("{}{}", error.message().trim_end(), hint::<C>(table));
        match C::deserialize(Hinted(Value::Table(table.clone()))) {
            Err(Hint { problem, nearest, .. }) => Failure { problem, nearest, message },
            Ok(_) => Failure { problem: Problem::Other, nearest: None, message },
        }
    })
}

/// The first key that reading ignores: serde does so with the keys of a variant without fields
/// (`{ kind = "constant", warm_up = 1 }`).
fn unread<C: DeserializeOwned>(whole: &mut Table, path: &mut Vec<String>) -> Option<Vec<String>> {
    let table = path.iter().try_fold(&*whole, |table, name| table.get(name)?.as_table())?;
    for key in table.keys().cloned().collect::<Vec<_>>() {
        path.push(key);
        if !is_read::<C>(whole, path) {
            return Some(path.clone());
        }
        if let Some(found) = unread::<C>(whole, path) {
            return Some(found);
        }
        path.pop();
    }
    None
}

/// `true` if reading a config looks at a key: whose value it then refuses where it is a list of an
/// empty table, which no key takes.
///
/// The keys of a twin are read when its config is made.
pub(crate) fn is_read<C: DeserializeOwned>(whole: &Table, path: &[impl AsRef<str>]) -> bool {
    if path.len() > 1 && path.first().is_some_and(|name| name.as_ref() == TWIN) {
        return true;
    }
    let mut changed = whole.clone();
    let mut names = path.iter().map(AsRef::as_ref).peekable();
    let mut table = &mut changed;
    while let Some(name) = names.next() {
        let Some(value) = table.get_mut(name) else { return false };
        if names.peek().is_none() {
            *value = Value::Array(vec![Value::Table(Table::new())]);
            break;
        }
        let Some(inner) = value.as_table_mut() else { return false };
        table = inner;
    }
    Value::Table(changed).try_into::<C>().is_err()
}

/// The existing name with the fewest edits from `found`.
pub(crate) fn nearest<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known.into_iter().min_by_key(|known| strsim::levenshtein(found, known))
}

/// Hint at what the writer of a config probably meant, to stand after the message of an error;
/// empty if that is not known, or said already.
fn hint<C: DeserializeOwned>(config: &Table) -> String {
    match C::deserialize(Hinted(Value::Table(config.clone()))) {
        Err(Hint { message, nearest: Some(nearest), .. }) if !message.contains("did you mean") => {
            format!("; did you mean `{nearest}`?")
        }
        _ => String::new(),
    }
}

/// The tables of a config that have a `kind`, from one that writes them all out.
fn known_kinds<C: DeserializeOwned + Serialize>(kinds: &str) -> Result<Table> {
    let kinds: C = toml::from_str(kinds).map_err(|error| Error::Toml(error.to_string()))?;
    Table::try_from(&kinds).map_err(|error| Error::Toml(error.to_string()))
}

/// The table with each kind that is given by its name alone written as a table.
fn expand(given: &Table, known: &Table) -> Table {
    let expanded = given.iter().map(|(key, value)| {
        let value = match (value, known.get(key)) {
            (Value::String(_), Some(Value::Table(table))) if table.contains_key("kind") => {
                Value::Table(Table::from_iter([("kind".to_string(), value.clone())]))
            }
            (Value::Table(given), Some(Value::Table(known))) => Value::Table(expand(given, known)),
            (value, _) => value.clone(),
        };
        (key.clone(), value)
    });
    expanded.collect()
}

/// A value that is read with errors that keep which name was meant: serde hands the names that it
/// knows to the error, and other errors make text of them.
struct Hinted(Value);

/// An error of reading a [`Hinted`] value.
#[derive(Debug)]
struct Hint {
    message: String,
    nearest: Option<&'static str>,
    problem: Problem,
}

/// The cause of an error of reading.
#[derive(Debug)]
pub(crate) enum Problem {
    /// There is no such key.
    UnknownField(String),
    /// A key must be there and is not.
    MissingField,
    /// A value.
    Other,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hint {}

impl de::Error for Hint {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), nearest: None, problem: Problem::Other }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let nearest = nearest(field, expected.iter().copied());
        let problem = Problem::UnknownField(field.into());
        Self { message: format!("unknown field `{field}`"), nearest, problem }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let nearest = nearest(variant, expected.iter().copied());
        let message = format!("unknown variant `{variant}`");
        Self { message, nearest, problem: Problem::Other }
    }

    fn missing_field(field: &'static str) -> Self {
        let message = format!("missing field `{field}`");
        Self { message, nearest: None, problem: Problem::MissingField }
    }
}

impl<'de> Deserializer<'de> for Hinted {
    type Error = Hint;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Hint> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(flag) => visitor.visit_bool(flag),
            Value::Datetime(date) => visitor.visit_string(date.to_string()),
            Value::Array(values) => {
                visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Self)))
            }
            Value::Table(table) => visitor.visit_map(MapDeserializer::new(
                table.into_iter().map(|(key, value)| (key, Self(value))),
            )),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Hint> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Hint> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Hint> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            Value::Table(table) => {
                let entries = table.into_iter().map(|(key, value)| (key, Self(value)));
                visitor.visit_enum(de::value::MapAccessDeserializer::new(MapDeserializer::new(
                    entries,
                )))
            }
            other => Self(other).deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Hint> for Hinted {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
