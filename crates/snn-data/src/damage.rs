//! Treatment of damaged files.

use serde::{Deserialize, Serialize};

/// Treatment of what is damaged: files that cannot be decoded, events outside the sensor, last
/// records that are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDamage {
    /// Reading ends with an error that names the file.
    #[default]
    Fail,
    /// It is left out, counted and named ([`Source::damaged`](crate::Source::damaged)): of a
    /// recording the events, of a file that cannot be read at all the next one takes its place.
    Skip,
}

/// So many damaged files one after the other are no accident.
#[cfg(any(feature = "pictures", feature = "recordings"))]
pub(crate) const MAX_SKIPPED: usize = 16;
