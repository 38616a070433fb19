#![doc = include_str!("../README.md")]

mod apply;
mod choose;
mod error;
mod named;
mod nearest;
mod placement;
mod policy;
mod replacement;
mod spread;

pub use apply::apply;
pub use error::{Error, Result};
pub use placement::{Decision, PlacedSite, Placement};
pub use policy::{End, Policy};
pub use replacement::{Replacement, SiteLevels};
pub use spread::Spread;

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/hybrid.md")]
    mod hybrid {}
}
