//! Where the files of CIFAR are: folders of files, archives that are read in place, folders of
//! pictures.

use super::{CifarLayout, CifarStored, IMAGE_BYTES, binary, pictures, python};
use crate::files::tar;
use crate::images::{Images, Split};
use crate::names::names;
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use fs_err as fs;
use ndarray::Array4;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// An official archive holds less than a fifth of this.
const MAX_UNPACKED: u64 = 1 << 30;

names! {
    /// A form in which CIFAR is stored; of several that are there the first is read.
    pub enum CifarForm("form of CIFAR") {
        /// The folder of the binary version.
        Binary = "binary",
        /// The folder of the Python version.
        Python = "python",
        /// The archive of the binary version, read in place.
        BinaryArchive = "binary-archive",
        /// The archive of the Python version, read in place.
        PythonArchive = "python-archive",
        /// Folders `train` and `test` of one folder of pictures a class.
        Pictures = "pictures",
    }
}

/// CIFAR in the form in which it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CifarFiles {
    layout: CifarLayout,
    form: CifarForm,
    path: PathBuf,
}

/// Callback for a file: its index among those that are wanted, its path, length and bytes.
type Visit<'v> = dyn FnMut(usize, &Path, u64, &mut dyn Read) -> Result<()> + 'v;

/// Images of one split, filled file by file in any order.
struct Part {
    files: &'static [&'static str],
    records: usize,
    pixels: Array4<u8>,
    labels: Vec<u16>,
}

impl CifarLayout {
    /// The files under a data root, in the first [form](CifarForm) that is there: the folder of a
    /// form, its archive, or the root itself if it holds the first training file.
    ///
    /// # Errors
    /// [`Error::MissingFolder`] if there is none.
    pub fn locate(&self, root: &Path) -> Result<CifarFiles> {
        let mut found = CifarForm::ALL
            .into_iter()
            .filter_map(|form| self.place(root, form).map(|path| self.files(form, path)));
        found.next().ok_or_else(|| Error::MissingFolder {
            dataset: self.dataset,
            path: root.join(self.binary.folder),
            root: root.to_owned(),
            first_file: self.binary.train_files.first().copied().unwrap_or_default(),
        })
    }

    /// The files of a form: a folder, or an archive.
    pub fn files(&self, form: CifarForm, path: PathBuf) -> CifarFiles {
        CifarFiles { layout: *self, form, path }
    }

    /// Where a form is under a data root, if it is there.
    pub(crate) fn place(&self, root: &Path, form: CifarForm) -> Option<PathBuf> {
        let folder = |stored: &CifarStored| {
            let folder = root.join(stored.folder);
            if folder.is_dir() {
                return Some(folder);
            }
            let first = stored.train_files.first()?;
            root.join(first).is_file().then(|| root.to_owned())
        };
        let archive =
            |stored: &CifarStored| Some(root.join(stored.archive)).filter(|path| path.is_file());
        match form {
            CifarForm::Binary => folder(&self.binary),
            CifarForm::Python => folder(&self.python),
            CifarForm::BinaryArchive => archive(&self.binary),
            CifarForm::PythonArchive => archive(&self.python),
            CifarForm::Pictures => {
                let mut folders = self.picture_folders.iter().map(|folder| root.join(folder));
                folders
                    .find(|folder| folder.join("train").is_dir())
                    .or_else(|| pictures::is_root(self, root).then(|| root.to_owned()))
            }
        }
    }
}

impl CifarFiles {
    /// The form.
    pub fn form(&self) -> CifarForm {
        self.form
    }

    /// The folder or archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one split.
    ///
    /// Memory is made for what the layout says, not for what a file claims, and archives are
    /// unpacked no further.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::WrongSize`], [`Error::LabelOutOfRange`], [`Error::Parse`],
    /// [`Error::Field`] or [`Error::Io`], naming the file.
    pub fn read(&self, split: Split) -> Result<Images> {
        if self.form == CifarForm::Pictures {
            return Ok(pictures::read(&self.layout, &self.path, split)?.0);
        }
        let mut part = self.part(split);
        self.visit(part.files, &mut |index, path, length, reader| {
            self.load(&mut part, index, path, length, reader)
        })?;
        self.images(part)
    }

    /// Reads the class names.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::ClassNames`], [`Error::Parse`] or [`Error::Io`], naming the
    /// file.
    pub fn read_names(&self) -> Result<Vec<String>> {
        if self.form == CifarForm::Pictures {
            return pictures::names(&self.layout, &self.path);
        }
        let mut names = Vec::new();
        self.visit(&[self.stored().names_file], &mut |_, path, length, reader| {
            names = self.load_names(path, length, reader)?;
            Ok(())
        })?;
        Ok(names)
    }

    /// Reads training images, test images and class names; an archive is unpacked once.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`read_names`](Self::read_names).
    pub fn read_all(&self) -> Result<(Images, Images, Vec<String>)> {
        if self.form == CifarForm::Pictures {
            let (train, names) = pictures::read(&self.layout, &self.path, Split::Train)?;
            return Ok((train, self.read(Split::Test)?, names));
        }
        let (mut train, mut test, mut names) =
            (self.part(Split::Train), self.part(Split::Test), Vec::new());
        let wanted = [train.files, test.files, &[self.stored().names_file]].concat();
        let (first_test, first_names) = (train.files.len(), train.files.len() + test.files.len());
        self.visit(&wanted, &mut |index, path, length, reader| {
            if index < first_test {
                self.load(&mut train, index, path, length, reader)
            } else if index < first_names {
                self.load(&mut test, index - first_test, path, length, reader)
            } else {
                names = self.load_names(path, length, reader)?;
                Ok(())
            }
        })?;
        Ok((self.images(train)?, self.images(test)?, names))
    }

    fn stored(&self) -> &CifarStored {
        match self.form {
            CifarForm::Binary | CifarForm::BinaryArchive | CifarForm::Pictures => {
                &self.layout.binary
            }
            CifarForm::Python | CifarForm::PythonArchive => &self.layout.python,
        }
    }

    fn part(&self, split: Split) -> Part {
        let (files, records) = match split {
            Split::Train => (self.stored().train_files, self.layout.train_records),
            Split::Test => (self.stored().test_files, self.layout.test_records),
        };
        let count = files.len() * records;
        Part { files, records, pixels: Array4::zeros((count, 3, 32, 32)), labels: vec![0; count] }
    }

    fn images(&self, part: Part) -> Result<Images> {
        Images::new(part.pixels, part.labels, self.layout.classes())
    }

    /// Reads file `index` of a split into its place.
    fn load(
        &self,
        part: &mut Part,
        index: usize,
        path: &Path,
        length: u64,
        reader: &mut dyn Read,
    ) -> Result<()> {
        let range = index * part.records..(index + 1) * part.records;
        let pixels = part.pixels.as_slice_mut().unwrap_or_default();
        let pixels = &mut pixels[range.start * IMAGE_BYTES..range.end * IMAGE_BYTES];
        let labels = &mut part.labels[range];
        match self.form {
            CifarForm::Python | CifarForm::PythonArchive => {
                python::read(&self.layout, path, length, reader, pixels, labels)
            }
            CifarForm::Binary | CifarForm::BinaryArchive | CifarForm::Pictures => {
                binary::read(&self.layout, path, length, reader, pixels, labels)
            }
        }
    }

    fn load_names(&self, path: &Path, length: u64, reader: &mut dyn Read) -> Result<Vec<String>> {
        match self.form {
            CifarForm::Python | CifarForm::PythonArchive => {
                python::read_names(&self.layout, path, length, reader)
            }
            CifarForm::Binary | CifarForm::BinaryArchive | CifarForm::Pictures => {
                binary::read_names(&self.layout, path, reader)
            }
        }
    }

    /// Calls `each` with every one of the `wanted` files: its index, path, length and bytes. Those
    /// of an archive come in the order of the archive.
    fn visit(&self, wanted: &[&str], each: &mut Visit<'_>) -> Result<()> {
        match self.form {
            CifarForm::BinaryArchive | CifarForm::PythonArchive => self.visit_archive(wanted, each),
            CifarForm::Binary | CifarForm::Python | CifarForm::Pictures => {
                let open = |file: &&str| {
                    let path = self.path.join(file);
                    if !path.is_file() {
                        return Err(Error::MissingFile { dataset: self.layout.dataset, path });
                    }
                    let file = fs::File::open(&path)?;
                    let length = file.metadata()?.len();
                    Ok((path, length, file))
                };
                // All are there before the first is read.
                let opened = wanted.iter().map(open).collect::<Result<Vec<_>>>()?;
                for (index, (path, length, file)) in opened.into_iter().enumerate() {
                    each(index, &path, length, &mut BufReader::with_capacity(1 << 16, file))?;
                }
                Ok(())
            }
        }
    }

    fn visit_archive(&self, wanted: &[&str], each: &mut Visit<'_>) -> Result<()> {
        let mut missing = vec![true; wanted.len()];
        let file = BufReader::with_capacity(1 << 16, fs::File::open(&self.path)?);
        let mut unpacked = MultiGzDecoder::new(file);
        tar::stream(&self.path, &mut unpacked, MAX_UNPACKED, &mut |entry, reader| {
            let name = entry.name.rsplit('/').next().unwrap_or_default();
            let Some(index) = wanted.iter().position(|wanted| *wanted == name) else {
                return Ok(());
            };
            if !std::mem::take(&mut missing[index]) {
                return Err(Error::Parse {
                    path: self.path.clone(),
                    offset: entry.start,
                    field: "archive",
                    expected: "each file once".into(),
                    found: format!("`{name}` again"),
                });
            }
            each(index, &self.path.join(name), entry.length, reader)
        })?;
        match missing.iter().position(|&missing| missing) {
            None => Ok(()),
            Some(index) => Err(Error::MissingFile {
                dataset: self.layout.dataset,
                path: self.path.join(wanted[index]),
            }),
        }
    }
}
