//! Reading a config: keys that do not exist are errors which name the one that was meant.

use crate::config::RunConfig;
use crate::error::{Error, Result};
use toml::{Table, Value};

/// Reads a config from TOML.
pub(crate) fn read(text: &str) -> Result<RunConfig> {
    let config: RunConfig = toml::from_str(text).map_err(|error| {
        Error::Toml(format!("{}{}", error.to_string().trim_end(), hint(error.message())))
    })?;
    // serde ignores the keys of a variant without fields (`{ kind = "constant", warm_up = 1 }`):
    // what a config does not write out again is no key of it.
    let given: Table = toml::from_str(text).map_err(|error| Error::Toml(error.to_string()))?;
    let known = Table::try_from(&config).map_err(|error| Error::Toml(error.to_string()))?;
    check(&given, &known, "")?;
    Ok(config)
}

/// What the writer of a config probably meant, to stand after the message of serde; empty if that
/// is not known.
pub(crate) fn hint(message: &str) -> String {
    if let Some(name) = expected(message) {
        return format!("; did you mean `{name}`?");
    }
    // A kind by its name alone, where only a table is read.
    let name =
        message.strip_prefix("invalid type: string \"").and_then(|rest| rest.split_once('"'));
    match name {
        Some((name, rest)) if rest.contains("internally tagged enum") => {
            format!("; write a table, `{{ kind = \"{name}\" }}`")
        }
        _ => String::new(),
    }
}

/// Of "unknown field `x`, expected one of `a`, `b`" the nearest of those expected.
fn expected(message: &str) -> Option<&str> {
    let rest = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"))?;
    let (found, expected) = rest.split_once("`, expected ")?;
    // Between every other pair of backticks stands a name.
    let names = expected.split('`').skip(1).step_by(2);
    if message.contains("did you mean") { None } else { nearest(found, names) }
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
                check(given, known, &format!("{path}{key}."))?
            }
            _ => {}
        }
    }
    Ok(())
}

fn nearest<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.min_by_key(|known| strsim::levenshtein(found, known))
}
