//! Values of tensors in files of their own, beside the model.

use super::proto;
use super::tensor::width;
use prost::bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Bytes that tensors take of a file together, as a multiple of its own: tensors may share values,
/// but a small file does not make large ones.
const MAX_SHARING: u64 = 4;

/// Files of values, and what tensors took of them.
#[derive(Default)]
pub(super) struct External {
    /// Folder in which they may lie; `None` where a model is read from bytes.
    folder: Option<PathBuf>,
    taken: RefCell<HashMap<PathBuf, u64>>,
}

impl External {
    /// Those of a folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: Some(folder.into()), ..Self::default() }
    }

    /// The bytes of a tensor of `count` values. The file must lie in the model's folder or below
    /// it, links resolved, and hold them.
    pub(super) fn read(&self, tensor: &proto::Tensor, count: u64) -> Result<Bytes, String> {
        let entries: BTreeMap<&str, &str> =
            tensor.external_data.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect();
        let location = entries.get("location").ok_or("it names no file of its values")?;
        let folder = self.folder.as_ref().ok_or_else(|| {
            format!(
                "its values are in a file of their own, `{location}`; read the model by its path"
            )
        })?;
        let number = |key: &str| {
            let text = entries.get(key).copied();
            let parse = |text: &str| {
                text.parse::<u64>()
                    .map_err(|_| format!("its {key} must be a number, found `{text}`"))
            };
            text.map(parse).transpose()
        };
        let needed = width(tensor.data_type)
            .and_then(|width| width.checked_mul(count))
            .ok_or("its values are of a type or number that cannot be read")?;
        let offset = number("offset")?.unwrap_or(0);
        if let Some(length) = number("length")?
            && length != needed
        {
            return Err(format!(
                "its shape {:?} needs {needed} bytes, of `{location}` it is given {length}",
                tensor.dims
            ));
        }
        let path = inside(folder, location)?;
        let failed = |error: std::io::Error| format!("`{location}`: {error}");
        let mut file = std::fs::File::open(&path).map_err(failed)?;
        let held = file.metadata().map_err(failed)?.len();
        if offset.checked_add(needed).is_none_or(|end| end > held) {
            return Err(format!(
                "it needs {needed} bytes of `{location}` from byte {offset} on, which has {held}"
            ));
        }
        let mut taken = self.taken.borrow_mut();
        let taken = taken.entry(path).or_default();
        *taken = taken.saturating_add(needed);
        if *taken > held.saturating_mul(MAX_SHARING) {
            return Err(format!(
                "`{location}` has {held} bytes, and tensors take more than {MAX_SHARING} times as \
                 many of it"
            ));
        }
        let size = usize::try_from(needed).map_err(|_| "it has too many values".to_string())?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|error| format!("`{location}`: {error}"))?;
        bytes.resize(size, 0);
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        file.read_exact(&mut bytes).map_err(failed)?;
        Ok(bytes.into())
    }
}

/// The plain file of this name in a folder or below it.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let outside = || format!("its values are to be in the model's folder, not in `{location}`");
    let name = Path::new(location);
    if location.is_empty() || !name.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let failed = |error: std::io::Error| format!("`{location}`: {error}");
    let folder = folder.canonicalize().map_err(failed)?;
    let path = folder.join(name).canonicalize().map_err(failed)?;
    if !path.starts_with(&folder) {
        return Err(outside());
    }
    if !path.is_file() {
        return Err(format!("`{location}` is not a plain file"));
    }
    Ok(path)
}
