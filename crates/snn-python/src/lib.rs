#![doc = include_str!("../README.md")]

mod counts;
mod errors;
mod events;
mod images;
mod model;
mod results;
mod scores;
mod session;

/// What the Python package `snn` is made of; its names are those of `python/snn/__init__.py`.
#[pyo3::pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::errors::{InputError, ModelError, SnnError};
    #[pymodule_export]
    use crate::events::windows;
    #[pymodule_export]
    use crate::model::{Model, restored};
    #[pymodule_export]
    use crate::scores::Scores;
    #[pymodule_export]
    use crate::session::{Session, State};
}
