//! One sample after another through a deployment.

use crate::arithmetic::Arithmetic as _;
use crate::by_form::{ByForm, by_form};
use crate::deploy::name::NAME;
use crate::deploy::run::engine::{Clock, Engine, NetworkState, NodeStatistics};
use crate::pixels::{Pixels, checked, encoded};
use crate::scores::{Head, Scores};
use snn_ir::{Encoder, Error, Readout, Result};
use std::sync::Arc;

/// Everything that one sample after another needs, allocated once.
#[derive(Debug)]
pub struct Session {
    engine: ByForm<Engine<i32>, Engine<f32>>,
    head: Arc<Head>,
    encoder: Encoder,
    /// Macro-steps that the sums are over; 0 where there are none.
    pub(super) steps: u64,
    /// Frames made from inputs that are not pixels; empty until one comes.
    pub(super) frames: Vec<u8>,
    /// State of runs that may end early; none until one does.
    pub(super) until: Option<State>,
}

/// State of a network between the frames of a stream: membranes, synaptic currents,
/// adaptations and the sums of the head. A value: it can be kept, copied and gone back to.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    network: ByForm<NetworkState<i32>, NetworkState<f32>>,
    head: Arc<Head>,
    steps: u64,
}

impl State {
    /// Frames so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Scores over the frames so far.
    pub fn scores(&self) -> Scores<'_> {
        let sums = match &self.network {
            ByForm::Grid(network) => i32::sums(&network.sums),
            ByForm::Real(network) => f32::sums(&network.sums),
        };
        Scores { sums, steps: self.steps, head: &self.head }
    }

    /// Back to rest: the same state as [`Session::rest`], in the same memory.
    pub fn clear(&mut self) {
        by_form!(&mut self.network, network => network.clear());
        self.steps = 0;
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        by_form!(&self.network, network => network.bytes())
    }
}

impl Session {
    pub(super) fn new(
        engine: ByForm<Engine<i32>, Engine<f32>>,
        head: Arc<Head>,
        encoder: Encoder,
    ) -> Self {
        Self { engine, head, encoder, steps: 0, frames: Vec::new(), until: None }
    }

    /// Runs one image, shown at every macro-step, or made the frames of the model's encoder.
    ///
    /// # Errors
    /// The shape does not fit the model, or its encoder makes no frames of images.
    pub fn run<P: Pixels>(&mut self, image: P) -> Result<Scores<'_>> {
        self.steps = 0;
        let pixels = checked(&image, None, self.input().0)?;
        match self.encoded(&pixels)? {
            None => self.evaluate(&pixels, false),
            Some(frames) => self.evaluate(&frames, true),
        }
    }

    /// The frames that the model's encoder makes of an image; `None` for the image itself.
    pub(super) fn encoded(&self, pixels: &[u8]) -> Result<Option<Vec<u8>>> {
        encoded(self.encoder, pixels, self.input().0, self.time_steps())
    }

    /// Runs one sample with a frame for each macro-step, `[T, …shape]`, as the network reads them:
    /// encoded already, if the model has an encoder.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn run_frames<P: Pixels>(&mut self, frames: P) -> Result<Scores<'_>> {
        self.steps = 0;
        let pixels = checked(&frames, Some(self.time_steps()), self.input().0)?;
        self.evaluate(&pixels, true)
    }

    fn evaluate(&mut self, pixels: &[u8], frames: bool) -> Result<Scores<'_>> {
        let clock = Clock { steps: self.time_steps(), frames };
        by_form!(&mut self.engine, engine => engine.evaluate((pixels, 1), clock, None, None))?;
        self.steps = clock.steps as u64;
        Ok(self.scores())
    }

    /// The state of a network that has seen nothing.
    pub fn rest(&self) -> State {
        let network = match &self.engine {
            ByForm::Grid(engine) => ByForm::Grid(engine.rest()),
            ByForm::Real(engine) => ByForm::Real(engine.rest()),
        };
        State { network, head: Arc::clone(&self.head), steps: 0 }
    }

    /// One macro-step of a stream, of any length: on the grid membranes saturate (eq. 13), so it is
    /// defined for ever. The frame is what the network reads: encoded already, if the model has an
    /// encoder. Returns the scores so far.
    ///
    /// # Errors
    /// The shape does not fit the model, or the state is another network's.
    pub fn push<P: Pixels>(&mut self, state: &mut State, frame: P) -> Result<Scores<'_>> {
        self.steps = 0;
        let frame = checked(&frame, None, self.input().0)?;
        let fits = match (&self.engine, &state.network) {
            (ByForm::Grid(engine), ByForm::Grid(network)) => engine.owns(network),
            (ByForm::Real(engine), ByForm::Real(network)) => engine.owns(network),
            (ByForm::Grid(_), ByForm::Real(_)) | (ByForm::Real(_), ByForm::Grid(_)) => false,
        };
        if !fits {
            return Err(Error::Interpreter {
                interpreter: NAME,
                message:
                    "the state belongs to another network; take the state of this one with `rest`"
                        .into(),
            });
        }
        self.advance(state, &frame, Clock { steps: 1, frames: true })?;
        Ok(self.scores())
    }

    /// One macro-step of a state that fits; its sums become the session's.
    pub(super) fn advance(&mut self, state: &mut State, pixels: &[u8], clock: Clock) -> Result<()> {
        self.steps = 0;
        match (&mut self.engine, &mut state.network) {
            (ByForm::Grid(engine), ByForm::Grid(network)) => {
                engine.advance(network, pixels, clock)?;
            }
            (ByForm::Real(engine), ByForm::Real(network)) => {
                engine.advance(network, pixels, clock)?;
            }
            (ByForm::Grid(_), ByForm::Real(_)) | (ByForm::Real(_), ByForm::Grid(_)) => {}
        }
        state.steps += 1;
        self.steps = state.steps;
        Ok(())
    }

    /// Statistics of each node, in graph order; empty unless
    /// [`Options::statistics`](super::Options::statistics) is set. A node that another one computes
    /// on the way has run never.
    pub fn statistics(&self) -> &[NodeStatistics] {
        by_form!(&self.engine, engine => &engine.statistics)
    }

    /// Sets statistics to zero.
    pub fn reset_statistics(&mut self) {
        for node in by_form!(&mut self.engine, engine => &mut engine.statistics) {
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
        let engine = by_form!(&self.engine, engine => engine.bytes());
        engine + self.frames.len() + self.until.as_ref().map_or(0, State::bytes)
    }

    /// Macro-steps T.
    pub(super) fn time_steps(&self) -> usize {
        by_form!(&self.engine, engine => engine.plan.time_steps)
    }

    /// Readout of the head.
    pub(super) fn readout(&self) -> Readout {
        by_form!(&self.engine, engine => engine.plan.readout)
    }

    /// Shape and size of a frame.
    pub(super) fn input(&self) -> (&[usize], usize) {
        by_form!(&self.engine, engine => (&engine.plan.nodes[0].shape, engine.plan.nodes[0].size()))
    }

    /// Scores of the last run or push; over no macro-steps before the first, and after one that
    /// failed or was refused.
    pub fn scores(&self) -> Scores<'_> {
        let sums = match &self.engine {
            ByForm::Grid(engine) => i32::sums(&engine.sums),
            ByForm::Real(engine) => f32::sums(&engine.sums),
        };
        Scores { sums, steps: self.steps, head: &self.head }
    }

    /// The sums of a network of form `grid`.
    ///
    /// # Errors
    /// The network is of form `events`.
    pub(super) fn integer_sums(&self) -> Result<&[i64]> {
        match &self.engine {
            ByForm::Grid(engine) => Ok(&engine.sums),
            ByForm::Real(_) => Err(Error::Refused {
                node: "model".into(),
                reason:
                    "runs end early by integer sums, which are the same on every machine; convert \
                     the model to the grid"
                        .into(),
            }),
        }
    }
}
