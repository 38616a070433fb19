//! Times of layers that `tune` measured, kept for each processor in the cache.

use crate::files;
use crate::tables::processor;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use snn_runtime::deploy::{Options, Tuning};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Changes of kernels that make times of before worthless.
const REVISION: u32 = 1;

/// The file of one processor.
#[derive(Serialize, Deserialize)]
struct Kept<L> {
    /// Name of the processor.
    processor: String,
    /// Version of this program and revision of its kernels, which were measured.
    version: String,
    layers: L,
}

fn version() -> String {
    format!("{}, kernels {REVISION}", env!("CARGO_PKG_VERSION"))
}

/// The file of this processor, where there is a place for it.
pub(crate) fn file() -> Result<PathBuf> {
    let name: String = named()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    Ok(cache()?.join("tuning").join(words.join("-")).with_extension("json"))
}

fn named() -> String {
    processor().unwrap_or_else(|| format!("unknown {} processor", env::consts::ARCH))
}

/// The folder of the cache: `SNN_CACHE_DIR`, `$XDG_CACHE_HOME/snn` or `~/.cache/snn`.
fn cache() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let xdg = || set("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || set("HOME").map(|home| Path::new(&home).join(".cache"));
    if let Some(own) = set("SNN_CACHE_DIR") {
        return std::path::absolute(&own)
            .with_context(|| format!("SNN_CACHE_DIR={} is not a path", own.display()));
    }
    let cache = xdg().or_else(home).map(|cache| cache.join("snn"));
    cache.context("there is no place for the cache: set SNN_CACHE_DIR (neither it nor HOME is set)")
}

/// What was measured on this processor by this version; nothing where there is no such file.
pub(crate) fn load() -> Result<Tuning> {
    let Ok(path) = file() else { return Ok(Tuning::default()) };
    if !path.is_file() {
        return Ok(Tuning::default());
    }
    let damaged = || {
        format!(
            "{}: expected what `snn tune` writes; `snn tune --force` replaces it",
            path.display()
        )
    };
    let text = fs_err::read_to_string(&path)?;
    let kept: Kept<serde_json::Value> = serde_json::from_str(&text).with_context(damaged)?;
    // Times of another version may have another form.
    if kept.version != version() || kept.processor != named() {
        return Ok(Tuning::default());
    }
    serde_json::from_value(kept.layers).with_context(damaged)
}

/// Keeps it.
pub(crate) fn save(layers: Tuning) -> Result<()> {
    let kept = Kept { processor: named(), version: version(), layers };
    let mut text = serde_json::to_string(&kept)?;
    text.push('\n');
    files::write(&file()?, text.as_bytes(), true)
}

/// How models are deployed: by what was measured on this machine, if something was.
pub(crate) fn options() -> Result<Options> {
    let tuning = load()?;
    let tuning = (!tuning.is_empty()).then(|| Arc::new(tuning));
    Ok(Options { tuning, ..Options::default() })
}
