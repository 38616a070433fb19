//! Time of one layer of a deployment by share of active inputs, macro-steps, width and threads, as
//! a chart and a table: `layer-chart [--out FOLDER] [--seconds S]`.
//!
//! Writes `layers.svg` and `layers.md` into the folder, `docs/results/runtime` unless another is
//! named, and prints the table. S is the least time for which each of the places of the table is
//! measured, 0.05 by default. The layer is a 3×3 convolution with LIF neurons of as many channels
//! as inputs, at the sizes that a ResNet has them.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the result goes to stdout, progress to stderr"
)]

use anyhow::{Context, Result, bail};
use snn_benches::bare::Bare;
use snn_benches::dense;
use snn_benches::layer::{DENSITIES, LAYERS, frames, model};
use snn_benches::measured::footer;
use snn_core::tch::set_num_threads;
use snn_ir::Code;
use snn_runtime::deploy::{Deployment, Kernels, Options, Session, Tuning};
use snn_train::chart::{Lines, Series, panels};
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

const STEPS: [usize; 4] = [1, 2, 4, 8];
/// Case of the charts that have something else on the axis.
const USUAL: Case = Case { channels: 128, size: 16, steps: 4, threads: 1 };
/// Lines of the chart over the share of active inputs, and of the others.
const WIDTHS: [usize; 4] = [16, 64, 128, 512];
const SHARES: [u32; 4] = [5, 15, 50, 100];
const COLOURS: [&str; 4] = ["#1f6fb4", "#1b8a6b", "#d95f02", "#7a4fa3"];
const LEAST: usize = 5;
/// Rounds of each form at a share of active inputs.
const TURNS: u32 = 5;
/// Active inputs in the comparison with a bare loop, in percent.
const BARE_PERCENT: u32 = 10;

/// A layer and how it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Case {
    channels: usize,
    size: usize,
    steps: usize,
    threads: usize,
}

/// Microseconds of a case at every share of active inputs, as it is deployed, through events alone
/// and as its dense integer form; and of its convolution in libtorch.
#[derive(Debug)]
struct Row {
    case: Case,
    deployed: Vec<f64>,
    events: Vec<f64>,
    dense: Vec<f64>,
    libtorch: f64,
}

/// As many times as long as its better form a layer may take.
const ALLOWED: f64 = 1.2;

fn main() -> Result<()> {
    let (mut out, mut budget) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/runtime"), 0.05);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} wants a value"))?;
        match flag.as_str() {
            "--out" => out = PathBuf::from(value),
            "--seconds" => {
                budget = value
                    .parse()
                    .with_context(|| format!("--seconds wants a number, found `{value}`"))?;
            }
            _ => bail!("takes --out FOLDER and --seconds S, found `{flag}`"),
        }
    }
    let budget = Duration::try_from_secs_f64(budget)?;
    let cores = available_parallelism().map_or(1, usize::from);
    let doubled = |threads: &usize| threads.checked_mul(2);
    let mut threads: Vec<usize> =
        std::iter::successors(Some(1), doubled).take_while(|threads| *threads < cores).collect();
    threads.push(cores);
    let mut rows = Vec::new();
    for &threads in &threads {
        for steps in STEPS {
            eprintln!("{threads} threads, T = {steps}");
            for (channels, size) in LAYERS {
                rows.push(measure(Case { channels, size, steps, threads }, budget)?);
            }
        }
    }
    eprintln!("beside a bare loop");
    let bare =
        LAYERS.into_iter().map(|layer| beside_bare(layer, budget)).collect::<Result<Vec<_>>>()?;
    let table = table(&rows, &bare)?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, text) in [("layers.svg", chart(&rows)), ("layers.md", table.clone())] {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{table}");
    Ok(())
}

fn measure(case: Case, budget: Duration) -> Result<Row> {
    let Case { channels, size, steps, threads } = case;
    let model = model(channels, size, steps, Code::Binary);
    let mut tuning = Tuning::default();
    tuning.measure(&model, &Options::default())?;
    let tuning = Some(Arc::new(tuning));
    let session = |kernels: Kernels| -> Result<Session> {
        let tuning = tuning.clone();
        let options = Options { statistics: true, threads, kernels, tuning, ..Options::default() };
        Ok(Deployment::new(&model, &options)?.session())
    };
    let mut forms = [session(Kernels::Auto)?, session(Kernels::Events)?, session(Kernels::Dense)?];
    let (mut deployed, mut events, mut dense) = (Vec::new(), Vec::new(), Vec::new());
    for percent in DENSITIES {
        let frames = frames(steps * channels * size * size, percent, 1);
        // Measured alternately, so that a machine that changes its speed changes it for all.
        let mut turns = forms.each_ref().map(|_| Vec::new());
        for _ in 0..TURNS {
            for (form, turns) in forms.iter_mut().zip(&mut turns) {
                turns.push(time(budget / TURNS, || of_layer(form, &frames))?);
            }
        }
        let [as_deployed, events_only, product] = turns.map(median);
        deployed.push(as_deployed);
        events.push(events_only);
        dense.push(product);
    }
    set_num_threads(i32::try_from(threads)?);
    let mut convolution = dense::convolution(channels, size, steps)?;
    let libtorch = time(budget, || {
        let started = Instant::now();
        convolution()?;
        Ok(started.elapsed())
    })?;
    Ok(Row { case, deployed, events, dense, libtorch })
}

/// The middle of an odd number of values, or the larger of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A layer beside the bare loop at a tenth of the inputs: microseconds of both, and the share that
/// the layer reaches of the loop's speed.
#[derive(Debug)]
struct BesideBare {
    layer: (usize, usize),
    microseconds: [f64; 2],
    share: f64,
}

/// Both alternately, so that a machine that changes its speed changes it for both.
fn beside_bare(layer: (usize, usize), budget: Duration) -> Result<BesideBare> {
    const ROUNDS: u32 = 9;
    let (channels, size) = layer;
    let Case { steps, .. } = USUAL;
    let options = Options { statistics: true, ..Options::default() };
    let mut session =
        Deployment::new(&model(channels, size, steps, Code::Binary), &options)?.session();
    let frames = frames(steps * channels * size * size, BARE_PERCENT, 1);
    let mut bare = Bare::new(channels, size, steps, BARE_PERCENT)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let layer = time(budget / ROUNDS * 4, || of_layer(&mut session, &frames))?;
        let bare = time(budget / ROUNDS * 4, || {
            let started = Instant::now();
            black_box(bare.run());
            Ok(started.elapsed())
        })?;
        rounds.push([layer, bare, bare / layer]);
    }
    let of = |column: usize| median(rounds.iter().map(|round| round[column]).collect());
    Ok(BesideBare { layer, microseconds: [of(0), of(1)], share: of(2) })
}

/// Time of the layer in a run; the stem that makes spikes of pixels does not count.
fn of_layer(session: &mut Session, frames: &[u8]) -> Result<Duration> {
    session.reset_statistics();
    session.run_frames(frames)?;
    let node = session.statistics().iter().find(|node| node.node == "layer");
    Ok(Duration::from_nanos(node.context("the layer was measured")?.nanoseconds))
}

/// Median in microseconds, of a few runs at least, after one to warm up.
fn time(budget: Duration, mut run: impl FnMut() -> Result<Duration>) -> Result<f64> {
    run()?;
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.len() < LEAST || started.elapsed() < budget {
        times.push(run()?);
    }
    times.sort_unstable();
    Ok(1e6 * times[times.len() / 2].as_secs_f64())
}

fn chart(rows: &[Row]) -> String {
    // Of the rows that differ from the usual case in one thing.
    let over =
        |percent: u32, x: &dyn Fn(Case) -> usize, like: &dyn Fn(Case) -> bool| -> Vec<(f64, f64)> {
            let place = DENSITIES.iter().position(|found| *found == percent).unwrap_or(0);
            let found = rows.iter().filter(|row| like(row.case));
            found.map(|row| (x(row.case) as f64, row.deployed[place])).collect()
        };
    let shares = |x: &dyn Fn(Case) -> usize, like: &dyn Fn(Case) -> bool| -> Vec<Series> {
        let names = ["5 %", "15 %", "50 %", "100 % active"];
        let series = names.into_iter().zip(COLOURS).zip(SHARES);
        series
            .map(|((name, colour), share)| Series { name, colour, points: over(share, x, like) })
            .collect()
    };
    let names = ["16", "64", "128", "512 channels"];
    let by_share = WIDTHS.into_iter().zip(names).zip(COLOURS).map(|((channels, name), colour)| {
        let like = |row: &&Row| row.case == Case { channels, size: row.case.size, ..USUAL };
        let points = rows.iter().find(like).map_or_else(Vec::new, |row| {
            let full = row.deployed.last().copied().unwrap_or(1.0);
            DENSITIES
                .iter()
                .zip(&row.deployed)
                .map(|(share, time)| (f64::from(*share), 100.0 * time / full))
                .collect()
        });
        Series { name, colour, points }
    });
    let charts = [
        Lines {
            title: "Share of the time at 100 %, T = 4",
            x_label: "active inputs, %",
            unit: " %",
            series: by_share.collect(),
        },
        Lines {
            title: "Microseconds, 128 channels",
            x_label: "T",
            unit: "",
            series: shares(&|case| case.steps, &|case| case == Case { steps: case.steps, ..USUAL }),
        },
        Lines {
            title: "Microseconds, T = 4",
            x_label: "channels",
            unit: "",
            series: shares(&|case| case.channels, &|case| {
                case == Case { channels: case.channels, size: case.size, ..USUAL }
            }),
        },
        Lines {
            title: "Microseconds, 128 channels, T = 4",
            x_label: "threads",
            unit: "",
            series: shares(&|case| case.threads, &|case| {
                case == Case { threads: case.threads, ..USUAL }
            }),
        },
    ];
    panels(&charts, 2)
}

fn table(rows: &[Row], bare: &[BesideBare]) -> Result<String> {
    let mut text = String::from(
        "# A layer of a deployment by active inputs, macro-steps, width and threads\n\n\
         Microseconds of one sample through a 3×3 convolution with its LIF neurons, as many \
         channels as\n\
         inputs, by the share of inputs that are active, drawn at random: as it is deployed, which \
         is through\n\
         events or as a dense integer product, as times decide that were measured before \
         (`Tuning`);\n\
         *events only*; and *dense*, the integer product alone, which spreads the events out \
         first.\n\
         *libtorch*: the convolution alone, f32, channels last, all macro-steps at once.\n\n\
         ![chart](layers.svg)\n",
    );
    let mut before = None;
    for Row { case, deployed, events, dense, libtorch } in rows {
        let Case { channels, size, steps, threads } = *case;
        if before.replace((threads, steps)) != Some((threads, steps)) {
            let plural = if threads == 1 { "thread" } else { "threads" };
            let shares: Vec<String> = DENSITIES.iter().map(|share| format!("{share} %")).collect();
            writeln!(
                text,
                "\n## {threads} {plural}, T = {steps}\n\n| layer | {} | libtorch |",
                shares.join(" | ")
            )?;
            writeln!(text, "|---|{}--:|", "--:|".repeat(DENSITIES.len()))?;
        }
        let times = |times: &[f64]| {
            times.iter().map(|time| format!("{time:.1}")).collect::<Vec<_>>().join(" | ")
        };
        writeln!(text, "| {channels}×{size}×{size} | {} | {libtorch:.1} |", times(deployed))?;
        writeln!(text, "| events only | {} | |", times(events))?;
        writeln!(text, "| dense | {} | |", times(dense))?;
    }
    writeln!(text, "\n{}", worst(rows)?)?;
    writeln!(
        text,
        "\n## Beside a bare loop\n\nThe same layers at {BARE_PERCENT} %, one thread, T = {}, in \
         turns with a loop that widens and adds\nas many rows of int8 weights from a list that is \
         known: it finds no events, widens no sums, fires\nno neurons and sends nothing.\n\n\
         | layer | as deployed | bare loop | share of its speed |\n|---|--:|--:|--:|",
        USUAL.steps
    )?;
    for BesideBare { layer: (channels, size), microseconds: [layer, bare], share } in bare {
        writeln!(
            text,
            "| {channels}×{size}×{size} | {layer:.1} | {bare:.1} | {:.0} % |",
            100.0 * share
        )?;
    }
    writeln!(text, "\n{}", footer("cargo run --release -p snn-benches --bin layer-chart")?)?;
    Ok(text)
}

/// By how much a layer as deployed takes longer than the better of its two forms, at most.
fn worst(rows: &[Row]) -> Result<String> {
    let against = rows.iter().flat_map(|row| {
        let times = row.deployed.iter().zip(&row.events).zip(&row.dense).zip(DENSITIES);
        times.map(move |(((deployed, events), dense), share)| {
            (deployed / events.min(*dense), row.case, share)
        })
    });
    let (places, above) =
        (against.clone().count(), against.clone().filter(|(ratio, ..)| *ratio > ALLOWED).count());
    let (ratio, case, share) =
        against.max_by(|a, b| a.0.total_cmp(&b.0)).context("nothing was measured")?;
    let Case { channels, size, steps, threads } = case;
    Ok(format!(
        "As deployed a layer takes more than {ALLOWED} times as long as the better of events only \
         and dense\nin {above} of {places} places, and {ratio:.2} times at most: \
         {channels}×{size}×{size} at {share} %, T = {steps}, threads: {threads}."
    ))
}
