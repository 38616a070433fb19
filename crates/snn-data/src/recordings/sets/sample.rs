//! One recording of a set.

use super::place::Place;
use crate::Split;

/// One recording of a set.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) place: Place,
    /// Name in the set, with `/` between folders: what a split file lists.
    pub(super) name: String,
    pub(super) label: u16,
    /// Which part the publishers put it in, if they did.
    pub(super) official: Option<Split>,
}
