//! Activation sites on GPUs: what [`crate::fused`] does on the CPU, by kernels of one text.
//!
//! `site.cu` has the kernels. It is compiled at run time for the GPU that is there, once for each
//! kind of site ([`Specialisation`](specialisation::Specialisation)), by NVRTC, which comes with
//! torch's wheels; and by the C++ compiler for tests on the host (`host.cpp`). A site behind a
//! batch norm is three launches forward (the moments of the batch, the norms, the site) and three
//! backward (the site, the gradients of parameters, the gradients through the norms). Nothing waits
//! for the device: what a batch norm measures stays there.

#[expect(unsafe_code, reason = "the border to CUDA's driver")]
mod cuda;
mod geometry;
#[cfg(test)]
#[expect(unsafe_code, reason = "a library of the C++ compiler is loaded and called")]
mod host;
#[expect(unsafe_code, reason = "starting a kernel is unsafe")]
mod machine;
#[expect(unsafe_code, reason = "the border to NVRTC")]
mod nvrtc;
#[expect(unsafe_code, reason = "kernels are given pointers into tensors")]
mod site;
mod specialisation;

pub(crate) use machine::Machine;
pub(crate) use site::{MOST_STEPS, MOST_TERMS, Neuron, Norm, Statistics, Term, run};

use crate::error::Result;
use std::sync::Arc;
use tch::Device;

/// Checks that sites can be computed by kernels of this crate on a device: always on the CPU, on a
/// GPU where a kernel could be compiled (NVRTC) and loaded (the driver). Networks compute on other
/// devices as well, by many small operations of libtorch, which takes several times as long.
///
/// # Errors
/// What is missing.
pub fn check(device: Device) -> Result<()> {
    match device {
        Device::Cpu => Ok(()),
        other => of(other).map(drop),
    }
}

/// What runs kernels on a device.
pub(crate) fn of(device: Device) -> Result<Arc<dyn Machine>> {
    match device {
        Device::Cuda(index) => cuda::of(index),
        other => Err(nvrtc::failed(format!("there are none for {other:?}"))),
    }
}
