//! Files of `fixtures/`: the shipped model, and values of other libraries in `golden/`.
//!
//! A file that is not there or is no JSON of the expected type ends the test with a message that
//! names it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// The path of a file in `fixtures/`.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    crate::workspace().join("fixtures").join(name)
}

/// The path of a file in `fixtures/golden/`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    fixture("golden").join(name)
}

/// The bytes of a file in `fixtures/golden/`.
///
/// # Panics
///
/// Where it cannot be read.
#[must_use]
pub fn bytes(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a file in `fixtures/golden/`.
///
/// # Panics
///
/// Where it cannot be read or is no UTF-8.
#[must_use]
pub fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A JSON file of `fixtures/golden/`.
///
/// # Panics
///
/// Where it cannot be read, or has another form.
#[must_use]
pub fn json<Whole: DeserializeOwned>(name: &str) -> Whole {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The list `cases` of a JSON file of `fixtures/golden/`.
///
/// # Panics
///
/// Where it cannot be read, has another form, or lists nothing.
#[must_use]
pub fn cases<Case: DeserializeOwned>(name: &str) -> Vec<Case> {
    #[derive(Deserialize)]
    struct File<Case> {
        cases: Vec<Case>,
    }
    let File { cases } = json(name);
    assert!(!cases.is_empty(), "{name} is empty");
    cases
}
