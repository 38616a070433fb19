//! Named arrays beside the graph.

use crate::error::{Error, Result};
use ndarray::{ArrayD, Dimension};
use std::collections::BTreeMap;

/// Weights by name (`<node>.<part>`), in the order of their names.
pub type Weights = BTreeMap<String, Tensor>;

/// One array of weights. Real forms hold floats, the grid integers.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor {
    /// 32-bit float.
    F32(ArrayD<f32>),
    /// 64-bit float.
    F64(ArrayD<f64>),
    /// 8-bit integer.
    I8(ArrayD<i8>),
    /// 32-bit integer.
    I32(ArrayD<i32>),
}

impl Tensor {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Tensor::F32(a) => a.shape(),
            Tensor::F64(a) => a.shape(),
            Tensor::I8(a) => a.shape(),
            Tensor::I32(a) => a.shape(),
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// `true` if it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of the element type.
    pub fn dtype(&self) -> &'static str {
        match self {
            Tensor::F32(_) => "f32",
            Tensor::F64(_) => "f64",
            Tensor::I8(_) => "i8",
            Tensor::I32(_) => "i32",
        }
    }

    /// `true` if the elements are integers.
    pub fn is_integer(&self) -> bool {
        matches!(self, Tensor::I8(_) | Tensor::I32(_))
    }

    /// Values as f64; exact for every element type.
    pub fn to_f64(&self) -> ArrayD<f64> {
        match self {
            Tensor::F32(a) => a.mapv(f64::from),
            Tensor::F64(a) => a.clone(),
            Tensor::I8(a) => a.mapv(f64::from),
            Tensor::I32(a) => a.mapv(f64::from),
        }
    }

    /// Values as i64.
    ///
    /// # Errors
    /// The elements are floats.
    pub fn to_i64(&self, name: &str) -> Result<ArrayD<i64>> {
        match self {
            Tensor::I8(a) => Ok(a.mapv(i64::from)),
            Tensor::I32(a) => Ok(a.mapv(i64::from)),
            Tensor::F32(_) | Tensor::F64(_) => Err(Error::Weight {
                name: name.into(),
                expected: "integers".into(),
                found: self.dtype().into(),
            }),
        }
    }

    /// The first value that is not finite, with its flat position.
    pub fn first_not_finite(&self) -> Option<(usize, f64)> {
        match self {
            Tensor::F32(a) => a.iter().position(|v| !v.is_finite()).map(|i| (i, f64::NAN)),
            Tensor::F64(a) => a.iter().position(|v| !v.is_finite()).map(|i| (i, f64::NAN)),
            Tensor::I8(_) | Tensor::I32(_) => None,
        }
    }
}

impl<D: Dimension> From<ndarray::Array<f32, D>> for Tensor {
    fn from(array: ndarray::Array<f32, D>) -> Self {
        Tensor::F32(array.into_dyn())
    }
}

impl<D: Dimension> From<ndarray::Array<f64, D>> for Tensor {
    fn from(array: ndarray::Array<f64, D>) -> Self {
        Tensor::F64(array.into_dyn())
    }
}

impl<D: Dimension> From<ndarray::Array<i8, D>> for Tensor {
    fn from(array: ndarray::Array<i8, D>) -> Self {
        Tensor::I8(array.into_dyn())
    }
}

impl<D: Dimension> From<ndarray::Array<i32, D>> for Tensor {
    fn from(array: ndarray::Array<i32, D>) -> Self {
        Tensor::I32(array.into_dyn())
    }
}

/// The weight of this name.
///
/// # Errors
/// There is none.
pub fn get<'w>(weights: &'w Weights, name: &str) -> Result<&'w Tensor> {
    weights
        .get(name)
        .ok_or_else(|| Error::MissingWeight { name: name.into(), expected: "a weight".into() })
}

/// Part `part` of node `node` as f64.
///
/// # Errors
/// It is missing.
pub fn real(weights: &Weights, node: &str, part: &str) -> Result<ArrayD<f64>> {
    Ok(get(weights, &format!("{node}.{part}"))?.to_f64())
}

/// Part `part` of node `node` as i64.
///
/// # Errors
/// It is missing or not an integer.
pub fn integer(weights: &Weights, node: &str, part: &str) -> Result<ArrayD<i64>> {
    let name = format!("{node}.{part}");
    get(weights, &name)?.to_i64(&name)
}
