//! Benchmarks beside other libraries (`cargo xtask bench-peers`): the same work of this project and
//! of its peers in turn, on one machine, as one table.
//!
//! Exit codes: 0 it worked, 2 wrong usage or a failure.

#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command-line program that reports its progress and prints its results"
)]

mod data;
mod infer;
mod machine;
mod project;
mod side;
mod train;

use std::{env, ffi::OsString, path::Path, process::ExitCode};

use anyhow::Result;
use fs_err as fs;
use serde_json::Value;
use sha2::{Digest, Sha256};

const USAGE: &str = "\
usage: cargo xtask bench-peers COMPARISON

  train [--json] [--device cuda:N]
                    training steps beside SpikingJelly, in turn; writes
                    docs/results/peers/train-KIND.{json,md}, with the widest instructions
                    of the processor, or gpu, for KIND
  infer [--json] [--quick] [--work R18|R20] [--data DIR] [--run WORK=DIR]
                    inference of trained networks beside SpikingJelly and dense networks, in
                    turn, on images of CIFAR-100; writes docs/results/peers/infer-KIND.{json,md}.
                    --quick: one brief turn, nothing written; --run: a trained run, otherwise
                    one in the cache, trained by configs/peers where it is missing
  data [--json]     reading and augmenting beside SpikingJelly, tonic and torchvision; writes
                    docs/results/peers/data.{json,md}

environment
  SNN_RECORDINGS    a folder with dvs/moving-dark-box.aedat and imagenet-sample/val/, which
                    data reads
  SNN_PEERS_PYTHON  use this Python, which has the peers, instead of a virtual environment in
                    the cache
";

const EXIT_FAILED: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let (comparison, rest) = match arguments.split_first() {
        Some((comparison, rest)) => (comparison.to_str(), rest),
        None => (None, arguments.as_slice()),
    };
    let result = match comparison {
        Some("data") => data::run(rest),
        Some("infer") => infer::run(rest),
        Some("train") => train::run(rest),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    result.unwrap_or_else(|error| {
        let lines: Vec<String> = error.chain().map(ToString::to_string).collect();
        eprintln!("error: {}", lines.join("\n  because: "));
        ExitCode::from(EXIT_FAILED)
    })
}

/// Writes `docs/results/peers/NAME.{json,md}`, and prints the table or the JSON.
fn finish(root: &Path, name: &str, report: &Value, table: &str, json: bool) -> Result<ExitCode> {
    let folder = root.join("docs/results/peers");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.json")), text(report)?)?;
    let table = wrapped(table);
    fs::write(folder.join(format!("{name}.md")), &table)?;
    print(report, &table, json)
}

/// Prose in lines of at most 100 columns, tables and blocks of code as they are.
fn wrapped(text: &str) -> String {
    const COLUMNS: usize = 100;
    let mut lines: Vec<String> = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if in_code || line.starts_with(['|', '#', '`']) || line.is_empty() {
            lines.push(line.to_owned());
            continue;
        }
        let mut current = String::new();
        for word in line.split(' ') {
            let (have, more) = (current.chars().count(), word.chars().count());
            if have > 0 && have + 1 + more > COLUMNS {
                lines.push(std::mem::take(&mut current));
            } else if have > 0 {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines.join("\n") + "\n"
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

/// The widest instructions of a machine, for names of files: figures of different kinds of
/// processors stand side by side.
fn kind(machine: &Value) -> &str {
    machine["instruction_set"].as_str().unwrap_or("unknown")
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
    use super::{median, paired, wrapped};

    #[test]
    fn a_slow_round_is_slow_for_both() {
        assert!((paired(&[5.0, 1.0, 2.0], &[10.0, 2.0, 8.0]) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn prose_is_wrapped_and_tables_are_not() {
        let row = format!("| {} |", "long ".repeat(30));
        let code = format!("```text\n{}\n```", "x ".repeat(80).trim_end());
        let text = format!("{}\n\n{row}\n{code}\n", "word ".repeat(50).trim_end());
        let found = wrapped(&text);
        assert!(found.ends_with(&format!("\n\n{row}\n{code}\n")), "{found}");
        assert!(found.lines().take(3).all(|line| line.len() <= 100), "{found}");
        assert_eq!(found.split_whitespace().count(), text.split_whitespace().count());
    }

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(&[5.0, 1.0]) - 3.0).abs() < 1e-12);
        assert!((median(&[5.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }
}
