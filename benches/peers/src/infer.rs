//! `cargo xtask bench-peers infer`: trained networks classify images, deployed by this project and
//! in its peers, in turn.

mod options;
mod report;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use self::options::Options;
use crate::{digest, finish, kind, machine, median, print, project, side::Side};

const THREADS: usize = 2;
const FULL: Pace =
    Pace { images: 256, batch: 64, rounds: 7, batch_seconds: 2.0, single_seconds: 1.0 };
const QUICK: Pace =
    Pace { images: 64, batch: 32, rounds: 1, batch_seconds: 0.1, single_seconds: 0.1 };
/// The least share of images to which SpikingJelly, in single precision, must give the class that
/// the trained network gives: sums in another order move few.
const LEAST_AGREEMENT: f64 = 0.95;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// What every side classifies before it is measured, and then is measured on again and again.
    images: usize,
    batch: usize,
    /// Turns of each side.
    rounds: usize,
    /// The least length of a turn on batches, and on single images.
    batch_seconds: f64,
    single_seconds: f64,
}

/// A network, by the config in `configs/peers` that trains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    name: &'static str,
    config: &'static str,
    /// In words.
    network: &'static str,
}

impl Work {
    fn config_path(self) -> String {
        format!("configs/peers/{}.toml", self.config)
    }
}

/// The main work first.
const WORKS: [Work; 2] = [
    Work {
        name: "R18",
        config: "resnet18",
        network: "ResNet-18's widths (64-128-256-512 channels)",
    },
    Work { name: "R20", config: "resnet20", network: "ResNet-20 (16-32-64 channels)" },
];

/// Who classifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// `infer-side`: deployed on the grid.
    Deployed,
    /// `infer-side`: the same without dense integer products.
    EventsOnly,
    OffGrid,
    /// `infer-side`: the trained network in libtorch.
    Interpreter,
    /// `infer_spikingjelly.py` with a setting.
    SpikingJelly(&'static str),
    /// `infer_dense.py` with a kind of ReLU and a precision.
    Dense(&'static str, &'static str),
}

impl Program {
    /// Without instructions for it bf16 takes many times as long as f32: there is nothing to learn
    /// from waiting.
    fn wants_bf16(self) -> bool {
        match self {
            Program::Deployed | Program::EventsOnly | Program::OffGrid | Program::Interpreter => {
                false
            }
            Program::SpikingJelly(setting) => setting.contains("bf16"),
            Program::Dense(_, precision) => precision == "bf16",
        }
    }

    /// Whether its classes and firing rates are those of the trained network, but for the order of
    /// sums.
    fn computes_the_same(self) -> bool {
        matches!(self, Program::SpikingJelly(_) | Program::OffGrid) && !self.wants_bf16()
    }
}

const SIDES: [(&str, Program); 15] = [
    ("ours, deployed", Program::Deployed),
    ("SpikingJelly, as used", Program::SpikingJelly("default")),
    ("ours, libtorch", Program::Interpreter),
    ("ours, deployed, events only", Program::EventsOnly),
    ("ours, deployed in f32", Program::OffGrid),
    ("SpikingJelly, channels last", Program::SpikingJelly("channels_last")),
    ("SpikingJelly, channels last, compiled", Program::SpikingJelly("channels_last+compile")),
    ("SpikingJelly, bf16, channels last", Program::SpikingJelly("channels_last+bf16")),
    (
        "SpikingJelly, bf16, channels last, compiled",
        Program::SpikingJelly("channels_last+bf16+compile"),
    ),
    ("ReLU twin, T = 1, f32", Program::Dense("relu", "f32")),
    ("QuantRelu twin, T = 1, f32", Program::Dense("quant_relu", "f32")),
    ("ReLU twin, T = 1, bf16", Program::Dense("relu", "bf16")),
    ("QuantRelu twin, T = 1, bf16", Program::Dense("quant_relu", "bf16")),
    ("ReLU twin, T = 1, int8", Program::Dense("relu", "int8")),
    ("QuantRelu twin, T = 1, int8", Program::Dense("quant_relu", "int8")),
];

/// What was found of one side at one work.
#[derive(Debug)]
struct Row {
    name: &'static str,
    program: Program,
    /// What it said when it was ready.
    ready: Value,
    /// Median of each turn: images a second in batches, milliseconds of one image.
    images_per_second: Vec<f64>,
    milliseconds: Vec<f64>,
}

impl Row {
    fn speed(&self) -> f64 {
        median(&self.images_per_second)
    }

    fn latency(&self) -> f64 {
        median(&self.milliseconds)
    }

    fn classes(&self) -> Vec<u64> {
        integers(&self.ready["classes"])
    }

    /// Mean of the firing rates of the sites; `None` for a network that does not spike.
    fn firing_rate(&self) -> Option<f64> {
        let rates = self.ready["rates"].as_array()?;
        let sum: f64 = rates.iter().filter_map(Value::as_f64).sum();
        (!rates.is_empty()).then(|| sum / rates.len() as f64)
    }
}

/// One work with its rows.
#[derive(Debug)]
struct Measured {
    work: Work,
    /// What trained it: a file of `configs/peers`, or a run that was named.
    source: String,
    /// What training said of the network.
    trained: Value,
    rows: Vec<Row>,
}

impl Measured {
    fn row(&self, program: Program) -> Option<&Row> {
        self.rows.iter().find(|row| row.program == program)
    }

    /// Share of the images to which a side gives the class that the trained network gives.
    fn agreement(&self, row: &Row) -> f64 {
        let trained = self.row(Program::Interpreter).map(Row::classes).unwrap_or_default();
        share(&row.classes(), &trained)
    }

    /// Share of the images that a side classifies right.
    fn accuracy(&self, row: &Row) -> f64 {
        let labels = self
            .row(Program::Interpreter)
            .map(|row| integers(&row.ready["labels"]))
            .unwrap_or_default();
        share(&row.classes(), &labels)
    }

    /// A peer that computes something else is no peer.
    fn check(&self) -> Result<()> {
        for row in self.rows.iter().filter(|row| row.program.computes_the_same()) {
            let agreement = self.agreement(row);
            ensure!(
                agreement >= LEAST_AGREEMENT,
                "{}, {}: {:.1} % of {} images have the class that the trained network gives, \
                 expected {:.0} % at least; the networks differ",
                self.work.name,
                row.name,
                100.0 * agreement,
                row.classes().len(),
                100.0 * LEAST_AGREEMENT
            );
        }
        Ok(())
    }
}

fn integers(value: &Value) -> Vec<u64> {
    value
        .as_array()
        .map(|values| values.iter().filter_map(Value::as_u64).collect())
        .unwrap_or_default()
}

/// Share of equal values; 0 where there are not as many.
fn share(found: &[u64], expected: &[u64]) -> f64 {
    if found.len() != expected.len() || found.is_empty() {
        return 0.0;
    }
    found.iter().zip(expected).filter(|(a, b)| a == b).count() as f64 / found.len() as f64
}

/// Runs the benchmark, writes `docs/results/peers/infer-KIND.{json,md}` unless only a part was
/// measured, and prints the table or, with `--json`, the JSON.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let options = Options::parse(arguments)?;
    let root = project::root()?;
    let data = options.images(&root)?;
    let python = machine::python(&root)?;
    // Built before anything is measured.
    let build =
        ["build", "--quiet", "--release", "--package", "snn-benches", "--bin", "infer-side"];
    project::cargo(&build)?;
    let works = options.works();
    let runs = works
        .iter()
        .map(|work| trained(&root, &options, *work, &data))
        .collect::<Result<Vec<_>>>()?;
    let machine = machine::describe(&root, &python, &["torch", "spikingjelly", "onnxruntime"])?;
    let has_bf16 = machine["bf16"] == "yes";
    let pace = if options.quick { QUICK } else { FULL };
    let mut measured = Vec::new();
    for (work, run) in works.into_iter().zip(runs) {
        let result: Value = match fs::read_to_string(run.join("result.json")) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => Value::Null,
        };
        let sides = SIDES.iter().filter(|(_, program)| has_bf16 || !program.wants_bf16());
        let start = |(name, program): &(&'static str, Program)| {
            eprintln!("{}: {name} starts", work.name);
            let (side, ready) =
                Side::start(name, &mut command(&root, &python, *program, &run, &data, pace)?)?;
            let row = Row {
                name,
                program: *program,
                ready,
                images_per_second: vec![],
                milliseconds: vec![],
            };
            Ok((side, row))
        };
        let sides = sides.map(start).collect::<Result<Vec<_>>>()?;
        let (mut sides, rows): (Vec<_>, Vec<_>) = sides.into_iter().unzip();
        let source = options.run(work).map_or_else(|| work.config_path(), |run| named(&run));
        let mut one = Measured { work, source, trained: result, rows };
        one.check()?;
        turns(&mut sides, &mut one, pace)?;
        measured.push(one);
    }
    let report = report::json(&measured, &machine, pace)?;
    let table = report::table(&measured, &machine, pace);
    if options.is_part() {
        eprintln!("only a part was measured, or briefly: nothing is written");
        return print(&report, &table, options.json);
    }
    finish(&root, &format!("infer-{}", kind(&machine)), &report, &table, options.json)
}

/// Every side in turn, on batches and then on single images, again and again.
fn turns(sides: &mut [Side], measured: &mut Measured, pace: Pace) -> Result<()> {
    for round in 0..pace.rounds {
        for (what, budget) in [("batch", pace.batch_seconds), ("single", pace.single_seconds)] {
            eprintln!("{}: round {} of {}, {what}", measured.work.name, round + 1, pace.rounds);
            for (side, row) in sides.iter_mut().zip(&mut measured.rows) {
                let answer = side.ask(&format!("{what} {budget}"))?;
                let seconds: Option<Vec<f64>> = answer["seconds"]
                    .as_array()
                    .map(|values| values.iter().filter_map(Value::as_f64).collect());
                let seconds = median(&seconds.unwrap_or_default());
                ensure!(seconds > 0.0, "{}: no seconds in {answer}", row.name);
                if what == "batch" {
                    row.images_per_second.push(pace.batch as f64 / seconds);
                } else {
                    row.milliseconds.push(1e3 * seconds);
                }
            }
        }
    }
    Ok(())
}

/// A run in words, without the folders above it.
fn named(run: &Path) -> String {
    let name = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy();
    format!("a run named with --run: {name}")
}

fn command(
    root: &Path,
    python: &Path,
    program: Program,
    run: &Path,
    data: &Path,
    pace: Pace,
) -> Result<Command> {
    let script = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(python);
        command.arg(root.join("benches/peers").join(name)).args(arguments);
        command
    };
    let ours = |side: &str| -> Result<Command> {
        let mut command = project::cargo_command()?;
        command.args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "snn-benches",
            "--bin",
            "infer-side",
            "--",
            side,
        ]);
        Ok(command)
    };
    let mut command = match program {
        Program::Deployed => ours("deployed")?,
        Program::EventsOnly => ours("events")?,
        Program::OffGrid => ours("f32")?,
        Program::Interpreter => ours("interpreter")?,
        Program::SpikingJelly(setting) => script("infer_spikingjelly.py", &[setting]),
        Program::Dense(relu, precision) => script("infer_dense.py", &[relu, precision]),
    };
    command.arg(run.join("model.safetensors")).arg(data);
    command
        .args([pace.images, pace.batch, THREADS].map(|number| number.to_string()))
        .current_dir(root);
    Ok(command)
}

/// The folder of a finished run of this work: the one that was named, or one in the cache, which is
/// trained where it is missing and continued where it was left.
fn trained(root: &Path, options: &Options, work: Work, data: &Path) -> Result<PathBuf> {
    if let Some(run) = options.run(work) {
        let model = run.join("model.safetensors");
        ensure!(
            model.is_file(),
            "--run {}={}: there is no {}",
            work.name,
            run.display(),
            model.display()
        );
        return std::path::absolute(&run)
            .with_context(|| format!("{} is not a path", run.display()));
    }
    let config = root.join(work.config_path());
    let cache = project::cache()?;
    let name = format!("peers-{}-{}", work.config, digest(&config)?);
    let folder = cache.join(&name);
    let waiting = || eprintln!("waiting for another process that trains {}", folder.display());
    let _lock = project::lock(&cache.join(format!("{name}.lock")), waiting)?;
    if folder.join("result.json").is_file() {
        return Ok(folder);
    }
    eprintln!("{}: training the network once, in {}", work.name, folder.display());
    let mut command = project::cargo_command()?;
    command
        .args(["run", "--quiet", "--package", "snn-bench", "--", "train", "--config"])
        .arg(&config);
    command.arg("--data").arg(data).arg("--out").arg(&folder);
    if folder.exists() {
        command.arg("--resume");
    }
    // What it prints belongs to this program's reports, not to its result.
    command.stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "training for {} failed: {status}", work.name);
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A side of a speed that gives these classes.
    pub(crate) fn row(program: Program, speed: f64, classes: &[u64]) -> Row {
        let (name, program) = *SIDES.iter().find(|(_, found)| *found == program).expect("a side");
        let ready = json!({ "classes": classes, "labels": [1, 2, 3, 4], "rates": [0.1, 0.3] });
        Row {
            name,
            program,
            ready,
            images_per_second: vec![speed; 2],
            milliseconds: vec![1e3 / speed; 2],
        }
    }

    pub(crate) fn measured(work: Work, rows: Vec<Row>) -> Measured {
        Measured {
            work,
            source: work.config_path(),
            trained: json!({ "test_accuracy": 0.125, "time_steps": 4 }),
            rows,
        }
    }

    #[test]
    fn a_peer_that_computes_something_else_is_an_error() {
        let ours = || row(Program::Interpreter, 1.0, &[1, 2, 3, 0]);
        let peer = |classes: &[u64]| {
            measured(WORKS[0], vec![ours(), row(Program::SpikingJelly("default"), 1.0, classes)])
        };
        assert!(peer(&[1, 2, 3, 0]).check().is_ok());
        let error = peer(&[1, 2, 3, 9]).check().expect_err("a quarter differs").to_string();
        assert!(error.contains("SpikingJelly, as used: 75.0 %"), "{error}");
        assert!(peer(&[1, 2, 3]).check().is_err(), "an image is missing");
    }

    #[test]
    fn a_twin_may_give_other_classes() {
        let rows = vec![
            row(Program::Interpreter, 1.0, &[1, 2]),
            row(Program::Dense("relu", "int8"), 1.0, &[7, 8]),
        ];
        assert!(measured(WORKS[0], rows).check().is_ok());
    }
}
