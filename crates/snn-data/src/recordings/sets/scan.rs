//! Recordings in one folder or zip archive a class.

use super::natural;
use super::place::{Place, entries};
use super::sample::Sample;
use crate::files::text;
use crate::{Error, Result, Split};
use fs_err as fs;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Endings of the files of event cameras.
const ENDINGS: [&str; 7] = ["aedat", "aedat4", "dat", "raw", "npz", "bin", "bs2"];
/// The list of labels of recordings in one folder.
const LABELS: &str = "labels.txt";
/// Lists are megabytes at most.
const MAX_LIST: u64 = 1 << 26;

/// The recordings of a set with known classes: in `Train` and `Test`, directly in the folder, or in
/// it with a list of labels.
pub(super) fn known_classes(
    folder: &Path,
    names: &[&str],
    endings: &[&str],
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (part, split) in [("Train", Split::Train), ("Test", Split::Test)] {
        samples.extend(classes(folder, part, names, endings, Some(split))?);
    }
    if samples.is_empty() {
        samples = classes(folder, "", names, endings, None)?;
    }
    let list = folder.join(LABELS);
    if samples.is_empty() && list.is_file() {
        samples = listed(folder, &list, names.len(), endings)?;
    }
    Ok(samples)
}

/// The recordings of one folder with a list of lines `FILE LABEL`; a number stands for the file
/// whose name is that number.
fn listed(folder: &Path, list: &Path, classes: usize, endings: &[&str]) -> Result<Vec<Sample>> {
    let mut by_name = HashMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let (Some(file), Some(stem)) = (path.file_name(), path.file_stem()) else { continue };
        let (file, stem) =
            (file.to_string_lossy().into_owned(), stem.to_string_lossy().into_owned());
        if let Ok(number) = stem.parse::<u64>() {
            by_name.insert(number.to_string(), file.clone());
        }
        by_name.insert(file.clone(), file);
    }
    let mut samples = Vec::new();
    for (number, line) in text::read(list, MAX_LIST)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |expected: String| Error::Field {
            path: list.to_owned(),
            field: "line",
            expected,
            found: format!("`{line}` in line {}", number + 1),
        };
        let mut fields = line.split_whitespace();
        let label = |text: &str| text.parse().ok().filter(|&label| label < classes);
        let (Some(name), Some(label), None) =
            (fields.next(), fields.next().and_then(label), fields.next())
        else {
            return Err(wrong(format!("the name of a file and a label below {classes}")));
        };
        let file = by_name.get(name);
        let known = endings.join(" or .");
        let file = file.ok_or_else(|| wrong(format!("a .{known} file in this folder")))?;
        push(&mut samples, file.clone(), Place::File(folder.join(file)), label, endings, None);
    }
    samples.sort_by_cached_key(|sample| (sample.label, natural::key(&sample.name)));
    Ok(samples)
}

/// One folder a class, or `train` and `test` of such: names of the classes, and recordings.
pub(super) fn folders(folder: &Path) -> Result<(Vec<String>, Vec<Sample>)> {
    let part = |names: [&str; 2]| {
        names.into_iter().find(|name| folder.join(name).is_dir()).map(str::to_owned)
    };
    let parts = match (part(["train", "Train"]), part(["test", "Test"])) {
        (Some(train), Some(test)) => {
            vec![(train, Some(Split::Train)), (test, Some(Split::Test))]
        }
        _ => vec![(String::new(), None)],
    };
    let mut names = Vec::new();
    for (part, _) in &parts {
        names.extend(class_folders(&folder.join(part))?);
    }
    names.sort_by_cached_key(|name| natural::key(name));
    names.dedup();
    let mut samples = Vec::new();
    for (part, official) in parts {
        for (label, class) in names.iter().enumerate() {
            let prefix = if part.is_empty() { class.clone() } else { format!("{part}/{class}") };
            for path in files_of(&folder.join(&prefix))? {
                let Some(file) = path.file_name().map(|file| file.to_string_lossy().into_owned())
                else {
                    continue;
                };
                let (name, place) = (format!("{prefix}/{file}"), Place::File(path.clone()));
                push(&mut samples, name, place, label, &ENDINGS, official);
            }
        }
    }
    samples.sort_by_cached_key(|sample| (sample.label, natural::key(&sample.name)));
    Ok((names, samples))
}

/// The names of the folders of a folder.
fn class_folders(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}

/// Files of a folder; none if the folder does not exist.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// The recordings of all classes below `folder/part`, or in `folder/part.zip`, by class and then by
/// name.
///
/// A class is the folder of a file; without `part` there may also be an archive a class. Other
/// files are left alone.
fn classes(
    folder: &Path,
    part: &str,
    classes: &[&str],
    endings: &[&str],
    official: Option<Split>,
) -> Result<Vec<Sample>> {
    let base = folder.join(part);
    let mut samples = Vec::new();
    let packed = folder.join(format!("{part}.zip"));
    if !part.is_empty() && !base.is_dir() && packed.is_file() {
        for (name, place) in entries(&packed)? {
            let class = name.rsplit('/').nth(1);
            if let Some(label) = classes.iter().position(|known| class == Some(known)) {
                push(&mut samples, name, place, label, endings, official);
            }
        }
    }
    for (label, class) in classes.iter().enumerate() {
        let (unpacked, packed) = (base.join(class), base.join(format!("{class}.zip")));
        let prefix = if part.is_empty() { (*class).to_owned() } else { format!("{part}/{class}") };
        if unpacked.is_dir() {
            for entry in fs::read_dir(&unpacked)? {
                let path = entry?.path();
                let Some(file) = path.file_name().map(|file| file.to_string_lossy().into_owned())
                else {
                    continue;
                };
                push(
                    &mut samples,
                    format!("{prefix}/{file}"),
                    Place::File(path),
                    label,
                    endings,
                    official,
                );
            }
        } else if packed.is_file() {
            for (name, place) in entries(&packed)? {
                let file = name.rsplit('/').next().unwrap_or(&name);
                push(&mut samples, format!("{prefix}/{file}"), place, label, endings, official);
            }
        }
    }
    first_endings(&mut samples, classes.len(), endings);
    samples.sort_by_cached_key(|sample| (sample.label, natural::key(&sample.name)));
    Ok(samples)
}

/// Keeps of each class the files of one ending, the first that it has: a recording that was
/// converted to another format stands beside its original.
fn first_endings(samples: &mut Vec<Sample>, classes: usize, endings: &[&str]) {
    let rank = |sample: &Sample| {
        endings.iter().position(|ending| ends(&sample.name, ending)).unwrap_or(endings.len())
    };
    let mut first = vec![usize::MAX; classes];
    for sample in samples.iter() {
        let first = &mut first[usize::from(sample.label)];
        *first = (*first).min(rank(sample));
    }
    samples.retain(|sample| rank(sample) == first[usize::from(sample.label)]);
}

fn ends(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

fn push(
    samples: &mut Vec<Sample>,
    name: String,
    place: Place,
    label: usize,
    endings: &[&str],
    official: Option<Split>,
) {
    // Archives made on a Mac have `._name` files beside the real ones.
    let file = name.rsplit('/').next().unwrap_or_default();
    let wanted = endings.iter().any(|ending| ends(file, ending));
    if wanted && !file.starts_with('.') {
        samples.push(Sample {
            place,
            name,
            label: u16::try_from(label).unwrap_or(u16::MAX),
            official,
        });
    }
}
