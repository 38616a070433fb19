//! The values of tensors as slices, in one order for all that take part: channels last.

use super::store::{Bf16, Store};
use crate::error::{Error, Result};
use crate::neuron::real::Real;
use std::marker::PhantomData;
use std::ops::Range;
use std::slice;
use tch::{Device, Kind, Tensor};

/// The tensor itself, or a copy of it, with its memory in the order `[N, H, W, C]` (or `[N, F]`)
/// without gaps.
pub(crate) fn channels_last(x: &Tensor) -> Result<Tensor> {
    if x.dim() != 4 {
        return Ok(if x.is_contiguous() { x.shallow_clone() } else { x.f_contiguous()? });
    }
    let last = x.f_permute([0, 2, 3, 1])?;
    Ok(if last.is_contiguous() {
        x.shallow_clone()
    } else {
        last.f_contiguous()?.f_permute([0, 3, 1, 2])?
    })
}

/// A new tensor of the shape `[N, …]` and kind of `like`, channels last, uninitialised. Not a view.
pub(crate) fn empty(shape: &[i64], like: &Tensor) -> Result<Tensor> {
    let options = (like.f_kind()?, like.device());
    let stride = if let [_, channels, height, width] = *shape {
        vec![channels * height * width, 1, channels * width, channels]
    } else {
        let mut stride = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            stride[axis - 1] = stride[axis] * shape[axis];
        }
        stride
    };
    Ok(Tensor::f_empty_strided(shape, stride, options)?)
}

fn check<S: Store>(tensor: &Tensor) -> Result<()> {
    let (kind, device) = (tensor.f_kind()?, tensor.device());
    if kind == S::KIND
        && device == Device::Cpu
        && (tensor.is_contiguous() || channels_last_is_contiguous(tensor)?)
    {
        return Ok(());
    }
    let expected = format!("{:?} on the CPU, channels last without gaps", S::KIND);
    Err(Error::Argument {
        what: "memory of a tensor",
        expected,
        found: format!("{kind:?} on {device:?}"),
    })
}

fn channels_last_is_contiguous(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.dim() == 4 && tensor.f_permute([0, 2, 3, 1])?.is_contiguous())
}

/// The values in the order of memory. While it lives nothing may write to the tensor.
pub(super) fn values<S: Store>(tensor: &Tensor) -> Result<&[S]> {
    check::<S>(tensor)?;
    let pointer = tensor.data_ptr().cast::<S>();
    // SAFETY: the tensor has this many values of this kind without gaps, and keeps them alive; this
    // crate does not write to an input while a kernel reads it.
    Ok(if pointer.is_null() {
        &[]
    } else {
        unsafe { slice::from_raw_parts(pointer, tensor.numel()) }
    })
}

/// The values of a bf16 tensor as they stand in memory, as [`values`] has them.
pub(crate) fn bf16_bits(tensor: &Tensor) -> Result<&[u16]> {
    let values = values::<Bf16>(tensor)?;
    // SAFETY: a `Bf16` is its bits.
    Ok(unsafe { slice::from_raw_parts(values.as_ptr().cast(), values.len()) })
}

/// The values of a new tensor, written in parts by several threads.
pub(crate) struct Parts<'t, S> {
    pointer: *mut S,
    len: usize,
    lifetime: PhantomData<&'t mut [S]>,
}

// SAFETY: what it hands out does not overlap, as `part` demands.
unsafe impl<S: Send> Sync for Parts<'_, S> {}

impl<'t, S: Store> Parts<'t, S> {
    /// The tensor must be one that nothing else reads or writes.
    pub(crate) fn new(tensor: &'t mut Tensor) -> Result<Self> {
        check::<S>(tensor)?;
        Ok(Self { pointer: tensor.data_ptr().cast(), len: tensor.numel(), lifetime: PhantomData })
    }
}

impl<'t> Parts<'t, u16> {
    /// The values of a bf16 tensor that nothing else reads or writes, as they stand in memory.
    pub(crate) fn bf16_bits(tensor: &'t mut Tensor) -> Result<Self> {
        let Parts { pointer, len, lifetime: _ } = Parts::<Bf16>::new(tensor)?;
        Ok(Self { pointer: pointer.cast(), len, lifetime: PhantomData })
    }
}

impl<'t, S> Parts<'t, S> {
    pub(super) fn over(values: &'t mut [S]) -> Self {
        Self { pointer: values.as_mut_ptr(), len: values.len(), lifetime: PhantomData }
    }

    /// A part of the values.
    ///
    /// # Safety
    /// No two parts that overlap are alive at the same time.
    ///
    /// # Panics
    /// The range is outside.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller keeps parts apart")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [S] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "part {range:?} of {}",
            self.len
        );
        // SAFETY: inside the tensor, and apart from all others.
        unsafe { slice::from_raw_parts_mut(self.pointer.add(range.start), range.len()) }
    }
}

/// The values of a parameter, in any precision, as kernels compute with them.
pub(super) fn numbers<F: Real>(parameter: &Tensor) -> Result<Vec<F>> {
    Ok(doubles(parameter)?.into_iter().map(F::of).collect())
}

/// The values of a parameter in double precision.
pub(super) fn doubles(parameter: &Tensor) -> Result<Vec<f64>> {
    let mut values = vec![0.0; parameter.numel()];
    let count = values.len();
    parameter.f_detach()?.f_to_kind(Kind::Double)?.f_copy_data(&mut values, count)?;
    Ok(values)
}
