//! Checks of the tree that neither the compiler nor clippy has.

pub(crate) mod circles;
pub(crate) mod paths;
mod source;
pub(crate) mod widths;

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

/// The files that git knows below `root`.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .context("cannot start git, which lists the files to check")?;
    ensure!(
        output.status.success(),
        "git cannot list the files: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let names = String::from_utf8(output.stdout).context("the name of a file is no text")?;
    Ok(names.split_terminator('\0').map(str::to_string).collect())
}
