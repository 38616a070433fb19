//! Reports to look at: one self-contained HTML page of a run or of a table, which works offline,
//! without scripts, in light and dark, and by keyboard.

mod activity;
mod chart;
mod converted;
mod page;
#[cfg(feature = "data")]
mod picture;
mod run;
mod table;

pub(crate) use run::{Chosen, RunReport, converted_models};
pub(crate) use table::table;
