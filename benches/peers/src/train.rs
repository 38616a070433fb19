//! `cargo xtask bench-peers train`: training steps of this project and of SpikingJelly in turn, on
//! one machine, as one table.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{finish, footer, machine, median, paired, project, side::Side};

const BATCH: usize = 64;
const THREADS: usize = 2;
/// Macro-steps of the main work.
const MAIN: usize = 4;
/// Turns of each side at the main work, and at other macro-steps.
const ROUNDS: [usize; 2] = [9, 3];
/// The least length of a turn.
const TURN_SECONDS: f64 = 4.0;

impl Program {
    /// Whether libtorch's convolutions in bf16 take part. Without instructions for them a step
    /// takes a minute: there is nothing to learn from waiting. Ours computes in f32 there.
    fn wants_bf16(self) -> bool {
        match self {
            Program::Ours(_) => false,
            Program::Peer(setting) => setting.contains("bf16"),
            Program::Convolutions(precision) => precision == "bf16",
        }
    }
}

/// Who takes steps, and at which T.
#[derive(Debug, Clone, Copy)]
struct Entry {
    name: &'static str,
    program: Program,
    time_steps: &'static [usize],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// `train-step` with a work and a precision.
    Ours([&'static str; 2]),
    /// `train_spikingjelly.py` with a setting.
    Peer(&'static str),
    /// The convolutions alone, in a precision.
    Convolutions(&'static str),
}

/// Convolutions stand beside our steps, of which they are a bound: a machine is seldom as fast a
/// minute later.
const ENTRIES: [Entry; 11] = [
    Entry { name: "ours, f32", program: Program::Ours(["lif", "f32"]), time_steps: &[2, 4, 8] },
    Entry {
        name: "convolutions alone, f32",
        program: Program::Convolutions("f32"),
        time_steps: &[2, 4, 8],
    },
    Entry {
        name: "SpikingJelly, as used",
        program: Program::Peer("default"),
        time_steps: &[2, 4, 8],
    },
    Entry {
        name: "SpikingJelly, channels last",
        program: Program::Peer("channels_last"),
        time_steps: &[2, 4, 8],
    },
    Entry {
        name: "SpikingJelly, channels last, compiled",
        program: Program::Peer("channels_last+compile"),
        time_steps: &[4],
    },
    Entry {
        name: "ours, f32, recompute",
        program: Program::Ours(["recompute", "f32"]),
        time_steps: &[2, 4, 8],
    },
    Entry { name: "ours, bf16", program: Program::Ours(["lif", "bf16"]), time_steps: &[4] },
    Entry {
        name: "convolutions alone, bf16",
        program: Program::Convolutions("bf16"),
        time_steps: &[4],
    },
    Entry { name: "SpikingJelly, bf16", program: Program::Peer("bf16"), time_steps: &[4] },
    Entry {
        name: "SpikingJelly, bf16, channels last",
        program: Program::Peer("channels_last+bf16"),
        time_steps: &[4],
    },
    Entry {
        name: "SpikingJelly, bf16, channels last, compiled",
        program: Program::Peer("channels_last+bf16+compile"),
        time_steps: &[4],
    },
];

/// What was found of one side at one T.
#[derive(Debug)]
struct Row {
    entry: Entry,
    time_steps: usize,
    /// The median of each turn.
    images_per_second: Vec<f64>,
    peak_mib: f64,
}

impl Row {
    /// Of all turns.
    fn speed(&self) -> f64 {
        median(&self.images_per_second)
    }

    /// How many times as fast as another side, by round.
    fn times(&self, other: &Row) -> f64 {
        paired(&self.images_per_second, &other.images_per_second)
    }
}

/// Runs the benchmark, writes `docs/results/peers/train.{json,md}`, and prints the table or, with
/// `--json`, the JSON.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let json = match arguments {
        [] => false,
        [flag] if flag == "--json" => true,
        other => bail!("`bench-peers train` takes --json and nothing else, found {other:?}"),
    };
    let root = project::root()?;
    let python = machine::python(&root)?;
    // Built before anything is measured.
    let build =
        ["build", "--quiet", "--release", "--package", "snn-benches", "--bin", "train-step"];
    project::cargo(&build)?;
    let machine = machine::describe(&root, &python, &["torch", "spikingjelly"])?;
    let has_bf16 = machine["bf16"] == "yes";
    let mut rows: Vec<Row> = Vec::new();
    for time_steps in [MAIN, 2, 8] {
        let here = |entry: &&Entry| {
            entry.time_steps.contains(&time_steps) && (has_bf16 || !entry.program.wants_bf16())
        };
        let start = |entry: &Entry| {
            eprintln!("T = {time_steps}: {} starts", entry.name);
            let (side, _) =
                Side::start(entry.name, &mut command(&root, &python, entry.program, time_steps)?)?;
            Ok((side, Row { entry: *entry, time_steps, images_per_second: vec![], peak_mib: 0.0 }))
        };
        let sides = ENTRIES.iter().filter(here).map(start).collect::<Result<Vec<_>>>()?;
        let (mut sides, mut found): (Vec<_>, Vec<_>) = sides.into_iter().unzip();
        let rounds = if time_steps == MAIN { ROUNDS[0] } else { ROUNDS[1] };
        for round in 0..rounds {
            eprintln!("T = {time_steps}: round {} of {rounds}", round + 1);
            for (side, row) in sides.iter_mut().zip(&mut found) {
                take_turn(side, row)?;
            }
        }
        rows.append(&mut found);
    }
    let report = report(&rows, &machine)?;
    finish(&root, "train", &report, &table(&rows, &report), json)
}

fn take_turn(side: &mut Side, row: &mut Row) -> Result<()> {
    let answer = side.ask(&format!("step {TURN_SECONDS}"))?;
    let seconds: Option<Vec<f64>> = answer["seconds"]
        .as_array()
        .map(|values| values.iter().filter_map(Value::as_f64).collect());
    let seconds = median(&seconds.unwrap_or_default());
    ensure!(seconds > 0.0, "{}: no seconds in {answer}", row.entry.name);
    row.images_per_second.push(BATCH as f64 / seconds);
    let peak = answer["peak_mib"]
        .as_f64()
        .with_context(|| format!("{}: no peak in {answer}", row.entry.name))?;
    row.peak_mib = row.peak_mib.max(peak);
    Ok(())
}

fn command(root: &Path, python: &Path, program: Program, time_steps: usize) -> Result<Command> {
    let ours = |arguments: &[&str]| -> Result<Command> {
        let mut command = project::cargo_command()?;
        command.args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "snn-benches",
            "--bin",
            "train-step",
            "--",
        ]);
        command.args(arguments);
        Ok(command)
    };
    let mut command = match program {
        Program::Ours([work, precision]) => ours(&[work, precision])?,
        Program::Convolutions(precision) => ours(&["convolutions", precision])?,
        Program::Peer(setting) => {
            let mut command = Command::new(python);
            command.arg(root.join("benches/peers/train_spikingjelly.py")).arg(setting);
            command
        }
    };
    command.args([time_steps, BATCH, THREADS].map(|number| number.to_string())).current_dir(root);
    Ok(command)
}

fn report(rows: &[Row], machine: &Value) -> Result<Value> {
    // The fastest of some sides at the main work.
    let fastest = |wanted: &dyn Fn(Program) -> bool| {
        let here = rows.iter().filter(|row| row.time_steps == MAIN && wanted(row.entry.program));
        here.max_by(|a, b| a.speed().total_cmp(&b.speed())).context("a side was not measured")
    };
    let works =
        |precision: &'static str| move |program| program == Program::Ours(["lif", precision]);
    let has_bf16 = machine["bf16"] == "yes";
    let ours = fastest(&|program| works("f32")(program) || (has_bf16 && works("bf16")(program)))?;
    let precision = if works("bf16")(ours.entry.program) { "bf16" } else { "f32" };
    let bound = fastest(&|program| program == Program::Convolutions(precision))?;
    let default = fastest(&|program| program == Program::Peer("default"))?;
    let best = fastest(&|program| matches!(program, Program::Peer(_)))?;
    let ratios = json!({ "vs_default": ours.times(default), "vs_best": ours.times(best) });
    let share = ours.times(bound);
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.entry.name, "time_steps": row.time_steps,
                "images_per_second": row.speed(),
                "turns": row.images_per_second, "peak_mib": row.peak_mib,
            })
        })
        .collect();
    Ok(json!({
        "work": { "network": "ResNet-20", "batch": BATCH, "threads": THREADS, "time_steps": MAIN },
        "ratios": ratios,
        "conv_bound_share": share,
        "precision": precision,
        "rows": rows,
        "machine": machine,
    }))
}

fn table(rows: &[Row], report: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let mut lines = vec![
        "# Training steps beside SpikingJelly\n".to_owned(),
        format!(
            "ResNet-20 (16-32-64 channels), LIF, 32 x 32 images, batch {BATCH}, {THREADS} threads: \
             forward, loss, backward, SGD. Sides take turns of {TURN_SECONDS} seconds; images a \
             second, the median of the turns, and between their least and most. \
             Memory is the peak of the resident set less what was resident when the model was \
             built.\n"
        ),
        "| side | T | images/s | least–most | peak memory, MiB |".to_owned(),
        "|---|--:|--:|:-:|--:|".to_owned(),
    ];
    for row in rows {
        let Row { entry: Entry { name, .. }, time_steps, images_per_second, peak_mib } = row;
        let least = images_per_second.iter().copied().fold(f64::INFINITY, f64::min);
        let most = images_per_second.iter().copied().fold(0.0, f64::max);
        let speed = row.speed();
        lines.push(format!(
            "| {name} | {time_steps} | {speed:.1} | {least:.1}–{most:.1} | {peak_mib:.0} |"
        ));
    }
    lines.push(format!(
        "\nAt T = {MAIN}, ours in {}: {:.2} times SpikingJelly as used, {:.2} times its best \
         setting here, {:.0} % of what the convolutions alone allow (medians over {} rounds of the \
         ratio within each).\n",
        report["precision"].as_str().unwrap_or_default(),
        number(&report["ratios"]["vs_default"]),
        number(&report["ratios"]["vs_best"]),
        100.0 * number(&report["conv_bound_share"]),
        ROUNDS[0],
    ));
    if report["machine"]["bf16"] != "yes" {
        lines.push(
            "This processor has no bf16 instructions: SpikingJelly in bf16 and convolutions in \
             bf16 were not measured, and ours computed in f32 on rounded values.\n"
                .to_owned(),
        );
    }
    lines.push(footer("cargo xtask bench-peers train", &report["machine"]));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(speeds: &[(&str, f64)]) -> Vec<Row> {
        let row = |&(name, speed): &(&str, f64)| {
            let entry = *ENTRIES.iter().find(|entry| entry.name == name).expect("a side");
            Row { entry, time_steps: MAIN, images_per_second: vec![speed, speed], peak_mib: 1.0 }
        };
        speeds.iter().map(row).collect()
    }

    #[test]
    fn ratios_are_of_the_faster_precision_and_the_bound_of_the_same() -> Result<()> {
        let mut speeds = vec![
            ("ours, f32", 100.0),
            ("ours, bf16", 250.0),
            ("SpikingJelly, as used", 50.0),
            ("SpikingJelly, bf16", 125.0),
            ("convolutions alone, f32", 130.0),
            ("convolutions alone, bf16", 500.0),
        ];
        let machine = json!({ "bf16": "yes" });
        let report = report(&rows(&speeds), &machine)?;
        assert_eq!(report["ratios"], json!({ "vs_default": 5.0, "vs_best": 2.0 }));
        assert_eq!(
            (&report["conv_bound_share"], &report["precision"]),
            (&json!(0.5), &json!("bf16"))
        );
        speeds.remove(2);
        assert!(super::report(&rows(&speeds), &machine).is_err(), "a side was not measured");
        Ok(())
    }
}
