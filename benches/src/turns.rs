//! How a side of a comparison is asked: it says in a line of JSON that it is ready, and answers
//! each line `WHAT SECONDS` with what it measured in a turn of about that length.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

/// Says that this side is ready, and answers until its input ends.
///
/// # Errors
/// A line that asks for nothing, or what measuring reports.
pub fn answer(
    ready: &Value,
    mut measure: impl FnMut(&str, Duration) -> Result<Value>,
) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{ready}")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, budget) =
            line.split_once(' ').with_context(|| format!("wants WHAT SECONDS, found `{line}`"))?;
        writeln!(output, "{}", measure(what, Duration::try_from_secs_f64(budget.parse()?)?)?)?;
        output.flush()?;
    }
    Ok(())
}

/// Seconds of each step: one or more, and as many as begin within the budget.
///
/// # Errors
/// What a step reports.
pub fn turn(budget: Duration, mut step: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let (start, mut seconds) = (Instant::now(), Vec::new());
    while seconds.is_empty() || start.elapsed() < budget {
        let begun = Instant::now();
        step()?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// The middle of some values, the upper one of two; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
