#![doc = include_str!("../README.md")]

mod apply;
mod error;
mod placement;
mod policy;
mod replacement;

pub use apply::apply;
pub use error::{Error, Result};
pub use placement::{Decision, PlacedSite, Placement};
pub use policy::Policy;
pub use replacement::Replacement;
