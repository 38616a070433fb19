//! The passes of the conversion off the grid, in the order in which they run.

pub(crate) mod channel_sum;
pub(crate) mod codes;
pub(crate) mod compose;
pub(crate) mod distribute;
pub(crate) mod dropout;
pub(crate) mod fold;
pub(crate) mod merge;
pub(crate) mod sum_pool;
