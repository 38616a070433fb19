//! Where the time of a run goes.

use crate::run::checkpoint::Position;
use std::time::Instant;

/// Adds the time since it was last asked to a position.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Time that counts as training.
    pub(crate) fn training(&mut self, position: &mut Position) {
        position.epoch_seconds += self.other(position);
    }

    /// Time that does not.
    pub(crate) fn other(&mut self, position: &mut Position) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        position.seconds += seconds;
        seconds
    }
}
