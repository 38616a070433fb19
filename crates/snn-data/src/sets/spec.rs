//! Facts of the data sets: one row each.

use super::cifar::{CIFAR10, CIFAR100, CifarLayout};
use super::idx::{FASHION_MNIST, IdxLayout, MNIST};
use super::shapes;
use crate::Split;
use crate::names::names;
use std::path::{Path, PathBuf};

names! {
    /// A data set that this crate can open, or a folder of one's own in a known layout.
    ///
    /// ```
    /// use snn_data::DatasetName;
    /// assert_eq!("cifar-10".parse::<DatasetName>()?, DatasetName::Cifar10);
    /// let error = "cifar10".parse::<DatasetName>().unwrap_err();
    /// assert!(error.to_string().ends_with("did you mean `cifar-10`?"));
    /// # Ok::<(), snn_data::Error>(())
    /// ```
    pub enum DatasetName("data set") {
        /// CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 images of 3×32×32, ten classes.
        Cifar10 = "cifar-10",
        /// CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 images of 3×32×32, a hundred classes.
        Cifar100 = "cifar-100",
        /// MNIST (`LeCun` et al. 1998): 60,000 + 10,000 images of 1×28×28, ten classes.
        Mnist = "mnist",
        /// Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 images of 1×28×28, ten classes.
        FashionMnist = "fashion-mnist",
        /// The computed set [`shapes`](crate::shapes): 8,000 + 2,000 images of 3×16×16, ten
        /// classes, no file.
        Shapes10 = "shapes10",
        /// CIFAR10-DVS (Li et al. 2017): 10,000 recordings of a DVS128, ten classes; no official
        /// split.
        Cifar10Dvs = "cifar10-dvs",
        /// N-MNIST (Orchard et al. 2015): 60,000 + 10,000 recordings of 34×34, ten classes.
        NMnist = "n-mnist",
        /// DVS128 Gesture (Amir et al. 2017): 1,176 + 288 recordings of a DVS128, eleven classes.
        /// AEDAT 3.1, not tried on the real files.
        Dvs128Gesture = "dvs128-gesture",
        /// N-Caltech101 (Orchard et al. 2015): 8,709 recordings of up to 240×180, 101 classes; no
        /// official split. Not tried on the real files.
        NCaltech101 = "n-caltech101",
        /// ImageNet, ILSVRC 2012 (Russakovsky et al. 2015): 1,281,167 + 50,000 pictures, a thousand
        /// classes.
        ImageNet = "imagenet",
        /// Tiny-ImageNet (Stanford's CS231n): 100,000 + 10,000 pictures of 64×64, two hundred
        /// classes.
        TinyImageNet = "tiny-imagenet",
        /// Imagenette 2 (fast.ai): 9,469 + 3,925 pictures, ten classes of ImageNet.
        Imagenette = "imagenette",
        /// A folder of one's own with `train` and `val` (or `test`), each with one folder of
        /// pictures a class.
        PictureFolder = "picture-folder",
        /// A folder of one's own with one folder of recordings a class, or `train` and `test` of
        /// such.
        RecordingFolder = "recording-folder",
    }
}

/// Facts of a data set that are known without opening it.
#[derive(Debug)]
pub struct DatasetSpec {
    /// Its name.
    pub name: DatasetName,
    /// Names of its folder in the data root; the first one is for messages.
    pub folders: &'static [&'static str],
    /// How it is stored.
    pub form: Form,
    /// Number of classes; 0 where the folder says it.
    pub classes: usize,
    /// Samples of the training split as published. A set without a split has all in it.
    pub train: usize,
    /// Samples of the test split as published.
    pub test: usize,
    /// `[C, H, W]` of an image, of a frame, or of the usual crop of a picture.
    pub image: [usize; 3],
    /// Integer mean of the training samples per channel, in pixel units: subtracted from the
    /// pixels, and the fill of crops. Frames of events are counts, from which nothing is
    /// subtracted.
    pub channel_mean_u8: &'static [u8],
    /// Standard deviation of the training samples per channel, in pixel units (0 to 255), over all
    /// pixels of a channel.
    pub channel_std: &'static [f64],
}

/// How a data set is stored.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// CIFAR's files.
    Cifar(&'static CifarLayout),
    /// IDX files.
    Idx(&'static IdxLayout),
    /// No file: computed.
    Shapes,
    /// Picture files.
    Pictures(PictureLayout),
    /// Files of event cameras.
    Recordings(RecordingLayout),
}

/// Layouts of sets of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureLayout {
    /// ImageNet's folders, archives and lists of labels.
    ImageNet,
    /// Tiny-ImageNet's folders and `val_annotations.txt`.
    TinyImageNet,
    /// `train` and `val` (or `test`) of one folder a class.
    TrainVal,
}

/// Layouts of sets of recordings.
#[derive(Debug, Clone, Copy)]
pub struct RecordingLayout {
    /// Where the recordings are.
    pub files: RecordingFiles,
    /// `true` if rows and columns of the sensor change places to turn pictures upright, as in
    /// `SpikingJelly`.
    pub transposed: bool,
    /// The split where none is named.
    pub split: DefaultSplit,
}

/// Where the recordings of a set are.
#[derive(Debug, Clone, Copy)]
pub enum RecordingFiles {
    /// One folder or zip archive a class, in `Train` and `Test` where the set has a split.
    Classes {
        /// Names of the folders, by label.
        classes: &'static [&'static str],
        /// Endings of the files; of a class that has files of several, those with the first are
        /// read.
        endings: &'static [&'static str],
    },
    /// Long recordings with lists of trials, as DVS128 Gesture has.
    Trials,
    /// One folder a class, whose names are the classes; of `train` and `test` if they are there.
    Folders,
}

/// How recordings are split where the config names no split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultSplit {
    /// As the publishers did.
    Official,
    /// The last so many of each class are for testing.
    LastPerClass(usize),
    /// One of so many of each class is for testing, chosen with seed 0.
    OneOf(usize),
}

/// The rows, in the order of [`DatasetName::ALL`].
static SPECS: [DatasetSpec; DatasetName::ALL.len()] = [
    DatasetSpec {
        // Mean and deviation computed: 125.307, 122.950, 113.865.
        channel_mean_u8: &[125, 123, 114],
        channel_std: &[62.993_219, 62.088_708, 66.704_900],
        ..cifar(DatasetName::Cifar10, &CIFAR10)
    },
    DatasetSpec {
        // Computed: 129.304, 124.070, 112.434.
        channel_mean_u8: &[129, 124, 112],
        channel_std: &[68.170_243, 65.391_808, 70.418_370],
        ..cifar(DatasetName::Cifar100, &CIFAR100)
    },
    DatasetSpec {
        // Published: 0.1307 · 255 = 33.3 and 0.3081 · 255.
        channel_mean_u8: &[33],
        channel_std: &[78.565_5],
        ..idx(DatasetName::Mnist, &MNIST)
    },
    DatasetSpec {
        // Published: 0.286040597 · 255 = 72.9 and 0.353024245 · 255.
        channel_mean_u8: &[73],
        channel_std: &[90.021_182],
        ..idx(DatasetName::FashionMnist, &FASHION_MNIST)
    },
    DatasetSpec {
        name: DatasetName::Shapes10,
        folders: &[],
        form: Form::Shapes,
        classes: 10,
        train: 8_000,
        test: 2_000,
        image: [shapes::CHANNELS, shapes::SIDE, shapes::SIDE],
        channel_mean_u8: &shapes::CHANNEL_MEAN_U8,
        channel_std: &shapes::CHANNEL_STD,
    },
    DatasetSpec {
        folders: &["cifar10-dvs", "CIFAR10DVS"],
        form: Form::Recordings(RecordingLayout {
            files: RecordingFiles::Classes {
                classes: &[
                    "airplane",
                    "automobile",
                    "bird",
                    "cat",
                    "deer",
                    "dog",
                    "frog",
                    "horse",
                    "ship",
                    "truck",
                ],
                endings: &["aedat", "aedat4"],
            },
            transposed: true,
            split: DefaultSplit::LastPerClass(100),
        }),
        classes: 10,
        train: 10_000,
        test: 0,
        ..recordings(DatasetName::Cifar10Dvs, 128, 128)
    },
    DatasetSpec {
        folders: &["n-mnist", "NMNIST", "N-MNIST"],
        form: Form::Recordings(RecordingLayout {
            files: RecordingFiles::Classes { classes: MNIST.classes, endings: &["bin", "bs2"] },
            transposed: false,
            split: DefaultSplit::Official,
        }),
        classes: 10,
        train: 60_000,
        test: 10_000,
        ..recordings(DatasetName::NMnist, 34, 34)
    },
    DatasetSpec {
        folders: &["dvs128-gesture", "DvsGesture", "DVSGesture"],
        form: Form::Recordings(RecordingLayout {
            files: RecordingFiles::Trials,
            transposed: false,
            split: DefaultSplit::Official,
        }),
        classes: 11,
        train: 1_176,
        test: 288,
        ..recordings(DatasetName::Dvs128Gesture, 128, 128)
    },
    DatasetSpec {
        folders: &["n-caltech101", "Caltech101", "N-Caltech101"],
        classes: 101,
        train: 8_709,
        ..recordings(DatasetName::NCaltech101, 180, 240)
    },
    DatasetSpec {
        folders: &["imagenet", "ImageNet", "ILSVRC2012"],
        form: Form::Pictures(PictureLayout::ImageNet),
        classes: 1_000,
        train: 1_281_167,
        test: 50_000,
        ..pictures(DatasetName::ImageNet)
    },
    DatasetSpec {
        folders: &["tiny-imagenet-200", "tiny-imagenet"],
        form: Form::Pictures(PictureLayout::TinyImageNet),
        classes: 200,
        train: 100_000,
        test: 10_000,
        image: [3, 64, 64],
        ..pictures(DatasetName::TinyImageNet)
    },
    DatasetSpec {
        folders: &["imagenette2", "imagenette2-320", "imagenette2-160", "imagenette"],
        classes: 10,
        train: 9_469,
        test: 3_925,
        ..pictures(DatasetName::Imagenette)
    },
    pictures(DatasetName::PictureFolder),
    recordings(DatasetName::RecordingFolder, 128, 128),
];

const fn cifar(name: DatasetName, layout: &'static CifarLayout) -> DatasetSpec {
    DatasetSpec {
        name,
        folders: layout.picture_folders,
        form: Form::Cifar(layout),
        classes: layout.labels[layout.labels.len() - 1].1 as usize,
        train: layout.binary.train_files.len() * layout.train_records,
        test: layout.binary.test_files.len() * layout.test_records,
        image: [3, 32, 32],
        channel_mean_u8: &[],
        channel_std: &[],
    }
}

const fn idx(name: DatasetName, layout: &'static IdxLayout) -> DatasetSpec {
    let [height, width] = layout.size;
    DatasetSpec {
        name,
        folders: layout.folders,
        form: Form::Idx(layout),
        classes: layout.classes.len(),
        train: layout.train_images,
        test: layout.test_images,
        image: [1, height, width],
        channel_mean_u8: &[],
        channel_std: &[],
    }
}

/// Pictures with ImageNet's mean and deviation (published: 0.485, 0.456, 0.406 and 0.229, 0.224,
/// 0.225 of 255).
const fn pictures(name: DatasetName) -> DatasetSpec {
    DatasetSpec {
        name,
        folders: &[],
        form: Form::Pictures(PictureLayout::TrainVal),
        classes: 0,
        train: 0,
        test: 0,
        image: [3, 224, 224],
        channel_mean_u8: &[124, 116, 104],
        channel_std: &[58.395, 57.12, 57.375],
    }
}

/// Recordings in class folders; frames of counts are taken as they are.
const fn recordings(name: DatasetName, height: usize, width: usize) -> DatasetSpec {
    DatasetSpec {
        name,
        folders: &[],
        form: Form::Recordings(RecordingLayout {
            files: RecordingFiles::Folders,
            transposed: false,
            split: DefaultSplit::OneOf(10),
        }),
        classes: 0,
        train: 0,
        test: 0,
        image: [2, height, width],
        channel_mean_u8: &[0, 0],
        channel_std: &[1.0, 1.0],
    }
}

impl DatasetName {
    /// Facts of the data set.
    pub fn spec(self) -> &'static DatasetSpec {
        &SPECS[self as usize]
    }

    /// The data sets with files of their own names: all but folders of one's own.
    pub fn published() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|name| name.spec().train > 0)
    }
}

impl DatasetSpec {
    /// Number of samples of a split, as published.
    pub fn published(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }

    /// Its folder: one of [`folders`](Self::folders) in a data root, or the root itself.
    pub fn folder(&self, root: &Path) -> PathBuf {
        let mut folders = self.folders.iter().map(|name| root.join(name));
        folders.find(|folder| folder.is_dir()).unwrap_or_else(|| root.to_owned())
    }

    /// `true` if all of it is images in memory ([`Dataset`](crate::Dataset) opens it).
    pub fn in_memory(&self) -> bool {
        matches!(self.form, Form::Cifar(_) | Form::Idx(_) | Form::Shapes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_names() {
        for name in DatasetName::ALL {
            let spec = name.spec();
            assert_eq!(spec.name, name);
            let channels = spec.image[0];
            assert_eq!((spec.channel_mean_u8.len(), spec.channel_std.len()), (channels, channels));
        }
    }
}
