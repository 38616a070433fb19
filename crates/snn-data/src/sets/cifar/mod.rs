//! CIFAR-10 and CIFAR-100 in every official form, and as folders of pictures.

mod binary;
mod files;
mod pickle;
mod pictures;
mod python;

pub use files::{CifarFiles, CifarForm};
pub use pickle::Pickle;
pub(crate) use pictures::found as pictures_found;

/// Bytes of one image: planes R, G, B of 32×32.
const IMAGE_BYTES: usize = 3 * 32 * 32;

/// The files of one official form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CifarStored {
    /// Name of the folder in the data root.
    pub folder: &'static str,
    /// The archive that holds the folder.
    pub archive: &'static str,
    /// Files of the training split, in order.
    pub train_files: &'static [&'static str],
    /// Files of the test split, in order.
    pub test_files: &'static [&'static str],
    /// The file of class names, for the last label.
    pub names_file: &'static str,
}

/// The files of CIFAR-10 or CIFAR-100, and what is in them.
///
/// A record of the binary form is its labels, one byte each, then 3,072 bytes of pixels: the planes
/// R, G, B, rows from the top. A file of the Python form is a pickled dictionary with the same
/// pixels as an array `data`, and a list for each label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CifarLayout {
    /// Name of the data set, for messages.
    pub dataset: &'static str,
    /// The binary form.
    pub binary: CifarStored,
    /// The Python form.
    pub python: CifarStored,
    /// Names of a folder with `train` and `test`, of one folder of pictures a class.
    pub picture_folders: &'static [&'static str],
    /// Records in every training file.
    pub train_records: usize,
    /// Records in every test file.
    pub test_records: usize,
    /// The labels of a record, in order: what each is called and its number of classes. The last
    /// one is used.
    pub labels: &'static [(&'static str, u16)],
    /// The lists of the Python form that are these labels, and the one with the names of the last.
    pub python_keys: (&'static [&'static str], &'static str),
    /// The first class, by which folders of pictures are known.
    pub first_class: &'static str,
}

/// CIFAR-10.
pub const CIFAR10: CifarLayout = CifarLayout {
    dataset: "cifar-10",
    binary: CifarStored {
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
        train_files: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test_files: &["test_batch.bin"],
        names_file: "batches.meta.txt",
    },
    python: CifarStored {
        folder: "cifar-10-batches-py",
        archive: "cifar-10-python.tar.gz",
        train_files: &[
            "data_batch_1",
            "data_batch_2",
            "data_batch_3",
            "data_batch_4",
            "data_batch_5",
        ],
        test_files: &["test_batch"],
        names_file: "batches.meta",
    },
    picture_folders: &["cifar-10", "cifar10", "CIFAR-10-images"],
    train_records: 10_000,
    test_records: 10_000,
    labels: &[("label", 10)],
    python_keys: (&["labels"], "label_names"),
    first_class: "airplane",
};

/// CIFAR-100 with its hundred fine classes; the coarse label is checked and dropped.
pub const CIFAR100: CifarLayout = CifarLayout {
    dataset: "cifar-100",
    binary: CifarStored {
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
        train_files: &["train.bin"],
        test_files: &["test.bin"],
        names_file: "fine_label_names.txt",
    },
    python: CifarStored {
        folder: "cifar-100-python",
        archive: "cifar-100-python.tar.gz",
        train_files: &["train"],
        test_files: &["test"],
        names_file: "meta",
    },
    picture_folders: &["cifar-100", "cifar100", "CIFAR-100-images"],
    train_records: 50_000,
    test_records: 10_000,
    labels: &[("coarse label", 20), ("fine label", 100)],
    python_keys: (&["coarse_labels", "fine_labels"], "fine_label_names"),
    first_class: "apple",
};

impl CifarLayout {
    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.labels.last().map_or(0, |&(_, classes)| usize::from(classes))
    }
}
