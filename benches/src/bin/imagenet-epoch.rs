//! Start-up, speed and memory of an epoch over 20,000 files laid out as ImageNet: `imagenet-epoch
//! [--pictures FOLDER] [--threads N] [--out FOLDER]`.
//!
//! Makes `train/nXXXXXXXX/` of 1,000 classes with 20 files each in a temporary folder, copies in
//! turn of the pictures in FOLDER (of any depth; without it those of `SNN_RECORDINGS`, or one of
//! the fixtures), opens it as a user does, and reads one epoch of random crops of 224. Writes
//! `imagenet.md` into the folder of `--out`, `docs/results/data` unless another is named, and
//! prints it. Needs Linux, which says how much memory a process has.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the result goes to stdout, progress to stderr"
)]

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
    thread::available_parallelism,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use snn_benches::{data, measured::footer};
use snn_data::{
    Augment, Flip, LoaderConfig, Split,
    pictures::{DecodeOptions, OnDamage, PictureSource, Pictures, RandomResizedCrop, View},
};

const CLASSES: usize = 1_000;
const FILES_PER_CLASS: usize = 20;
const BATCH: usize = 64;
/// Memory is read so often in an epoch, and when it begins.
const PARTS: usize = 10;

/// Measurements of an epoch.
#[derive(Debug)]
struct Measured {
    /// Seconds until the set was open and its loader ready, and until the first batch was there.
    opened: f64,
    first_batch: f64,
    /// Seconds of the epoch, and its images.
    epoch: f64,
    images: usize,
    /// Resident MiB before anything was opened, when it was open, and after each part of the epoch.
    before: f64,
    start: f64,
    parts: Vec<f64>,
}

fn main() -> Result<()> {
    let mut out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/data");
    let (mut pictures, mut threads) = (None, available_parallelism().map_or(1, usize::from));
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} wants a value"))?;
        match flag.as_str() {
            "--out" => out = PathBuf::from(value),
            "--pictures" => pictures = Some(PathBuf::from(value)),
            "--threads" => {
                threads = value
                    .parse()
                    .with_context(|| format!("--threads wants a number, found `{value}`"))?;
            }
            _ => bail!("takes --pictures FOLDER, --threads N and --out FOLDER, found `{flag}`"),
        }
    }
    let files = match pictures {
        None => data::pictures(),
        Some(folder) => pictures_below(&folder)?,
    };
    let root = tempfile::tempdir().context("cannot make a temporary folder")?;
    eprintln!(
        "{} copies of {} pictures in {}",
        CLASSES * FILES_PER_CLASS,
        files.len(),
        root.path().display()
    );
    let bytes = lay_out(root.path(), &files)?;
    let measured = measure(root.path(), threads)?;
    let text = report(&measured, files.len(), bytes, threads)?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let path = out.join("imagenet.md");
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    print!("{text}");
    Ok(())
}

/// The JPEG files of a folder and of the folders in it, in order.
fn pictures_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            let ending = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
            if path.is_dir() {
                folders.push(path);
            } else if ending.is_some_and(|ending| ending == "jpg" || ending == "jpeg") {
                found.push(path);
            }
        }
    }
    ensure!(!found.is_empty(), "{}: no .jpg and no .jpeg in it", folder.display());
    found.sort();
    Ok(found)
}

/// Makes the files of every class, and returns their bytes altogether.
fn lay_out(root: &Path, pictures: &[PathBuf]) -> Result<u64> {
    let mut bytes = 0;
    let mut pictures = pictures.iter().cycle();
    for class in 0..CLASSES {
        let folder = root.join(format!("train/n{class:08}"));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        for (number, picture) in (0..FILES_PER_CLASS).zip(&mut pictures) {
            let to = folder.join(format!("n{class:08}_{number}.JPEG"));
            let copied = std::fs::copy(picture, &to);
            bytes += copied.with_context(|| {
                format!("cannot copy {} to {}", picture.display(), to.display())
            })?;
        }
    }
    Ok(bytes)
}

/// Opens the set and reads an epoch of it.
fn measure(root: &Path, threads: usize) -> Result<Measured> {
    let before = resident()?;
    let started = Instant::now();
    let pictures = Arc::new(Pictures::imagenet(root, Split::Train)?);
    let view = View::Train(RandomResizedCrop::default());
    let source = PictureSource::new(pictures, view, DecodeOptions::default(), OnDamage::Fail)?;
    let augment = Augment { flip: Flip::Horizontal, ..Augment::default() };
    let loader = LoaderConfig { batch_size: BATCH, threads, augment, ..LoaderConfig::default() }
        .init_source(Arc::new(source), None)?;
    let opened = started.elapsed().as_secs_f64();
    let start = resident()?;
    let epoch_started = Instant::now();
    let (mut images, mut first_batch, mut parts) = (0, None, Vec::new());
    for batch in loader.epoch(0)? {
        images += batch?.len();
        first_batch.get_or_insert_with(|| started.elapsed().as_secs_f64());
        if images * PARTS >= (parts.len() + 1) * loader.len() {
            parts.push(resident()?);
        }
    }
    let epoch = epoch_started.elapsed().as_secs_f64();
    ensure!(images == CLASSES * FILES_PER_CLASS, "an epoch had {images} images");
    Ok(Measured {
        opened,
        first_batch: first_batch.context("an epoch without a batch")?,
        epoch,
        images,
        before,
        start,
        parts,
    })
}

/// MiB of this process that are in memory.
fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")
        .context("Linux says it in /proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS in /proc/self/status")?;
    let number = line.trim().trim_end_matches("kB").trim();
    Ok(number.parse::<f64>().with_context(|| format!("VmRSS: {line}"))? / 1024.0)
}

fn report(measured: &Measured, pictures: usize, bytes: u64, threads: usize) -> Result<String> {
    let Measured { opened, first_batch, epoch, images, before, start, parts } = measured;
    let least = parts.iter().copied().fold(f64::INFINITY, f64::min);
    let most = parts.iter().copied().fold(0.0, f64::max);
    let mut text = format!(
        "# An epoch over 20,000 files laid out as ImageNet\n\n\
         {images} files in {CLASSES} folders, {:.2} GiB: copies in turn of {pictures} pictures. \
         Random crops of 224 with flips, batches of {BATCH}, loader threads: {threads}. \
         The files were just written, and are in the system's memory as far as it has room.\n\n\
         | | |\n|---|--:|\n\
         | start-up: the set is open, its loader ready | {opened:.3} s |\n\
         | start-up: the first batch is there | {first_batch:.3} s |\n\
         | epoch | {epoch:.1} s |\n\
         | speed | {:.0} images/s |\n\
         | memory of the process before | {before:.1} MiB |\n\
         | memory when the set is open | {start:.1} MiB |\n\
         | memory in the epoch, least and most | {least:.1} to {most:.1} MiB |\n\n\
         Memory (resident) after each tenth of the epoch:\n\n",
        bytes as f64 / f64::from(1 << 30),
        *images as f64 / epoch,
    );
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    text += &row((1..=parts.len()).map(|part| format!("{} %", 100 * part / PARTS)).collect());
    text += &row(vec!["--:".to_owned(); parts.len()]);
    text += &row(parts.iter().map(|part| format!("{part:.1}")).collect());
    writeln!(
        text,
        "\n{}",
        footer("cargo run --release -p snn-benches --no-default-features --bin imagenet-epoch")?
    )?;
    Ok(text)
}
