//! Training where cores are shared: one network on two threads, two replicas in threads, and two
//! processes, each quiet and beside busy loops.
//!
//! `shared-cores [SECONDS]` takes turns of so many seconds (20), and writes
//! `docs/results/training/shared-cores.md`. airbench94 of LIF neurons, T = 2, batches of 256 images
//! of 16×16 of the procedural set, in bf16 where the processor multiplies it. It needs two cores
//! that nothing else uses.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use anyhow::{Context, Result, bail, ensure};
use snn_benches::measured::footer;
use snn_benches::turns::median;
use snn_core::{ProcessRank, Rendezvous, multiplies_bf16};
use snn_train::{Options, Progress, RunConfig, train};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BATCH: usize = 256;
/// Rounds of a quiet turn and a loaded one, for each side.
const ROUNDS: usize = 3;
/// Steps before anything is measured.
const WARM_UP: usize = 4;
const BUSY_LOOPS: usize = 2;
const CONFIG: &str = "
epochs = 1000
time_steps = 2
policy = 'none'
network = { kind = 'airbench94' }
[data]
dataset = 'shapes10'
held_out = 0
test_limit = 10
crop_padding = 0
loader_threads = 1
flip = 'none'
";

/// Who trains: a name, and replicas, threads of libtorch, processes.
const SIDES: [(&str, usize, usize, usize); 4] = [
    ("one network, one thread", 1, 1, 1),
    ("one network, two threads", 1, 2, 1),
    ("two replicas in threads", 2, 1, 1),
    ("two processes (c10d, Gloo)", 1, 1, 2),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(Duration::from_secs(20)),
        ["train", replicas, threads, folder] => {
            steps(replicas.parse()?, threads.parse()?, Path::new(folder))
        }
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        [seconds] => compare(Duration::try_from_secs_f64(seconds.parse()?)?),
        _ => bail!("usage: shared-cores [SECONDS]"),
    }
}

/// Trains without end in a folder, and says so at each step.
fn steps(replicas: usize, threads: usize, folder: &Path) -> Result<()> {
    let bf16 = if multiplies_bf16() { "bf16" } else { "f32" };
    let sets = [
        format!("batch={BATCH}"),
        format!("replicas={replicas}"),
        format!("precision={bf16}"),
        format!("threads={threads}"),
    ];
    let mut config = RunConfig::with_overrides(CONFIG, &sets)?;
    let mut options = Options::default();
    if let Some(rendezvous) = Rendezvous::from_environment()? {
        config.replicas = rendezvous.count;
        options.processes = Some(Arc::new(ProcessRank::connect(&rendezvous)?));
    }
    train(&config, &folder.join("run"), &options, &mut |progress| {
        if let Progress::Step { .. } = progress {
            println!("step");
        }
    })?;
    Ok(())
}

/// Processes that end with this.
struct Running(Vec<Child>);

impl Running {
    fn start(arguments: &[String], ranks: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        // Free now, and hardly taken by another a moment later.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut running = Self(Vec::new());
        for rank in 0..ranks {
            let mut command = Command::new(&program);
            command.args(arguments).stdout(Stdio::piped());
            if ranks > 1 {
                command.env("RANK", rank.to_string()).env("WORLD_SIZE", ranks.to_string());
                command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            }
            running.0.push(command.spawn().context("cannot start itself")?);
        }
        Ok(running)
    }

    /// What the first one says.
    fn said(&mut self) -> Result<BufReader<ChildStdout>> {
        let output = self.0.first_mut().and_then(|child| child.stdout.take());
        Ok(BufReader::new(output.context("no output")?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }
}

/// Images a second, of so many steps or more as begin within the time.
fn speed(said: &mut impl BufRead, time: Duration) -> Result<f64> {
    let (begun, mut count) = (Instant::now(), 0_usize);
    while count < 1 || begun.elapsed() < time {
        step(said)?;
        count += 1;
    }
    Ok((count * BATCH) as f64 / begun.elapsed().as_secs_f64())
}

fn step(said: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    ensure!(said.read_line(&mut line)? > 0, "a training ended");
    Ok(())
}

fn compare(time: Duration) -> Result<()> {
    let mut table = String::new();
    let mut quiet_alone = None;
    for (name, replicas, threads, processes) in SIDES {
        eprintln!("{name}");
        // Removed when its processes have been killed, which is before.
        let folder = tempfile::tempdir()?;
        let (replicas, threads) = (replicas.to_string(), threads.to_string());
        let folder = folder.path().display().to_string();
        let arguments = ["train".to_owned(), replicas, threads, folder];
        let mut training = Running::start(&arguments, processes)?;
        let said = &mut training.said()?;
        for _ in 0..WARM_UP {
            step(said)?;
        }
        let (mut quiet, mut loaded) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            quiet.push(speed(said, time)?);
            let loops = (0..BUSY_LOOPS).map(|_| Running::start(&["spin".to_owned()], 1));
            let _loops = loops.collect::<Result<Vec<_>>>()?;
            // One step for the change.
            step(said)?;
            loaded.push(speed(said, time)?);
        }
        let shares: Vec<f64> = loaded.iter().zip(&quiet).map(|(a, b)| a / b).collect();
        let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
        let (fast, slow) = (middle(&quiet), middle(&loaded));
        let alone = *quiet_alone.get_or_insert(fast);
        writeln!(
            table,
            "| {name} | {fast:.0} | {:.2} | {slow:.0} | {:.0} % |",
            fast / alone,
            100.0 * middle(&shares)
        )?;
    }
    let precision = if multiplies_bf16() { "bf16" } else { "f32" };
    let text = format!(
        "# Training on cores that are shared\n\n\
         airbench94 with LIF neurons everywhere, T = 2, batches of {BATCH} images of 16×16, \
         {precision}, on two\ncores: quiet, and beside {BUSY_LOOPS} busy loops, which leave half \
         of the cores' time to two threads of\na training and a third to one. Medians of {ROUNDS} \
         turns of {} seconds each, ends of epochs included; the\nshare is the median of the \
         ratios of a loaded turn to the quiet one before it.\n\n\
         | training | images/s, quiet | times one thread | images/s, loaded | loaded of quiet |\n\
         |---|--:|--:|--:|--:|\n{table}\n{}\n",
        time.as_secs_f64(),
        footer(&format!(
            "cargo run --release -p snn-benches --bin shared-cores -- {}",
            time.as_secs_f64()
        ))?
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/training");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("shared-cores.md"), &text)?;
    print!("{text}");
    Ok(())
}
