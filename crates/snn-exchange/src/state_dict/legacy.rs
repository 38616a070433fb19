//! Files of `torch.save` before PyTorch 1.6: five pickles (a magic number, the protocol, facts of
//! the machine, the object, the keys of its storages), then the storages one after another, each as
//! its number of elements and its bytes.

use super::objects::{NAMES, Reference};
use super::pickle::{Pickle, Value};
use super::tensor::Storage;
use std::collections::HashMap;
use std::sync::Arc;

/// The magic number, little-endian.
const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only protocol that was ever written.
const PROTOCOL: usize = 1001;

/// `true` if bytes begin as such a file: a pickle of protocol 2 with an integer of ten bytes.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x80, 2, 0x8a, 10])
}

/// The object, and the storages by key.
type Contents<'p> = (Pickle<'p>, HashMap<String, Storage>);

/// Reads the pickles: the object, and the storages by key.
pub(super) fn read(bytes: &Arc<Vec<u8>>) -> Result<Contents<'_>, String> {
    let mut rest = bytes.as_slice();
    let mut next = || -> Result<Pickle<'_>, String> {
        let pickle = Pickle::read(rest, &NAMES)?;
        rest = &rest[pickle.length..];
        Ok(pickle)
    };
    let magic = next()?;
    if !matches!(magic.value(magic.root()), Value::Long(MAGIC)) {
        return Err("expected the magic number of torch.save, found another".into());
    }
    let protocol = next()?;
    if protocol.count(protocol.root()) != Some(PROTOCOL) {
        return Err(format!("expected protocol {PROTOCOL} of torch.save, found another"));
    }
    let machine = next()?;
    let facts = machine.items(machine.root()).unwrap_or_default();
    let order = facts.iter().find(|&&(key, _)| machine.text(key) == Some("little_endian"));
    match order.map(|&(_, value)| machine.value(value)) {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => {
            return Err(
                "expected little-endian values, found big-endian ones; load and save it on \
                        a little-endian machine"
                    .into(),
            );
        }
        _ => return Err("expected `little_endian` of the machine, found none".into()),
    }
    let object = next()?;
    let keys = next()?;
    let storages = storages(&object, &keys, bytes, bytes.len() - rest.len())?;
    Ok((object, storages))
}

/// The storages from byte `at` on, in the order of the keys.
fn storages(
    object: &Pickle<'_>,
    keys: &Pickle<'_>,
    bytes: &Arc<Vec<u8>>,
    mut at: usize,
) -> Result<HashMap<String, Storage>, String> {
    let mut references: HashMap<&str, Reference<'_>> = HashMap::new();
    for value in object.values() {
        let Value::Persistent(identity) = value else { continue };
        let reference = object.reference(*identity);
        let reference = reference.ok_or("expected a storage, found another reference")?;
        let first = references.entry(reference.key).or_insert(reference);
        if (first.element, first.count) != (reference.element, reference.count) {
            return Err(format!(
                "storage `{}`: expected {} {} everywhere, found {} {}",
                reference.key, first.count, first.element, reference.count, reference.element
            ));
        }
    }
    let Value::List(list) = keys.value(keys.root()) else {
        return Err("expected a list of storages, found another value".into());
    };
    let whole = Storage::whole(Arc::clone(bytes));
    let mut storages = HashMap::new();
    for &key in list {
        let key = keys.text(key).ok_or("expected names of storages, found another value")?;
        let Some(Reference { element, count, .. }) = references.get(key) else {
            return Err(format!(
                "storage `{key}`: expected a tensor that it belongs to, found none"
            ));
        };
        let Some(&found) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return Err(format!("storage `{key}`: expected its size, found the end of the file"));
        };
        let found = u64::from_le_bytes(found);
        if usize::try_from(found) != Ok(*count) {
            return Err(format!("storage `{key}`: expected {count} elements, found {found}"));
        }
        at += 8;
        let part = count.checked_mul(element.bytes()).and_then(|length| whole.part(at, length));
        let part = part.ok_or_else(|| {
            let left = bytes.len() - at;
            format!("storage `{key}`: expected {count} {element}, found {left} bytes and the end")
        })?;
        at += part.len();
        storages.insert(key.to_owned(), part);
    }
    Ok(storages)
}
