//! A libtorch of the user's own, named by the environment variable `LIBTORCH`.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use crate::wheel::TORCH_VERSION;

/// The folder that the user's `LIBTORCH` names; none if `value` is what `.cargo/config.toml` sets,
/// which is `link`.
pub(crate) fn folder(value: Option<&OsStr>, link: &Path) -> Result<Option<PathBuf>> {
    let Some(value) = value.filter(|value| *value != link.as_os_str()) else {
        return Ok(None);
    };
    let folder = PathBuf::from(value);
    ensure!(
        folder.is_absolute(),
        "LIBTORCH is set to '{}', which is not an absolute path: set it to the folder of a \
         libtorch {TORCH_VERSION}, \
         or unset it to have one set up",
        folder.display()
    );
    Ok(Some(folder))
}

/// `true` if `folder` holds a libtorch of the right version.
pub(crate) fn check(folder: &Path) -> Result<()> {
    look(folder).with_context(|| {
        format!(
            "LIBTORCH={} cannot be used: set it to the folder of a libtorch {TORCH_VERSION}, \
             or unset it to have one set up",
            folder.display()
        )
    })
}

/// Whether a folder holds a libtorch of the right version.
pub(crate) fn look(folder: &Path) -> Result<()> {
    for file in ["lib/libtorch_cpu.so", "include/torch/csrc/api/include/torch/torch.h"] {
        ensure!(folder.join(file).exists(), "it has no {file}");
    }
    // torch-sys looks at `build-version` only, which an installed Python package does not have.
    let header = fs::read_to_string(folder.join("include/torch/headeronly/version.h"))
        .context("its version cannot be told")?;
    let number = |name| defined(&header, name).unwrap_or("?");
    let found = [
        number("TORCH_VERSION_MAJOR"),
        number("TORCH_VERSION_MINOR"),
        number("TORCH_VERSION_PATCH"),
    ]
    .join(".");
    ensure!(
        found == TORCH_VERSION || std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some(),
        "it is version {found}, and tch needs {TORCH_VERSION}"
    );
    Ok(())
}

/// The value of `#define name value`.
fn defined<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("#define") && words.next() == Some(name)).then(|| words.next())?
    })
}

/// A folder that looks like a libtorch of this version.
#[cfg(test)]
pub(crate) fn torch_for_tests(version: [u8; 3]) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let include = folder.path().join("include/torch");
    fs::create_dir_all(folder.path().join("lib"))?;
    fs::create_dir_all(include.join("csrc/api/include/torch"))?;
    fs::create_dir_all(include.join("headeronly"))?;
    fs::write(folder.path().join("lib/libtorch_cpu.so"), "")?;
    fs::write(include.join("csrc/api/include/torch/torch.h"), "")?;
    let [major, minor, patch] = version;
    fs::write(
        include.join("headeronly/version.h"),
        format!(
            "#pragma once\n#define TORCH_VERSION_MAJOR {major}\n#define TORCH_VERSION_MINOR \
             {minor}\n\
             #define TORCH_VERSION_PATCH {patch}\n"
        ),
    )?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::{torch_for_tests as torch, *};

    #[test]
    fn what_cargo_sets_is_not_the_users_own() -> Result<()> {
        let link = Path::new("/checkout/.libtorch");
        assert_eq!(folder(None, link)?, None);
        assert_eq!(folder(Some(link.as_os_str()), link)?, None);
        let own = folder(Some(OsStr::new("/opt/libtorch")), link)?;
        assert_eq!(own.as_deref(), Some(Path::new("/opt/libtorch")));
        assert!(folder(Some(OsStr::new("")), link).is_err());
        assert!(folder(Some(OsStr::new("libtorch")), link).is_err());
        Ok(())
    }

    #[test]
    fn the_right_version_passes() -> Result<()> {
        check(torch([2, 11, 0])?.path())
    }

    #[test]
    fn another_version_and_a_missing_library_are_named() -> Result<()> {
        let old = torch([2, 9, 1])?;
        let told = check(old.path()).map_err(|error| format!("{error:#}"));
        let expected = "it is version 2.9.1, and tch needs 2.11.0";
        assert!(told.is_err_and(|text| text.ends_with(expected)));

        let broken = torch([2, 11, 0])?;
        fs::remove_file(broken.path().join("lib/libtorch_cpu.so"))?;
        let told = check(broken.path()).map_err(|error| format!("{error:#}"));
        assert!(told.is_err_and(|text| text.ends_with("it has no lib/libtorch_cpu.so")));
        Ok(())
    }
}
