//! Values with a gradient of our choice, out of plain tensor operations: libtorch offers Rust no
//! autograd functions of its own.

use crate::error::Result;
use tch::Tensor;

/// Replaces the values of `graph` and keeps its gradient.
///
/// `graph` must be the fresh result of an operation whose backward pass does not read that result
/// (a product with or quotient by a constant, a sum); `write` overwrites the values through an
/// alias that autograd does not see. Unlike the textbook `g(x) + (v − g(x)).detach()` the values
/// are then exactly those written (that sum rounds), infinities do no harm, and there is one pass
/// over memory less.
///
/// # Errors
/// `write` fails.
pub(crate) fn with_values(
    graph: Tensor,
    write: impl FnOnce(&mut Tensor) -> Result<()>,
) -> Result<Tensor> {
    let mut alias = graph.f_detach()?;
    tch::no_grad(|| write(&mut alias))?;
    Ok(graph)
}
