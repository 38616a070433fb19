//! Opening a data set by name.

use crate::cifar::{CIFAR10, CIFAR100, CifarLayout};
use crate::idx::{FASHION_MNIST, IdxLayout, MNIST};
use crate::images::{Images, Split};
use crate::shapes::{self, Shapes10};
use crate::{DatasetName, Result};
use std::path::{Path, PathBuf};

/// Integer mean pixel of CIFAR-10's training images (computed: 125.307, 122.950, 113.865).
pub const CIFAR10_MEAN_U8: [u8; 3] = [125, 123, 114];
/// Standard deviation of CIFAR-10's training images in pixel units, over all pixels of a channel
/// (computed).
pub const CIFAR10_STD: [f64; 3] = [62.993_219, 62.088_708, 66.704_900];
/// Integer mean pixel of CIFAR-100's training images (computed: 129.304, 124.070, 112.434).
pub const CIFAR100_MEAN_U8: [u8; 3] = [129, 124, 112];
/// Standard deviation of CIFAR-100's training images in pixel units, over all pixels of a channel
/// (computed).
pub const CIFAR100_STD: [f64; 3] = [68.170_243, 65.391_808, 70.418_370];

/// Integer mean pixel of MNIST's training images (published: 0.1307 · 255 = 33.3).
pub const MNIST_MEAN_U8: [u8; 1] = [33];
/// Standard deviation of MNIST's training images in pixel units (published: 0.3081 · 255).
pub const MNIST_STD: [f64; 1] = [78.565_5];
/// Integer mean pixel of Fashion-MNIST's training images (published: 0.286040597 · 255 = 72.9).
pub const FASHION_MNIST_MEAN_U8: [u8; 1] = [73];
/// Standard deviation of Fashion-MNIST's training images in pixel units (published: 0.353024245 ·
/// 255).
pub const FASHION_MNIST_STD: [f64; 1] = [90.021_182];

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
    /// [`Error::UnknownDataset`](crate::Error::UnknownDataset) for another name; what
    /// [`CifarFiles::read_all`](crate::CifarFiles::read_all) and [`IdxLayout::read`] report.
    pub fn open(name: &str, root: Option<&Path>) -> Result<Self> {
        Self::open_named(name.parse()?, root)
    }

    /// Opens a data set; see [`open`](Self::open).
    ///
    /// # Errors
    /// What [`CifarFiles::read_all`](crate::CifarFiles::read_all) and [`IdxLayout::read`] report.
    pub fn open_named(name: DatasetName, root: Option<&Path>) -> Result<Self> {
        match name {
            DatasetName::Cifar10 => {
                Self::open_cifar(name, &CIFAR10, root, (CIFAR10_MEAN_U8, CIFAR10_STD))
            }
            DatasetName::Cifar100 => {
                Self::open_cifar(name, &CIFAR100, root, (CIFAR100_MEAN_U8, CIFAR100_STD))
            }
            DatasetName::Mnist => Self::open_idx(name, &MNIST, root, (MNIST_MEAN_U8, MNIST_STD)),
            DatasetName::FashionMnist => Self::open_idx(
                name,
                &FASHION_MNIST,
                root,
                (FASHION_MNIST_MEAN_U8, FASHION_MNIST_STD),
            ),
            DatasetName::Shapes10 => {
                let shapes = Shapes10::default();
                Ok(Self {
                    name,
                    train: shapes.images(Split::Train)?,
                    test: shapes.images(Split::Test)?,
                    classes: shapes::CLASSES.map(str::to_owned).to_vec(),
                    channel_mean_u8: shapes::CHANNEL_MEAN_U8.to_vec(),
                    channel_std: shapes::CHANNEL_STD.to_vec(),
                })
            }
        }
    }

    fn open_cifar(
        name: DatasetName,
        layout: &CifarLayout,
        root: Option<&Path>,
        (mean, std): ([u8; 3], [f64; 3]),
    ) -> Result<Self> {
        let files = match root {
            Some(root) => layout.locate(root)?,
            None => layout.locate(&default_root())?,
        };
        let (train, test, classes) = files.read_all()?;
        Ok(Self {
            name,
            train,
            test,
            classes,
            channel_mean_u8: mean.to_vec(),
            channel_std: std.to_vec(),
        })
    }

    fn open_idx(
        name: DatasetName,
        layout: &IdxLayout,
        root: Option<&Path>,
        (mean, std): ([u8; 1], [f64; 1]),
    ) -> Result<Self> {
        let folder = match root {
            Some(root) => layout.locate(root)?,
            None => layout.locate(&default_root())?,
        };
        Ok(Self {
            name,
            classes: layout.classes.iter().map(ToString::to_string).collect(),
            train: layout.read(&folder, Split::Train)?,
            test: layout.read(&folder, Split::Test)?,
            channel_mean_u8: mean.to_vec(),
            channel_std: std.to_vec(),
        })
    }
}
