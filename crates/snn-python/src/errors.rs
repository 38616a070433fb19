//! Exceptions, with the texts of the runtime's errors.

use pyo3::exceptions::PyException;
use pyo3::{PyErr, create_exception};
use snn_runtime::Error;

create_exception!(snn, SnnError, PyException, "What every error of this package is one of.");
create_exception!(
    snn,
    InputError,
    SnnError,
    "An array or events do not fit the model: shape, type or a value."
);
create_exception!(
    snn,
    ModelError,
    SnnError,
    "A model file is missing, damaged or not converted, or this machine cannot do what its options \
     ask for."
);

/// The exception of an error of the runtime.
#[expect(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
pub(crate) fn raised(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Input { .. } | Error::InputValue { .. } => InputError::new_err(text),
        _ => ModelError::new_err(text),
    }
}
