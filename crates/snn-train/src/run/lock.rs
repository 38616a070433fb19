//! One process a run.

use crate::error::{Error, Result};
use fs_err::OpenOptions;
use std::fs::TryLockError;
use std::path::Path;

/// The file that is locked; it stays when the run has ended, unlocked.
pub(crate) const LOCK: &str = ".lock";

/// The right to write in a run folder, given back when dropped or when the process ends, however it
/// ends.
#[derive(Debug)]
pub(crate) struct RunLock {
    _locked: fs_err::File,
}

impl RunLock {
    /// Takes it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        match file.file().try_lock() {
            Ok(()) => Ok(Self { _locked: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: folder.to_path_buf() }),
            Err(TryLockError::Error(error)) => {
                let message = format!("cannot lock {}: {error}", path.display());
                Err(std::io::Error::new(error.kind(), message).into())
            }
        }
    }
}
