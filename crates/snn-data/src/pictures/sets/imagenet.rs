//! The forms in which ImageNet is stored.

use super::devkit::Truth;
use super::set::{Pictures, Place};
use super::{files, list};
use crate::files::tar::{Entry, entries};
use crate::files::{is_picture, text};
use crate::sets::DatasetName;
use crate::{Error, Result, Split};
use fs_err as fs;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const TRAIN_TAR: &str = "ILSVRC2012_img_train.tar";
const VAL_TAR: &str = "ILSVRC2012_img_val.tar";
/// Where the labels of pictures without class folders may stand.
const LISTS: [&str; 3] = ["val.txt", "val_labels.txt", "LOC_val_solution.csv"];

pub(super) fn open(root: &Path, split: Split) -> Result<Pictures> {
    match split {
        Split::Train if root.join("train").is_dir() => {
            files::class_folders(&root.join("train"), "")
        }
        Split::Train if root.join(TRAIN_TAR).is_file() => train_tar(root.join(TRAIN_TAR)),
        Split::Test if root.join("val").is_dir() => {
            let folder = root.join("val");
            let there = files::class_names(&folder)?;
            if there.is_empty() {
                let (classes, labels) = labels(root)?;
                files::flat(&folder, classes, &labels)
            } else if there.len() == DatasetName::ImageNet.spec().classes {
                // All of them, whatever else is there.
                files::class_folders(&folder, "")
            } else {
                files::class_folders_of(&folder, "", classes(root)?)
            }
        }
        Split::Test if root.join(VAL_TAR).is_file() => val_tar(root),
        Split::Train | Split::Test => Err(Error::Field {
            path: root.to_owned(),
            field: "ImageNet",
            expected: match split {
                Split::Train => format!("a folder `train` or the file `{TRAIN_TAR}`"),
                Split::Test => format!("a folder `val` or the file `{VAL_TAR}`"),
            },
            found: "neither".into(),
        }),
    }
}

/// The classes by which lists name pictures: those of the training split, or one a line in
/// `classes.txt`.
fn classes(root: &Path) -> Result<Vec<String>> {
    if root.join("train").is_dir() {
        return files::class_names(&root.join("train"));
    }
    if root.join(TRAIN_TAR).is_file() {
        let path = root.join(TRAIN_TAR);
        return Ok(archives(&path, &mut fs::File::open(&path)?)?.iter().map(class).collect());
    }
    let path = root.join("classes.txt");
    if !path.is_file() {
        let expected =
            format!("the classes: a folder `train`, the file `{TRAIN_TAR}`, or `classes.txt`");
        return Err(Error::Field {
            path: root.to_owned(),
            field: "ImageNet",
            expected,
            found: "none".into(),
        });
    }
    let text = text::read(&path, list::MAX_BYTES)?;
    let mut classes: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    classes.sort_unstable();
    Ok(classes)
}

/// The classes, and the labels of pictures without class folders: by a list of names, or by the
/// numbers of the development kit.
fn labels(root: &Path) -> Result<(Vec<String>, HashMap<String, u16>)> {
    if let Some(path) = LISTS.iter().map(|name| root.join(name)).find(|path| path.is_file()) {
        let classes = classes(root)?;
        let labels = list::read(&path, &classes)?;
        return Ok((classes, labels));
    }
    let Some(truth) = Truth::open(root)? else {
        return Err(Error::Field {
            path: root.to_owned(),
            field: "labels of `val`",
            expected: format!(
                "class folders in it, one of `{}`, or the development kit \
                 `ILSVRC2012_devkit_t12.tar.gz`",
                LISTS.join("`, `")
            ),
            found: "none".into(),
        });
    };
    // The kit knows the classes as well; those of a training split decide.
    let trained = root.join("train").is_dir() || root.join(TRAIN_TAR).is_file();
    let classes = if trained { classes(root)? } else { truth.classes.clone() };
    let labels = truth.labels(&classes)?;
    Ok((classes, labels))
}

/// The archives in the archive of one archive a class, in the order of the classes.
fn archives(path: &Path, file: &mut fs::File) -> Result<Vec<Entry>> {
    let length = file.metadata()?.len();
    let mut archives = entries(path, file, 0, length)?;
    archives.retain(|entry| {
        Path::new(&entry.name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tar"))
    });
    archives.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(archives)
}

/// The class of an archive.
fn class(archive: &Entry) -> String {
    archive.name.trim_end_matches(".tar").to_owned()
}

/// The archive of one archive a class.
fn train_tar(path: PathBuf) -> Result<Pictures> {
    let mut file = fs::File::open(&path)?;
    let archives = archives(&path, &mut file)?;
    let classes = archives.iter().map(class).collect();
    let (mut places, mut labels) = (Vec::new(), Vec::new());
    for (label, archive) in archives.into_iter().enumerate() {
        let mut pictures =
            entries(&path, &mut file, archive.start, archive.start + archive.length)?;
        pictures.retain(|entry| is_picture(&entry.name));
        pictures.sort_by(|a, b| a.name.cmp(&b.name));
        for picture in pictures {
            places.push(place(&path, picture)?);
            labels.push(u16::try_from(label).unwrap_or(u16::MAX));
        }
    }
    Pictures { root: path.clone(), archives: vec![path], classes, places, labels }.checked()
}

fn val_tar(root: &Path) -> Result<Pictures> {
    let path = root.join(VAL_TAR);
    let (classes, by_name) = labels(root)?;
    let mut file = fs::File::open(&path)?;
    let length = file.metadata()?.len();
    let mut pictures = entries(&path, &mut file, 0, length)?;
    pictures.retain(|entry| is_picture(&entry.name));
    pictures.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut places, mut labels) = (Vec::new(), Vec::new());
    for picture in pictures {
        labels.push(list::label(&by_name, &picture.name, &path.join(&picture.name))?);
        places.push(place(&path, picture)?);
    }
    Pictures { root: path.clone(), archives: vec![path], classes, places, labels }.checked()
}

fn place(path: &Path, entry: Entry) -> Result<Place> {
    let length = u32::try_from(entry.length).ok().filter(|&length| length < 1 << 28);
    let length = length.ok_or_else(|| Error::Parse {
        path: path.to_owned(),
        offset: entry.start,
        field: "size of a picture",
        expected: "less than 256 MiB".into(),
        found: entry.length.to_string(),
    })?;
    Ok(Place::Tar { archive: 0, start: entry.start, length, name: entry.name.into() })
}
