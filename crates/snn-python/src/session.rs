//! Sessions: one sample after another, streams, statistics.

use crate::errors::{InputError, SnnError, raised};
use crate::events::events;
use crate::images::{Kind, Pixels};
use crate::model::Model;
use crate::results::tuple;
use crate::scores::Scores;
use pyo3::prelude::*;
use snn_runtime::deploy::{self, Confidence, Event};
use snn_runtime::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// What a session changes.
#[derive(Debug)]
struct Inner {
    session: deploy::Session,
    /// Of the stream; none at rest.
    state: Option<deploy::State>,
}

/// Buffers for one sample after another, used by one thread at a time, and a stream: frames or
/// events that are pushed one macro-step after the other, for ever.
///
/// >>> import numpy as np, snn
/// >>> model = snn.Model("models/cifar10-hybrid/model.safetensors")
/// >>> session = model.session()
/// >>> image = np.full((3, 32, 32), 200, np.uint8)
/// >>> for _ in range(model.time_steps):
/// ...     scores = session.push(image)
/// >>> bool((scores.sums == model.run(image).sums).all())
/// True
#[pyclass(frozen, module = "snn")]
#[derive(Debug)]
pub(crate) struct Session {
    inner: Mutex<Inner>,
    model: Py<Model>,
    shape: Vec<usize>,
    time_steps: usize,
    names: Arc<[String]>,
}

/// State of a stream at one moment: a value, which can be kept and gone back to.
#[pyclass(frozen, module = "snn")]
#[derive(Debug)]
pub(crate) struct State(deploy::State, Arc<[String]>);

#[pymethods]
impl State {
    /// Macro-steps so far.
    #[getter]
    fn steps(&self) -> u64 {
        self.0.steps()
    }

    /// Scores over the macro-steps so far.
    #[getter]
    fn scores(&self) -> Scores {
        Scores::of_one(&self.0.scores(), Arc::clone(&self.1))
    }

    /// Bytes of memory that it takes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.bytes()
    }

    fn __repr__(&self) -> String {
        format!("<snn.State after {} macro-steps>", self.0.steps())
    }
}

impl Session {
    pub(crate) fn new(model: &Bound<'_, Model>) -> Self {
        let of = model.get();
        let deployment = of.deployment();
        Self {
            inner: Mutex::new(Inner { session: deployment.session(), state: None }),
            shape: deployment.input_shape().to_vec(),
            time_steps: deployment.time_steps(),
            names: of.names(),
            model: model.clone().unbind(),
        }
    }

    /// The buffers, which no other thread uses: nobody waits for them.
    fn lock(&self) -> PyResult<MutexGuard<'_, Inner>> {
        self.inner.try_lock().map_err(|error| {
            SnnError::new_err(match error {
                TryLockError::WouldBlock => {
                    "the session is in use by another thread, or was when this process was \
                     forked; make one for each thread with model.session()"
                }
                TryLockError::Poisoned(_) => {
                    "the session met a fault of the library before; make another one with \
                     model.session()"
                }
            })
        })
    }

    /// Runs what gives scores, without holding the interpreter's lock.
    fn scores(
        &self,
        py: Python<'_>,
        run: impl FnOnce(&mut Inner) -> Result<()> + Send,
    ) -> PyResult<Scores> {
        let mut guard = self.lock()?;
        let inner = &mut *guard;
        let ran = || {
            run(inner)?;
            Ok::<_, Error>(Scores::of_one(&inner.session.scores(), Arc::clone(&self.names)))
        };
        py.detach(ran).map_err(raised)
    }

    /// The pixels of one image or frame, or of frames.
    fn one<'py>(&self, values: &Bound<'py, PyAny>, kind: Kind) -> PyResult<Pixels<'py>> {
        let pixels = Pixels::of(values)?;
        if !pixels.samples(kind, &self.shape)?.is_one {
            return Err(InputError::new_err(
                "input: expected one sample, found a batch; a model runs batches: model.run",
            ));
        }
        Ok(pixels)
    }
}

impl Inner {
    /// The session with the state of its stream, which begins at rest.
    fn stream(&mut self) -> (&mut deploy::Session, &mut deploy::State) {
        let Self { session, state } = self;
        let state = state.get_or_insert_with(|| session.rest());
        (session, state)
    }
}

#[pymethods]
impl Session {
    /// The model of this session.
    #[getter]
    fn model(&self, py: Python<'_>) -> Py<Model> {
        self.model.clone_ref(py)
    }

    /// Runs one image, shown at every macro-step, or made the frames of the model's encoder.
    fn run(&self, py: Python<'_>, image: &Bound<'_, PyAny>) -> PyResult<Scores> {
        let pixels = self.one(image, Kind::Images)?;
        let view = pixels.samples(Kind::Images, &self.shape)?.pixels;
        self.scores(py, |inner| inner.session.run(view).map(drop))
    }

    /// Runs one sample of a frame for each macro-step, `[T, …input_shape]`.
    fn run_frames(&self, py: Python<'_>, frames: &Bound<'_, PyAny>) -> PyResult<Scores> {
        let kind = Kind::Frames(self.time_steps);
        let pixels = self.one(frames, kind)?;
        let view = pixels.samples(kind, &self.shape)?.pixels;
        self.scores(py, |inner| inner.session.run_frames(view).map(drop))
    }

    /// Runs one recording of a camera, cut into as many slices of events as there are macro-steps
    /// (`windows` cuts by time). The events of a slice are counted by polarity and pixel; each is
    /// what `push_events` takes.
    fn run_events(&self, py: Python<'_>, slices: &Bound<'_, PyAny>) -> PyResult<Scores> {
        let read = slices.try_iter()?.map(|slice| events(&slice?));
        let read: Vec<Vec<Event>> = read.collect::<PyResult<_>>()?;
        self.scores(py, |inner| {
            let cut: Vec<&[Event]> = read.iter().map(Vec::as_slice).collect();
            inner.session.run_events(&cut).map(drop)
        })
    }

    /// Runs one image until the sum of the first class leads that of the second by at least
    /// `margin` for each macro-step, at most T of them; `steps` of the scores says how many ran.
    fn run_until(&self, py: Python<'_>, image: &Bound<'_, PyAny>, margin: i64) -> PyResult<Scores> {
        let pixels = self.one(image, Kind::Images)?;
        let view = pixels.samples(Kind::Images, &self.shape)?.pixels;
        self.scores(py, |inner| inner.session.run_until(view, Confidence { margin }).map(drop))
    }

    /// One macro-step of a stream, of any length; the scores are those so far.
    fn push(&self, py: Python<'_>, frame: &Bound<'_, PyAny>) -> PyResult<Scores> {
        let pixels = self.one(frame, Kind::Images)?;
        let view = pixels.samples(Kind::Images, &self.shape)?.pixels;
        self.scores(py, |inner| {
            let (session, state) = inner.stream();
            session.push(state, view).map(drop)
        })
    }

    /// One macro-step of a stream of events, those since the last push: an array with the fields
    /// x, y, t (in microseconds) and p (1 or True for ON, 0 for OFF), or a tuple of four arrays
    /// (x, y, t, p). They are counted by polarity and pixel; the scores are those so far.
    fn push_events(&self, py: Python<'_>, events: &Bound<'_, PyAny>) -> PyResult<Scores> {
        let read = self::events(events)?;
        self.scores(py, |inner| {
            let (session, state) = inner.stream();
            session.push_events(state, &read).map(drop)
        })
    }

    /// Ends the stream: the next push begins a new one.
    fn reset(&self) -> PyResult<()> {
        self.lock()?.state = None;
        Ok(())
    }

    /// State of the stream: a copy. Setting it goes on from there, also from that of another
    /// session of the same model.
    #[getter]
    fn state(&self) -> PyResult<State> {
        let mut inner = self.lock()?;
        let (_, state) = inner.stream();
        Ok(State(state.clone(), Arc::clone(&self.names)))
    }

    #[setter]
    fn set_state(&self, state: &Bound<'_, State>) -> PyResult<()> {
        self.lock()?.state = Some(state.get().0.clone());
        Ok(())
    }

    /// What each node did since the session was made or `reset_statistics`, as a list of
    /// `NodeStatistics`: empty unless the model was loaded with `statistics=True`.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let inner = self.lock()?;
        let nodes = inner.session.statistics().iter();
        nodes
            .map(|node| {
                let (runs, active, values) = (node.runs, node.active, node.values);
                let all = (node.node.as_str(), node.nanoseconds, runs, active, values);
                tuple(py, "NodeStatistics", all)
            })
            .collect()
    }

    /// Sets statistics to zero.
    fn reset_statistics(&self) -> PyResult<()> {
        self.lock()?.session.reset_statistics();
        Ok(())
    }

    /// Bytes of the buffers of this session; weights belong to the model.
    #[getter]
    fn nbytes(&self) -> PyResult<usize> {
        let inner = self.lock()?;
        Ok(inner.session.bytes() + inner.state.as_ref().map_or(0, deploy::State::bytes))
    }

    fn __repr__(&self) -> String {
        format!("<snn.Session of input {:?}, {} macro-steps>", self.shape, self.time_steps)
    }
}
