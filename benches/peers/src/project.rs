//! The checkout and the cache, as `cargo xtask bench-peers` found them, and cargo in the checkout.

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

/// The root of the checkout: two levels above this package.
pub(crate) fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .context("this package does not stand in a checkout")
}

/// The cache folder, which `cargo xtask` names.
pub(crate) fn cache() -> Result<PathBuf> {
    let folder = env::var_os("SNN_CACHE_DIR")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .context("start this as `cargo xtask bench-peers`, which says where the cache is")?;
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Waits for the lock `path`, which the kernel frees when the returned file is closed; calls
/// `waiting` once if another process has it.
pub(crate) fn lock(path: &Path, waiting: impl FnOnce()) -> Result<File> {
    let (file, _) = fs::OpenOptions::new().create(true).append(true).open(path)?.into_parts();
    if file.try_lock().is_err() {
        waiting();
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// Cargo in the checkout, with libtorch, which is set up at the first call.
pub(crate) fn cargo_command() -> Result<Command> {
    static READY: OnceLock<()> = OnceLock::new();
    let root = root()?;
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if READY.get().is_none() {
        let mut setup = Command::new(&program);
        setup.args(["xtask", "setup"]).current_dir(&root);
        let status = setup.status().with_context(|| format!("cannot start {setup:?}"))?;
        ensure!(status.success(), "libtorch could not be set up");
        READY.get_or_init(|| ());
    }
    let mut command = Command::new(&program);
    command.current_dir(&root);
    // `.cargo/config.toml` has put the checkout's libtorch into our environment and will do so
    // again: the child then sees what it would see without us, so that torch-sys is not built
    // twice. A user's own libtorch stays.
    if env::var_os("LIBTORCH")
        .is_some_and(|libtorch| Path::new(&libtorch) == root.join(".libtorch"))
    {
        command.env_remove("LIBTORCH");
    }
    Ok(command)
}

/// Runs cargo in the checkout, with libtorch.
///
/// # Errors
/// It fails.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    let mut command = cargo_command()?;
    let status =
        command.args(arguments).status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "`cargo {}` did not work", arguments.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_the_scripts_of_the_peers() -> Result<()> {
        assert!(root()?.join("benches/peers/requirements.txt").is_file());
        Ok(())
    }
}
