//! Scores of one sample or of a batch.

use crate::errors::InputError;
use crate::results::tuple;
use numpy::ToPyArray as _;
use numpy::ndarray::{Array2, ArrayView1, Axis};
use pyo3::prelude::*;
use snn_runtime::{Deployment, Logits};
use std::sync::Arc;

/// Scores of one sample, or of a batch: then every array has an axis for the samples in front.
///
/// >>> import numpy as np, snn
/// >>> model = snn.Model("models/cifar10-hybrid/model.safetensors")
/// >>> scores = model.run(np.zeros((2, 3, 32, 32), np.uint8))
/// >>> scores.logits.shape, scores.sums.dtype, scores.steps
/// ((2, 10), dtype('int64'), 2)
/// >>> bool(np.allclose(scores.probabilities.sum(axis=1), 1))
/// True
#[pyclass(frozen, module = "snn")]
#[derive(Debug)]
pub(crate) struct Scores {
    /// `true` if it is one sample, whose arrays have no axis for it.
    is_one: bool,
    /// `[B, classes]`, of a network on the grid.
    sums: Option<Array2<i64>>,
    /// `[B, classes]`.
    logits: Array2<f64>,
    steps: u64,
    classes: Arc<[String]>,
}

impl Scores {
    /// Of a batch that ran all macro-steps.
    pub(crate) fn of_batch(
        deployment: &Deployment,
        logits: Logits,
        is_one: bool,
        classes: Arc<[String]>,
    ) -> Self {
        let sums = match &logits {
            Logits::Integer(sums) => Some(sums.clone()),
            Logits::Real(_) => None,
        };
        let (logits, steps) = (deployment.to_logits(logits), deployment.time_steps() as u64);
        Self { is_one, sums, logits, steps, classes }
    }

    /// Of one sample.
    pub(crate) fn of_one(scores: &snn_runtime::Scores<'_>, classes: Arc<[String]>) -> Self {
        let row = (1, scores.len());
        let logits = Array2::from_shape_fn(row, |(_, class)| scores.logit(class));
        let sums = scores.integers();
        let sums = sums.map(|sums| Array2::from_shape_fn(row, |(_, class)| sums[class]));
        Self { is_one: true, sums, logits, steps: scores.steps(), classes }
    }

    /// Class of the largest logit of a row, the first of equals.
    fn largest(row: &ArrayView1<'_, f64>) -> usize {
        (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
    }

    fn array<'py, V: numpy::Element>(
        &self,
        py: Python<'py>,
        values: &Array2<V>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = values.to_pyarray(py);
        if self.is_one { array.get_item(0) } else { Ok(array.into_any()) }
    }
}

#[pymethods]
impl Scores {
    /// Sums of the head over the macro-steps, int64, of a network on the grid: the same integers on
    /// every machine. None for one in floating point.
    #[getter]
    fn sums<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.sums.as_ref().map(|sums| self.array(py, sums)).transpose()
    }

    /// Class scores, float64.
    #[getter]
    pub(crate) fn logits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.array(py, &self.logits)
    }

    /// Softmax of the logits, float64. A network that was not calibrated is often surer than it is
    /// right.
    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut all = self.logits.clone();
        for mut row in all.axis_iter_mut(Axis(0)) {
            let values = snn_runtime::softmax(row.to_vec());
            row.iter_mut().zip(values).for_each(|(to, value)| *to = value);
        }
        self.array(py, &all)
    }

    /// Position of the largest logit, the first of equals: an int, of a batch an array of int64.
    #[getter]
    pub(crate) fn argmax<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let rows = self.logits.axis_iter(Axis(0));
        let classes = rows.map(|row| i64::try_from(Self::largest(&row)).unwrap_or(i64::MAX));
        let classes: Vec<i64> = classes.collect();
        match (self.is_one, classes.first()) {
            (true, Some(class)) => Ok(class.into_pyobject(py)?.into_any()),
            _ => Ok(classes.to_pyarray(py).into_any()),
        }
    }

    /// Macro-steps that the scores are over; 0 if nothing has run.
    #[getter]
    fn steps(&self) -> u64 {
        self.steps
    }

    /// The k best classes, the best first, as a list of `Prediction`; of a batch a list of such
    /// lists.
    ///
    /// >>> import numpy as np, snn
    /// >>> model = snn.Model("models/cifar10-hybrid/model.safetensors")
    /// >>> best = model.run(np.zeros((3, 32, 32), np.uint8)).best(3)
    /// >>> len(best), best[0].name in model.classes
    /// (3, True)
    #[pyo3(signature = (k = 5))]
    fn best<'py>(&self, py: Python<'py>, k: usize) -> PyResult<Bound<'py, PyAny>> {
        let best = |row: ArrayView1<'_, f64>| {
            let probabilities = snn_runtime::softmax(row.to_vec());
            let mut order: Vec<usize> = (0..row.len()).collect();
            // Stable: of equals the first stays first.
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            let prediction = |&class: &usize| {
                let name = self.classes.get(class).map(String::as_str);
                tuple(py, "Prediction", (class, name, probabilities[class]))
            };
            order.iter().take(k).map(prediction).collect::<PyResult<Vec<_>>>()
        };
        let mut all = self.logits.axis_iter(Axis(0)).map(best).collect::<PyResult<Vec<_>>>()?;
        if !self.is_one {
            return Ok(all.into_pyobject(py)?.into_any());
        }
        let one = all.pop().ok_or_else(|| InputError::new_err("scores of no sample"))?;
        Ok(one.into_pyobject(py)?.into_any())
    }

    fn __repr__(&self) -> String {
        let [samples, classes] = [self.logits.nrows(), self.logits.ncols()];
        let samples = if self.is_one { "one sample".into() } else { format!("{samples} samples") };
        format!("<snn.Scores of {samples}, {classes} classes, {} macro-steps>", self.steps)
    }
}
