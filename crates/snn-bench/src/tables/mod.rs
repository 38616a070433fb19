//! Tables of results: rows that are trained, converted, verified and counted by one command.
//!
//! A table is a TOML file in `tables/` ([`Definition`]). What a row reached with one seed is a
//! [`Record`] in `docs/results/tables/`, kept under the hash of its config; Markdown, JSON and a
//! chart are made of records alone ([`write`]), so that no figure is typed in by hand.

mod card;
mod cost;
mod definition;
mod entry;
pub(crate) mod machine;
mod make;
mod record;
mod summary;
mod write;

pub(crate) use card::export;
pub(crate) use cost::predict;
pub(crate) use definition::{Definition, FOLDER, all};
pub(crate) use entry::{Entry, Folders, Made, entries, made};
pub(crate) use machine::{Machine, processor};
pub(crate) use make::Maker;
pub(crate) use record::checksum;
pub(crate) use summary::Summary;
pub(crate) use write::{TableJson, as_json, command, epoch, spread, write};
