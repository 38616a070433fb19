//! `cargo xtask bench-peers train`: training steps of this project and of SpikingJelly in turn, on
//! one machine, as one table; with `--device cuda:N` on a GPU.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{finish, footer, kind, machine, median, paired, project, side::Side};

const THREADS: usize = 2;
/// The least length of a turn.
const TURN_SECONDS: f64 = 4.0;

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    /// A built-in network, by its `kind` in a config.
    network: &'static str,
    time_steps: usize,
    batch: usize,
    /// Turns of each side.
    rounds: usize,
}

/// The main work, at which every setting of the peers takes part: a ResNet-20.
const MAIN: Work = Work { network: "resnet", time_steps: 4, batch: 64, rounds: 9 };

/// The works; the peers share those with several macro-steps. With one, every site is a quantised
/// ReLU, as in the first stage of a staged training.
const WORKS: [Work; 6] = [
    MAIN,
    Work { time_steps: 2, rounds: 3, ..MAIN },
    Work { time_steps: 8, rounds: 3, ..MAIN },
    Work { network: "airbench94", time_steps: 1, batch: 256, rounds: 5 },
    Work { network: "airbench96", time_steps: 1, batch: 256, rounds: 5 },
    Work { network: "resnet18", time_steps: 1, batch: 64, rounds: 5 },
];

/// The work on a GPU at which the peers take part.
const MAIN_ON_GPU: Work = Work { network: "resnet18", time_steps: 4, batch: 256, rounds: 2 };
/// The works on a GPU, some minutes in all.
const WORKS_ON_GPU: [Work; 6] = [
    MAIN_ON_GPU,
    Work { time_steps: 2, ..MAIN_ON_GPU },
    Work { time_steps: 1, ..MAIN_ON_GPU },
    Work { network: "resnet19", ..MAIN_ON_GPU },
    Work { network: "resnet19", time_steps: 2, ..MAIN_ON_GPU },
    Work { network: "resnet19", time_steps: 1, ..MAIN_ON_GPU },
];

impl Work {
    fn label(self) -> String {
        format!("{}, T = {}", self.network, self.time_steps)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// `train-step`, in a precision.
    Ours(&'static str),
    /// The same with blocks computed again, in a precision.
    Recompute(&'static str),
    /// The convolutions alone, in a precision.
    Convolutions(&'static str),
    /// `train_spikingjelly.py` with a setting.
    Peer(&'static str),
}

impl Program {
    /// Whether it has a place at a work, on a processor that multiplies bf16 or not: without
    /// instructions for them libtorch's steps in bf16 take a minute, and there is nothing to learn
    /// from waiting; ours computes in f32 there.
    fn takes_part(self, work: Work, has_bf16: bool) -> bool {
        let (main, shared) = (work == MAIN, work.time_steps > 1);
        match self {
            // Kernels of GPUs alone.
            Self::Peer(setting) if setting.contains("triton") => false,
            Self::Ours(precision) => main || has_bf16 || precision == "f32",
            Self::Recompute(precision) => shared && (has_bf16 || precision == "f32"),
            Self::Convolutions(precision) => has_bf16 || precision == "f32",
            // A setting to compile starts for minutes.
            Self::Peer(setting) => {
                shared
                    && (main || !setting.contains("compile"))
                    && (has_bf16 || !setting.contains("bf16"))
            }
        }
    }

    /// Whether it has a place at a work on a GPU.
    fn takes_part_on_gpu(self, work: Work) -> bool {
        match self {
            Self::Ours(precision) | Self::Convolutions(precision) => precision == "bf16",
            Self::Recompute(_) => false,
            Self::Peer(setting) => {
                work == MAIN_ON_GPU
                    && ["default", "channels_last+bf16+triton", "channels_last+bf16+compile"]
                        .contains(&setting)
            }
        }
    }
}

/// Who takes steps.
#[derive(Debug, Clone, Copy)]
struct Entry {
    name: &'static str,
    program: Program,
}

/// Convolutions stand beside our steps, of which they are a bound: a machine is seldom as fast a
/// minute later.
const ENTRIES: [Entry; 15] = [
    Entry { name: "ours, f32", program: Program::Ours("f32") },
    Entry { name: "convolutions alone, f32", program: Program::Convolutions("f32") },
    Entry { name: "ours, bf16", program: Program::Ours("bf16") },
    Entry { name: "convolutions alone, bf16", program: Program::Convolutions("bf16") },
    Entry { name: "SpikingJelly, as used", program: Program::Peer("default") },
    Entry { name: "SpikingJelly, channels last", program: Program::Peer("channels_last") },
    Entry {
        name: "SpikingJelly, channels last, compiled",
        program: Program::Peer("channels_last+compile"),
    },
    Entry { name: "SpikingJelly, bf16", program: Program::Peer("bf16") },
    Entry {
        name: "SpikingJelly, bf16, channels last",
        program: Program::Peer("channels_last+bf16"),
    },
    Entry {
        name: "SpikingJelly, bf16, channels last, compiled",
        program: Program::Peer("channels_last+bf16+compile"),
    },
    Entry {
        name: "SpikingJelly, bf16, channels last, Triton",
        program: Program::Peer("channels_last+bf16+triton"),
    },
    Entry { name: "ours, f32, recompute", program: Program::Recompute("f32") },
    Entry { name: "ours, bf16, recompute", program: Program::Recompute("bf16") },
    Entry {
        name: "SpikingJelly, channels last, memopt",
        program: Program::Peer("channels_last+memopt"),
    },
    Entry {
        name: "SpikingJelly, bf16, channels last, memopt",
        program: Program::Peer("channels_last+bf16+memopt"),
    },
];

/// What was found of one side at one work.
#[derive(Debug)]
struct Row {
    entry: Entry,
    work: Work,
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

/// Runs the benchmark, writes `train-KIND.{json,md}`, KIND being the kind of the processor or
/// `gpu`, to `docs/results/peers`, and prints the table or, with `--json`, the JSON.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let mut rest: Vec<&str> =
        arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    let json = rest.iter().position(|argument| *argument == "--json");
    let json = json.map(|at| rest.remove(at)).is_some();
    let device = match rest[..] {
        [] => "cpu",
        ["--device", device] if device == "cpu" || device.starts_with("cuda:") => device,
        _ => bail!(
            "`bench-peers train` takes --json and --device cpu or cuda:N, found {arguments:?}"
        ),
    };
    let on_gpu = device != "cpu";
    let root = project::root()?;
    let python = machine::python(&root)?;
    // Built before anything is measured.
    let build =
        ["build", "--quiet", "--release", "--package", "snn-benches", "--bin", "train-step"];
    if built_program().is_none() {
        project::cargo(&build)?;
    }
    let machine = machine::describe(&root, &python, &["torch", "spikingjelly"])?;
    let has_bf16 = machine["bf16"] == "yes" || on_gpu;
    let mut rows: Vec<Row> = Vec::new();
    for &work in if on_gpu { &WORKS_ON_GPU[..] } else { &WORKS } {
        let label = work.label();
        let start = |entry: &Entry| {
            eprintln!("{label}: {} starts", entry.name);
            let command = &mut command(&root, &python, entry.program, (work, device))?;
            let (side, _) = Side::start(entry.name, command)?;
            Ok((side, Row { entry: *entry, work, images_per_second: vec![], peak_mib: 0.0 }))
        };
        let here = ENTRIES.iter().filter(|Entry { program, .. }| {
            if on_gpu {
                program.takes_part_on_gpu(work)
            } else {
                program.takes_part(work, has_bf16)
            }
        });
        let sides = here.map(start).collect::<Result<Vec<_>>>()?;
        let (mut sides, mut found): (Vec<_>, Vec<_>) = sides.into_iter().unzip();
        for round in 0..work.rounds {
            eprintln!("{label}: round {} of {}", round + 1, work.rounds);
            for (side, row) in sides.iter_mut().zip(&mut found) {
                take_turn(side, row)?;
            }
        }
        rows.append(&mut found);
    }
    let report = report(&rows, &machine, has_bf16)?;
    let table = table(&rows, &report, device);
    let kind = if on_gpu { "gpu" } else { kind(&machine) };
    finish(&root, &format!("train-{kind}"), &report, &table, json)
}

fn take_turn(side: &mut Side, row: &mut Row) -> Result<()> {
    let answer = side.ask(&format!("step {TURN_SECONDS}"))?;
    let seconds: Option<Vec<f64>> = answer["seconds"]
        .as_array()
        .map(|values| values.iter().filter_map(Value::as_f64).collect());
    let seconds = median(&seconds.unwrap_or_default());
    ensure!(seconds > 0.0, "{}: no seconds in {answer}", row.entry.name);
    row.images_per_second.push(row.work.batch as f64 / seconds);
    let peak = answer["peak_mib"]
        .as_f64()
        .with_context(|| format!("{}: no peak in {answer}", row.entry.name))?;
    row.peak_mib = row.peak_mib.max(peak);
    Ok(())
}

/// `train-step`, where it was built before.
fn built_program() -> Option<OsString> {
    std::env::var_os("SNN_TRAIN_STEP").filter(|program| !program.is_empty())
}

fn command(
    root: &Path,
    python: &Path,
    program: Program,
    (work, device): (Work, &str),
) -> Result<Command> {
    let ours = |what: &str, precision: &str| -> Result<Command> {
        if let Some(program) = built_program() {
            let mut command = Command::new(program);
            command.args([what, work.network, precision]);
            return Ok(command);
        }
        let mut command = project::cargo_command()?;
        let run = ["run", "--quiet", "--release", "--package", "snn-benches", "--bin"];
        command.args(run).args(["train-step", "--", what, work.network, precision]);
        Ok(command)
    };
    let mut command = match program {
        Program::Ours(precision) if work.time_steps > 1 => ours("lif", precision)?,
        Program::Ours(precision) => ours("quant-relu", precision)?,
        Program::Recompute(precision) => ours("recompute", precision)?,
        Program::Convolutions(precision) => ours("convolutions", precision)?,
        Program::Peer(setting) => {
            let mut command = Command::new(python);
            command.arg(root.join("benches/peers/train_spikingjelly.py"));
            command.args([setting, work.network]);
            command
        }
    };
    let numbers = [work.time_steps, work.batch, THREADS];
    command.args(numbers.map(|number| number.to_string())).arg(device).current_dir(root);
    Ok(command)
}

/// The row of a work in which the sides that are wanted are fastest.
fn fastest(rows: &[Row], work: Work, wanted: impl Fn(Program) -> bool) -> Result<&Row> {
    let here = rows.iter().filter(|row| row.work == work && wanted(row.entry.program));
    here.max_by(|a, b| a.speed().total_cmp(&b.speed()))
        .with_context(|| format!("{}: a side was not measured", work.label()))
}

/// The ratios of a work: ours in its faster precision beside the convolutions in the same one, and
/// beside the peers.
fn ratios(rows: &[Row], work: Work, has_bf16: bool) -> Result<Value> {
    // Without instructions bf16 is no faster precision, but f32 on rounded values.
    let counts = |precision| has_bf16 || precision == "f32";
    let ours = |program| matches!(program, Program::Ours(precision) if counts(precision));
    let ours = fastest(rows, work, ours)?;
    let precision = if ours.entry.program == Program::Ours("bf16") { "bf16" } else { "f32" };
    let bound = fastest(rows, work, |program| program == Program::Convolutions(precision))?;
    let mut ratios = json!({
        "network": work.network,
        "time_steps": work.time_steps,
        "precision": precision,
        "of_convolutions": ours.times(bound),
    });
    let is_peer = |row: &&Row| matches!(row.entry.program, Program::Peer(_));
    if rows.iter().filter(is_peer).any(|row| row.work == work) {
        let default = fastest(rows, work, |program| program == Program::Peer("default"))?;
        let best = fastest(rows, work, |program| matches!(program, Program::Peer(_)))?;
        ratios["vs_default"] = ours.times(default).into();
        ratios["vs_best"] = ours.times(best).into();
        ratios["best"] = best.entry.name.into();
    }
    Ok(ratios)
}

fn report(rows: &[Row], machine: &Value, has_bf16: bool) -> Result<Value> {
    let mut works: Vec<Work> = rows.iter().map(|row| row.work).collect();
    works.dedup();
    let ratios = works.into_iter().map(|work| ratios(rows, work, has_bf16));
    let ratios = ratios.collect::<Result<Vec<_>>>()?;
    let row = |row: &Row| {
        json!({
            "name": row.entry.name,
            "network": row.work.network, "time_steps": row.work.time_steps,
            "batch": row.work.batch,
            "images_per_second": row.speed(),
            "turns": row.images_per_second, "peak_mib": row.peak_mib,
        })
    };
    Ok(json!({
        "threads": THREADS,
        "ratios": ratios,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "machine": machine,
    }))
}

fn table(rows: &[Row], report: &Value, device: &str) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let mut lines = vec![
        "# Training steps beside SpikingJelly\n".to_owned(),
        format!(
            "Forward, loss, backward and SGD on {THREADS} threads, on {device}, images of 32×32. \
             With several\nmacro-steps every site is a LIF neuron; with one, every site is a \
             quantised ReLU of four levels.\n`resnet` is the ResNet-20 of 16-32-64 channels. Sides \
             take turns of {TURN_SECONDS} seconds; images a\nsecond, the median of the turns, and \
             between their least and most. Memory is the peak of the\nresident set less what was \
             resident when the model was built. `recompute` and `memopt` keep the\ninputs of \
             blocks as bits and compute the rest again.\n"
        ),
        "| network | T | batch | side | images/s | least–most | peak memory, MiB |".to_owned(),
        "|---|--:|--:|---|--:|:-:|--:|".to_owned(),
    ];
    for row in rows {
        let Row { entry: Entry { name, .. }, work, images_per_second, peak_mib } = row;
        let Work { network, time_steps, batch, .. } = work;
        let least = images_per_second.iter().copied().fold(f64::INFINITY, f64::min);
        let most = images_per_second.iter().copied().fold(0.0, f64::max);
        let speed = row.speed();
        // Of a GPU's memory libtorch tells C++ alone.
        let peak = if device == "cpu" { format!("{peak_mib:.0}") } else { "–".to_owned() };
        lines.push(format!(
            "| {network} | {time_steps} | {batch} | {name} | {speed:.1} | {least:.1}–{most:.1} | \
             {peak} |"
        ));
    }
    lines.push("\nMedians of the ratio within each round:\n".to_owned());
    let header = "| network | T | ours in | of the convolutions alone | \
                  times SpikingJelly as used | times its fastest setting | which is |";
    lines.extend([header.to_owned(), "|---|--:|---|--:|--:|--:|---|".to_owned()]);
    for ratios in report["ratios"].as_array().into_iter().flatten() {
        let times = |key: &str| ratios[key].as_f64().map_or(String::new(), |x| format!("{x:.2}"));
        lines.push(format!(
            "| {} | {} | {} | {:.0} % | {} | {} | {} |",
            ratios["network"].as_str().unwrap_or_default(),
            ratios["time_steps"],
            ratios["precision"].as_str().unwrap_or_default(),
            100.0 * number(&ratios["of_convolutions"]),
            times("vs_default"),
            times("vs_best"),
            ratios["best"].as_str().unwrap_or_default(),
        ));
    }
    lines.push(String::new());
    if report["machine"]["bf16"] != "yes" && device == "cpu" {
        lines.push(
            "This processor has no bf16 instructions: SpikingJelly in bf16 and convolutions in \
             bf16 were not measured, and ours computed in f32 on rounded values.\n"
                .to_owned(),
        );
    }
    let command = match device {
        "cpu" => "cargo xtask bench-peers train".to_owned(),
        device => format!("cargo xtask bench-peers train --device {device}"),
    };
    lines.push(footer(&command, &report["machine"]));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(speeds: &[(&str, f64)]) -> Vec<Row> {
        let row = |&(name, speed): &(&str, f64)| {
            let entry = *ENTRIES.iter().find(|entry| entry.name == name).expect("a side");
            Row { entry, work: MAIN, images_per_second: vec![speed, speed], peak_mib: 1.0 }
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
        let ratio = |speeds: &[_], bf16: &str, key: &str| -> Result<Value> {
            let machine = json!({ "bf16": bf16 });
            Ok(report(&rows(speeds), &machine, bf16 == "yes")?["ratios"][0][key].clone())
        };
        assert_eq!(ratio(&speeds, "yes", "vs_default")?, 5.0);
        assert_eq!(ratio(&speeds, "yes", "vs_best")?, 2.0);
        assert_eq!(ratio(&speeds, "yes", "best")?, "SpikingJelly, bf16");
        assert_eq!(ratio(&speeds, "yes", "of_convolutions")?, 0.5);
        assert_eq!(ratio(&speeds, "no", "precision")?, "f32");
        speeds.remove(2);
        assert!(ratio(&speeds, "yes", "precision").is_err(), "a side was not measured");
        Ok(())
    }
}
