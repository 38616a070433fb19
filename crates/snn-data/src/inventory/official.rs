//! The official files of the data sets, and where they are.

use crate::Result;
use crate::sets::cifar::CifarForm;
use crate::sets::{DatasetName, Form};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The official files: compiled in, and published with the crate (`datasets/manifest.toml` of the
/// repository links here).
const MANIFEST: &str = include_str!("../../manifest.toml");
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    file: Vec<ManifestFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    dataset: DatasetName,
    /// Files of one form belong together; of several forms one is enough.
    form: String,
    name: String,
    bytes: Option<u64>,
    sha256: Option<String>,
    md5: Option<String>,
    /// The unpacked form that may replace the file.
    unpacked: Option<Unpacked>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unpacked {
    name: String,
    bytes: u64,
    sha256: Option<String>,
}

/// An official file: what is known of it, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficialFile {
    /// The form of the set that it belongs to.
    pub form: String,
    /// Its name.
    pub name: String,
    /// Its official size in bytes, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Its official SHA-256, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its official MD5, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// Where it was looked for.
    pub path: PathBuf,
    /// The size that was found; `None` if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_bytes: Option<u64>,
}

impl OfficialFile {
    /// `true` if it is there, with the official size where that is known.
    pub fn has_size(&self) -> bool {
        self.found_bytes.is_some_and(|found| self.bytes.is_none_or(|bytes| bytes == found))
    }
}

/// The official files of a set, of all its forms.
pub(super) fn official(root: &Path, set: DatasetName) -> Result<Vec<OfficialFile>> {
    let manifest: Manifest = toml::from_str(MANIFEST)?;
    let files = manifest.file.into_iter().filter(|file| file.dataset == set);
    Ok(files
        .map(|file| {
            let folder = folder_of(root, set, &file.form);
            let ManifestFile { form, name, bytes, sha256, md5, unpacked, .. } = file;
            // The readers prefer the unpacked file, so it is the one to check.
            let (name, bytes, sha256, md5) =
                match unpacked.filter(|unpacked| folder.join(&unpacked.name).is_file()) {
                    Some(unpacked) => (unpacked.name, Some(unpacked.bytes), unpacked.sha256, None),
                    None => (name, bytes, sha256, md5),
                };
            let path = folder.join(&name);
            let found_bytes =
                fs::metadata(&path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
            OfficialFile { form, name, bytes, sha256, md5, path, found_bytes }
        })
        .collect())
}

/// The form that is read of a set, and where it is; `None` if it has no forms, or none is there.
pub(super) fn form_of(root: &Path, set: DatasetName) -> Option<(String, PathBuf)> {
    match set.spec().form {
        Form::Cifar(layout) => {
            let place = |form: CifarForm| Some((form.to_string(), layout.place(root, form)?));
            CifarForm::ALL.into_iter().find_map(place)
        }
        Form::Idx(layout) => layout.locate(root).ok().map(|folder| ("idx".to_owned(), folder)),
        Form::Shapes | Form::Pictures(_) | Form::Recordings(_) => None,
    }
}

/// `true` if something of a form is there.
pub(super) fn is_there(root: &Path, set: DatasetName, form: &str, files: &[OfficialFile]) -> bool {
    let located = match set.spec().form {
        Form::Cifar(layout) => form.parse().ok().and_then(|form| layout.place(root, form)),
        Form::Idx(_) | Form::Shapes | Form::Pictures(_) | Form::Recordings(_) => None,
    };
    located.is_some() || files.iter().any(|file| file.form == form && file.path.exists())
}

/// The folder of the files of a form, or where it should be.
fn folder_of(root: &Path, set: DatasetName, form: &str) -> PathBuf {
    let spec = set.spec();
    match spec.form {
        Form::Cifar(layout) => {
            let (form, folder) = match form {
                "binary" => (CifarForm::Binary, layout.binary.folder),
                "python" => (CifarForm::Python, layout.python.folder),
                _ => return root.to_owned(),
            };
            layout.place(root, form).unwrap_or_else(|| root.join(folder))
        }
        Form::Idx(layout) => layout.locate(root).unwrap_or_else(|_| root.join(layout.dataset)),
        Form::Shapes => root.to_owned(),
        Form::Recordings(_) | Form::Pictures(_) => spec.folder(root),
    }
}
