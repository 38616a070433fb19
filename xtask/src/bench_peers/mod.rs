//! `cargo xtask bench-peers`: the same work of this project and of its peers in turn, on one
//! machine, as one table.

mod data;
mod infer;
mod machine;
mod side;
mod train;

use std::{ffi::OsString, path::Path, process::ExitCode};

use anyhow::Result;
use fs_err as fs;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Runs one comparison by its name; `None` where there is no such comparison.
pub(crate) fn run(what: &str, arguments: &[OsString]) -> Option<Result<ExitCode>> {
    match what {
        "data" => Some(data::run(arguments)),
        "infer" => Some(infer::run(arguments)),
        "train" => Some(train::run(arguments)),
        _ => None,
    }
}

/// Writes `docs/results/peers/NAME.{json,md}`, and prints the table or the JSON.
fn finish(root: &Path, name: &str, report: &Value, table: &str, json: bool) -> Result<ExitCode> {
    let folder = root.join("docs/results/peers");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.json")), text(report)?)?;
    fs::write(folder.join(format!("{name}.md")), table)?;
    print(report, table, json)
}

/// Prints the table or the JSON.
fn print(report: &Value, table: &str, json: bool) -> Result<ExitCode> {
    if json {
        print!("{}", text(report)?);
    } else {
        print!("{table}");
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

/// What stands below a table: how it was made.
fn footer(command: &str, machine: &Value) -> String {
    let said = |key: &str| machine[key].as_str().unwrap_or("unknown");
    let (processor, bf16, load) = (said("processor"), said("bf16"), said("load"));
    [
        "```text".to_owned(),
        format!("command   {command}"),
        format!("commit    {}", said("commit")),
        format!("machine   {processor}; bf16 instructions: {bf16}; load when it began: {load}"),
        format!("versions  {}", said("versions")),
        format!("date      {}", said("date")),
        "```\n".to_owned(),
    ]
    .join("\n")
}

/// Twelve digits that change when a file does, for the name of what is made from it.
fn digest(file: &Path) -> Result<String> {
    let digest = Sha256::digest(fs::read(file)?);
    let digits: Vec<String> = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(digits.concat())
}

/// How many times as large as others some values are: the median over the rounds, within each of
/// which both sides had their turn under the same conditions.
fn paired(ours: &[f64], theirs: &[f64]) -> f64 {
    median(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// The middle of some values, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::{median, paired};

    #[test]
    fn a_slow_round_is_slow_for_both() {
        assert!((paired(&[5.0, 1.0, 2.0], &[10.0, 2.0, 8.0]) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(&[5.0, 1.0]) - 3.0).abs() < 1e-12);
        assert!((median(&[5.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }
}
