//! Between `ndarray` and tensors. Values are copied; order is that of `ndarray` (row-major) on both
//! sides.

use crate::error::{Error, Result};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use snn_ir::Input;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// Raw pixels on a device, `u8`.
#[derive(Debug)]
pub enum Pixels {
    /// One image a sample, shown at every macro-step: `[B, …]`.
    Static(Tensor),
    /// One frame a macro-step: `[T, B, …]`.
    Frames(Tensor),
}

impl Pixels {
    /// Copies a batch to a device.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn new(input: &Input<'_>, device: Device) -> Result<Self> {
        let tensor = tensor(input.pixels(), device)?;
        Ok(match input {
            Input::Static(_) => Pixels::Static(tensor),
            Input::Frames(_) => Pixels::Frames(tensor),
        })
    }

    /// The tensor, time first where there is one.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Pixels::Static(tensor) | Pixels::Frames(tensor) => tensor,
        }
    }

    /// Whether every macro-step has a frame of its own.
    pub fn varies(&self) -> bool {
        matches!(self, Pixels::Frames(_))
    }

    /// Checks type and shape against a model's input shape and macro-steps.
    ///
    /// # Errors
    /// They differ.
    pub fn check(&self, shape: &[usize], time_steps: usize) -> Result<()> {
        let found = self.tensor().size();
        let (leading, expected) = match self {
            Pixels::Static(_) => (1, format!("[B, {shape:?}]")),
            Pixels::Frames(_) => (2, format!("[{time_steps}, B, {shape:?}]")),
        };
        let fits = found.len() == leading + shape.len()
            && found.iter().skip(leading).zip(shape).all(|(&a, &b)| a == int(b))
            && found.first() != Some(&0)
            && (leading == 1 || (found[0] == int(time_steps) && found[1] > 0));
        if !fits {
            return Err(Error::Shape { what: "pixels", expected, found });
        }
        match self.tensor().f_kind()? {
            Kind::Uint8 => Ok(()),
            other => Err(Error::Argument {
                what: "pixels",
                expected: "of kind Uint8".into(),
                found: format!("{other:?}"),
            }),
        }
    }
}

/// An array as a tensor of the same element type. On its way to a GPU it goes through pinned
/// memory, from which the GPU copies by itself while the program goes on; libtorch keeps that
/// memory until it has.
///
/// # Errors
/// libtorch cannot allocate.
pub fn tensor<T: Element + Clone>(array: &ArrayViewD<'_, T>, device: Device) -> Result<Tensor> {
    let shape = array.shape().iter().map(|&n| int(n)).collect::<Vec<_>>();
    let flat = match array.as_slice() {
        Some(values) => Tensor::f_from_slice(values)?,
        None => Tensor::f_from_slice(&array.iter().cloned().collect::<Vec<_>>())?,
    };
    let host = flat.f_reshape(shape)?;
    match device {
        Device::Cuda(_) => {
            Ok(host.f_internal_pin_memory(device)?.f_to_device_(device, T::KIND, true, false)?)
        }
        Device::Cpu | Device::Mps | Device::Vulkan => Ok(host.f_to(device)?),
    }
}

/// A tensor of any kind as an array of `T`, converted as libtorch converts.
///
/// # Errors
/// libtorch cannot convert or allocate.
pub fn array<T: Element + Clone + Default>(tensor: &Tensor) -> Result<ArrayD<T>> {
    let shape: Vec<usize> =
        tensor.size().into_iter().map(|n| usize::try_from(n).unwrap_or_default()).collect();
    let mut values = vec![T::default(); shape.iter().product()];
    let count = values.len();
    tensor.f_detach()?.f_to(Device::Cpu)?.f_to_kind(T::KIND)?.f_copy_data(&mut values, count)?;
    ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|e| Error::Torch(e.to_string()))
}

/// A model's weight as a tensor of `kind`.
///
/// # Errors
/// libtorch cannot convert or allocate.
pub fn weight(weight: &snn_ir::Tensor, kind: Kind, device: Device) -> Result<Tensor> {
    let exact = match weight {
        snn_ir::Tensor::F32(a) => tensor(&a.view(), Device::Cpu)?,
        snn_ir::Tensor::F64(a) => tensor(&a.view(), Device::Cpu)?,
        snn_ir::Tensor::I8(a) => tensor(&a.view(), Device::Cpu)?,
        snn_ir::Tensor::I32(a) => tensor(&a.view(), Device::Cpu)?,
    };
    Ok(exact.f_to_kind(kind)?.f_to(device)?)
}

/// A size as libtorch counts it. Sizes of models are far below the limit
/// (`snn_ir::resolve::MAX_VALUES`).
pub(crate) fn int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A list of sizes as libtorch counts them.
pub(crate) fn ints<const N: usize>(sizes: [usize; N]) -> [i64; N] {
    sizes.map(int)
}
