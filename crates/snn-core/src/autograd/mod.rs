//! Custom autograd functions for tch: a forward pass with a backward pass written by hand.
//!
//! libtorch offers Rust no such thing: this is a node of its autograd graph (`node.cpp`) whose
//! backward pass is a closure.

#[expect(unsafe_code, reason = "the border to C++")]
mod ffi;

pub(crate) use ffi::{message, parallel};

use crate::error::Result;
use tch::Tensor;

/// Input of a backward pass.
#[derive(Debug)]
pub struct Backward {
    /// Tensors that the forward pass saved, in its order, without gradient.
    pub saved: Vec<Tensor>,
    /// Gradient of the loss for each output; `None` where nothing reached it.
    pub gradients: Vec<Option<Tensor>>,
}

/// Makes `outputs`, computed from `inputs` by any means that autograd did not see, depend on them.
///
/// `backward` returns a gradient for each input in order: of its shape and kind, or `None` for
/// zero. It runs without recording, on the thread of the backward pass (another one for devices
/// other than the CPU), once for each such pass.
///
/// - `saved` tensors, inputs or outputs among them, are kept until the backward pass has used them,
///   or with the graph if that is retained. One that was changed in place since is an error of the
///   backward pass. Save tensors here rather than in the closure: an output in the closure keeps
///   itself alive for ever.
/// - An error or a panic of the closure is the error of the backward pass (`f_backward`); the
///   process goes on.
/// - A second backward pass through a released graph, and one through the gradient itself (double
///   backward), are errors that give the `name`.
/// - Where no input requires a gradient, or under `no_grad`, nothing happens, and the closure is
///   dropped.
///
/// # Errors
/// An output requires a gradient already, is a view, or is not floating-point.
///
/// # References
/// `torch::autograd::Node`, `SavedVariable` and `set_history` of libtorch's C++ interface.
///
/// ```
/// use snn_core::{autograd, tch::{Kind, Tensor, no_grad}};
///
/// /// x², but with 10 for a slope.
/// fn steep_square(x: &Tensor) -> snn_core::Result<Tensor> {
///     let y = no_grad(|| x.f_square())?;
///     autograd::record("steep_square", &[x], &[&y], &[], |backward| {
///         Ok(vec![backward.gradients[0].as_ref().map(|gradient| gradient * 10.0)])
///     })?;
///     Ok(y)
/// }
///
/// let x = Tensor::from_slice(&[3.0_f32]).set_requires_grad(true);
/// let y = steep_square(&x)?;
/// y.f_sum(Kind::Float)?.f_backward()?;
/// assert_eq!((f64::try_from(&y).unwrap(), f64::try_from(x.grad()).unwrap()), (9.0, 10.0));
/// # Ok::<(), snn_core::Error>(())
/// ```
pub fn record(
    name: &str,
    inputs: &[&Tensor],
    outputs: &[&Tensor],
    saved: &[&Tensor],
    backward: impl FnMut(Backward) -> Result<Vec<Option<Tensor>>> + Send + 'static,
) -> Result<()> {
    ffi::record(name, inputs, outputs, saved, Box::new(backward))
}
