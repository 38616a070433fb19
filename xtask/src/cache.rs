//! The cache: one folder outside the checkout, shared by all checkouts of a user, and the lock on
//! what is built in it.

use std::{
    ffi::OsString,
    fs::TryLockError,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use fs_err as fs;

/// Where the cache is: `$SNN_CACHE_DIR`, otherwise `$XDG_CACHE_HOME/snn`, otherwise `~/.cache/snn`.
///
/// `variable` looks up the environment. As the XDG specification asks, a relative `XDG_CACHE_HOME`
/// is ignored.
pub(crate) fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(own) = set("SNN_CACHE_DIR") {
        return std::path::absolute(&own)
            .with_context(|| format!("SNN_CACHE_DIR={} is not a path", own.display()));
    }
    let xdg = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || set("HOME").map(|home| Path::new(&home).join(".cache"));
    xdg.or_else(home)
        .map(|cache| cache.join("snn"))
        .context("there is no place for the cache: set SNN_CACHE_DIR (neither it nor HOME is set)")
}

/// Held while something is built in the cache, so that two checkouts do not build the same thing at
/// once.
///
/// The kernel frees it when the process ends, however it ends: there are no stale locks.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Waits for the lock; calls `waiting` once if another process has it.
    pub(crate) fn acquire(path: &Path, waiting: impl FnOnce()) -> Result<Self> {
        let (file, _) = fs::OpenOptions::new().create(true).append(true).open(path)?.into_parts();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<PathBuf> {
        folder(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_most_particular_variable_wins() -> Result<()> {
        let home = ("HOME", "/home/ada");
        let xdg = ("XDG_CACHE_HOME", "/var/xdg");
        let own = ("SNN_CACHE_DIR", "/data/snn");
        assert_eq!(with(&[home])?, Path::new("/home/ada/.cache/snn"));
        assert_eq!(with(&[home, xdg])?, Path::new("/var/xdg/snn"));
        assert_eq!(with(&[home, xdg, own])?, Path::new("/data/snn"));
        Ok(())
    }

    #[test]
    fn empty_and_relative_values_are_handled() -> Result<()> {
        let home = ("HOME", "/home/ada");
        let ignored = [home, ("XDG_CACHE_HOME", "cache"), ("SNN_CACHE_DIR", "")];
        assert_eq!(with(&ignored)?, Path::new("/home/ada/.cache/snn"));
        assert!(with(&[("SNN_CACHE_DIR", "here")])?.is_absolute());
        assert!(with(&[]).is_err());
        Ok(())
    }

    #[test]
    fn a_second_holder_waits() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lock");
        let first = Lock::acquire(&path, || ())?;
        let waited = Cell::new(false);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut waited = false;
                Lock::acquire(&path, || waited = true).map(|_| waited)
            });
            std::thread::sleep(std::time::Duration::from_millis(200));
            drop(first);
            waited.set(matches!(second.join(), Ok(Ok(true))));
        });
        assert!(waited.get());
        Ok(())
    }
}
