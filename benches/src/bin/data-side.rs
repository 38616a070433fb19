//! Our side of `cargo xtask bench-peers data`: the works of `snn_benches::data` on some threads, as
//! one line of JSON.
//!
//! `data-side THREADS SECONDS`: each work for about so many seconds.
#![expect(clippy::print_stdout, reason = "the result of a program")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ndarray::{Array3, Array4};
use serde_json::json;
use snn_benches::data::{Augmentation, IMAGES, crop, fill, frames, images, pictures, recording};
use snn_data::cache::{Cache, Fingerprint};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [threads, seconds] = arguments.as_slice() else {
        bail!("usage: data-side THREADS SECONDS")
    };
    let threads: usize = threads.parse().context("THREADS")?;
    let seconds = Duration::from_secs_f64(seconds.parse().context("SECONDS")?);
    let rate = |unit: &(dyn Fn(usize) -> Result<usize> + Sync)| per_second(threads, seconds, unit);

    let recording = recording();
    let recordings = rate(&|_| frames(&recording).map(|frames| black_box(frames.len()).min(1)))?;
    let pictures = pictures();
    let crops = rate(&|index| {
        let index = index % pictures.len();
        crop(&pictures[index], index).map(|planes| black_box(planes.len()).min(1))
    })?;
    let augmentation = Augmentation::new()?;
    let augmented = rate(&|index| {
        let mut image = Array3::zeros((3, 32, 32));
        for offset in 0..64 {
            augmentation.make((64 * index + offset) % IMAGES, &mut image)?;
            black_box(&image);
        }
        Ok(64)
    })?;

    let folder = std::env::temp_dir().join(format!("snn-data-side-{}", std::process::id()));
    let cache = Cache::open(&folder, 1 << 30)?;
    let cached = cache.get(&Fingerprint::new("data-side"), &images()?, 1)?;
    let bytes = IMAGES * 3 * 32 * 32;
    // Every thread has a batch of its own, made once.
    let batches: Vec<_> =
        (0..threads).map(|_| std::sync::Mutex::new(Array4::zeros((IMAGES, 3, 32, 32)))).collect();
    let batch = |index: usize| {
        batches[index % threads].lock().map_err(|_| anyhow::anyhow!("a thread failed"))
    };
    let hits = rate(&|index| {
        fill(&cached, &mut *batch(index)?)?;
        Ok(bytes)
    })?;
    let plain: Vec<u8> =
        (0..bytes).map(|index| u8::try_from(index % 251).unwrap_or_default()).collect();
    let copies = rate(&|index| {
        batch(index)?.as_slice_mut().context("a whole batch")?.copy_from_slice(black_box(&plain));
        Ok(bytes)
    })?;
    std::fs::remove_dir_all(folder)?;

    println!(
        "{}",
        json!({
            "recordings": recordings, "crops": crops, "augmented": augmented,
            "cache_bytes": hits, "copied_bytes": copies,
        })
    );
    Ok(())
}

/// Runs `unit` on so many threads, for at least so long after one that is not counted; returns the
/// sum of what it returned, a second.
///
/// Thread i of n gives it the numbers i, i + n, i + 2n, ….
fn per_second(
    threads: usize,
    least: Duration,
    unit: &(dyn Fn(usize) -> Result<usize> + Sync),
) -> Result<f64> {
    unit(0)?;
    let start = Instant::now();
    let work = |thread: usize| {
        let mut done = 0;
        for index in (thread..).step_by(threads) {
            if start.elapsed() >= least {
                break;
            }
            done += unit(index)?;
        }
        Ok::<usize, anyhow::Error>(done)
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread failed"))?);
        joined.sum::<Result<usize>>()
    })?;
    Ok(done as f64 / start.elapsed().as_secs_f64())
}
