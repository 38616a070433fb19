//! Models: loaded once, shared between threads.

use crate::counts::counts;
use crate::errors::{ModelError, raised};
use crate::images::{Kind, Pixels, Samples};
use crate::results::tuple;
use crate::scores::Scores;
use crate::session::Session;
use numpy::ndarray::{Array2, Axis, Slice, concatenate};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use snn_runtime::{Counting, Deployment, Error, Input, InstructionSet, Logits, Options, Record};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Images of a batch that run before Python sees a signal; as many again where that took less time
/// than `PATIENCE`.
const FIRST_IMAGES: usize = 64;
const PATIENCE: Duration = Duration::from_millis(200);

/// What was asked for when the model was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    threads: Option<usize>,
    instruction_set: Option<String>,
    statistics: bool,
}

impl Asked {
    fn options(&self) -> PyResult<Options> {
        let parse = |name: &String| name.parse::<InstructionSet>();
        let instruction_set = self.instruction_set.as_ref().map(parse).transpose();
        let instruction_set = instruction_set
            .map_err(|error| ModelError::new_err(format!("instruction_set: {error}")))?;
        Ok(Options {
            instruction_set,
            threads: self.threads.unwrap_or(1),
            batch_threads: self.threads,
            statistics: self.statistics,
            ..Options::default()
        })
    }
}

/// A converted network, compiled for this machine. It may be used by several threads at once, which
/// compute in parallel, and in a child of `os.fork`; it can be pickled, and is then its bytes.
///
/// `threads` is the number of threads of batches, and of one image alone, whose rows they then
/// share; without it batches take all processors and one image takes one. `instruction_set` is
/// `scalar`, `avx2`, `avx512`, `avx512vnni` or `amx`, without it the best that the machine has; the
/// bits are the same. With `statistics` sessions measure what each node does.
///
/// >>> import numpy as np, snn
/// >>> model = snn.Model("models/cifar10-hybrid/model.safetensors")
/// >>> model.input_shape, model.time_steps, model.classes[0]
/// ((3, 32, 32), 2, 'airplane')
/// >>> images = np.random.default_rng(1).integers(0, 256, (5, 3, 32, 32), np.uint8)
/// >>> classes = model.classify(images)
/// >>> classes.shape, int(classes[0]) == model.classify(images[0])
/// ((5,), True)
#[pyclass(frozen, module = "snn")]
#[derive(Debug)]
pub(crate) struct Model {
    source: snn_runtime::Model,
    deployment: Deployment,
    asked: Asked,
    names: Arc<[String]>,
}

impl Model {
    fn compiled(source: snn_runtime::Model, asked: Asked) -> PyResult<Self> {
        let deployment = Deployment::new(&source, &asked.options()?).map_err(raised)?;
        let names = deployment.classes().into();
        Ok(Self { source, deployment, asked, names })
    }

    fn read(py: Python<'_>, data: &[u8], asked: Asked) -> PyResult<Self> {
        py.detach(|| Self::compiled(snn_runtime::Model::from_bytes(data).map_err(raised)?, asked))
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    pub(crate) fn names(&self) -> Arc<[String]> {
        Arc::clone(&self.names)
    }

    /// Scores of one sample or of a batch, without holding the interpreter's lock.
    fn scores(&self, py: Python<'_>, samples: Samples<'_>, kind: Kind) -> PyResult<Scores> {
        let Samples { pixels, is_one } = samples;
        if is_one {
            let names = self.names();
            let run = || {
                self.deployment.with_session(|session| {
                    let scores = match kind {
                        Kind::Images => session.run(pixels)?,
                        Kind::Frames(_) => session.run_frames(pixels)?,
                    };
                    Ok(Scores::of_one(&scores, names))
                })
            };
            return py.detach(run).map_err(raised);
        }
        let input = match kind {
            Kind::Images => Input::Static(pixels),
            Kind::Frames(_) => Input::Frames(pixels),
        };
        let mut parts = Vec::new();
        in_parts(py, &input, |part| {
            parts.push(self.deployment.run(part, Record::Logits)?.logits);
            Ok(())
        })?;
        let logits = joined(&parts).map_err(raised)?;
        Ok(Scores::of_batch(&self.deployment, logits, is_one, self.names()))
    }
}

/// Runs a batch in parts, between which Python sees signals such as Ctrl-C. Samples do not depend
/// on each other, so the results are those of the whole batch.
fn in_parts(
    py: Python<'_>,
    input: &Input<'_>,
    mut run: impl FnMut(&Input<'_>) -> Result<(), Error> + Send,
) -> PyResult<()> {
    let (all, mut first, mut count) = (input.batch(), 0, FIRST_IMAGES);
    loop {
        let part = Slice::from(first..all.min(first + count));
        let part = match input {
            Input::Static(pixels) => Input::Static(pixels.slice_axis(Axis(0), part)),
            Input::Frames(pixels) => Input::Frames(pixels.slice_axis(Axis(1), part)),
        };
        let started = Instant::now();
        py.detach(|| run(&part)).map_err(raised)?;
        py.check_signals()?;
        first += part.batch();
        if first >= all {
            return Ok(());
        }
        if started.elapsed() < PATIENCE {
            count *= 2;
        }
    }
}

/// The logits of all parts.
fn joined(parts: &[Logits]) -> Result<Logits, Error> {
    let failed = |error: numpy::ndarray::ShapeError| Error::Interpreter {
        interpreter: "python",
        message: error.to_string(),
    };
    let integers: Option<Vec<_>> = parts
        .iter()
        .map(|part| match part {
            Logits::Integer(sums) => Some(sums.view()),
            Logits::Real(_) => None,
        })
        .collect();
    if let Some(integers) = integers {
        let all: Array2<i64> = concatenate(Axis(0), &integers).map_err(failed)?;
        return Ok(Logits::Integer(all));
    }
    let real: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            Logits::Real(logits) => Some(logits.view()),
            Logits::Integer(_) => None,
        })
        .collect();
    concatenate(Axis(0), &real).map(Logits::Real).map_err(failed)
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (path, *, threads = None, instruction_set = None, statistics = false))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        threads: Option<usize>,
        instruction_set: Option<String>,
        statistics: bool,
    ) -> PyResult<Self> {
        let asked = Asked { threads, instruction_set, statistics };
        py.detach(|| Self::compiled(snn_runtime::Model::load(path).map_err(raised)?, asked))
    }

    /// A model from the bytes of its file, as `Model(path)`.
    #[staticmethod]
    #[pyo3(signature = (data, *, threads = None, instruction_set = None, statistics = false))]
    fn from_bytes(
        py: Python<'_>,
        data: &[u8],
        threads: Option<usize>,
        instruction_set: Option<String>,
        statistics: bool,
    ) -> PyResult<Self> {
        Self::read(py, data, Asked { threads, instruction_set, statistics })
    }

    /// The bytes of a file of this model.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.source.to_bytes().map_err(raised)?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let Asked { threads, instruction_set, statistics } = self.asked.clone();
        let values = (self.to_bytes(py)?, threads, instruction_set, statistics);
        let restored = py.import("snn._native")?.getattr("_restored")?;
        (restored, values).into_pyobject(py)
    }

    /// Runs one image, `input_shape`, or a batch `[B, …input_shape]` of any size: arrays of uint8,
    /// raw pixels of 0 to 255, channels first. A C-contiguous image is read where it is, without a
    /// copy; do not change it meanwhile. Other threads of Python go on.
    ///
    /// >>> import numpy as np, snn
    /// >>> model = snn.Model("models/cifar10-hybrid/model.safetensors")
    /// >>> model.run(np.zeros((32, 32, 3), np.uint8)) # doctest: +ELLIPSIS
    /// Traceback (most recent call last):
    ///     ...
    /// snn.InputError: input: expected an array of shape [3, 32, 32] or [B, 3, 32, 32], found ...
    fn run(&self, py: Python<'_>, images: &Bound<'_, PyAny>) -> PyResult<Scores> {
        let pixels = Pixels::of(images)?;
        let samples = pixels.samples(Kind::Images, self.deployment.input_shape())?;
        self.scores(py, samples, Kind::Images)
    }

    /// Runs samples that have a frame for each macro-step, `[T, …input_shape]` of one or
    /// `[T, B, …input_shape]` of a batch, as the network reads them: encoded already, if the model
    /// has an encoder.
    fn run_frames(&self, py: Python<'_>, frames: &Bound<'_, PyAny>) -> PyResult<Scores> {
        let (pixels, kind) = (Pixels::of(frames)?, Kind::Frames(self.deployment.time_steps()));
        let samples = pixels.samples(kind, self.deployment.input_shape())?;
        self.scores(py, samples, kind)
    }

    /// The class of one image, an int, or of each image of a batch, an array of int64: as
    /// `run(images).argmax`.
    fn classify<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, images)?.argmax(py)
    }

    /// Logits of one image, `[classes]`, or of a batch, `[B, classes]`, float64: as
    /// `run(images).logits`.
    fn logits<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, images)?.logits(py)
    }

    /// A session: buffers for one sample after another, and a stream of frames or events.
    fn session(slf: &Bound<'_, Self>) -> Session {
        Session::new(slf)
    }

    /// The operations that images take, or frames with `frames=True`, node by node: spikes,
    /// additions and more, as `Counts`. The counting interpreter runs them, on all processors; it
    /// gives the same bits and is slower.
    ///
    /// >>> import numpy as np, snn
    /// >>> model = snn.Model("models/cifar10-hybrid/model.safetensors")
    /// >>> counts = model.count(np.full((2, 3, 32, 32), 200, np.uint8))
    /// >>> counts.samples, counts.total.additions > counts.total.events > 0
    /// (2, True)
    #[pyo3(signature = (images, *, frames = false))]
    fn count<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        frames: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let steps = self.deployment.time_steps();
        let kind = if frames { Kind::Frames(steps) } else { Kind::Images };
        let pixels = Pixels::of(images)?;
        let Samples { pixels, is_one } = pixels.samples(kind, self.deployment.input_shape())?;
        let input = match (kind, is_one) {
            (Kind::Images, true) => Input::Static(pixels.insert_axis(Axis(0))),
            (Kind::Images, false) => Input::Static(pixels),
            (Kind::Frames(_), true) => Input::Frames(pixels.insert_axis(Axis(1))),
            (Kind::Frames(_), false) => Input::Frames(pixels),
        };
        let counting = py.detach(|| Counting::new(&self.source)).map_err(raised)?;
        in_parts(py, &input, |part| counting.run(part, Record::Logits).map(drop))?;
        counts(py, &counting.counts())
    }

    /// What the plan does with each node, as text: `(node, operation, form, bytes of weights)` in a
    /// list of `NodePlan`.
    fn plan<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let summary = self.deployment.summary();
        let nodes = summary.nodes.iter();
        nodes
            .map(|node| {
                let values = (node.node.as_str(), node.op, node.form.as_str(), node.weight_bytes);
                tuple(py, "NodePlan", values)
            })
            .collect()
    }

    /// Shape of one image, channels first: `(C, H, W)`.
    #[getter]
    fn input_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.deployment.input_shape())
    }

    /// Macro-steps T.
    #[getter]
    fn time_steps(&self) -> usize {
        self.deployment.time_steps()
    }

    /// Names of the classes, in the order of the logits; empty if the model has none.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.names.to_vec()
    }

    /// Number of classes.
    #[getter]
    fn class_count(&self) -> usize {
        self.deployment.class_count()
    }

    /// Form of the model: `grid` (integers) or `events` (floating point).
    #[getter]
    fn form(&self) -> &'static str {
        self.source.form().label()
    }

    /// The instruction set in use.
    #[getter]
    fn instruction_set(&self) -> &'static str {
        self.deployment.instruction_set().label()
    }

    /// Threads that were asked for, or None.
    #[getter]
    fn threads(&self) -> Option<usize> {
        self.asked.threads
    }

    /// Bytes of the packed weights; the buffers of a session are its `nbytes`.
    #[getter]
    fn weight_bytes(&self) -> usize {
        self.deployment.summary().nodes.iter().map(|node| node.weight_bytes).sum()
    }

    fn __repr__(&self) -> String {
        format!(
            "<snn.Model of input {:?}, {} macro-steps, {} classes, form {}, {}>",
            self.deployment.input_shape(),
            self.time_steps(),
            self.class_count(),
            self.form(),
            self.instruction_set()
        )
    }
}

/// A model that was pickled.
#[pyfunction(name = "_restored")]
pub(crate) fn restored(
    py: Python<'_>,
    data: &[u8],
    threads: Option<usize>,
    instruction_set: Option<String>,
    statistics: bool,
) -> PyResult<Model> {
    Model::read(py, data, Asked { threads, instruction_set, statistics })
}
