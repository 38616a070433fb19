//! From values to HDF5, laid out as Python's `nir` does it with its default options.

use super::name::check_name;
use crate::error::{Error, Result};
use crate::value::{Table, Value};
use hdf5_pure::{DatasetBuilder as Dataset, EnumTypeBuilder, FileBuilder, GroupBuilder as Group};
use ndarray::ArrayD;
use snn_ir::Tensor;

/// zlib's level in `h5py` unless it is told otherwise.
const DEFLATE_LEVEL: u32 = 4;
/// Arrays of fewer values are stored as they are: a chunk of them takes more room than it saves.
const DEFLATE_FROM: usize = 64;

/// The bytes of a file with these entries.
pub(crate) fn write_table(table: &Table) -> Result<Vec<u8>> {
    let mut file = FileBuilder::new();
    for (name, value) in table {
        check_name(name)?;
        if let Value::Table(inner) = value {
            let group = file.create_group(name);
            let group = fill(group, inner, name)?;
            file.add_group(group.finish());
        } else {
            dataset(file.create_dataset(name), value, name)?;
        }
    }
    file.finish().map_err(|error| Error::container("/", error.to_string()))
}

fn fill(mut group: Group, table: &Table, place: &str) -> Result<Group> {
    for (name, value) in table {
        check_name(name)?;
        let place = format!("{place}/{name}");
        if let Value::Table(inner) = value {
            let inner = fill(group.create_group(name), inner, &place)?;
            group.add_group(inner.finish());
        } else {
            dataset(group.create_dataset(name), value, &place)?;
        }
    }
    Ok(group)
}

fn dataset(builder: &mut Dataset, value: &Value, place: &str) -> Result<()> {
    match value {
        Value::Text(text) => {
            builder.with_vlen_strings(&[text]).with_shape(&[]);
        }
        Value::Texts(texts) => {
            let all: Vec<&str> = texts.iter().map(String::as_str).collect();
            builder.with_vlen_strings(&all).with_shape(&dimensions(texts));
        }
        Value::Floats(Tensor::F32(values)) => {
            let all: Vec<f32> = values.iter().copied().collect();
            builder.with_f32_data(&all).with_shape(&dimensions(values));
            compress(builder, values);
        }
        Value::Floats(Tensor::F64(values)) => {
            let all: Vec<f64> = values.iter().copied().collect();
            builder.with_f64_data(&all).with_shape(&dimensions(values));
            compress(builder, values);
        }
        Value::Floats(tensor @ (Tensor::I8(_) | Tensor::I32(_))) => {
            let reason = format!("expected floats, found {}", tensor.dtype());
            return Err(Error::container(place, reason));
        }
        Value::Integers(values) => {
            let all: Vec<i64> = values.iter().copied().collect();
            builder.with_i64_data(&all).with_shape(&dimensions(values));
            compress(builder, values);
        }
        Value::Booleans(values) => {
            let kind = EnumTypeBuilder::u8_based().u8_value("FALSE", 0).u8_value("TRUE", 1).build();
            let kind = kind.map_err(|error| Error::container(place, error.to_string()))?;
            let all: Vec<u8> = values.iter().map(|&value| u8::from(value)).collect();
            builder.with_enum_u8_data(kind, &all).with_shape(&dimensions(values));
        }
        Value::Table(_) => return Err(Error::container(place, "a group is no array")),
    }
    Ok(())
}

fn dimensions<V>(values: &ArrayD<V>) -> Vec<u64> {
    values.shape().iter().map(|&size| size as u64).collect()
}

fn compress<V>(builder: &mut Dataset, values: &ArrayD<V>) {
    if values.len() >= DEFLATE_FROM {
        builder.with_deflate(DEFLATE_LEVEL);
    }
}
