//! Early exit: a run stops after the first macro-step at which the confidence rule holds.

pub(crate) mod trajectories;

use crate::deploy::run::engine::Clock;
use crate::deploy::session::Session;
use crate::pixels::{Pixels, checked};
use crate::scores::Scores;
use snn_ir::{Readout, Result};

/// When a run ends early: after macro-step t if `Σ_{τ≤t} J[τ]` of the first class exceeds that of
/// the second by at least `margin · t`. With a head that reads out the last macro-step it ends if
/// `J[t]` does so by `margin`, with one of maxima if `max_{τ≤t} J[τ]` does.
///
/// All of these are integers, so every machine ends at the same step. The margin is in units of the
/// logits of a macro-step; [`Trajectories`](crate::deploy::Trajectories) finds one on
/// held-out images, since no margin is right for every network. [`Session::run`] never ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// The mean lead of the first class. A network of one class has no second, and never ends
    /// early.
    pub margin: i64,
}

impl Confidence {
    /// Never sure: all macro-steps run.
    pub const NEVER: Self = Self { margin: i64::MAX };

    /// `true` if a lead of sums over `steps` macro-steps is enough; 1 for heads that do not sum.
    pub fn holds(self, lead: Option<i64>, steps: usize) -> bool {
        lead.is_some_and(|lead| i128::from(lead) >= i128::from(self.margin) * steps as i128)
    }
}

/// Result of a run that may end early.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exit<'s> {
    /// Sums of the head over the macro-steps that ran: those of the same network with that T.
    pub scores: Scores<'s>,
    /// How many ran.
    pub steps: usize,
}

impl Session {
    /// Runs one image until the network is sure, at most T macro-steps. A macro-step then runs
    /// through all layers before the next one begins; [`Session::run`] is faster where nothing ends
    /// early. With several threads they share each macro-step.
    ///
    /// # Errors
    /// There are not as many pixels as the model takes, the model is not on the grid, or its
    /// encoder makes no frames of images.
    pub fn run_until<P: Pixels>(&mut self, image: P, confidence: Confidence) -> Result<Exit<'_>> {
        self.steps = 0;
        let pixels = checked(&image, None, self.input().0)?;
        let readout = self.readout();
        let steps = self.step_by_step(&pixels, |steps, sums| {
            confidence.holds(lead(sums), summed(readout, steps))
        })?;
        Ok(Exit { scores: self.scores(), steps })
    }

    /// Shows an image macro-step by macro-step until `done` says so, which is told how many have
    /// run and the sums so far; the number that ran.
    pub(super) fn step_by_step(
        &mut self,
        pixels: &[u8],
        mut done: impl FnMut(usize, &[i64]) -> bool,
    ) -> Result<usize> {
        self.integer_sums()?;
        let encoded = self.encoded(pixels)?;
        let clock = Clock { steps: 1, frames: encoded.is_some() };
        let mut frames = encoded.iter().flat_map(|frames| frames.chunks_exact(pixels.len().max(1)));
        let mut state = self.until.take().unwrap_or_else(|| self.rest());
        state.clear();
        let (time_steps, mut ran) = (self.time_steps(), 0);
        let result = loop {
            let frame = frames.next().unwrap_or(pixels);
            if let Err(error) = self.advance(&mut state, frame, clock) {
                break Err(error);
            }
            ran += 1;
            match self.integer_sums() {
                Ok(sums) if ran == time_steps || done(ran, sums) => break Ok(ran),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        self.until = Some(state);
        result
    }
}

/// Macro-steps that a head's values are sums over, after so many.
pub(super) fn summed(readout: Readout, steps: usize) -> usize {
    match readout {
        Readout::Mean => steps,
        Readout::Last | Readout::Max => 1,
    }
}

/// By how much the largest sum exceeds the second; `None` if there is one only.
pub(super) fn lead(sums: &[i64]) -> Option<i64> {
    let (mut first, mut second) = (None, None);
    for &sum in sums {
        if first.is_none_or(|first| sum > first) {
            second = first.replace(sum);
        } else if second.is_none_or(|second| sum > second) {
            second = Some(sum);
        }
    }
    Some(first?.saturating_sub(second?))
}
