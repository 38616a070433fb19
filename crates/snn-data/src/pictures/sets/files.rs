//! Pictures that are files of their own.

use super::set::{Pictures, Place};
use crate::files::is_picture;
use crate::{Error, Result};
use fs_err as fs;
use std::collections::HashMap;
use std::path::Path;

/// The folders of a folder, in the order of their names.
pub(super) fn class_names(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        // The kind of a link is that of what it leads to.
        if entry.file_type()?.is_dir() || entry.path().is_dir() {
            names.push(text(root, &entry.file_name())?);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// One folder a class, whose pictures are in `below` of it.
pub(super) fn class_folders(root: &Path, below: &str) -> Result<Pictures> {
    let classes = class_names(root)?;
    class_folders_of(root, below, classes)
}

/// One folder a class, of classes that are known: a folder may be missing, which shifts no label,
/// and there may be no other.
pub(super) fn class_folders_of(root: &Path, below: &str, classes: Vec<String>) -> Result<Pictures> {
    let there = class_names(root)?;
    if let Some(other) = there.iter().find(|name| classes.binary_search(name).is_err()) {
        return Err(Error::Field {
            path: root.join(other),
            field: "class",
            expected: format!("one of the {} classes of the training part", classes.len()),
            found: format!("`{other}`"),
        });
    }
    let (mut places, mut labels) = (Vec::new(), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        if there.binary_search(class).is_err() {
            continue;
        }
        let folder = if below.is_empty() { class.clone() } else { format!("{class}/{below}") };
        for name in picture_names(&root.join(&folder))? {
            places.push(Place::File(format!("{folder}/{name}").into()));
            labels.push(u16::try_from(label).unwrap_or(u16::MAX));
        }
    }
    Pictures { root: root.to_owned(), archives: Vec::new(), classes, places, labels }.checked()
}

/// All pictures in one folder, with labels by name.
pub(super) fn flat(
    root: &Path,
    classes: Vec<String>,
    by_name: &HashMap<String, u16>,
) -> Result<Pictures> {
    let (mut places, mut labels) = (Vec::new(), Vec::new());
    for name in picture_names(root)? {
        labels.push(super::list::label(by_name, &name, &root.join(&name))?);
        places.push(Place::File(name.into()));
    }
    Pictures { root: root.to_owned(), archives: Vec::new(), classes, places, labels }.checked()
}

/// The picture files of a folder, in the order of their names.
fn picture_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if is_picture(&name.to_string_lossy()) {
            names.push(text(folder, &name)?);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A name as text, which every name of a known set is.
fn text(folder: &Path, name: &std::ffi::OsStr) -> Result<String> {
    name.to_str().map(str::to_owned).ok_or_else(|| Error::Field {
        path: folder.to_owned(),
        field: "name of a file",
        expected: "UTF-8".into(),
        found: format!("{}", name.display()),
    })
}
