//! `cargo xtask bench-peers data`: reading and augmenting in this project and in the libraries that
//! people use for it, in turn, as one table.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{finish, machine, project};

/// Turns of each side.
const ROUNDS: usize = 3;
/// How long a turn is at each work.
const SECONDS: &str = "1.0";
/// Numbers of threads that ours runs with; peers have one.
const THREADS: [usize; 2] = [1, 2];

/// A line of the table: a work, in ours and in a peer.
struct Work {
    name: &'static str,
    unit: &'static str,
    /// Its key in our JSON and in the peers'; a key of ours stands for what the machine does
    /// without us.
    ours: &'static str,
    peer: &'static str,
    peer_key: &'static str,
    /// What a figure is divided by.
    scale: f64,
}

const GIBIBYTE: f64 = 1_073_741_824.0;
const WORKS: [Work; 5] = [
    Work {
        name: "AEDAT 2.0 to 10 frames",
        unit: "recordings/s",
        ours: "recordings",
        peer: "SpikingJelly",
        peer_key: "spikingjelly_recordings",
        scale: 1.0,
    },
    Work {
        name: "AEDAT 2.0 to 10 frames",
        unit: "recordings/s",
        ours: "recordings",
        peer: "tonic",
        peer_key: "tonic_recordings",
        scale: 1.0,
    },
    Work {
        name: "JPEG to a random crop of 224",
        unit: "images/s",
        ours: "crops",
        peer: "torchvision with PIL",
        peer_key: "crops",
        scale: 1.0,
    },
    Work {
        name: "CIFAR: AutoAugment, crop, flip, cutout",
        unit: "images/s",
        ours: "augmented",
        peer: "torchvision with PIL",
        peer_key: "augmented",
        scale: 1.0,
    },
    Work {
        name: "cache hit",
        unit: "GiB/s",
        ours: "cache_bytes",
        peer: "a copy in memory",
        peer_key: "copied_bytes",
        scale: GIBIBYTE,
    },
];

/// What every turn said, ours by number of threads.
#[derive(Debug, Default)]
struct Turns {
    ours: Vec<Vec<Value>>,
    peers: Vec<Value>,
}

/// Runs the benchmark, writes `docs/results/peers/data.{json,md}`, and prints the table or, with
/// `--json`, the JSON.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let json = match arguments {
        [] => false,
        [flag] if flag == "--json" => true,
        other => bail!("`bench-peers data` takes --json and nothing else, found {other:?}"),
    };
    let recordings = recordings()?;
    let root = project::root()?;
    let python = machine::python(&root)?;
    // Built before anything is measured, and without libtorch.
    let arguments = [
        "build",
        "--quiet",
        "--release",
        "--package",
        "snn-benches",
        "--no-default-features",
        "--bin",
        "data-side",
    ];
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(arguments)
        .current_dir(&root)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "`cargo {}` did not work", arguments.join(" "));
    let side = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), PathBuf::from)
        .join("release/data-side");
    let machine =
        machine::describe(&root, &python, &["spikingjelly", "tonic", "torchvision", "pillow"])?;
    let mut turns = Turns { ours: vec![Vec::new(); THREADS.len()], peers: Vec::new() };
    for round in 1..=ROUNDS {
        for (threads, rows) in THREADS.into_iter().zip(&mut turns.ours) {
            eprintln!("round {round} of {ROUNDS}: ours, threads: {threads}");
            rows.push(measure(
                Command::new(&side)
                    .args([&threads.to_string(), SECONDS])
                    .env("SNN_RECORDINGS", &recordings),
            )?);
        }
        eprintln!("round {round} of {ROUNDS}: peers");
        let script = root.join("benches/peers/data_peers.py");
        turns.peers.push(measure(Command::new(&python).arg(script).arg(&recordings).arg(SECONDS))?);
    }
    let report = report(&turns, &machine)?;
    finish(&root, "data", &report, &table(&report), json)
}

/// The folder of real files: made ones are too small to say anything about speed.
fn recordings() -> Result<PathBuf> {
    let folder = env::var_os("SNN_RECORDINGS").map(PathBuf::from).unwrap_or_default();
    for part in ["dvs/moving-dark-box.aedat", "imagenet-sample/val"] {
        let path = folder.join(part);
        ensure!(
            path.exists(),
            "SNN_RECORDINGS: expected a folder with {part}, found nothing at {}",
            path.display()
        );
    }
    std::path::absolute(&folder).with_context(|| format!("{} is not a path", folder.display()))
}

/// The last line of what a program prints.
fn measure(command: &mut Command) -> Result<Value> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("{command:?} printed no JSON: {line}"))
}

/// The median of a key over the turns.
fn median(turns: &[Value], key: &str) -> Result<f64> {
    let speed = |turn: &Value| turn[key].as_f64().with_context(|| format!("no `{key}` in {turn}"));
    let mut speeds = turns.iter().map(speed).collect::<Result<Vec<_>>>()?;
    speeds.sort_by(f64::total_cmp);
    ensure!(!speeds.is_empty(), "`{key}` was not measured");
    Ok(f64::midpoint(speeds[(speeds.len() - 1) / 2], speeds[speeds.len() / 2]))
}

fn report(turns: &Turns, machine: &Value) -> Result<Value> {
    let one = turns.ours.first().map_or(&[][..], Vec::as_slice);
    let row = |work: &Work| {
        let ours = turns
            .ours
            .iter()
            .map(|turns| Ok(median(turns, work.ours)? / work.scale))
            .collect::<Result<Vec<_>>>()?;
        let beside = if work.peer_key == "copied_bytes" { one } else { &turns.peers };
        let peer = median(beside, work.peer_key)? / work.scale;
        let ratio = ours.first().context("ours was not measured")? / peer;
        Ok(json!({
            "work": work.name, "unit": work.unit, "ours": ours,
            "peer": work.peer, "peer_speed": peer, "ratio": ratio,
        }))
    };
    let versions = turns.peers.first().map_or(&Value::Null, |turn| &turn["versions"]);
    Ok(json!({
        "profile": "release", "threads": THREADS,
        "rows": WORKS.iter().map(row).collect::<Result<Vec<Value>>>()?,
        "turns": { "ours": turns.ours, "peers": turns.peers },
        "peers": versions, "machine": machine,
    }))
}

fn table(report: &Value) -> String {
    let said = |key: &str| report["machine"][key].as_str().unwrap_or("unknown");
    let number = |value: &Value| {
        let value = value.as_f64().unwrap_or(f64::NAN);
        if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
    };
    let mut lines = vec![
        "# Reading and augmenting beside other libraries\n".to_owned(),
        format!(
            "The median of {ROUNDS} turns; sides take turns. Peers run on one thread, and the \
             ratio is of ours on one thread. A recording has 490 thousand events of a DVS128, \
             pictures are 60 of ImageNet's validation set; both are in memory, as the system keeps \
             files that were read.\n"
        ),
        "| work | unit | ours, 1 thread | ours, 2 threads | beside | its speed | ratio |"
            .to_owned(),
        "|---|---|--:|--:|---|--:|--:|".to_owned(),
    ];
    for row in report["rows"].as_array().into_iter().flatten() {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            text("work"),
            text("unit"),
            number(&row["ours"][0]),
            number(&row["ours"][1]),
            text("peer"),
            number(&row["peer_speed"]),
            number(&row["ratio"]),
        ));
    }
    lines.push("\n```text".to_owned());
    lines.push("command   cargo xtask bench-peers data".to_owned());
    lines.push(format!("commit    {}", said("commit")));
    lines.push(format!("machine   {}; load when it began: {}", said("processor"), said("load")));
    lines.push(format!("profile   {}", report["profile"].as_str().unwrap_or_default()));
    lines.push(format!("versions  {}", report["peers"].as_str().unwrap_or("unknown")));
    lines.push(format!("date      {}", said("date")));
    lines.push("```\n".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_one_thread_and_medians_of_turns() -> Result<()> {
        let ours = |speed: f64| {
            json!({
                "recordings": speed, "crops": 30.0, "augmented": 9.0,
                "cache_bytes": 1.0, "copied_bytes": 4.0,
            })
        };
        let peers = json!({
            "spikingjelly_recordings": 2.0, "tonic_recordings": 1.0,
            "crops": 20.0, "augmented": 3.0,
        });
        let turns = Turns {
            ours: vec![vec![ours(10.0), ours(90.0), ours(20.0)], vec![ours(40.0)]],
            peers: vec![peers],
        };
        let report = report(&turns, &json!({}))?;
        let ratios: Vec<f64> =
            (0..5).filter_map(|row| report["rows"][row]["ratio"].as_f64()).collect();
        assert_eq!(ratios, [10.0, 20.0, 1.5, 3.0, 0.25]);
        assert!(table(&report).contains(
            "| AEDAT 2.0 to 10 frames | recordings/s | 20.0 | 40.0 | SpikingJelly | 2.0 | 10.0 |"
        ));
        let lacking = Turns { peers: vec![json!({})], ..turns };
        assert!(super::report(&lacking, &json!({})).is_err());
        Ok(())
    }
}
