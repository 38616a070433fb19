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
pub use policy::Policy;
pub use replacement::Replacement;
pub use spread::Spread;
