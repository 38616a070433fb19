//! Footer of a result: the command, the commit, the machine, the day.

use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use snn_runtime::InstructionSet;

/// A block of Markdown that says how `command` measured what stands above it.
///
/// # Errors
/// If `git` or `date` cannot be started.
pub fn footer(command: &str) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_matches([' ', '\t', ':']));
    let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Ok(format!(
        "```text\ncommand   {command}\ncommit    {}{}\nmachine   {processor} ({}), {} cores; load \
         when it ended: {}\ndate      {}\n```",
        said("git", &["rev-parse", "--short", "HEAD"])?,
        if changed { " with local changes" } else { "" },
        InstructionSet::best().label(),
        available_parallelism().map_or(1, usize::from),
        std::fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .split_whitespace()
            .next()
            .unwrap_or("unknown"),
        said("date", &["-u", "+%Y-%m-%d"])?,
    ))
}

/// Output of a program.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
