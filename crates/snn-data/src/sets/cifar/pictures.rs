//! CIFAR as folders of pictures, as it is often passed on: `train` and `test` (or `val`), in them
//! one folder a class, or one a coarse class with one a class.

use super::CifarLayout;
use crate::files::is_picture;
use crate::images::{Images, Split};
use crate::{Error, Result};
use fs_err as fs;
use ndarray::Array4;
use std::path::{Path, PathBuf};

/// A class, and where its pictures are.
struct Class {
    name: String,
    folder: PathBuf,
}

/// `true` if a folder is such a set of this layout, known by its first class.
pub(super) fn is_root(layout: &CifarLayout, root: &Path) -> bool {
    let train = root.join("train");
    split_folder(root, Split::Test).is_some()
        && classes(&train).is_ok_and(|classes| {
            classes.len() == layout.classes()
                && classes.first().is_some_and(|class| class.name == layout.first_class)
        })
}

/// The names of the classes, in the order of the alphabet, which is that of the official labels.
pub(super) fn names(layout: &CifarLayout, root: &Path) -> Result<Vec<String>> {
    Ok(checked_classes(layout, root, Split::Train)?.into_iter().map(|class| class.name).collect())
}

/// Reads one split: classes in the order of their names, pictures of each in that of theirs (the
/// official files have another order).
pub(super) fn read(
    layout: &CifarLayout,
    root: &Path,
    split: Split,
) -> Result<(Images, Vec<String>)> {
    let classes = checked_classes(layout, root, split)?;
    let mut pictures = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let label = u16::try_from(label).unwrap_or(u16::MAX);
        pictures.extend(picture_files(&class.folder)?.into_iter().map(|path| (path, label)));
    }
    let expected = count(layout, split);
    if pictures.len() != expected {
        let expected = format!("{expected}, as {} has", layout.dataset);
        let path = split_folder(root, split).unwrap_or_else(|| root.to_owned());
        return Err(Error::Field {
            path,
            field: "pictures",
            expected,
            found: pictures.len().to_string(),
        });
    }
    let mut pixels = Array4::zeros((pictures.len(), 3, 32, 32));
    decode_all(pixels.as_slice_mut().unwrap_or_default(), &pictures)?;
    let labels = pictures.into_iter().map(|(_, label)| label).collect();
    Ok((
        Images::new(pixels, labels, layout.classes())?,
        classes.into_iter().map(|class| class.name).collect(),
    ))
}

/// Decodes pictures into planes, on all cores.
#[cfg(feature = "pictures")]
fn decode_all(planes: &mut [u8], pictures: &[(PathBuf, u16)]) -> Result<()> {
    use super::IMAGE_BYTES;
    use crate::pictures::{DecodeOptions, decode};
    use rayon::prelude::*;
    planes.par_chunks_mut(IMAGE_BYTES).zip(pictures).try_for_each(|(planes, (path, _))| {
        let picture = decode(path, DecodeOptions::default())?;
        let size = (picture.width(), picture.height());
        if size != (32, 32) {
            let message = format!("expected 32x32 pixels, found {}x{}", size.0, size.1);
            return Err(Error::Picture { path: path.clone(), message });
        }
        for (at, pixel) in picture.pixels().as_chunks::<3>().0.iter().enumerate() {
            for (channel, &value) in pixel.iter().enumerate() {
                planes[channel * 1024 + at] = value;
            }
        }
        Ok(())
    })
}

#[cfg(not(feature = "pictures"))]
fn decode_all(_: &mut [u8], _: &[(PathBuf, u16)]) -> Result<()> {
    Err(Error::NotCompiled { dataset: "CIFAR as pictures", feature: "pictures" })
}

/// How many pictures of a split there are, without reading one.
pub(crate) fn found(root: &Path, split: Split) -> Result<usize> {
    let Some(folder) = split_folder(root, split) else { return Ok(0) };
    classes(&folder)?.iter().map(|class| Ok(picture_files(&class.folder)?.len())).sum()
}

fn count(layout: &CifarLayout, split: Split) -> usize {
    match split {
        Split::Train => layout.binary.train_files.len() * layout.train_records,
        Split::Test => layout.binary.test_files.len() * layout.test_records,
    }
}

fn split_folder(root: &Path, split: Split) -> Option<PathBuf> {
    let names: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["test", "val"],
    };
    names.iter().map(|name| root.join(name)).find(|folder| folder.is_dir())
}

fn checked_classes(layout: &CifarLayout, root: &Path, split: Split) -> Result<Vec<Class>> {
    let Some(folder) = split_folder(root, split) else {
        let expected = match split {
            Split::Train => "a folder `train`",
            Split::Test => "a folder `test` or `val`",
        };
        let expected = expected.to_owned();
        return Err(Error::Field {
            path: root.to_owned(),
            field: "pictures",
            expected,
            found: "none".into(),
        });
    };
    let classes = classes(&folder)?;
    let first = classes.first().map(|class| class.name.as_str());
    if classes.len() == layout.classes() && first == Some(layout.first_class) {
        return Ok(classes);
    }
    let expected =
        format!("the {} of {}, from `{}` on", layout.classes(), layout.dataset, layout.first_class);
    let found = format!(
        "{}{}",
        classes.len(),
        first.map_or(String::new(), |first| format!(", from `{first}` on"))
    );
    Err(Error::Field { path: folder, field: "folders of classes", expected, found })
}

/// The classes of a split: its folders, or the folders in them where they hold folders.
fn classes(folder: &Path) -> Result<Vec<Class>> {
    let mut classes = Vec::new();
    for outer in folders(folder)? {
        let inner = folders(&outer.folder)?;
        if inner.is_empty() { classes.push(outer) } else { classes.extend(inner) }
    }
    classes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(classes)
}

fn folders(folder: &Path) -> Result<Vec<Class>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let folder = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if folder.is_dir() && !name.starts_with('.') {
            found.push(Class { name, folder });
        }
    }
    Ok(found)
}

fn picture_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_picture(&entry.file_name().to_string_lossy()) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
