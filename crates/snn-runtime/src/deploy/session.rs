//! One sample after another through a deployment.

use crate::arithmetic::{Arithmetic as _, Scores};
use crate::deploy::run::engine::{Clock, Engine, NetworkState, NodeStatistics};
use snn_ir::{Error, Result};

/// Everything that one sample after another needs, allocated once.
#[derive(Debug)]
pub struct Session {
    engine: Numbers,
    /// Of inputs that are not pixels; empty until one comes.
    pub(super) frames: Vec<u8>,
    /// Of runs that may end early; none until one does.
    pub(super) until: Option<State>,
}

/// An engine of one kind of numbers or the other.
#[derive(Debug)]
enum Numbers {
    Grid(Engine<i32>),
    Real(Engine<f32>),
}

/// The same work with the engine of a session, whatever its numbers.
macro_rules! with_engine {
    ($session:expr, $engine:ident => $work:expr) => {
        match $session {
            Numbers::Grid($engine) => $work,
            Numbers::Real($engine) => $work,
        }
    };
}

impl From<Engine<i32>> for Session {
    fn from(engine: Engine<i32>) -> Self {
        Self { engine: Numbers::Grid(engine), frames: Vec::new(), until: None }
    }
}

impl From<Engine<f32>> for Session {
    fn from(engine: Engine<f32>) -> Self {
        Self { engine: Numbers::Real(engine), frames: Vec::new(), until: None }
    }
}

/// What a network remembers between the frames of a stream: membranes, synaptic currents,
/// adaptations and the sums of the head. A value: it can be kept, copied and gone back to.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    memories: Remembered,
    steps: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Remembered {
    Grid(NetworkState<i32>),
    Real(NetworkState<f32>),
}

impl State {
    /// Frames so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// `Σ_t J[t]` so far.
    pub fn scores(&self) -> Scores<'_> {
        match &self.memories {
            Remembered::Grid(memories) => Scores::Integer(&memories.sums),
            Remembered::Real(memories) => Scores::Real(&memories.sums),
        }
    }

    /// Back to rest: the same state as [`Session::rest`], in the same memory.
    pub fn clear(&mut self) {
        match &mut self.memories {
            Remembered::Grid(memories) => memories.clear(),
            Remembered::Real(memories) => memories.clear(),
        }
        self.steps = 0;
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        match &self.memories {
            Remembered::Grid(memories) => memories.bytes(),
            Remembered::Real(memories) => memories.bytes(),
        }
    }
}

impl Session {
    /// Runs one image, shown at every macro-step, and returns the sums of the head. `pixels` are in
    /// C, H, W order.
    ///
    /// # Errors
    /// There are not as many pixels as the model takes.
    pub fn run(&mut self, pixels: &[u8]) -> Result<Scores<'_>> {
        self.evaluate(pixels, false)
    }

    /// Runs one sample with a frame for each macro-step, `[T]` images one after another.
    ///
    /// # Errors
    /// There are not as many pixels as the model takes.
    pub fn run_frames(&mut self, pixels: &[u8]) -> Result<Scores<'_>> {
        self.evaluate(pixels, true)
    }

    fn evaluate(&mut self, pixels: &[u8], frames: bool) -> Result<Scores<'_>> {
        let clock = Clock { steps: self.time_steps(), frames };
        self.expect(pixels.len(), if frames { clock.steps } else { 1 })?;
        with_engine!(&mut self.engine, engine => engine.evaluate(pixels, clock, None, None))?;
        Ok(self.scores())
    }

    /// The state of a network that has seen nothing.
    pub fn rest(&self) -> State {
        let memories = match &self.engine {
            Numbers::Grid(engine) => Remembered::Grid(engine.rest()),
            Numbers::Real(engine) => Remembered::Real(engine.rest()),
        };
        State { memories, steps: 0 }
    }

    /// One macro-step of a stream, of any length: on the grid membranes saturate (eq. 13), so it is
    /// defined for ever. Returns the sums so far.
    ///
    /// # Errors
    /// There are not as many pixels as the model takes, or the state is another network's.
    pub fn push(&mut self, state: &mut State, frame: &[u8]) -> Result<Scores<'_>> {
        self.expect(frame.len(), 1)?;
        let fits = match (&self.engine, &state.memories) {
            (Numbers::Grid(engine), Remembered::Grid(memories)) => engine.remembers(memories),
            (Numbers::Real(engine), Remembered::Real(memories)) => engine.remembers(memories),
            (Numbers::Grid(_), Remembered::Real(_)) | (Numbers::Real(_), Remembered::Grid(_)) => {
                false
            }
        };
        if !fits {
            return Err(Error::Interpreter {
                interpreter: crate::NAME,
                message:
                    "the state belongs to another network; take the state of this one with `rest`"
                        .into(),
            });
        }
        self.advance(state, frame, Clock { steps: 1, frames: true })?;
        Ok(self.scores())
    }

    /// One macro-step of a state that fits; its sums become the session's.
    pub(super) fn advance(&mut self, state: &mut State, pixels: &[u8], clock: Clock) -> Result<()> {
        match (&mut self.engine, &mut state.memories) {
            (Numbers::Grid(engine), Remembered::Grid(memories)) => {
                engine.advance(memories, pixels, clock)?
            }
            (Numbers::Real(engine), Remembered::Real(memories)) => {
                engine.advance(memories, pixels, clock)?
            }
            (Numbers::Grid(_), Remembered::Real(_)) | (Numbers::Real(_), Remembered::Grid(_)) => {}
        }
        state.steps += 1;
        Ok(())
    }

    /// What each node did, in graph order; empty unless
    /// [`Options::statistics`](super::Options::statistics) is set. A node that another one computes
    /// on the way has run never.
    pub fn statistics(&self) -> &[NodeStatistics] {
        with_engine!(&self.engine, engine => &engine.statistics)
    }

    /// Sets statistics to zero.
    pub fn reset_statistics(&mut self) {
        for node in with_engine!(&mut self.engine, engine => &mut engine.statistics) {
            *node = NodeStatistics {
                node: std::mem::take(&mut node.node),
                ..NodeStatistics::default()
            };
        }
    }

    /// Memory of the buffers: all of it from the start, but for frames that inputs other than
    /// pixels are put into, and the state of [`Session::run_until`], which come with their first
    /// use. Weights belong to the deployment, see [`Summary`](super::Summary).
    pub fn bytes(&self) -> usize {
        let engine = with_engine!(&self.engine, engine => engine.bytes());
        engine + self.frames.len() + self.until.as_ref().map_or(0, State::bytes)
    }

    /// Macro-steps T.
    pub(super) fn time_steps(&self) -> usize {
        with_engine!(&self.engine, engine => engine.plan.time_steps)
    }

    /// Shape and size of a frame.
    pub(super) fn input(&self) -> (&[usize], usize) {
        with_engine!(&self.engine, engine => (&engine.plan.nodes[0].shape, engine.plan.nodes[0].size()))
    }

    pub(super) fn expect(&self, found: usize, frames: usize) -> Result<()> {
        with_engine!(&self.engine, engine => engine.expect(found, frames))
    }

    /// The sums of the last run or push; zeros before the first, and not to be used after one that
    /// failed.
    pub fn scores(&self) -> Scores<'_> {
        match &self.engine {
            Numbers::Grid(engine) => i32::scores(&engine.sums),
            Numbers::Real(engine) => f32::scores(&engine.sums),
        }
    }

    /// The same of a network on the grid.
    ///
    /// # Errors
    /// The network is not on the grid.
    pub(super) fn integer_scores(&self) -> Result<&[i64]> {
        match &self.engine {
            Numbers::Grid(engine) => Ok(&engine.sums),
            Numbers::Real(_) => Err(Error::Refused {
                node: "model".into(),
                reason:
                    "runs end early by integer sums, which are the same on every machine; convert \
                     the model to the grid"
                        .into(),
            }),
        }
    }
}
