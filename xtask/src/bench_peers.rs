//! `cargo xtask bench-peers train`: training steps of this project and of SpikingJelly in turn, on one machine, as one table.

pub(crate) mod data;

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{cache, cargo_command, cargo_runs, workspace_root};

const BATCH: usize = 64;
const THREADS: usize = 2;
/// Macro-steps of the main work.
const MAIN: usize = 4;
/// Turns of each side at the main work; one at other macro-steps.
const ROUNDS: usize = 2;

impl Program {
    /// Whether libtorch's convolutions in bf16 take part. Without instructions for them a step takes a minute: there is nothing to learn from waiting. Ours computes in f32 there.
    fn wants_bf16(self) -> bool {
        match self {
            Program::Ours(_) => false,
            Program::Peer(setting) => setting.contains("bf16"),
            Program::Convolutions(precision) => precision == "bf16",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Side {
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

const SIDES: [Side; 11] = [
    Side { name: "ours, f32", program: Program::Ours(["lif", "f32"]), time_steps: &[2, 4, 8] },
    Side { name: "SpikingJelly, as used", program: Program::Peer("default"), time_steps: &[2, 4, 8] },
    Side { name: "SpikingJelly, channels last", program: Program::Peer("channels_last"), time_steps: &[2, 4, 8] },
    Side { name: "convolutions alone, f32", program: Program::Convolutions("f32"), time_steps: &[4] },
    Side { name: "ours, f32, recompute", program: Program::Ours(["recompute", "f32"]), time_steps: &[2, 4, 8] },
    Side {
        name: "SpikingJelly, channels last, compiled",
        program: Program::Peer("channels_last+compile"),
        time_steps: &[4],
    },
    Side { name: "ours, bf16", program: Program::Ours(["lif", "bf16"]), time_steps: &[4] },
    Side { name: "SpikingJelly, bf16", program: Program::Peer("bf16"), time_steps: &[4] },
    Side { name: "SpikingJelly, bf16, channels last", program: Program::Peer("channels_last+bf16"), time_steps: &[4] },
    Side {
        name: "SpikingJelly, bf16, channels last, compiled",
        program: Program::Peer("channels_last+bf16+compile"),
        time_steps: &[4],
    },
    Side { name: "convolutions alone, bf16", program: Program::Convolutions("bf16"), time_steps: &[4] },
];

/// Medians of one side at one T.
#[derive(Debug)]
struct Row {
    side: Side,
    time_steps: usize,
    /// One a turn.
    images_per_second: Vec<f64>,
    peak_mib: f64,
}

impl Row {
    /// Of all turns.
    fn speed(&self) -> f64 {
        let mut sorted = self.images_per_second.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => sorted[count / 2],
            count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
        }
    }
}

/// Runs the benchmark, writes `docs/results/peers/train.{json,md}`, and prints the table or, with `--json`, the JSON.
pub(crate) fn train(arguments: &[OsString]) -> Result<ExitCode> {
    let json = match arguments {
        [] => false,
        [flag] if flag == "--json" => true,
        other => bail!("`bench-peers train` takes --json and nothing else, found {other:?}"),
    };
    let root = workspace_root()?;
    let python = python(&root)?;
    // Built before anything is measured.
    let build = ["build", "--quiet", "--package", "snn-benches", "--bin", "train-step"];
    ensure!(cargo_runs(&build)?, "`cargo {}` did not work", build.join(" "));
    let machine = machine(&root, &python)?;
    let has_bf16 = machine["bf16"] == "yes";
    let mut rows: Vec<Row> = Vec::new();
    for round in 0..ROUNDS {
        for time_steps in [MAIN, 2, 8] {
            let here = |side: &&Side| side.time_steps.contains(&time_steps) && (has_bf16 || !side.program.wants_bf16());
            for side in SIDES.iter().filter(here) {
                let known = rows.iter().position(|row| row.side.name == side.name && row.time_steps == time_steps);
                if round > 0 && time_steps != MAIN {
                    continue;
                }
                eprintln!("round {} of {ROUNDS}: {}, T = {time_steps}", round + 1, side.name);
                let (speed, peak_mib) = measure(&root, &python, side.program, time_steps)?;
                match known {
                    Some(row) => {
                        rows[row].images_per_second.push(speed);
                        rows[row].peak_mib = rows[row].peak_mib.max(peak_mib);
                    }
                    None => rows.push(Row { side: *side, time_steps, images_per_second: vec![speed], peak_mib }),
                }
            }
        }
    }
    let report = report(&rows, &machine)?;
    let folder = root.join("docs/results/peers");
    fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&report)? + "\n";
    let table = table(&rows, &report);
    fs::write(folder.join("train.json"), &text)?;
    fs::write(folder.join("train.md"), &table)?;
    if json {
        print!("{text}");
    } else {
        print!("{table}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Images a second, and peak memory.
fn measure(root: &Path, python: &Path, program: Program, time_steps: usize) -> Result<(f64, f64)> {
    let numbers = [time_steps, BATCH, THREADS].map(|number| number.to_string());
    let mut command = match program {
        Program::Ours([work, precision]) => ours(&[work, precision])?,
        Program::Convolutions(precision) => ours(&["convolutions", precision])?,
        Program::Peer(setting) => {
            let mut command = Command::new(python);
            command.arg(root.join("benches/peers/train_spikingjelly.py")).arg(setting);
            command
        }
    };
    command.args(numbers).current_dir(root).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(line).with_context(|| format!("{command:?} printed no JSON: {line}"))?;
    let number = |key: &str| value[key].as_f64().with_context(|| format!("no `{key}` in {line}"));
    Ok((number("images_per_second")?, number("peak_mib")?))
}

fn ours(arguments: &[&str]) -> Result<Command> {
    let mut command = cargo_command()?;
    command.args(["run", "--quiet", "--package", "snn-benches", "--bin", "train-step", "--"]).args(arguments);
    Ok(command)
}

fn report(rows: &[Row], machine: &Value) -> Result<Value> {
    let main = |wanted: &dyn Fn(Program) -> bool| {
        let speeds = rows.iter().filter(|row| row.time_steps == MAIN && wanted(row.side.program)).map(Row::speed);
        speeds.fold(f64::NAN, f64::max)
    };
    let ours = |precision| main(&move |program| program == Program::Ours(["lif", precision]));
    let precision = if machine["bf16"] == "yes" && ours("bf16") > ours("f32") { "bf16" } else { "f32" };
    let speed = ours(precision);
    let bound = main(&|program| program == Program::Convolutions(precision));
    let default = main(&|program| program == Program::Peer("default"));
    let best = main(&|program| matches!(program, Program::Peer(_)));
    ensure!([speed, bound, default, best].iter().all(|speed| speed.is_finite()), "a side was not measured");
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.side.name, "time_steps": row.time_steps, "images_per_second": row.speed(),
                "turns": row.images_per_second, "peak_mib": row.peak_mib,
            })
        })
        .collect();
    Ok(json!({
        "work": { "network": "ResNet-20", "batch": BATCH, "threads": THREADS, "time_steps": MAIN },
        "ratios": { "vs_default": speed / default, "vs_best": speed / best },
        "conv_bound_share": speed / bound,
        "precision": precision,
        "rows": rows,
        "machine": machine,
    }))
}

fn table(rows: &[Row], report: &Value) -> String {
    let said = |key: &str| report["machine"][key].as_str().unwrap_or("unknown").to_owned();
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let mut lines = vec![
        "# Training steps beside SpikingJelly\n".to_owned(),
        format!(
            "ResNet-20 (16-32-64 channels), LIF, 32 x 32 images, batch {BATCH}, {THREADS} threads: forward, loss, backward, SGD. Images a second, the median of the turns; sides take turns. \
             Memory is the peak of the resident set less what was resident when the model was built.\n"
        ),
        "| side | T | images/s | turns | peak memory, MiB |".to_owned(),
        "|---|--:|--:|---|--:|".to_owned(),
    ];
    for row in rows {
        let turns: Vec<String> = row.images_per_second.iter().map(|speed| format!("{speed:.1}")).collect();
        let Row { side, time_steps, peak_mib, .. } = row;
        let (name, speed, turns) = (side.name, row.speed(), turns.join(", "));
        lines.push(format!("| {name} | {time_steps} | {speed:.1} | {turns} | {peak_mib:.0} |"));
    }
    lines.push(format!(
        "\nAt T = {MAIN}, ours in {}: {:.2} times SpikingJelly as used, {:.2} times its best setting here, {:.0} % of what the convolutions alone allow.\n",
        report["precision"].as_str().unwrap_or_default(),
        number(&report["ratios"]["vs_default"]),
        number(&report["ratios"]["vs_best"]),
        100.0 * number(&report["conv_bound_share"]),
    ));
    if report["machine"]["bf16"] != "yes" {
        lines.push(
            "This processor has no bf16 instructions: SpikingJelly in bf16 and convolutions in bf16 were not measured, and ours computed in f32 on rounded values.\n".to_owned(),
        );
    }
    lines.push("```text".to_owned());
    lines.push("command   cargo xtask bench-peers train".to_owned());
    lines.push(format!("commit    {}", said("commit")));
    let (processor, bf16, load) = (said("processor"), said("bf16"), said("load"));
    lines.push(format!("machine   {processor}; bf16 instructions: {bf16}; load when it began: {load}"));
    lines.push(format!("versions  {}", said("versions")));
    lines.push(format!("date      {}", said("date")));
    lines.push("```\n".to_owned());
    lines.join("\n")
}

/// What the figures depend on.
fn machine(root: &Path, python: &Path) -> Result<Value> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value).to_owned()
    };
    let flags = field("flags");
    let has = |flag: &str| flags.split_whitespace().any(|found| found == flag);
    let vectors = ["avx512f", "avx2"].into_iter().find(|flag| has(flag)).unwrap_or("baseline");
    let output = |program: &Path, arguments: &[&str]| -> Result<String> {
        let output = Command::new(program).args(arguments).current_dir(root).output()?;
        ensure!(output.status.success(), "{} {arguments:?} failed", program.display());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let git = Path::new("git");
    let commit = output(git, &["rev-parse", "--short", "HEAD"])?;
    let changed = !output(git, &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let versions = "import importlib.metadata as m, sys; \
        print('Python', sys.version.split()[0] + ',', ', '.join(f'{p} {m.version(p)}' for p in ('torch', 'spikingjelly')))";
    Ok(json!({
        "processor": format!("{} ({vectors})", field("model name")),
        "bf16": if has("avx512_bf16") { "yes" } else { "no" },
        "load": fs::read_to_string("/proc/loadavg")?.split_whitespace().next().unwrap_or("unknown"),
        "commit": if changed { format!("{commit} with local changes") } else { commit },
        "versions": output(python, &["-c", versions])?,
        "date": output(Path::new("date"), &["-u", "+%Y-%m-%d"])?,
    }))
}

/// The Python of a virtual environment with the peers: `SNN_PEERS_PYTHON`, or one in the cache, which is made where it is missing.
fn python(root: &Path) -> Result<PathBuf> {
    if let Some(own) = env::var_os("SNN_PEERS_PYTHON").filter(|own| !own.is_empty()) {
        return Ok(own.into());
    }
    let requirements = root.join("benches/peers/requirements.txt");
    let digest = Sha256::digest(fs::read(&requirements)?);
    let name: Vec<String> = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let name = name.concat();
    let cache = cache::folder(|name| env::var_os(name))?;
    fs::create_dir_all(&cache)?;
    let folder = cache.join(format!("peers-{name}"));
    let lock = cache.join(format!("peers-{name}.lock"));
    let _lock =
        cache::Lock::acquire(&lock, || eprintln!("waiting for another process that makes {}", folder.display()))?;
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    if complete.exists() {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    eprintln!("making a virtual environment with the peers in {}", folder.display());
    let run = |command: &mut Command| -> Result<()> {
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        ensure!(status.success(), "{command:?} failed: {status}");
        Ok(())
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
    fs::write(complete, "")?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(speeds: &[(&str, f64)]) -> Vec<Row> {
        let row = |&(name, speed): &(&str, f64)| {
            let side = *SIDES.iter().find(|side| side.name == name).expect("a side");
            Row { side, time_steps: MAIN, images_per_second: vec![speed, speed], peak_mib: 1.0 }
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
        assert_eq!((&report["conv_bound_share"], &report["precision"]), (&json!(0.5), &json!("bf16")));
        speeds.remove(2);
        assert!(super::report(&rows(&speeds), &machine).is_err(), "a side was not measured");
        Ok(())
    }

    #[test]
    fn the_speed_of_turns_is_their_median() {
        let mut row = rows(&[("ours, f32", 3.0)]).remove(0);
        row.images_per_second = vec![5.0, 1.0];
        assert!((row.speed() - 3.0).abs() < 1e-12);
        row.images_per_second.push(2.0);
        assert!((row.speed() - 2.0).abs() < 1e-12);
    }
}
