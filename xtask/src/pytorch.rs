//! The libtorch of the PyTorch in the user's Python, which `LIBTORCH_USE_PYTORCH` asks for.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{own, wheel::TORCH_VERSION};

/// The variable, which torch-sys reads too.
pub(crate) const VARIABLE: &str = "LIBTORCH_USE_PYTORCH";

/// Prints where PyTorch is and which version it has.
const ASK: &str = "import os, torch\n\
                   print(os.path.dirname(torch.__file__))\n\
                   print(torch.__version__)";

/// The Python that torch-sys would ask: that of the active virtual environment, or `python3`.
pub(crate) fn python(virtual_environment: Option<&OsStr>) -> PathBuf {
    virtual_environment
        .map_or_else(|| "python3".into(), |folder| Path::new(folder).join("bin/python"))
}

/// The folder of its PyTorch, which is a libtorch of the right version.
///
/// # Errors
///
/// No such Python, no PyTorch in it, or another version: says what was found.
pub(crate) fn folder(python: &Path) -> Result<PathBuf> {
    find(python).with_context(|| {
        format!(
            "{VARIABLE} asks for the PyTorch of {}, which cannot be used: install \
             torch=={TORCH_VERSION} there, or unset the variable to have libtorch set up",
            python.display()
        )
    })
}

fn find(python: &Path) -> Result<PathBuf> {
    let output = Command::new(python)
        .args(["-c", ASK])
        .output()
        .with_context(|| format!("cannot start {}", python.display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("it says: {}", errors.lines().last().unwrap_or("nothing").trim());
    }
    let text = String::from_utf8(output.stdout).context("it prints no text")?;
    let mut lines = text.lines();
    let (Some(folder), Some(version)) = (lines.next(), lines.next()) else {
        bail!("it printed {text:?} in place of a folder and a version");
    };
    // `2.11.0+cpu`: what follows says for which device it was built.
    let found = version.split('+').next().unwrap_or(version);
    ensure!(
        found == TORCH_VERSION || std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some(),
        "it has PyTorch {version} in {folder}, and tch needs {TORCH_VERSION}"
    );
    let folder = PathBuf::from(folder);
    own::look(&folder).with_context(|| format!("its PyTorch is in {}", folder.display()))?;
    Ok(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use fs_err as fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// A program that answers as a Python would.
    fn answers(script: &str) -> Result<(tempfile::TempDir, PathBuf)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("python");
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok((folder, path))
    }

    fn refused(script: &str) -> Result<String> {
        let (_kept, python) = answers(script)?;
        let error = folder(&python).err().context("it was accepted")?;
        Ok(format!("{error:#}"))
    }

    #[test]
    fn the_pytorch_of_the_right_version_is_found() -> Result<()> {
        let torch = own::torch_for_tests([2, 11, 0])?;
        let script = format!("echo {}; echo 2.11.0+cpu", torch.path().display());
        let (_kept, python) = answers(&script)?;
        assert_eq!(folder(&python)?, torch.path());
        Ok(())
    }

    #[test]
    fn what_was_found_instead_is_said() -> Result<()> {
        let told = refused("echo /opt/torch; echo 2.9.1+cu128")?;
        assert!(told.contains("PyTorch 2.9.1+cu128 in /opt/torch, and tch needs 2.11.0"), "{told}");
        let told = refused("echo 'ModuleNotFoundError: No module named torch' >&2; exit 1")?;
        assert!(told.ends_with("it says: ModuleNotFoundError: No module named torch"), "{told}");
        assert!(refused("echo one line")?.contains("in place of a folder and a version"));
        let absent = folder(Path::new("/no/such/python")).err().context("started")?;
        assert!(format!("{absent:#}").contains("cannot start /no/such/python"));
        Ok(())
    }

    #[test]
    fn the_python_of_a_virtual_environment_comes_first() {
        assert_eq!(python(None), Path::new("python3"));
        assert_eq!(python(Some(OsStr::new("/venv"))), Path::new("/venv/bin/python"));
    }
}
