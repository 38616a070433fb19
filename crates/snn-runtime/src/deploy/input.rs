//! Inputs that are not pixels: real values, and events of a camera.
//!
//! On the grid an input is an integer: eq. 1 takes bytes, and the proof is about them. Other inputs
//! are made bytes by a rule that is said, never silently: a network on the grid has no other
//! values, and its file no deviation that normalised values could be undone with.

use super::session::{Session, State};
use crate::scores::Scores;
use snn_ir::{Error, Result};
use std::num::NonZeroU64;

/// Scale of real-valued input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scale {
    /// 0 to 1, as pictures of floating-point libraries: pixel `⌊255·x + ½⌋`. A picture that was
    /// made from bytes comes back exactly.
    Unit,
    /// 0 to 255: pixel `⌊x + ½⌋`.
    Pixel,
}

impl Scale {
    /// The largest value.
    pub fn max(self) -> f32 {
        match self {
            Self::Unit => 1.0,
            Self::Pixel => 255.0,
        }
    }

    /// Rounds values to pixels, in exact arithmetic.
    ///
    /// # Errors
    /// [`Error::Input`] if the lengths differ; [`Error::InputValue`] for the first value that is
    /// NaN, below 0 or above [`Scale::max`]: it has no pixel, and most often the picture was
    /// normalised, which a model does itself.
    pub fn quantise(self, values: &[f32], pixels: &mut [u8]) -> Result<()> {
        if values.len() != pixels.len() {
            return Err(Error::Input {
                expected: format!("{} values", pixels.len()),
                found: vec![values.len()],
            });
        }
        let (max, factor) = (self.max(), 255.0 / f64::from(self.max()));
        for (index, (value, pixel)) in values.iter().zip(pixels).enumerate() {
            if !(0.0..=max).contains(value) {
                let expected =
                    format!("0 to {max} (not normalised: the model subtracts its mean itself)");
                return Err(Error::InputValue { index, expected, found: value.to_string() });
            }
            *pixel = round(factor * f64::from(*value));
        }
        Ok(())
    }
}

/// The nearest byte to a value from 0 to 255, the higher of two; the product that it is asked of
/// has at most 32 bits, and so is exact.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn round(value: f64) -> u8 {
    (value + 0.5) as u8
}

/// One event of a camera: the light at a pixel changed by a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    /// Time in µs.
    pub t: i64,
    /// Column, from the left.
    pub x: u16,
    /// Row, from the top.
    pub y: u16,
    /// `true` if it became brighter (ON).
    pub polarity: bool,
}

/// Counts events: `pixels[p, y, x]` is the number of events with polarity p (0: OFF, 1: ON) at (x,
/// y), at most 255, for a network whose input is `[2, H, W]`.
///
/// # Errors
/// [`Error::Input`] if `shape` is not `[2, H, W]` or `pixels` is not of that size;
/// [`Error::InputValue`] for the first event outside the sensor.
pub fn count_events(events: &[Event], shape: &[usize], pixels: &mut [u8]) -> Result<()> {
    let &[2, height, width] = shape else {
        let expected = "a model with an input of [2, height, width] (OFF, ON) for events".into();
        return Err(Error::Input { expected, found: shape.to_vec() });
    };
    if pixels.len() != 2 * height * width {
        return Err(Error::Input { expected: format!("{shape:?}"), found: vec![pixels.len()] });
    }
    pixels.fill(0);
    for (index, event) in events.iter().enumerate() {
        let (x, y) = (usize::from(event.x), usize::from(event.y));
        if x >= width || y >= height {
            let expected = format!("an event with x below {width} and y below {height}");
            return Err(Error::InputValue { index, expected, found: format!("x {x}, y {y}") });
        }
        let count = &mut pixels[(usize::from(event.polarity) * height + y) * width + x];
        *count = count.saturating_add(1);
    }
    Ok(())
}

/// Cuts events into windows of equal duration, from the time of the first on; empty ones count.
/// Within a window events may stand in any order. For windows of equal numbers of events take
/// `chunks`.
///
/// ```
/// use snn_runtime::deploy::{Event, windows};
/// let at = |t| Event { t, x: 0, y: 0, polarity: true };
/// let events = [at(100), at(109), at(135), at(130)];
/// let lengths: Vec<_> = windows(&events, 10.try_into()?)?.map(<[_]>::len).collect();
/// assert_eq!(lengths, [2, 0, 0, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// An event is of an earlier window than one before it.
pub fn windows(events: &[Event], micros: NonZeroU64) -> Result<impl Iterator<Item = &[Event]>> {
    let first = events.first().map_or(0, |event| i128::from(event.t));
    let mut begin = first;
    for (index, event) in events.iter().enumerate() {
        let t = i128::from(event.t);
        if t < begin {
            let expected = format!(
                "an event at {begin} µs or later, where the window of the one before it begins \
                 (sort events by time)"
            );
            return Err(Error::InputValue { index, expected, found: format!("one at {t} µs") });
        }
        begin = t - (t - begin) % i128::from(micros.get());
    }
    let (mut rest, mut end) = (events, first);
    Ok(std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        end += i128::from(micros.get());
        let count = rest.iter().position(|event| i128::from(event.t) >= end).unwrap_or(rest.len());
        let (window, later) = rest.split_at(count);
        rest = later;
        Some(window)
    }))
}

impl Session {
    /// [`Session::run`] on real values, in C, H, W order.
    ///
    /// # Errors
    /// As [`Scale::quantise`].
    pub fn run_real(&mut self, values: &[f32], scale: Scale) -> Result<Scores<'_>> {
        self.with_frames(1, |pixels, _| scale.quantise(values, pixels), Self::run_only)?;
        Ok(self.scores())
    }

    /// [`Session::push`] of real values, in C, H, W order.
    ///
    /// # Errors
    /// As [`Scale::quantise`] and [`Session::push`]; the state is then as it was.
    pub fn push_real(
        &mut self,
        state: &mut State,
        values: &[f32],
        scale: Scale,
    ) -> Result<Scores<'_>> {
        let fill = |pixels: &mut [u8], _: &[usize]| scale.quantise(values, pixels);
        self.with_frames(1, fill, |session, pixels| session.push(state, pixels).map(drop))?;
        Ok(self.scores())
    }

    /// Runs one recording, cut into as many slices as the model has macro-steps: the events of a
    /// slice are counted ([`count_events`]) and are the frame of one macro-step.
    ///
    /// ```no_run
    /// # use snn_runtime::Deployment;
    /// # use snn_runtime::deploy::{Event, windows};
    /// # let events: Vec<Event> = vec![];
    /// let mut session = Deployment::load("gesture.safetensors")?.session();
    /// let slices: Vec<&[Event]> = windows(&events, 20_000.try_into()?)?.collect();
    /// let class = session.run_events(&slices)?.argmax();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There are not T slices; as [`count_events`].
    pub fn run_events(&mut self, slices: &[&[Event]]) -> Result<Scores<'_>> {
        self.steps = 0;
        let steps = self.time_steps();
        if slices.len() != steps {
            return Err(Error::Input {
                expected: format!("{steps} slices of events"),
                found: vec![slices.len()],
            });
        }
        let fill = |pixels: &mut [u8], shape: &[usize]| {
            let frames = pixels.chunks_exact_mut(shape.iter().product::<usize>().max(1));
            slices
                .iter()
                .zip(frames)
                .try_for_each(|(events, frame)| count_events(events, shape, frame))
        };
        self.with_frames(steps, fill, |session, frames| session.run_frames(frames).map(drop))?;
        Ok(self.scores())
    }

    /// One macro-step of a stream of events: those since the last push, however the caller cut
    /// them, are counted ([`count_events`]) and are its frame.
    ///
    /// # Errors
    /// As [`count_events`] and [`Session::push`]; the state is then as it was.
    pub fn push_events(&mut self, state: &mut State, events: &[Event]) -> Result<Scores<'_>> {
        let fill = |pixels: &mut [u8], shape: &[usize]| count_events(events, shape, pixels);
        self.with_frames(1, fill, |session, frame| session.push(state, frame).map(drop))?;
        Ok(self.scores())
    }

    fn run_only(&mut self, pixels: &[u8]) -> Result<()> {
        self.run(pixels).map(drop)
    }

    /// Fills the buffer of frames, which is made at the first use, and runs it.
    fn with_frames(
        &mut self,
        count: usize,
        fill: impl FnOnce(&mut [u8], &[usize]) -> Result<()>,
        run: impl FnOnce(&mut Self, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.steps = 0;
        let mut frames = std::mem::take(&mut self.frames);
        let (shape, size) = self.input();
        let length = count * size;
        if frames.len() < length {
            frames.resize(length, 0);
        }
        let filled = fill(&mut frames[..length], shape);
        let ran = filled.and_then(|()| run(self, &frames[..length]));
        self.frames = frames;
        ran
    }
}
