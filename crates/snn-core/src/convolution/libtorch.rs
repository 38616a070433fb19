//! The other side of `input_gradient.cpp`.
#![expect(unsafe_code, reason = "the border to C++")]

use crate::autograd::message;
use crate::error::{Error, Result};
use crate::tensor::ints;
use snn_ir::Geometry;
use std::ffi::c_char;
use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C" {
    fn snn_convolution_input_gradient(
        gradient: *const C_tensor,
        input: *const C_tensor,
        weight: *const C_tensor,
        stride: *const i64,
        padding: *const i64,
        dilation: *const i64,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// The gradient for the input of a convolution of one group, by libtorch.
///
/// # Errors
/// libtorch fails.
pub(super) fn input_gradient(
    gradient: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    geometry: Geometry,
) -> Result<Tensor> {
    let Geometry { stride, padding, dilation, .. } = geometry;
    let [stride, padding, dilation] = [stride, padding, dilation].map(ints);
    let mut out = std::ptr::null_mut();
    // SAFETY: tensors and arrays that live through the call; the message is ours.
    let message = unsafe {
        message(snn_convolution_input_gradient(
            gradient.as_ptr(),
            input.as_ptr(),
            weight.as_ptr(),
            stride.as_ptr(),
            padding.as_ptr(),
            dilation.as_ptr(),
            &raw mut out,
        ))
    };
    match message {
        // SAFETY: without a message there is a tensor, which is ours.
        None => Ok(unsafe { Tensor::from_ptr(out) }),
        Some(text) => Err(Error::Torch(text)),
    }
}
