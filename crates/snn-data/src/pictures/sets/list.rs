//! Lists of the labels of pictures that lie together in one folder.

use crate::files::text;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// The lists of ImageNet have a few megabytes.
pub(super) const MAX_BYTES: u64 = 1 << 26;

/// Reads lines of a picture's name and its class, separated by spaces, tabs or a comma; what
/// follows them is left alone. A line whose class is unknown is an error, but for titles in the
/// first line.
pub(super) fn read(path: &Path, classes: &[String]) -> Result<HashMap<String, u16>> {
    let known: HashMap<&str, usize> =
        classes.iter().enumerate().map(|(label, class)| (class.as_str(), label)).collect();
    let text = text::read(path, MAX_BYTES)?;
    let mut labels = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let mut fields = line.split([' ', '\t', ',']).filter(|field| !field.is_empty());
        let (Some(name), class) = (fields.next(), fields.next()) else { continue };
        let label = class.and_then(|class| known.get(class));
        match label.and_then(|&label| u16::try_from(label).ok()) {
            Some(label) => {
                let name = name.rsplit('/').next().unwrap_or(name);
                labels.insert(stem(name).to_owned(), label);
            }
            None if index == 0 => {}
            None => {
                let found = format!("`{}` in line {}", class.unwrap_or_default(), index + 1);
                let expected = "the folder name of a class, as nXXXXXXXX".into();
                return Err(Error::Field {
                    path: path.to_owned(),
                    field: "class",
                    expected,
                    found,
                });
            }
        }
    }
    Ok(labels)
}

/// The label of a picture, whose name the list may have without its ending.
pub(super) fn label(labels: &HashMap<String, u16>, name: &str, path: &Path) -> Result<u16> {
    labels.get(stem(name)).copied().ok_or_else(|| Error::Field {
        path: path.to_owned(),
        field: "label",
        expected: "a line with this name in the list of labels".into(),
        found: "none".into(),
    })
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
