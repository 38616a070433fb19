//! Observers of the activation sites of a forward pass: firing rates, traces, monitors.

pub(crate) mod monitor;
pub(crate) mod observer;
