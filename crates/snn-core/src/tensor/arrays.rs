//! Conversion between `ndarray` arrays and tensors. Values are copied, in row-major order on both
//! sides.

use crate::error::{Error, Result};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// An array as a tensor of the same element type. A copy to a GPU is asynchronous, through pinned
/// host memory, which libtorch keeps until the copy has ended.
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
/// (`snn_ir::MAX_VALUES`).
pub(crate) fn int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A list of sizes as libtorch counts them.
pub(crate) fn ints<const N: usize>(sizes: [usize; N]) -> [i64; N] {
    sizes.map(int)
}
