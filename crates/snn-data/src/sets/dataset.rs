//! Opening a data set by name.

use super::cifar::CifarLayout;
use super::idx::IdxLayout;
use super::shapes::{self, Shapes10};
use super::spec::{DatasetName, Form};
use crate::images::{Images, Split};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The variable that names the data root, see [`default_root`].
pub const ROOT_VARIABLE: &str = "SNN_DATA";

/// The data root if none is named: the folder in the environment variable `SNN_DATA`, otherwise
/// `datasets` in the current folder.
pub fn default_root() -> PathBuf {
    match std::env::var_os(ROOT_VARIABLE) {
        Some(root) if !root.is_empty() => PathBuf::from(root),
        _ => PathBuf::from("datasets"),
    }
}

/// A data set in memory, with what a network needs to know of it.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name.
    pub name: DatasetName,
    /// Training images.
    pub train: Images,
    /// Test images.
    pub test: Images,
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Integer mean of the training images per channel, in pixel units: subtracted from the pixels,
    /// and the fill of crops.
    pub channel_mean_u8: Vec<u8>,
    /// Standard deviation of the training images per channel, in pixel units (0 to 255).
    pub channel_std: Vec<f64>,
}

impl Dataset {
    /// Opens a data set by its name.
    ///
    /// `root` is the folder that holds the data set's own folder (or that folder itself); `None`
    /// means [`default_root`]. The procedural set needs no file and ignores it.
    ///
    /// ```
    /// let shapes = snn_data::Dataset::open("shapes10", None)?;
    /// assert_eq!(shapes.train.len(), 8_000);
    /// assert_eq!(shapes.classes[0], "disc");
    /// # Ok::<(), snn_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownName`] for another name; what
    /// [`CifarFiles::read_all`](crate::CifarFiles::read_all) and [`IdxLayout::read`] report.
    pub fn open(name: &str, root: Option<&Path>) -> Result<Self> {
        Self::open_named(name.parse()?, root)
    }

    /// Opens a data set; see [`open`](Self::open).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a set that does not lie in memory; what
    /// [`CifarFiles::read_all`](crate::CifarFiles::read_all) and [`IdxLayout::read`] report.
    pub fn open_named(name: DatasetName, root: Option<&Path>) -> Result<Self> {
        let spec = name.spec();
        let root = root.map_or_else(default_root, Path::to_owned);
        let (train, test, classes) = match spec.form {
            Form::Cifar(layout) => cifar(layout, &root)?,
            Form::Idx(layout) => idx(layout, &root)?,
            Form::Shapes => {
                let shapes = Shapes10::default();
                let classes = shapes::CLASSES.map(str::to_owned).to_vec();
                (shapes.images(Split::Train)?, shapes.images(Split::Test)?, classes)
            }
            Form::Pictures(_) | Form::Recordings(_) => {
                let names = DatasetName::ALL.into_iter().filter(|name| name.spec().in_memory());
                let names: Vec<_> = names.map(DatasetName::as_str).collect();
                return Err(Error::InvalidConfig {
                    field: "dataset",
                    expected: format!("a set of images in memory: {}", names.join(", ")),
                    found: format!("`{name}`"),
                });
            }
        };
        Ok(Self {
            name,
            train,
            test,
            classes,
            channel_mean_u8: spec.channel_mean_u8.to_vec(),
            channel_std: spec.channel_std.to_vec(),
        })
    }
}

/// Training images, test images, class names.
type Parts = (Images, Images, Vec<String>);

fn cifar(layout: &CifarLayout, root: &Path) -> Result<Parts> {
    layout.locate(root)?.read_all()
}

fn idx(layout: &IdxLayout, root: &Path) -> Result<Parts> {
    let folder = layout.locate(root)?;
    let classes = layout.classes.iter().map(ToString::to_string).collect();
    Ok((layout.read(&folder, Split::Train)?, layout.read(&folder, Split::Test)?, classes))
}
