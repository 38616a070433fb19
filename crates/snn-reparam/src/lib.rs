#![doc = include_str!("../README.md")]

mod convert;
mod error;
mod graph_edit;
mod grid;
pub mod image_offset;
mod passes;
mod plan;
pub mod proof;
mod quantise;
mod rate;

pub use convert::{Conversion, ConvertOptions, convert};
pub use error::{Error, Result};
pub use grid::{to_grid, to_grid_calibrated};
pub use plan::{Action, Effect, Entry, Fraction, Plan, Refusal};
pub use quantise::{Levels, QuantiseOptions, SiteValues, StepRule, quantise};
pub use rate::rate_coded;
pub use snn_ir::{
    CodeChoice, ConversionOptions, DEFAULT_GUARD_BITS, DEFAULT_LEAK_BITS, DEFAULT_WEIGHT_BITS,
    GridOptions, WIDE_WEIGHT_BITS,
};

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/coming-from.md")]
    mod coming_from {}
    #[doc = include_str!("../../../docs/book/src/conversion.md")]
    mod conversion {}
    #[doc = include_str!("../../../docs/book/src/lossless.md")]
    mod lossless {}
}
