//! The passes of the conversion off the grid. They run in the order dropout, channel sums, fold,
//! distribute, compose, sum pooling, merge, codes (`convert.rs`).

pub(crate) mod channel_sum;
pub(crate) mod codes;
pub(crate) mod compose;
pub(crate) mod distribute;
pub(crate) mod dropout;
pub(crate) mod fold;
pub(crate) mod merge;
pub(crate) mod sum_pool;
