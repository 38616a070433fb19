//! Tensors of a state dict: views of storages, as they lie in the file.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use std::fmt;
use std::sync::Arc;

/// Axes of a tensor at most.
pub(super) const MAX_AXES: usize = 16;

/// Type of the elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit float of IEEE 754.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// Truth value of a byte.
    Bool,
}

impl Element {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// `true` of floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The element of a storage class of PyTorch, as `FloatStorage`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}

/// Bytes that tensors share.
#[derive(Clone)]
pub(super) struct Storage {
    bytes: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl fmt::Debug for Storage {
    /// The place alone; values fill screens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({}..{})", self.start, self.end)
    }
}

impl Storage {
    /// All of these bytes.
    pub(super) fn whole(bytes: Arc<Vec<u8>>) -> Self {
        let end = bytes.len();
        Self { bytes, start: 0, end }
    }

    /// A part of it, by its place in the storage.
    pub(super) fn part(&self, start: usize, length: usize) -> Option<Self> {
        let start = self.start.checked_add(start)?;
        let end = start.checked_add(length)?;
        (end <= self.end).then(|| Self { bytes: Arc::clone(&self.bytes), start, end })
    }

    /// Number of its bytes.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// Where the elements of a tensor lie in its storage, counted in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl View {
    /// The view of all elements in row-major order.
    pub(super) fn contiguous(shape: Vec<usize>) -> Result<Self, String> {
        let mut strides = vec![1_usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
        }
        let view = Self { offset: 0, shape, strides };
        view.count().map(|_| view)
    }

    /// Number of elements.
    pub(super) fn count(&self) -> Result<usize, String> {
        if self.shape.len() > MAX_AXES {
            return Err(format!("expected at most {MAX_AXES} axes, found more"));
        }
        // Arrays bound the product of all axes that are not empty.
        let positions = self.shape.iter().try_fold(1_usize, |count, &axis| {
            count.checked_mul(axis.max(1)).filter(|&count| isize::try_from(count).is_ok())
        });
        let empty = self.shape.contains(&0);
        positions
            .map(|positions| if empty { 0 } else { positions })
            .ok_or_else(|| format!("expected a shape that fits in memory, found {:?}", self.shape))
    }

    /// Checks that all elements lie in a storage of so many, and that none is repeated so often
    /// that the tensor is larger than the storage.
    fn check(&self, stored: usize) -> Result<(), String> {
        if self.shape.len() != self.strides.len() {
            let (axes, strides) = (self.shape.len(), self.strides.len());
            return Err(format!("expected a stride for each of {axes} axes, found {strides}"));
        }
        let count = self.count()?;
        if count == 0 {
            return Ok(());
        }
        let last =
            self.shape.iter().zip(&self.strides).try_fold(self.offset, |last, (axis, stride)| {
                last.checked_add((axis - 1).checked_mul(*stride)?)
            });
        if last.is_none_or(|last| last >= stored) {
            return Err(format!(
                "expected elements inside a storage of {stored}, found shape {:?}, strides {:?} \
                 from element {}",
                self.shape, self.strides, self.offset
            ));
        }
        if count > stored {
            return Err(format!(
                "expected at most the {stored} elements of its storage, found {count} by strides \
                 of 0; save it as `tensor.contiguous()`"
            ));
        }
        Ok(())
    }
}

/// One tensor of a state dict.
#[derive(Debug, Clone)]
pub struct StateTensor {
    element: Element,
    view: View,
    storage: Storage,
}

impl StateTensor {
    /// A view of a storage.
    pub(super) fn new(element: Element, view: View, storage: Storage) -> Result<Self, String> {
        view.check(storage.len() / element.bytes())?;
        Ok(Self { element, view, storage })
    }

    /// Type of its elements in the file.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.view.shape
    }

    /// Number of its elements.
    pub fn len(&self) -> usize {
        self.view.shape.iter().product()
    }

    /// `true` if it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its values, row-major, as f64; exact but for integers of more than 53 bits.
    ///
    /// # Errors
    /// None is known: the shape was checked when the tensor was made.
    pub fn to_f64(&self) -> Result<ArrayD<f64>, String> {
        let values = match self.element {
            Element::F64 => self.values(f64::from_le_bytes),
            Element::F32 => self.values(|bytes| f32::from_le_bytes(bytes).into()),
            Element::F16 => self.values(|bytes| f16::from_le_bytes(bytes).into()),
            Element::Bf16 => self.values(|bytes| bf16::from_le_bytes(bytes).into()),
            Element::I64 => self.values(|bytes| i64::from_le_bytes(bytes) as f64),
            Element::I32 => self.values(|bytes| i32::from_le_bytes(bytes).into()),
            Element::I16 => self.values(|bytes| i16::from_le_bytes(bytes).into()),
            Element::I8 => self.values(|bytes| i8::from_le_bytes(bytes).into()),
            Element::U8 => self.values(|[byte]| byte.into()),
            Element::Bool => self.values(|[byte]| f64::from(u8::from(byte != 0))),
        };
        shaped(&self.view.shape, values)
    }

    /// The array that holds its values in [`Weights`](snn_ir::Weights): f64 and integers of at most
    /// 32 bits as they are or in i32, floats of 16 bits exactly as f32.
    ///
    /// # Errors
    /// Integers that do not fit in 32 bits.
    pub fn to_weight(&self) -> Result<snn_ir::Tensor, String> {
        let shape = &self.view.shape;
        Ok(match self.element {
            Element::F64 => shaped(shape, self.values(f64::from_le_bytes))?.into(),
            Element::F32 => shaped(shape, self.values(f32::from_le_bytes))?.into(),
            Element::F16 => {
                shaped(shape, self.values(|bytes| f32::from(f16::from_le_bytes(bytes))))?.into()
            }
            Element::Bf16 => {
                shaped(shape, self.values(|bytes| f32::from(bf16::from_le_bytes(bytes))))?.into()
            }
            Element::I8 => shaped(shape, self.values(i8::from_le_bytes))?.into(),
            Element::I32 => shaped(shape, self.values(i32::from_le_bytes))?.into(),
            Element::I16 => {
                shaped(shape, self.values(|bytes| i32::from(i16::from_le_bytes(bytes))))?.into()
            }
            Element::U8 => shaped(shape, self.values(|[byte]| i32::from(byte)))?.into(),
            Element::Bool => shaped(shape, self.values(|[byte]| i32::from(byte != 0)))?.into(),
            Element::I64 => {
                let values = self.values(i64::from_le_bytes);
                let fit: Result<Vec<i32>, _> = values.into_iter().map(i32::try_from).collect();
                let fit = fit.map_err(|_| "expected integers of 32 bits, found larger ones")?;
                shaped(shape, fit)?.into()
            }
        })
    }

    /// Its elements, row-major.
    fn values<const N: usize, T>(&self, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (elements, _) = self.storage.as_slice().as_chunks::<N>();
        let View { offset, shape, strides } = &self.view;
        let count = self.len();
        let mut values = Vec::with_capacity(count);
        let mut position = vec![0; shape.len()];
        let mut at = *offset;
        for _ in 0..count {
            values.push(read(elements[at]));
            for axis in (0..shape.len()).rev() {
                position[axis] += 1;
                if position[axis] < shape[axis] {
                    at += strides[axis];
                    break;
                }
                at -= (shape[axis] - 1) * strides[axis];
                position[axis] = 0;
            }
        }
        values
    }
}

/// An array of values of which there are as many as the shape has.
fn shaped<T>(shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>, String> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| error.to_string())
}
