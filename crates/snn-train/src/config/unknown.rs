//! Reading a config: keys and kinds that do not exist are errors which name the one that was meant.

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use std::fmt;
use toml::{Table, Value};

/// Reads a config from TOML; `least` is a text that sets only what a config must have.
pub(crate) fn read<C: DeserializeOwned + Serialize>(text: &str, least: &str) -> Result<C> {
    let given: Table =
        toml::from_str(text).map_err(|error| Error::Toml(error.to_string().trim_end().into()))?;
    let expanded = expand(&given, &known_kinds::<C>(least)?);
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
    // serde ignores the keys of a variant without fields (`{ kind = "constant", warm_up = 1 }`):
    // what a config does not write out again is no key of it.
    let known = Table::try_from(&config).map_err(|error| Error::Toml(error.to_string()))?;
    check(&expanded, &known, "")?;
    Ok(config)
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
pub(crate) fn hint<C: DeserializeOwned>(config: &Table) -> String {
    match C::deserialize(Hinted(Value::Table(config.clone()))) {
        Err(Hint { message, nearest: Some(nearest) }) if !message.contains("did you mean") => {
            format!("; did you mean `{nearest}`?")
        }
        _ => String::new(),
    }
}

/// The tables of a config that have a `kind`, from the one that has only defaults.
fn known_kinds<C: DeserializeOwned + Serialize>(least: &str) -> Result<Table> {
    let least: C = toml::from_str(least).map_err(|error| Error::Toml(error.to_string()))?;
    Table::try_from(&least).map_err(|error| Error::Toml(error.to_string()))
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

fn check(given: &Table, known: &Table, path: &str) -> Result<()> {
    for (key, value) in given {
        match (value, known.get(key)) {
            (_, None) => {
                let nearest = nearest(key, known.keys().map(String::as_str)).unwrap_or_default();
                return Err(Error::Toml(format!(
                    "there is no key `{path}{key}`; did you mean `{path}{nearest}`?"
                )));
            }
            (Value::Table(given), Some(Value::Table(known))) => {
                check(given, known, &format!("{path}{key}."))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A value that is read with errors that keep which name was meant: serde hands the names that it
/// knows to the error, and other errors make text of them.
struct Hinted(Value);

/// An error of reading a [`Hinted`] value.
#[derive(Debug)]
struct Hint {
    message: String,
    nearest: Option<&'static str>,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hint {}

impl de::Error for Hint {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), nearest: None }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let nearest = nearest(field, expected.iter().copied());
        Self { message: format!("unknown field `{field}`"), nearest }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let nearest = nearest(variant, expected.iter().copied());
        Self { message: format!("unknown variant `{variant}`"), nearest }
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
