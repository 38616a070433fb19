//! One recording of an event camera: whole, or frame by frame as its events arrive.

use super::image::{What, answer};
use crate::cli::Infer;
use crate::cli::data::{InferRecording, SlicingName};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::tuning;
use anyhow::{Context, Result, bail, ensure};
use ndarray::Axis;
use serde::Serialize;
use snn_data::recordings::events::{EventReader, Events, ReadOptions, SensorSize};
use snn_data::recordings::frames::{self, Frame, FrameStream, Slicing, Window};
use snn_data::{DatasetName, Form, SampleMut, SampleShape};
use snn_ir::{Encoder, Framing, Input, Model, Op, SliceBy};
use snn_runtime::deploy::{Deployment, Session, State};
use snn_train::RunConfig;
use std::path::Path;

/// The name of stdin.
const STDIN: &str = "-";
/// Logits that are printed for people, the largest first.
const BEST: usize = 5;

/// One line of a stream.
#[derive(Serialize)]
struct Step<'a> {
    /// Number of the frame in the stream.
    frame: u64,
    /// Frames since the network was at rest, which the logits are over.
    since_rest: u64,
    from_us: i64,
    until_us: i64,
    events: usize,
    class: usize,
    name: Option<&'a String>,
    logits: Vec<f64>,
}

/// What a recording and its frames must be for a model.
struct Demand<'a> {
    arguments: &'a InferRecording,
    path: &'a Path,
    framing: Framing,
    /// `[2, H, W]`, the size of the frames.
    size: SensorSize,
    time_steps: usize,
}

/// Classifies a recording.
pub(crate) fn classify(
    model: &Model,
    path: &Path,
    run: Option<&RunConfig>,
    arguments: &Infer,
    json: bool,
) -> Result<Outcome> {
    let demand = Demand::new(model, path, run, &arguments.recording)?;
    if arguments.recording.stream {
        return demand.stream(model, json);
    }
    let mut reader = demand.open()?;
    let events = demand.upright(reader.read_all()?);
    tell_damage(path, &reader);
    let framing = frames::Framing { slicing: demand.slicing(), size: Some(demand.size) };
    let [height, width] = [demand.size.height, demand.size.width].map(usize::from);
    let shape = SampleShape::Frames([demand.time_steps, 2, height, width]);
    let mut frames = vec![0; shape.bytes()];
    let mut sample = SampleMut::from_bytes(shape, &mut frames)?;
    framing.write(&events, &mut sample).with_context(|| path.display().to_string())?;
    let frames = sample.view().insert_axis(Axis(1)).into_dyn();
    let input = Input::Frames(frames);
    answer(model, What::Recording(path), &input, arguments.counts, json)
}

impl<'a> Demand<'a> {
    fn new(
        model: &Model,
        path: &'a Path,
        run: Option<&RunConfig>,
        arguments: &'a InferRecording,
    ) -> Result<Self> {
        let Some(Op::Input { shape }) = model.graph().nodes.first().map(|node| &node.op) else {
            bail!("the model has no input");
        };
        let (&[2, height, width], Encoder::Direct) = (shape.as_slice(), model.encoder()) else {
            bail!(
                "{}: a recording becomes frames of 2 channels (OFF, ON), and the model takes \
                 {shape:?}{}",
                path.display(),
                match model.encoder() {
                    Encoder::Direct => String::new(),
                    encoder => format!(" made by the encoder `{}`", encoder.label()),
                }
            );
        };
        let side = |side: usize| u16::try_from(side).unwrap_or(u16::MAX);
        let size = SensorSize { width: side(width), height: side(height) };
        let sensor = arguments.facts.options().size.map(|size| {
            // As pictures stand upright.
            [size.height, size.width].map(usize::from)
        });
        let known = model.framing().or_else(|| run.and_then(|run| of_run(run, size)));
        let framing = match (known, arguments.slicing) {
            (Some(framing), None) => framing,
            (Some(framing), Some(by)) => Framing { by: slice_by(by), ..framing },
            (None, Some(by)) => Framing {
                by: slice_by(by),
                sensor: sensor.unwrap_or([height, width]),
                transposed: false,
            },
            (None, None) => bail!(
                "the model does not say how recordings become frames (files that were written \
                 before this was stored do not); give --run, the run that the model is from, or \
                 --slicing"
            ),
        };
        Ok(Self { arguments, path, framing, size, time_steps: model.time_steps() })
    }

    fn slicing(&self) -> Slicing {
        let slices = self.time_steps;
        match self.framing.by {
            SliceBy::Number => Slicing::Number { slices },
            SliceBy::Time => Slicing::Time { slices },
        }
    }

    /// `true` if the recording can be read once only, and its end is not known.
    fn is_pipe(&self) -> bool {
        self.path == Path::new(STDIN) || !self.path.is_file()
    }

    /// Opens the recording, of the sensor that the model was trained on unless another is named.
    fn open(&self) -> Result<EventReader> {
        let side = |side: usize| u16::try_from(side).unwrap_or(u16::MAX);
        let [height, width] = self.framing.sensor.map(side);
        let upright = SensorSize { width, height };
        let in_file = turned(upright, self.framing.transposed);
        let given = self.arguments.facts.options();
        let given_size = given.size;
        let options = ReadOptions { default_size: Some(in_file), ..given };
        let reader = if self.path == Path::new(STDIN) {
            EventReader::new(Box::new(std::io::stdin()), Path::new("stdin"), None, options)
        } else {
            let is_folder = self.path.is_dir();
            ensure!(!is_folder, "{}: expected a file, found a folder", self.path.display());
            EventReader::open(self.path, options)
        }?;
        let found = reader.size();
        ensure!(
            found == in_file || given_size.is_some(),
            "{}: a sensor of {found}, and the model was trained on recordings of {in_file}; give \
             --size {found} to run it nevertheless",
            self.path.display()
        );
        let smaller = turned(found, self.framing.transposed);
        ensure!(
            self.size.width <= smaller.width && self.size.height <= smaller.height,
            "{}: a sensor of {found}, and the frames of the model are {}",
            self.path.display(),
            self.size
        );
        Ok(reader)
    }

    fn upright(&self, events: Events) -> Events {
        if self.framing.transposed { events.transposed() } else { events }
    }

    /// Runs frame by frame.
    fn stream(&self, model: &Model, json: bool) -> Result<Outcome> {
        let windows = (self.arguments.window_us, self.arguments.window_events);
        let window = match windows {
            (Some(micros), _) => Some(Window::Micros(micros.get())),
            (None, Some(events)) => Some(Window::Events(events.get())),
            (None, None) if self.is_pipe() => bail!(
                "{}: a pipe does not say before its end how long it is; give --window-us or \
                 --window-events, the time or the number of events of a frame",
                self.path.display()
            ),
            (None, None) => None,
        };
        // Before a pipe is opened, which waits for its writer.
        let mut session = Deployment::new(model, &tuning::options()?)?.session();
        let whole = window.is_none().then(|| self.length()).transpose()?;
        let mut reader = self.open()?;
        let sensor = turned(reader.size(), self.framing.transposed);
        let mut stream = match (window, whole) {
            (Some(window), _) => FrameStream::new(sensor, Some(self.size), window)?,
            (None, whole) => self.frames_of(sensor, whole)?,
        };
        let restart = self.arguments.restart_after.unwrap_or(self.time_steps as u64);
        if !json {
            output::line("     ms  events  class  logits, the largest first")?;
        }
        let mut run = Run { model, session: &mut session, state: None, restart, json };
        let mut step = |frame: Frame<'_>| run.step(&frame);
        let mut piece = Events::new(reader.size());
        while reader.read_chunk(&mut piece)? {
            let events = std::mem::replace(&mut piece, Events::new(reader.size()));
            stream.push(&self.upright(events), &mut step)?;
        }
        stream.finish(&mut step)?;
        tell_damage(self.path, &reader);
        ensure!(
            stream.frames() > 0,
            "{}: expected at least one event, found none",
            self.path.display()
        );
        Ok(Outcome::Holds)
    }

    /// Number of events and their first and last time, by reading the file once.
    fn length(&self) -> Result<Length> {
        let mut reader = self.open()?;
        let mut piece = Events::new(reader.size());
        let mut length = Length::default();
        while reader.read_chunk(&mut piece)? {
            length.events += piece.len();
            if let Some((first, last)) = piece.span() {
                let (low, high) = length.span.unwrap_or((first, last));
                length.span = Some((low.min(first), high.max(last)));
            }
            piece.clear();
        }
        Ok(length)
    }

    /// The frames of a whole recording: as many as the model has macro-steps, of equally many
    /// events or of equal duration.
    fn frames_of(&self, sensor: SensorSize, whole: Option<Length>) -> Result<FrameStream> {
        let Length { events, span } = whole.unwrap_or_default();
        let slices = self.time_steps;
        let Some((first, last)) = span.filter(|_| events >= slices) else {
            bail!(
                "{}: expected at least an event for each of the {slices} frames, found {events}",
                self.path.display()
            );
        };
        let window = match self.framing.by {
            SliceBy::Number => Window::Events(events / slices),
            SliceBy::Time => Window::Micros((last.abs_diff(first) / slices as u64).max(1)),
        };
        let stream = FrameStream::new(sensor, Some(self.size), window)?;
        Ok(stream.of_recording(slices as u64, first))
    }
}

/// Events of a recording, and their first and last time.
#[derive(Debug, Default, Clone, Copy)]
struct Length {
    events: usize,
    span: Option<(i64, i64)>,
}

/// A network that is given one frame after another.
struct Run<'r> {
    model: &'r Model,
    session: &'r mut Session,
    /// None at rest.
    state: Option<State>,
    restart: u64,
    json: bool,
}

impl Run<'_> {
    fn step(&mut self, frame: &Frame<'_>) -> Result<()> {
        let mut state = self.state.take().unwrap_or_else(|| self.session.rest());
        let scores = self.session.push(&mut state, frame.counts)?;
        let class = scores.argmax();
        let step = Step {
            frame: frame.number,
            since_rest: state.steps(),
            from_us: frame.from,
            until_us: frame.until,
            events: frame.events,
            class,
            name: self.model.classes().get(class),
            logits: scores.logits(),
        };
        if self.json {
            print_json(&step)?;
        } else {
            print(&step, self.model)?;
        }
        // The memory of the state is used again.
        if self.restart > 0 && state.steps() >= self.restart {
            state.clear();
        }
        self.state = Some(state);
        Ok(())
    }
}

fn print(step: &Step<'_>, model: &Model) -> Result<()> {
    let mut order: Vec<usize> = (0..step.logits.len()).collect();
    order.sort_by(|&a, &b| step.logits[b].total_cmp(&step.logits[a]));
    let logits = order.iter().take(BEST).map(|&class| {
        let name = model.classes().get(class).map_or_else(|| class.to_string(), String::clone);
        format!("{name} {:.3}", step.logits[class])
    });
    output::line(format_args!(
        "{:7.1} {:7}  {:5}  {}",
        step.until_us as f64 / 1e3,
        step.events,
        step.class,
        logits.collect::<Vec<_>>().join("  ")
    ))
}

/// Says what `--on-damage skip` left out.
fn tell_damage(path: &Path, reader: &EventReader) {
    if !reader.damage().is_none() {
        output::tell(format_args!("{}: left out {}", path.display(), reader.damage()));
    }
}

fn slice_by(name: SlicingName) -> SliceBy {
    match name {
        SlicingName::Time => SliceBy::Time,
        SlicingName::Number => SliceBy::Number,
    }
}

fn turned(size: SensorSize, transposed: bool) -> SensorSize {
    if transposed { SensorSize { width: size.height, height: size.width } } else { size }
}

/// The framing of a run whose model was written before it was stored.
fn of_run(run: &RunConfig, size: SensorSize) -> Option<Framing> {
    let data = &run.data;
    let spec = data.dataset.spec();
    let Form::Recordings(layout) = spec.form else { return None };
    let by = match data.frames.by {
        snn_data::SliceBy::Number => SliceBy::Number,
        snn_data::SliceBy::Time => SliceBy::Time,
    };
    let [_, height, width] = spec.image;
    let published = (data.dataset != DatasetName::RecordingFolder).then_some([height, width]);
    let given = data.frames.sensor.map(|sensor| [sensor.height, sensor.width].map(usize::from));
    let sensor = given.or(published).unwrap_or([size.height, size.width].map(usize::from));
    Some(Framing { by, sensor, transposed: layout.transposed })
}
