//! Events of cameras from NumPy arrays.

use crate::errors::{InputError, raised};
use numpy::{PyArray1, PyArrayMethods as _, PyUntypedArray, PyUntypedArrayMethods as _};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySlice, PyTuple};
use snn_runtime::deploy::{self, Event};
use std::num::NonZeroU64;

/// Fields of an event, with the names that arrays of events have for them.
const FIELDS: [(&str, &[&str]); 4] = [
    ("x", &["x"]),
    ("y", &["y"]),
    ("t", &["t", "ts", "timestamp"]),
    ("p", &["p", "polarity", "on"]),
];

/// The most windows that events are cut into: two events may be ages apart.
const MAX_WINDOWS: i128 = 1 << 24;

/// Values of a field as int64.
fn field<'py>(name: &str, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let py = values.py();
    let array = py.import("numpy")?.call_method1("asarray", (values,))?;
    let found = array.cast::<PyUntypedArray>()?;
    let (dtype, axes) = (found.dtype(), found.ndim());
    let kind: String = dtype.getattr("kind")?.extract()?;
    if axes != 1 || !matches!(kind.as_str(), "i" | "u" | "b") {
        let hint = if name == "t" { "; times are whole microseconds" } else { "" };
        return Err(InputError::new_err(format!(
            "events: field {name}: expected integers in one axis, found {dtype} in {axes}{hint}"
        )));
    }
    if kind == "u" && found.len() > 0 {
        let largest: u64 = array.call_method0("max")?.extract()?;
        if i64::try_from(largest).is_err() {
            return Err(InputError::new_err(format!(
                "events: field {name}: expected values below 2^63, found {largest}"
            )));
        }
    }
    // A copy: a field of packed structures is not aligned (NumPy says otherwise of an empty one),
    // and has strides that are no multiples of 8.
    let read = py.import("numpy")?.call_method1("array", (array, "int64"))?;
    Ok(read.cast_into::<PyArray1<i64>>()?)
}

/// The four arrays of events.
fn fields<'py>(events: &Bound<'py, PyAny>) -> PyResult<[Bound<'py, PyAny>; 4]> {
    let wrong = |found: String| {
        InputError::new_err(format!(
            "events: expected an array with the fields x, y, t and p, or a tuple of four arrays \
             (x, y, t, p), found {found}"
        ))
    };
    if events.is_instance_of::<PyTuple>() || events.is_instance_of::<PyList>() {
        let parts: Vec<Bound<'py, PyAny>> = events.extract()?;
        let count = parts.len();
        return parts.try_into().map_err(|_| wrong(format!("{count} parts")));
    }
    let Ok(array) = events.cast::<PyUntypedArray>() else {
        return Err(wrong(events.get_type().to_string()));
    };
    let names: Option<Vec<String>> = array.dtype().getattr("names")?.extract()?;
    let names = names.ok_or_else(|| wrong(format!("an array of {}", array.dtype())))?;
    let get = |(name, known): (&str, &[&str])| {
        let found = known.iter().find(|known| names.iter().any(|name| name == *known));
        let missing = || wrong(format!("no field {name} among {}", names.join(", ")));
        array.get_item(*found.ok_or_else(missing)?)
    };
    let [x, y, t, p] = FIELDS;
    Ok([get(x)?, get(y)?, get(t)?, get(p)?])
}

/// Reads events, each field in its range.
pub(crate) fn events(values: &Bound<'_, PyAny>) -> PyResult<Vec<Event>> {
    let parts = fields(values)?;
    let [x, y, t, p] = [0, 1, 2, 3].map(|i| field(FIELDS[i].0, &parts[i]));
    let (x, y, t, p) = (x?, y?, t?, p?);
    let lengths = [x.len(), y.len(), t.len(), p.len()];
    if lengths.iter().any(|&length| length != lengths[0]) {
        return Err(InputError::new_err(format!(
            "events: expected as many values of x, y, t and p, found {lengths:?}"
        )));
    }
    let (x, y, t, p) = (x.readonly(), y.readonly(), t.readonly(), p.readonly());
    let (x, y, t, p) = (x.as_array(), y.as_array(), t.as_array(), p.as_array());
    let mut read = Vec::with_capacity(lengths[0]);
    for index in 0..lengths[0] {
        let [x, y, t, p] = [x[index], y[index], t[index], p[index]];
        let (Ok(column), Ok(row)) = (u16::try_from(x), u16::try_from(y)) else {
            return Err(InputError::new_err(format!(
                "events: event {index}: expected x and y from 0 to 65535, found x {x}, y {y}"
            )));
        };
        // The -1 of other libraries would be ON.
        if p != 0 && p != 1 {
            return Err(InputError::new_err(format!(
                "events: event {index}: expected polarity 1 for ON or 0 for OFF, found {p}"
            )));
        }
        read.push(Event { t, x: column, y: row, polarity: p == 1 });
    }
    Ok(read)
}

/// Cuts events into windows of so many microseconds, from the time of the first on; empty ones
/// count, as neurons leak. An array with fields is cut into such arrays, four arrays into tuples of
/// four; nothing is copied.
///
/// >>> import numpy as np, snn
/// >>> t = np.array([100, 109, 135, 130])
/// >>> events = (np.zeros(4, int), np.zeros(4, int), t, np.ones(4, bool))
/// >>> [len(window[2]) for window in snn.windows(events, 10)]
/// [2, 0, 0, 2]
#[pyo3::pyfunction]
pub(crate) fn windows<'py>(
    events: &Bound<'py, PyAny>,
    micros: u64,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = events.py();
    let micros = NonZeroU64::new(micros)
        .ok_or_else(|| InputError::new_err("windows: expected at least 1 microsecond, found 0"))?;
    let read = self::events(events)?;
    let parts = match events.cast::<PyUntypedArray>() {
        Ok(_) => None,
        Err(_) => Some(fields(events)?),
    };
    let times = || read.iter().map(|event| i128::from(event.t));
    let span = times().max().zip(times().min()).map_or(0, |(last, first)| last - first);
    let count = span / i128::from(micros.get()) + 1;
    if count > MAX_WINDOWS {
        return Err(InputError::new_err(format!(
            "windows: expected at most {MAX_WINDOWS} windows, found {count} of {micros} us between \
             the first event and the last"
        )));
    }
    let mut start = 0;
    let mut all = Vec::new();
    for window in deploy::windows(&read, micros).map_err(raised)? {
        let end = start + window.len();
        let [from, to] = [start, end].map(|at| isize::try_from(at).unwrap_or(isize::MAX));
        let slice = PySlice::new(py, from, to, 1);
        all.push(match &parts {
            None => events.get_item(slice)?,
            Some(parts) => {
                let cut = parts.iter().map(|part| part.get_item(&slice));
                PyTuple::new(py, cut.collect::<PyResult<Vec<_>>>()?)?.into_any()
            }
        });
        start = end;
    }
    Ok(all)
}
