//! The program and what it is made of, as a user meets them.

mod agreement;
mod blocks;
mod breakers;
#[cfg(feature = "data")]
mod cli;
mod delays;
mod frames;
mod networks;
