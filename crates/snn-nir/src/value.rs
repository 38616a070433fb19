//! What a NIR file holds at one name: a text, numbers, or a table of more.

use ndarray::ArrayD;
use snn_ir::Tensor;
use std::collections::BTreeMap;

/// Values by name, as in a group of HDF5 or a dictionary of Python.
pub type Table = BTreeMap<String, Value>;

/// One entry of a NIR file. Names of nodes and fields are the keys of tables.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One string.
    Text(String),
    /// An array of strings, in row-major order.
    Texts(ArrayD<String>),
    /// Floats of 32 or 64 bits, of any shape; a scalar has the shape `[]`.
    Floats(Tensor),
    /// Integers of any stored width.
    Integers(ArrayD<i64>),
    /// Booleans, as h5py stores NumPy's: an enumeration of `FALSE` and `TRUE`.
    Booleans(ArrayD<bool>),
    /// More values by name.
    Table(Table),
}

impl Value {
    /// One integer.
    pub fn integer(value: i64) -> Self {
        Self::Integers(ndarray::arr0(value).into_dyn())
    }

    /// A list of integers.
    pub fn integers(values: &[usize]) -> Self {
        let values = values.iter().map(|&value| i64::try_from(value).unwrap_or(i64::MAX));
        Self::Integers(values.collect::<ndarray::Array1<i64>>().into_dyn())
    }

    /// One float.
    pub fn float(value: f64) -> Self {
        Self::Floats(Tensor::F64(ndarray::arr0(value).into_dyn()))
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        let of = |what: &str, shape: &[usize]| {
            if shape.is_empty() {
                format!("one {what}")
            } else {
                format!("{what}s of shape {shape:?}")
            }
        };
        match self {
            Self::Text(text) => format!("the text {:?}", text.chars().take(40).collect::<String>()),
            Self::Texts(texts) => of("text", texts.shape()),
            Self::Floats(tensor) => of(&format!("{} number", tensor.dtype()), tensor.shape()),
            Self::Integers(integers) if integers.ndim() == 0 => {
                format!("the integer {}", integers.iter().next().copied().unwrap_or_default())
            }
            Self::Integers(integers) => of("integer", integers.shape()),
            Self::Booleans(booleans) => of("boolean", booleans.shape()),
            Self::Table(_) => "a group".into(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
