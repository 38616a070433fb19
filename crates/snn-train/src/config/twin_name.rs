//! What the twin of a run is called.

/// Table of the twin in a config, and folder of its run in that of a run.
pub(crate) const TWIN: &str = "twin";
