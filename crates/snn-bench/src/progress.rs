//! Progress on stderr; silent where stderr is no terminal, but for a line at the end.

use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Instant;

/// A bar over a known number of things.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: String,
    begin: Instant,
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
        Self { bar, what, begin: Instant::now() }
    }

    /// So many more are done.
    pub(crate) fn add(&self, count: usize) {
        self.bar.inc(count as u64);
    }

    /// Ends with one line.
    pub(crate) fn finish(self) {
        let count = self.bar.position();
        self.bar.finish_and_clear();
        output::tell(format_args!("{}: {count} in {:.1} s", self.what, self.begin.elapsed().as_secs_f64()));
    }
}
