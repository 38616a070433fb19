//! Observers of the activation sites of a forward pass: firing rates, activities, traces,
//! monitors.

pub(crate) mod activity;
pub(crate) mod monitor;
pub(crate) mod observer;
