//! Images and frames: NumPy arrays of bytes as views, without a copy.

use crate::errors::InputError;
use numpy::PyArrayMethods as _;
use numpy::ndarray::{ArrayViewD, Axis, IxDyn};
use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods as _};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

/// An array of bytes that this process reads and does not change.
pub(crate) struct Pixels<'py>(PyReadonlyArrayDyn<'py, u8>);

/// Samples of a model's shape.
pub(crate) struct Samples<'a> {
    /// `[B, …shape]`, or `…shape` of one; of frames behind the axis of time.
    pub(crate) pixels: ArrayViewD<'a, u8>,
    /// `true` if it is one sample, without an axis for it.
    pub(crate) is_one: bool,
}

/// The axes that stand before those of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None, or the batch.
    Images,
    /// Macro-steps, so many; then none, or the batch.
    Frames(usize),
}

impl<'py> Pixels<'py> {
    /// The bytes of an array, or of anything that NumPy makes one of; of `bytes`, too.
    pub(crate) fn of(values: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = values.py();
        let numpy = py.import("numpy")?;
        let is_bytes = values.is_instance_of::<PyBytes>() || values.is_instance_of::<PyByteArray>();
        let array = if is_bytes {
            numpy.call_method1("frombuffer", (values, "uint8"))?
        } else {
            numpy.call_method1("asarray", (values,))?
        };
        let Ok(bytes) = array.cast::<PyArrayDyn<u8>>() else {
            let found = array.cast::<PyUntypedArray>()?.dtype();
            return Err(InputError::new_err(format!(
                "input: expected an array of uint8, raw pixels of 0 to 255 (not normalised: the \
                 model subtracts its mean itself), found {found}; of values x from 0 to 1 the \
                 pixels are np.floor(255 * x + 0.5).astype(np.uint8)"
            )));
        };
        let bytes = bytes.try_readonly().map_err(|error| InputError::new_err(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// The samples, whose last axes must be those of the model: H, W, C is not taken for C, H, W.
    /// The axis of a single channel changes no order and may be absent; one sample may be flat.
    pub(crate) fn samples(&self, kind: Kind, shape: &[usize]) -> PyResult<Samples<'_>> {
        let pixels = self.0.as_array();
        let found = pixels.shape().to_vec();
        let (before, steps) = match kind {
            Kind::Images => (0, None),
            Kind::Frames(steps) => (1, Some(steps)),
        };
        let whole: Vec<usize> = steps.iter().chain(shape).copied().collect();
        if found.len() == 1 && whole.len() > 1 && found[0] == whole.iter().product::<usize>() {
            let pixels = pixels
                .into_shape_with_order(IxDyn(&whole))
                .map_err(|error| InputError::new_err(format!("input: {error}")))?;
            return Ok(Samples { pixels, is_one: true });
        }
        let lead = |axes: &[usize]| {
            let lead = found.len().checked_sub(axes.len())?;
            let in_time = steps.is_none_or(|steps| found.first() == Some(&steps));
            let fits = found[lead..] == *axes && (before..=before + 1).contains(&lead) && in_time;
            fits.then_some(lead)
        };
        if let Some(lead) = lead(shape) {
            return Ok(Samples { pixels, is_one: lead == before });
        }
        if shape.len() > 1
            && shape[0] == 1
            && let Some(lead) = lead(&shape[1..])
        {
            return Ok(Samples { pixels: pixels.insert_axis(Axis(lead)), is_one: lead == before });
        }
        let text = |before: &str| {
            let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
            format!("[{before}{}]", axes.join(", "))
        };
        let expected = match steps {
            None => format!("{} or {}", text(""), text("B, ")),
            Some(steps) => {
                format!("{} or {}", text(&format!("{steps}, ")), text(&format!("{steps}, B, ")))
            }
        };
        let sorted = |axes: &[usize]| {
            let mut axes = axes.to_vec();
            axes.sort_unstable();
            axes
        };
        let tail = &found[found.len().saturating_sub(shape.len())..];
        let hint = if shape.len() > 1 && sorted(tail) == sorted(shape) {
            "; pixels in H, W, C order need transposing to C, H, W"
        } else {
            ""
        };
        Err(InputError::new_err(format!(
            "input: expected an array of shape {expected}, found {found:?}{hint}"
        )))
    }
}
