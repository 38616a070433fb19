//! From HDF5 to values, with every size bounded by what the file can hold before memory is taken.

use super::name::check_name;
use crate::error::{Error, Result};
use crate::value::{Table, Value};
use hdf5_pure::{DType, Dataset, Datatype, File, Group, VlenStringReadOptions};
use ndarray::{ArrayD, IxDyn};
use snn_ir::{MAX_NODES, MAX_WEIGHT_BYTES, Tensor};

/// The most groups in each other. `nir` makes two a sub-graph (`NODE/nodes`); more than this is a
/// cycle of links, or nothing that a network needs.
const MAX_DEPTH: usize = 64;
/// Deflate makes at most 1,032 bytes of one (zlib's own bound), LZF fewer.
const MAX_EXPANSION: u64 = 1032;
/// Fields of a node, generously; a limit for untrusted files together with [`MAX_NODES`].
const FIELDS: usize = 16;
/// The most axes of an array; HDF5's own is 32.
const MAX_RANK: usize = 8;

/// Reads all of a file.
pub(crate) fn read_table(bytes: Vec<u8>) -> Result<Table> {
    let size = bytes.len() as u64;
    let file = File::from_bytes(bytes).map_err(|error| {
        Error::container("/", format!("no HDF5 file, or a damaged one: {error}"))
    })?;
    let mut reader = Reader {
        size,
        bytes_left: size.saturating_mul(MAX_EXPANSION).min(MAX_WEIGHT_BYTES),
        entries_left: MAX_NODES * FIELDS,
    };
    reader.table(&file.root(), "", 0)
}

struct Reader {
    /// Bytes of the file.
    size: u64,
    /// Bytes that may still be made of it: more entries than one may link to the same data.
    bytes_left: u64,
    entries_left: usize,
}

impl Reader {
    fn table(&mut self, group: &Group, place: &str, depth: usize) -> Result<Table> {
        if depth > MAX_DEPTH {
            return Err(Error::container(
                place,
                format!("groups stand in each other more than {MAX_DEPTH} deep: a cycle of links?"),
            ));
        }
        let mut table = Table::new();
        let fault = |error: hdf5_pure::Error| Error::container(place, error.to_string());
        for (name, dataset) in group.iter_datasets().map_err(fault)? {
            let place = self.enter(place, &name)?;
            let value = self.dataset(&dataset, &place)?;
            table.insert(name, value);
        }
        for (name, group) in group.iter_groups().map_err(fault)? {
            let place = self.enter(place, &name)?;
            let value = Value::Table(self.table(&group, &place, depth + 1)?);
            table.insert(name, value);
        }
        Ok(table)
    }

    /// The path of an entry, which is counted.
    fn enter(&mut self, place: &str, name: &str) -> Result<String> {
        check_name(name)?;
        let place = format!("{place}/{name}");
        self.entries_left = self.entries_left.checked_sub(1).ok_or_else(|| {
            let most = MAX_NODES * FIELDS;
            Error::container(&place, format!("more than {most} entries: a cycle of links?"))
        })?;
        Ok(place)
    }

    fn dataset(&mut self, dataset: &Dataset, place: &str) -> Result<Value> {
        let fault = |error: hdf5_pure::Error| Error::container(place, error.to_string());
        let shape = self.admit(dataset, place)?;
        let count: usize = shape.iter().product();
        match dataset.dtype().map_err(fault)? {
            DType::F32 => {
                let values = array(&shape, dataset.read_f32().map_err(fault)?, place)?;
                Ok(Value::Floats(Tensor::F32(values)))
            }
            DType::F64 => {
                let values = array(&shape, dataset.read_f64().map_err(fault)?, place)?;
                Ok(Value::Floats(Tensor::F64(values)))
            }
            DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32 => {
                let values = array(&shape, dataset.read_i64().map_err(fault)?, place)?;
                Ok(Value::Integers(values))
            }
            DType::U64 => {
                let values = dataset.read_u64().map_err(fault)?.into_iter().map(|value| {
                    i64::try_from(value).map_err(|_| {
                        Error::container(
                            place,
                            format!("expected integers up to 2^63 − 1, found {value}"),
                        )
                    })
                });
                Ok(Value::Integers(array(&shape, values.collect::<Result<_>>()?, place)?))
            }
            DType::VariableLengthString => {
                let most = usize::try_from(self.size.min(self.bytes_left)).unwrap_or(usize::MAX);
                let options = VlenStringReadOptions::new()
                    .with_max_elements(count)
                    .with_max_payload_bytes(most);
                let texts = dataset.read_vlen_strings(options).map_err(fault)?;
                let bytes: usize = texts.iter().map(String::len).sum();
                self.spend(bytes as u64, place)?;
                texts_of(&shape, texts, place)
            }
            DType::String => texts_of(&shape, dataset.read_string().map_err(fault)?, place),
            DType::Enum(names) if names == ["FALSE", "TRUE"] => {
                let raw = dataset.read_raw().map_err(fault)?;
                let values = raw.into_iter().map(|value| value != 0).collect();
                Ok(Value::Booleans(array(&shape, values, place)?))
            }
            other => Err(Error::container(
                place,
                format!(
                    "expected floats of 32 or 64 bits, integers, booleans or strings, found {}",
                    type_name(&other)
                ),
            )),
        }
    }

    /// The shape of an array that the file can hold.
    fn admit(&mut self, dataset: &Dataset, place: &str) -> Result<Vec<usize>> {
        let fault = |error: hdf5_pure::Error| Error::container(place, error.to_string());
        let shape = dataset.shape().map_err(fault)?;
        let width = dataset.element_size().map_err(fault)?;
        let product =
            |shape: &[u64]| shape.iter().try_fold(1_u64, |all, &size| all.checked_mul(size));
        let declared = product(&shape).and_then(|count| count.checked_mul(width));
        let too_large = |found: String| {
            Error::container(
                place,
                format!(
                    "expected an array that a file of {} bytes can hold, found {found}",
                    self.size
                ),
            )
        };
        let Some(declared) = declared.filter(|_| shape.len() <= MAX_RANK) else {
            return Err(too_large(format!("shape {shape:?} of {width} bytes each")));
        };
        let expansion = if dataset.filters().is_empty() { 1 } else { MAX_EXPANSION };
        if declared > self.size.saturating_mul(expansion) {
            return Err(too_large(format!("shape {shape:?} of {width} bytes each")));
        }
        if let Some(chunk) = dataset.chunk_shape().map_err(fault)? {
            let fits = chunk.len() == shape.len()
                && chunk.iter().zip(&shape).all(|(&part, &whole)| part <= whole.max(1));
            if !fits {
                return Err(too_large(format!("chunks {chunk:?} of shape {shape:?}")));
            }
        }
        self.spend(declared, place)?;
        shape
            .iter()
            .map(|&size| usize::try_from(size))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| {
                Error::container(place, format!("shape {shape:?} does not fit this machine"))
            })
    }

    fn spend(&mut self, bytes: u64, place: &str) -> Result<()> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| {
            let size = self.size;
            Error::container(
                place,
                format!("all arrays up to this one are more than a file of {size} bytes can hold"),
            )
        })?;
        Ok(())
    }
}

fn array<V>(shape: &[usize], values: Vec<V>, place: &str) -> Result<ArrayD<V>> {
    let found = values.len();
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|_| {
        Error::container(place, format!("expected the values of shape {shape:?}, found {found}"))
    })
}

fn texts_of(shape: &[usize], mut texts: Vec<String>, place: &str) -> Result<Value> {
    if shape.is_empty() && texts.len() == 1 {
        return Ok(Value::Text(texts.remove(0)));
    }
    Ok(Value::Texts(array(shape, texts, place)?))
}

/// A short name of a type that no NIR file has.
fn type_name(other: &DType) -> String {
    match other {
        DType::Compound(_) => "a compound type".into(),
        DType::Enum(_) => "an enumeration".into(),
        DType::Array(..) => "an array type".into(),
        DType::ObjectReference => "references".into(),
        DType::Other(datatype) => match **datatype {
            Datatype::FloatingPoint { size, .. } => {
                format!("floats of {} bits", size.saturating_mul(8))
            }
            _ => "another type".into(),
        },
        named => named.to_string(),
    }
}
