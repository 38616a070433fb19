//! Holding out training images for validation.

use super::rng::{Purpose, SampleRng};
use crate::{Error, Result};

/// Two disjoint, sorted lists of indices that together are `0..n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOut {
    /// Images to train on.
    pub train: Vec<usize>,
    /// Images held out.
    pub validation: Vec<usize>,
}

/// Holds out `held_out` of `n` images, chosen uniformly by `seed`.
///
/// The choice is not stratified: of 5,000 images of CIFAR-10 a class gets 500 ± 20. Whoever needs
/// exact shares splits the indices of each class on their own.
///
/// ```
/// let parts = snn_data::split_holdout(50_000, 5_000, 0)?;
/// assert_eq!((parts.train.len(), parts.validation.len()), (45_000, 5_000));
/// # Ok::<(), snn_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] unless `held_out < n`.
pub fn split_holdout(n: usize, held_out: usize, seed: u64) -> Result<HoldOut> {
    if held_out >= n {
        return Err(Error::InvalidConfig {
            field: "held_out",
            expected: format!("fewer than the {n} images there are"),
            found: held_out.to_string(),
        });
    }
    let mut order: Vec<usize> = (0..n).collect();
    SampleRng::new(seed, Purpose::HoldOut, 0, 0).shuffle(&mut order);
    let mut train = order.split_off(held_out);
    train.sort_unstable();
    order.sort_unstable();
    Ok(HoldOut { train, validation: order })
}
