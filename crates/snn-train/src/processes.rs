//! Several processes that train one run together.
//!
//! All compute the same state, of which rank 0 keeps the folder of the run. The others do what it
//! does in folders of their own, which are gone when they end: so each step of a run (its stages,
//! what it starts from) is the same code everywhere, and no file system must be shared.

use crate::config::RunConfig;
use crate::error::{Error, Result};
use crate::progress::Options;
use crate::run::{RunFolder, Start};
use snn_core::{ProcessRank, Ranks};
use std::path::Path;

/// Runs in the folder of this process: the one that is given, or in ranks other than 0 one of their
/// own, in which a run that goes on has the files of rank 0. All must have the same config.
pub(crate) fn in_own_folder<V>(
    config: Option<&RunConfig>,
    folder: &Path,
    options: &Options,
    run: impl FnOnce(&Path) -> Result<V>,
) -> Result<V> {
    let Some(process) = &options.processes else { return run(folder) };
    process.agree("way to start", format!("{:?}", options.start).as_bytes())?;
    if let Some(config) = config {
        process.agree("config", config.to_toml()?.as_bytes())?;
    }
    if process.rank() == 0 {
        if options.start == Start::Resume {
            send(folder, process)?;
        }
        return run(folder);
    }
    let own = tempfile::tempdir()?;
    let folder = own.path().join("run");
    if options.start == Start::Resume {
        receive(&folder, process)?;
    }
    run(&folder)
}

/// Sends the files of a run to the other ranks.
fn send(folder: &Path, process: &ProcessRank) -> Result<()> {
    let files = match RunFolder::open(folder) {
        Ok(run) => run.all_files()?,
        // The other ranks find no run either.
        Err(_) => Vec::new(),
    };
    let names = serde_json::to_vec(&files).unwrap_or_default();
    process.broadcast("the files of a run", names)?;
    for name in &files {
        process.broadcast("a file of a run", fs_err::read(folder.join(name))?)?;
    }
    Ok(())
}

fn receive(folder: &Path, process: &ProcessRank) -> Result<()> {
    let names = process.broadcast("the files of a run", Vec::new())?;
    let files: Vec<String> = serde_json::from_slice(&names).map_err(|error| {
        Error::Core(snn_core::Error::Processes(format!("the files of a run: {error}")))
    })?;
    for name in files {
        let bytes = process.broadcast("a file of a run", Vec::new())?;
        let path = folder.join(name);
        fs_err::create_dir_all(path.parent().unwrap_or(folder))?;
        fs_err::write(path, bytes)?;
    }
    Ok(())
}
