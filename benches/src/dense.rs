//! The convolution of a layer in libtorch.

use anyhow::Result;
use snn_core::tch::{Device, Kind, Tensor, no_grad};

/// A 3×3 convolution of all macro-steps of one sample at once, f32, channels last, as something to
/// call again and again. It has no neurons: a dense layer takes longer.
///
/// # Errors
/// libtorch cannot allocate.
pub fn convolution(
    channels: usize,
    size: usize,
    time_steps: usize,
) -> Result<impl FnMut() -> Result<()>> {
    let [channels, size, steps] =
        [i64::try_from(channels)?, i64::try_from(size)?, i64::try_from(time_steps)?];
    let last = |tensor: Tensor| tensor.f_permute([0, 3, 1, 2]);
    let images = last(Tensor::f_rand([steps, size, size, channels], (Kind::Float, Device::Cpu))?)?;
    let weight = last(Tensor::f_randn([channels, 3, 3, channels], (Kind::Float, Device::Cpu))?)?;
    Ok(move || {
        drop(no_grad(|| images.f_conv2d(&weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1))?);
        Ok(())
    })
}
