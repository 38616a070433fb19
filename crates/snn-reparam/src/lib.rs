#![doc = include_str!("../README.md")]

mod average;
mod convert;
mod distribute;
mod error;
mod fold;
mod grid;
mod grid_site;
mod merge;
mod name;
mod plan;
pub mod proof;
mod units;
pub mod verify;

pub use convert::{CodeChoice, Conversion, convert, convert_with_neurons};
pub use error::{Error, Result};
pub use grid::{DEFAULT_GUARD_BITS, DEFAULT_LEAK_BITS, GridOptions, to_grid};
pub use plan::{Action, Entry, Plan};

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/conversion.md")]
    mod conversion {}
    #[doc = include_str!("../../../docs/book/src/lossless.md")]
    mod lossless {}
}
