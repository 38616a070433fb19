//! Replicas of one network that train together, each on its part of every batch.
//!
//! What batch norm measures of a batch, replicas sum: each sees the statistics of the whole batch,
//! and its gradients are those of its part of the loss of the whole batch. A trainer sums the
//! gradients. So replicas compute what one network does, but for the rounding of sums.

#[expect(unsafe_code, reason = "the border to C++")]
mod processes;
mod threads;

pub use processes::{ProcessRank, Rendezvous};
pub use threads::ThreadRank;

use crate::error::Result;
use std::fmt::Debug;

/// The group of replicas that one of them belongs to, and its place in it.
///
/// All replicas call [`sum`](Self::sum) in the same order: forward passes compute their nodes in
/// the order of the graph, and backward passes of equal graphs run alike.
pub trait Ranks: Debug + Send + Sync {
    /// Number of replicas.
    fn count(&self) -> usize;

    /// The place of this replica, from 0.
    fn rank(&self) -> usize;

    /// Replaces values by their sums over all replicas, added in the order of ranks, so that every
    /// replica has the same bits. `what` says what is summed.
    ///
    /// # Errors
    /// Another replica has failed, or sums something else.
    fn sum(&self, what: &str, values: &mut [f64]) -> Result<()>;

    /// The sums over all replicas of two lists of values.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    fn sum_pair(&self, what: &str, [first, second]: [Vec<f64>; 2]) -> Result<[Vec<f64>; 2]> {
        let middle = first.len();
        let mut both = [first, second].concat();
        self.sum(what, &mut both)?;
        let second = both.split_off(middle);
        Ok([both, second])
    }

    /// Tells the other replicas that this one has failed: their sums end with an error.
    fn fail(&self, why: &str);
}
