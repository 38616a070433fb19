//! Results that are named tuples of `python/snn/_results.py`.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

/// An instance of the class of this name.
pub(crate) fn tuple<'py>(
    py: Python<'py>,
    class: &str,
    values: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("snn._results")?.getattr(class)?.call1(values)
}
