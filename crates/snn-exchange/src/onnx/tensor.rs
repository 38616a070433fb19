//! Constants: initialisers, values of `Constant` nodes, and what is computed of them.

use super::external::External;
use super::proto;
use super::proto::DataType;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use prost::bytes::Bytes;

/// A constant of a graph. Half precision is held as f32, and every kind of integer and truth value
/// as i64, each exactly.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
    I64(ArrayD<i64>),
}

/// The most values that a constant which no bytes of the file stand for (`ConstantOfShape`) may
/// have: shapes and the like.
pub(super) const MAX_COMPUTED: usize = 1 << 16;

/// Values of all constants that are computed, as a multiple of those that were read, and as many
/// times [`MAX_COMPUTED`]: weights are transposed, scaled and converted, shapes computed.
pub(super) const MAX_COPIES: usize = 16;

impl Constant {
    pub(super) fn scalar(value: i64) -> Self {
        Constant::I64(ArrayD::from_elem(IxDyn(&[]), value))
    }

    pub(super) fn ints(values: Vec<i64>) -> Self {
        Constant::I64(ndarray::Array1::from_vec(values).into_dyn())
    }

    pub(super) fn floats(values: Vec<f32>) -> Self {
        Constant::F32(ndarray::Array1::from_vec(values).into_dyn())
    }

    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Constant::F32(a) => a.shape(),
            Constant::F64(a) => a.shape(),
            Constant::I64(a) => a.shape(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Its values as f64, in their order.
    pub(super) fn reals(&self) -> Vec<f64> {
        match self {
            Constant::F32(a) => a.iter().map(|v| f64::from(*v)).collect(),
            Constant::F64(a) => a.iter().copied().collect(),
            Constant::I64(a) => a.iter().map(|v| *v as f64).collect(),
        }
    }

    /// Its values as integers.
    pub(super) fn integers(&self) -> Result<Vec<i64>, String> {
        match self {
            Constant::I64(a) => Ok(a.iter().copied().collect()),
            Constant::F32(_) | Constant::F64(_) => {
                Err("expected a constant of integers, found floats".into())
            }
        }
    }

    /// The one value of a constant that has one.
    pub(super) fn only(&self) -> Option<f64> {
        (self.len() == 1).then(|| self.reals()[0])
    }

    /// The same values as another array of `f64`, in the type that this one has; integers become
    /// f64.
    pub(super) fn like(&self, values: ArrayD<f64>) -> Constant {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "the type of the graph")]
            Constant::F32(_) => Constant::F32(values.mapv(|v| v as f32)),
            Constant::F64(_) | Constant::I64(_) => Constant::F64(values),
        }
    }

    pub(super) fn real_array(&self) -> ArrayD<f64> {
        match self {
            Constant::F32(a) => a.mapv(f64::from),
            Constant::F64(a) => a.clone(),
            Constant::I64(a) => a.mapv(|v| v as f64),
        }
    }

    /// The same values in another shape of as many.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Result<Constant, String> {
        let misfit = |_| format!("{} values do not fill the shape {shape:?}", self.len());
        let shape_of = IxDyn(shape);
        Ok(match self {
            Constant::F32(a) => {
                Constant::F32(in_order(a).into_shape_with_order(shape_of).map_err(misfit)?)
            }
            Constant::F64(a) => {
                Constant::F64(in_order(a).into_shape_with_order(shape_of).map_err(misfit)?)
            }
            Constant::I64(a) => {
                Constant::I64(in_order(a).into_shape_with_order(shape_of).map_err(misfit)?)
            }
        })
    }

    /// The same values with axes in another order, which names each axis once.
    pub(super) fn permuted(&self, axes: &[usize]) -> Constant {
        match self {
            Constant::F32(a) => Constant::F32(in_order(&a.view().permuted_axes(axes))),
            Constant::F64(a) => Constant::F64(in_order(&a.view().permuted_axes(axes))),
            Constant::I64(a) => Constant::I64(in_order(&a.view().permuted_axes(axes))),
        }
    }

    /// The values of a tensor, whose declared sizes are held against the bytes that are there
    /// before memory is taken.
    pub(super) fn read(tensor: &proto::Tensor, external: &External) -> Result<Constant, String> {
        let mut shape = Vec::with_capacity(tensor.dims.len());
        let mut count = 1_u64;
        for &size in &tensor.dims {
            let size = u64::try_from(size).map_err(|_| format!("it has an axis of size {size}"))?;
            count = count
                .checked_mul(size)
                .ok_or_else(|| format!("its shape {:?} has too many values", tensor.dims))?;
            shape
                .push(usize::try_from(size).map_err(|_| format!("it has an axis of size {size}"))?);
        }
        if shape.len() > 8 {
            return Err(format!("it has {} axes; at most 8 can be read", shape.len()));
        }
        let raw = if tensor.data_location == 0 {
            tensor.raw_data.clone()
        } else {
            Some(external.read(tensor, count)?)
        };
        let data = Data { tensor, shape, count, raw };
        data.values()
    }
}

/// An array in standard order.
fn in_order<V: Clone, S: ndarray::Data<Elem = V>>(
    array: &ndarray::ArrayBase<S, IxDyn>,
) -> ArrayD<V> {
    array.as_standard_layout().into_owned()
}

/// Bytes of one value in `raw_data`; `None` of types that are no numbers, or that we do not read.
pub(super) fn width(data_type: i32) -> Option<u64> {
    match DataType::try_from(data_type).ok()? {
        DataType::Uint8 | DataType::Int8 | DataType::Bool => Some(1),
        DataType::Float16 | DataType::Bfloat16 | DataType::Uint16 | DataType::Int16 => Some(2),
        DataType::Float | DataType::Int32 | DataType::Uint32 => Some(4),
        DataType::Double | DataType::Int64 => Some(8),
        DataType::Undefined | DataType::String | DataType::Uint64 => None,
    }
}

/// A tensor while it is read.
struct Data<'t> {
    tensor: &'t proto::Tensor,
    shape: Vec<usize>,
    count: u64,
    raw: Option<Bytes>,
}

impl Data<'_> {
    fn values(&self) -> Result<Constant, String> {
        let tensor = self.tensor;
        let unread = || format!("data type {} cannot be read; numbers can", tensor.data_type);
        let int = |typed: &[i32]| typed.iter().map(|v| i64::from(*v)).collect::<Vec<_>>();
        let bits = |v: &i32| u16::try_from(*v & 0xFFFF).unwrap_or_default();
        match DataType::try_from(tensor.data_type).map_err(|_| unread())? {
            DataType::Float => self.f32(f32::from_le_bytes, || tensor.float_data.clone()),
            DataType::Float16 => self.f32(
                |b| f16::from_le_bytes(b).to_f32(),
                || tensor.int32_data.iter().map(|v| f16::from_bits(bits(v)).to_f32()).collect(),
            ),
            DataType::Bfloat16 => self.f32(
                |b| bf16::from_le_bytes(b).to_f32(),
                || tensor.int32_data.iter().map(|v| bf16::from_bits(bits(v)).to_f32()).collect(),
            ),
            DataType::Double => {
                Ok(Constant::F64(self.array(f64::from_le_bytes, || tensor.double_data.clone())?))
            }
            DataType::Int64 => self.int(i64::from_le_bytes, || tensor.int64_data.clone()),
            DataType::Int32 => self.int(i32::from_le_bytes, || int(&tensor.int32_data)),
            DataType::Uint32 => self.int(u32::from_le_bytes, Vec::new),
            DataType::Int16 => self.int(i16::from_le_bytes, || int(&tensor.int32_data)),
            DataType::Uint16 => self.int(u16::from_le_bytes, || int(&tensor.int32_data)),
            DataType::Int8 => self.int(i8::from_le_bytes, || int(&tensor.int32_data)),
            DataType::Uint8 | DataType::Bool => {
                self.int(u8::from_le_bytes, || int(&tensor.int32_data))
            }
            DataType::Undefined | DataType::String | DataType::Uint64 => Err(unread()),
        }
    }

    fn f32<const N: usize>(
        &self,
        value: impl Fn([u8; N]) -> f32,
        typed: impl Fn() -> Vec<f32>,
    ) -> Result<Constant, String> {
        Ok(Constant::F32(self.array(value, typed)?))
    }

    fn int<const N: usize, V: Into<i64>>(
        &self,
        value: impl Fn([u8; N]) -> V,
        typed: impl Fn() -> Vec<i64>,
    ) -> Result<Constant, String> {
        Ok(Constant::I64(self.array(|bytes| value(bytes).into(), typed)?))
    }

    fn array<const N: usize, V>(
        &self,
        value: impl Fn([u8; N]) -> V,
        typed: impl Fn() -> Vec<V>,
    ) -> Result<ArrayD<V>, String> {
        let values = match &self.raw {
            Some(raw) => {
                let needed = self.count.checked_mul(N as u64);
                if needed != Some(raw.len() as u64) {
                    return Err(format!(
                        "its shape {:?} needs {} bytes, the file holds {}",
                        self.shape,
                        needed.map_or("too many".into(), |needed| needed.to_string()),
                        raw.len()
                    ));
                }
                let (chunks, _) = raw.as_chunks::<N>();
                chunks.iter().map(|bytes| value(*bytes)).collect()
            }
            None => typed(),
        };
        if values.len() as u64 != self.count {
            return Err(format!(
                "its shape {:?} has {} values, the file holds {}",
                self.shape,
                self.count,
                values.len()
            ));
        }
        ArrayD::from_shape_vec(IxDyn(&self.shape), values).map_err(|error| error.to_string())
    }
}
