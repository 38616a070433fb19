//! Progress on stderr: a bar in a terminal, elsewhere a line a minute; and a line at the end.

use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Between two lines where no bar is seen: rare enough for a log, often enough to see that
/// something happens.
const EVERY: Duration = Duration::from_mins(1);

/// Says when the next line is due.
pub(crate) struct Minutes {
    last: Instant,
}

impl Minutes {
    /// The first line is due a minute after `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: now }
    }

    /// `true` if a minute has passed since the last line; the next is then due a minute after
    /// `now`.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let due = now.duration_since(self.last) >= EVERY;
        if due {
            self.last = now;
        }
        due
    }
}

/// A bar over a known number of things.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: String,
    begin: Instant,
    minutes: Minutes,
}

impl Progress {
    /// Begins; `what` is a verb phrase such as "verifying".
    pub(crate) fn new(what: impl Into<String>, total: usize, unit: &str) -> Self {
        let what = what.into();
        let bar = ProgressBar::new(total as u64);
        let template = format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(what.clone());
        let begin = Instant::now();
        Self { bar, what, begin, minutes: Minutes::new(begin) }
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, count: usize) {
        self.bar.inc(count as u64);
        if self.bar.is_hidden() && self.minutes.due(Instant::now()) {
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            output::tell(format_args!("{}: {done} of {total}", self.what));
        }
    }

    /// Ends with one line.
    pub(crate) fn finish(self) {
        let count = self.bar.position();
        self.bar.finish_and_clear();
        output::tell(format_args!(
            "{}: {count} in {:.1} s",
            self.what,
            self.begin.elapsed().as_secs_f64()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::{EVERY, Minutes};
    use std::time::{Duration, Instant};

    #[test]
    fn a_line_is_due_once_a_minute() {
        let begin = Instant::now();
        let mut minutes = Minutes::new(begin);
        let less = Duration::from_secs(59);
        assert!(!minutes.due(begin) && !minutes.due(begin + less));
        assert!(minutes.due(begin + EVERY) && !minutes.due(begin + EVERY));
        // A step that takes minutes is followed by one line and not by several.
        assert!(minutes.due(begin + 5 * EVERY) && !minutes.due(begin + 5 * EVERY + less));
    }
}
