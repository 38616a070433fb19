//! From the form `events` to the integer grid.

mod calibrated;
mod integers;
mod site;
mod to_grid;
mod units;
mod wide;

pub use to_grid::{to_grid, to_grid_calibrated};
