//! Names of the stages of a run: the folders that they have in the run's.

/// The twin; the name of its table in a config, too.
pub(crate) const TWIN: &str = "twin";

/// A stage of a crossover before the last; the name of its table in a config, too.
pub(crate) const CROSSOVER: &str = "crossover";
