//! Recordings in one folder or zip archive a class.

use super::place::{Place, entries};
use super::{Sample, natural};
use crate::{Result, Split};
use fs_err as fs;
use std::path::Path;

/// The recordings of all classes below `folder/part`, or in `folder/part.zip`, by class and then by
/// name.
///
/// A class is the folder of a file; without `part` there may also be an archive a class. Other
/// files are left alone.
pub(super) fn classes(
    folder: &Path,
    part: &str,
    classes: &[&str],
    extension: &str,
    official: Option<Split>,
) -> Result<Vec<Sample>> {
    let base = folder.join(part);
    let mut samples = Vec::new();
    let packed = folder.join(format!("{part}.zip"));
    if !part.is_empty() && !base.is_dir() && packed.is_file() {
        for (name, place) in entries(&packed)? {
            let class = name.rsplit('/').nth(1);
            if let Some(label) = classes.iter().position(|known| class == Some(known)) {
                push(&mut samples, name, place, label, extension, official);
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
                    extension,
                    official,
                );
            }
        } else if packed.is_file() {
            for (name, place) in entries(&packed)? {
                let file = name.rsplit('/').next().unwrap_or(&name);
                push(&mut samples, format!("{prefix}/{file}"), place, label, extension, official);
            }
        }
    }
    samples.sort_by_cached_key(|sample| (sample.label, natural::key(&sample.name)));
    Ok(samples)
}

fn push(
    samples: &mut Vec<Sample>,
    name: String,
    place: Place,
    label: usize,
    extension: &str,
    official: Option<Split>,
) {
    // Archives made on a Mac have `._name` files beside the real ones.
    let file = name.rsplit('/').next().unwrap_or_default();
    let wanted =
        Path::new(file).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    if wanted && !file.starts_with('.') {
        samples.push(Sample {
            place,
            name,
            label: u16::try_from(label).unwrap_or(u16::MAX),
            official,
        });
    }
}
