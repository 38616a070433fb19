//! `data cache`: the caches of a folder.

use crate::cli::data::{CacheBuild, CacheCommand, CacheFolder};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, count};
use anyhow::{Result, bail};
use serde::Serialize;
use snn_data::cache::{Cache, CacheEntry};
use snn_train::RunConfig;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// Where caches are in a data root, unless told otherwise.
const FOLDER: &str = "cache";

#[derive(Serialize)]
struct Cleared {
    folder: PathBuf,
    removed: usize,
    freed_bytes: u64,
    /// Caches that are being built.
    kept: usize,
}

#[derive(Serialize)]
struct BuildReport {
    folder: PathBuf,
    /// Caches that were not there before.
    built: usize,
    seconds: f64,
    /// All complete caches of the folder.
    caches: Vec<CacheEntry>,
}

#[derive(Serialize)]
struct Caches {
    folder: PathBuf,
    caches: Vec<CacheEntry>,
}

pub(super) fn run(command: &CacheCommand, json: bool) -> Result<Outcome> {
    match command {
        CacheCommand::Build(arguments) => make(arguments, json),
        CacheCommand::List(place) => list(place, json),
        CacheCommand::Clear(place) => clear(place, json),
    }
}

/// Opens the data of a config, which builds what is missing.
fn make(arguments: &CacheBuild, json: bool) -> Result<Outcome> {
    let config = RunConfig::load(&arguments.config, &arguments.sets)?;
    let Some(cache) = &config.data.cache else {
        bail!(
            "{}: expected `cache` in [data], as `cache = {{ folder = \"cache\" }}`, found none: \
             the training would not read what is built",
            arguments.config.display()
        );
    };
    let begin = Instant::now();
    let root = arguments.data.folder();
    let folder = root.join(&cache.folder);
    let caches = Cache::open(&folder, u64::MAX)?;
    let complete = || -> Result<Vec<CacheEntry>> {
        Ok(caches.list()?.into_iter().filter(|cache| cache.complete).collect())
    };
    let before = complete()?.len();
    output::tell(format_args!("building in {}", folder.display()));
    config.open_data(Some(&root))?;
    if let Some(twin) = config.twin_config()?.filter(|twin| twin.data != config.data) {
        twin.open_data(Some(&root))?;
    }
    let caches = complete()?;
    let built = BuildReport {
        folder,
        built: caches.len().saturating_sub(before),
        seconds: begin.elapsed().as_secs_f64(),
        caches,
    };
    if json {
        print_json(&built)?;
        return Ok(Outcome::Holds);
    }
    output::line(format_args!(
        "{}: {} caches built in {:.1} s, {} in all",
        built.folder.display(),
        built.built,
        built.seconds,
        built.caches.len()
    ))?;
    Ok(Outcome::Holds)
}

fn list(place: &CacheFolder, json: bool) -> Result<Outcome> {
    let (folder, cache) = open(place)?;
    let caches = cache.map_or(Ok(Vec::new()), |cache| cache.list())?;
    if json {
        print_json(&Caches { folder, caches })?;
        return Ok(Outcome::Holds);
    }
    output::line(format_args!("caches in {}\n", folder.display()))?;
    if caches.is_empty() {
        output::line("none")?;
        return Ok(Outcome::Holds);
    }
    let mut table = Table::new(3, ["key", "holds", "is", "bytes", "last used"]);
    for cache in &caches {
        table.row([
            cache.key.clone(),
            cache.title.clone(),
            if cache.complete { "complete" } else { "incomplete" }.to_owned(),
            count(cache.bytes as f64),
            ago(cache.used),
        ]);
    }
    output::print(&table)?;
    Ok(Outcome::Holds)
}

fn clear(place: &CacheFolder, json: bool) -> Result<Outcome> {
    let (folder, cache) = open(place)?;
    let mut cleared = Cleared { folder, removed: 0, freed_bytes: 0, kept: 0 };
    if let Some(cache) = cache {
        let before = cache.list()?.len();
        cleared.freed_bytes = cache.clear()?;
        cleared.kept = cache.list()?.len();
        cleared.removed = before.saturating_sub(cleared.kept);
    }
    if json {
        print_json(&cleared)?;
        return Ok(Outcome::Holds);
    }
    let Cleared { folder, removed, freed_bytes, kept } = &cleared;
    output::line(format_args!(
        "{}: {removed} removed, {} bytes freed",
        folder.display(),
        count(*freed_bytes as f64)
    ))?;
    if *kept > 0 {
        output::line(format_args!("{kept} kept: being built"))?;
    }
    Ok(Outcome::Holds)
}

/// The folder, and its caches if it is there: looking makes no folder.
fn open(place: &CacheFolder) -> Result<(PathBuf, Option<Cache>)> {
    let folder = place.folder.clone().unwrap_or_else(|| place.data.folder().join(FOLDER));
    if !folder.exists() {
        return Ok((folder, None));
    }
    if !folder.is_dir() {
        bail!("{}: expected a folder of caches, found a file", folder.display());
    }
    let cache = Cache::open(&folder, u64::MAX)?;
    Ok((folder, Some(cache)))
}

fn ago(time: SystemTime) -> String {
    let seconds = time.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
