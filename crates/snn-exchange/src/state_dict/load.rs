//! Reading a state dict from a file of any of the formats.

use super::archive::Archive;
use super::choose::choose;
use super::legacy;
use super::objects::{NAMES, Place};
use super::pickle::Pickle;
use super::tensor::{Element, StateTensor, Storage, View};
use crate::error::{Error, Result, printable};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::io::{Cursor, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of all tensors together, as a multiple of the file's: tensors may share a storage, as tied
/// weights do, but a small file does not make large ones.
const MAX_SHARING: u64 = 4;

/// Bytes that tell the format.
const HEAD: u64 = 9;

/// What a file begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A zip archive of `torch.save`.
    Archive,
    /// The older format of `torch.save`.
    Legacy,
    /// A pickle that is in neither.
    Pickle,
    /// Safetensors, or nothing that is known.
    Safetensors,
}

impl Format {
    /// The format of a file of this length from its first bytes.
    fn of(head: &[u8], length: u64) -> Self {
        // A header of JSON after its length, which may begin as anything.
        let header = head.split_first_chunk::<8>();
        let is_header = |(size, json): (&[u8; 8], &[u8])| {
            json.first() == Some(&b'{') && u64::from_le_bytes(*size) < length
        };
        if header.is_some_and(is_header) {
            return Self::Safetensors;
        }
        match head {
            [b'P', b'K', 3, 4, ..] => Self::Archive,
            head if legacy::is_legacy(head) => Self::Legacy,
            [0x80, ..] => Self::Pickle,
            _ => Self::Safetensors,
        }
    }
}

/// A state dict: tensors by their names, in the order of the file.
///
/// Values stay as they lie in the file until one asks for them.
#[derive(Debug, Clone)]
pub struct StateDict {
    path: PathBuf,
    tensors: Vec<(String, StateTensor)>,
    /// `true` if the file keeps the order of the layers.
    pub(super) ordered: bool,
    notes: Vec<String>,
}

impl StateDict {
    /// Reads a state dict from a file of safetensors, or of `torch.save`: the zip archive of
    /// PyTorch 1.6 and later, or the older format. The content tells which it is. No pickle is
    /// executed.
    ///
    /// Of a checkpoint that holds more than the state dict, the dictionary under `key` is taken;
    /// without one that under a usual key (`state_dict`, `model_state_dict`, `model`, `net`), and
    /// [`StateDict::notes`] says which.
    ///
    /// # Errors
    /// [`Error::File`]: the file is not there, damaged, of another kind, holds an object that is
    /// not a tensor, or several state dicts and no `key` says which; what it holds is larger than
    /// the file allows.
    pub fn load(path: impl AsRef<Path>, key: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        // Before it is opened: to open a pipe waits for its writer, and a device has no end.
        let facts = fs_err::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::file(path, "no such file"),
            _ => Error::Io(error),
        })?;
        if !facts.is_file() {
            return Err(Error::file(path, "not a plain file"));
        }
        let mut file = fs_err::File::open(path)?;
        let mut head = Vec::new();
        (&mut file).take(HEAD).read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(0))?;
        let named = |reason: String| Error::file(path, &reason);
        if Format::of(&head, facts.len()) == Format::Archive {
            // Of an archive only the storages that are wanted are read.
            let file = std::io::BufReader::new(file);
            return Ok(of_archive(file, facts.len(), key).map_err(named)?.named(path));
        }
        let mut bytes = Vec::new();
        let length = usize::try_from(facts.len()).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(length).map_err(|error| named(error.to_string()))?;
        file.take(facts.len()).read_to_end(&mut bytes)?;
        Self::from_bytes(bytes, path, key)
    }

    /// Reads a state dict from the bytes of such a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`StateDict::load`].
    pub fn from_bytes(bytes: Vec<u8>, path: impl AsRef<Path>, key: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        let length = bytes.len() as u64;
        let read = match Format::of(&bytes, length) {
            Format::Archive => of_archive(Cursor::new(bytes), length, key),
            Format::Legacy => of_legacy(&Arc::new(bytes), key),
            Format::Pickle => of_pickle(&bytes),
            Format::Safetensors => of_safetensors(bytes, key),
        };
        Ok(read.map_err(|reason| Error::file(path, &reason))?.named(path))
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names and tensors, in the order of the file.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &StateTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&StateTensor> {
        self.tensors.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor)
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// `true` if there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Choices that were made in reading the file, each a sentence without its end.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// A state dict before its file is known.
struct Unnamed {
    tensors: Vec<(String, StateTensor)>,
    ordered: bool,
    notes: Vec<String>,
}

impl Unnamed {
    fn named(self, path: &Path) -> StateDict {
        let notes = self.notes.iter().map(|note| printable(note)).collect();
        let (tensors, ordered) = (self.tensors, self.ordered);
        StateDict { path: path.to_path_buf(), tensors, ordered, notes }
    }
}

fn of_archive(
    reader: impl std::io::Read + std::io::Seek,
    length: u64,
    key: Option<&str>,
) -> Result<Unnamed, String> {
    let mut archive = Archive::open(reader)?;
    let pickle = archive.pickle()?;
    let pickle = Pickle::read(&pickle, &NAMES)?;
    let mut storages: HashMap<&str, (Element, Storage)> = HashMap::new();
    of_object(&pickle, length, key, |place| {
        let reference = place.storage;
        if let Some((element, storage)) = storages.get(reference.key) {
            if *element != reference.element {
                return Err(format!("storage `{}` is of two types", reference.key));
            }
            return Ok(storage.clone());
        }
        let bytes = (reference.count as u64).checked_mul(reference.element.bytes() as u64);
        let bytes = bytes.unwrap_or(u64::MAX);
        let storage = Storage::whole(Arc::new(archive.storage(reference.key, bytes)?));
        storages.insert(reference.key, (reference.element, storage.clone()));
        Ok(storage)
    })
}

fn of_legacy(bytes: &Arc<Vec<u8>>, key: Option<&str>) -> Result<Unnamed, String> {
    let (object, storages) = legacy::read(bytes)?;
    of_object(&object, bytes.len() as u64, key, |place| {
        let reference = place.storage;
        let storage = storages.get(reference.key);
        let storage = storage.ok_or_else(|| {
            format!("storage `{}`: expected its bytes, found none", reference.key)
        })?;
        let Some((first, count)) = reference.part else { return Ok(storage.clone()) };
        let size = reference.element.bytes();
        let part = first.checked_mul(size).zip(count.checked_mul(size));
        part.and_then(|(start, length)| storage.part(start, length)).ok_or_else(|| {
            format!(
                "storage `{}`: expected a view inside its {} elements, found {count} from {first}",
                reference.key, reference.count
            )
        })
    })
}

/// A pickle of neither format: it is read for the name of what it holds.
fn of_pickle(bytes: &[u8]) -> Result<Unnamed, String> {
    Pickle::read(bytes, &NAMES)?;
    Err("is a pickle without tensors; save the state dict with PyTorch: \
         torch.save(model.state_dict(), \"model.pt\")"
        .into())
}

/// The tensors of an object; `storage` finds the bytes of one.
fn of_object<'p>(
    pickle: &Pickle<'p>,
    length: u64,
    key: Option<&str>,
    mut storage: impl FnMut(&Place<'p>) -> Result<Storage, String>,
) -> Result<Unnamed, String> {
    let (dictionary, note) = choose(pickle, key)?;
    let mut tensors: Vec<(String, StateTensor)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut others = Vec::new();
    let mut sum = 0_u64;
    for (key, value) in pickle.items(dictionary).unwrap_or_default() {
        let Some(name) = pickle.text(key) else {
            return Err("expected names of tensors, found a key that is no text".into());
        };
        let Some(place) = pickle.tensor(value) else {
            others.push((name, value));
            continue;
        };
        let wrong = |reason| format!("tensor `{name}`: {reason}");
        let place = place.map_err(wrong)?;
        let count = place.view.count().map_err(wrong)? as u64;
        sum = sum.saturating_add(count.saturating_mul(place.storage.element.bytes() as u64));
        if sum > length.saturating_mul(MAX_SHARING) {
            return Err(format!(
                "expected tensors of at most {MAX_SHARING} times the {length} bytes of the file, \
                 found more at `{name}`"
            ));
        }
        let storage = storage(&place).map_err(wrong)?;
        let tensor = StateTensor::new(place.storage.element, place.view, storage).map_err(wrong)?;
        // As in Python the last of equal keys counts.
        if let Some(&place) = places.get(name) {
            tensors[place].1 = tensor;
        } else {
            places.insert(name, tensors.len());
            tensors.push((name.to_owned(), tensor));
        }
    }
    if tensors.is_empty() {
        return Err("expected tensors in the state dict, found none".into());
    }
    let mut notes: Vec<String> = note.into_iter().collect();
    if !others.is_empty() {
        let more = others.len().saturating_sub(MAX_OTHERS);
        let named = |&(name, value): &(&str, _)| format!("`{name}` ({})", pickle.described(value));
        let others: Vec<String> = others.iter().take(MAX_OTHERS).map(named).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        notes.push(format!("not tensors, and left out: {}{more}", others.join(", ")));
    }
    Ok(Unnamed { tensors, ordered: true, notes })
}

/// Entries of a state dict that are not tensors and that a note lists.
const MAX_OTHERS: usize = 5;

fn of_safetensors(bytes: Vec<u8>, key: Option<&str>) -> Result<Unnamed, String> {
    if let Some(key) = key {
        return Err(format!(
            "expected a dictionary under `{key}`, found safetensors, which has one"
        ));
    }
    let bytes = Arc::new(bytes);
    let whole = Storage::whole(Arc::clone(&bytes));
    let foreign = |error| {
        format!(
            "expected safetensors, or a file of torch.save (a zip archive or the older format), \
             found neither: {error}"
        )
    };
    let (size, list) = SafeTensors::read_metadata(&bytes).map_err(foreign)?;
    SafeTensors::deserialize(&bytes).map_err(foreign)?;
    let start = size.saturating_add(size_of::<u64>());
    let mut tensors = Vec::new();
    for name in list.offset_keys() {
        let Some(info) = list.info(&name) else { continue };
        let wrong = |reason: String| format!("tensor `{name}`: {reason}");
        let element = element(info.dtype).ok_or_else(|| {
            wrong(format!("expected floats, integers or truth values, found {:?}", info.dtype))
        })?;
        let (begin, end) = info.data_offsets;
        let part = whole.part(start.saturating_add(begin), end.saturating_sub(begin));
        let part = part.ok_or_else(|| wrong("its values are cut off".into()))?;
        let view = View::contiguous(info.shape.clone()).map_err(wrong)?;
        let tensor = StateTensor::new(element, view, part).map_err(wrong)?;
        tensors.push((name, tensor));
    }
    if tensors.is_empty() {
        return Err("expected tensors, found none".into());
    }
    Ok(Unnamed { tensors, ordered: false, notes: Vec::new() })
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
