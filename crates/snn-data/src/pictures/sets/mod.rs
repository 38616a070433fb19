//! Sets of picture files: class folders, ImageNet in each of its forms, Tiny-ImageNet, Imagenette.

mod devkit;
mod files;
mod imagenet;
mod list;
mod mat;
mod set;
mod source;

pub use set::Pictures;
pub use source::{PictureSource, View};

use crate::pictures::{DecodeOptions, Picture, decode, decode_with};
use crate::sets::{DatasetName, Form, PictureLayout};
use crate::{Error, Result, Split};
use fs_err as fs;
use set::Place;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

impl Pictures {
    /// A folder with one folder a class (Imagenette's `train` and `val`, and any set of one's own):
    /// classes are the folders in the order of their names, pictures the files `.jpg`, `.jpeg` and
    /// `.png` in them in the order of theirs, as torchvision's `ImageFolder` has them.
    ///
    /// # Errors
    /// [`Error::Field`] naming the folder if there is no class or no picture; [`Error::Io`].
    pub fn folder(root: &Path) -> Result<Self> {
        files::class_folders(root, "")
    }

    /// ImageNet (ILSVRC 2012), one split, in the form that is there:
    ///
    /// - `train/nXXXXXXXX/*.JPEG`, or `ILSVRC2012_img_train.tar`, the archive of archives, read in
    ///   place;
    /// - `val/nXXXXXXXX/*.JPEG`, of the classes of the training part, or one a line in
    ///   `classes.txt`, where `val` has not all thousand; or `val/*.JPEG` or
    ///   `ILSVRC2012_img_val.tar` with a list of labels beside it: lines `NAME nXXXXXXXX` in
    ///   `val.txt`, `val_labels.txt` or Kaggle's `LOC_val_solution.csv`; or with the development
    ///   kit, `ILSVRC2012_devkit_t12.tar.gz` (read in place), its folder, or
    ///   `ILSVRC2012_validation_ground_truth.txt` and `meta.mat` of it.
    ///
    /// # Errors
    /// [`Error::Field`] saying what was looked for; [`Error::Parse`] for damaged archives;
    /// [`Error::Io`].
    pub fn imagenet(root: &Path, split: Split) -> Result<Self> {
        imagenet::open(root, split)
    }

    /// Tiny-ImageNet: `train/nXXXXXXXX/images/*.JPEG`, and `val/images/*.JPEG` with
    /// `val_annotations.txt`.
    ///
    /// # Errors
    /// As [`imagenet`](Self::imagenet).
    pub fn tiny_imagenet(root: &Path, split: Split) -> Result<Self> {
        match split {
            Split::Train => files::class_folders(&root.join("train"), "images"),
            Split::Test => {
                let folder = root.join("val");
                let classes = files::class_names(&root.join("train"))?;
                let labels = list::read(&folder.join("val_annotations.txt"), &classes)?;
                files::flat(&folder.join("images"), classes, &labels)
            }
        }
    }

    /// Opens one split of a set by its name, under a data root or in its folder itself. Classes are
    /// those of the training part, of which the test part may lack some.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a set of another kind; as [`Pictures::imagenet`],
    /// [`Pictures::tiny_imagenet`] and [`Pictures::folder`].
    pub fn open(name: DatasetName, root: &Path, split: Split) -> Result<Self> {
        let spec = name.spec();
        let folder = spec.folder(root);
        match spec.form {
            Form::Pictures(PictureLayout::ImageNet) => Self::imagenet(&folder, split),
            Form::Pictures(PictureLayout::TinyImageNet) => Self::tiny_imagenet(&folder, split),
            Form::Pictures(PictureLayout::TrainVal) => {
                let part = |parts: &[&str]| {
                    let found = parts.iter().map(|part| folder.join(part));
                    found.into_iter().find(|part| part.is_dir()).ok_or_else(|| Error::Field {
                        path: folder.clone(),
                        field: "pictures",
                        expected: format!("a folder `{}`", parts.join("` or `")),
                        found: "none".into(),
                    })
                };
                let train = part(&["train"])?;
                match split {
                    Split::Train => Self::folder(&train),
                    // Labels are places in the list of the classes, and that is of the training
                    // part: a class without pictures here must not shift the others.
                    Split::Test => {
                        let classes = files::class_names(&train)?;
                        files::class_folders_of(&part(&["val", "test"])?, "", classes)
                    }
                }
            }
            Form::Cifar(_) | Form::Idx(_) | Form::Shapes | Form::Recordings(_) => {
                Err(Error::InvalidConfig {
                    field: "dataset",
                    expected: "a set of pictures".into(),
                    found: format!("`{name}`"),
                })
            }
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// `true` if there is none (never, once opened).
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Class names, by label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The labels, `[N]`.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The file of a picture, or archive and name in it; `None` past the end.
    pub fn path(&self, index: usize) -> Option<PathBuf> {
        Some(match self.places.get(index)? {
            Place::File(name) => self.root.join(name.as_ref()),
            Place::Tar { archive, name, .. } => {
                self.archives.get(*archive as usize)?.join(name.as_ref())
            }
        })
    }

    /// Reads and decodes a picture.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`]; [`Error::Picture`] naming the file; [`Error::Io`].
    pub fn read(&self, index: usize, options: DecodeOptions) -> Result<Picture> {
        let path = self.path(index).ok_or(Error::IndexOutOfRange { index, count: self.len() })?;
        match &self.places[index] {
            Place::File(_) => decode(&path, options),
            Place::Tar { archive, start, length, .. } => {
                let mut file = fs::File::open(&self.archives[*archive as usize])?;
                file.seek(SeekFrom::Start(*start))?;
                let mut bytes = vec![0; *length as usize];
                file.read_exact(&mut bytes)?;
                decode_with(&bytes, &path, options)
            }
        }
    }
}
