//! The list of files that says whether an unpacked libtorch is whole.
//!
//! It is written last and holds the size of every file, so that a later run sees in milliseconds
//! that something is missing or cut short, without reading half a gigabyte.

use std::{
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use fs_err as fs;

const MANIFEST: &str = "manifest.txt";

/// Why an unpacked libtorch cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing is there: the first use.
    Absent,
    /// The list of files is not there, or not whole.
    NoManifest,
    /// The folder was made from other wheels, or by another version of this program.
    OtherVersion { found: String },
    /// A file is not there.
    Missing(PathBuf),
    /// A file has another size than it had.
    Size { path: PathBuf, expected: u64, found: u64 },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "it is not there yet"),
            Self::NoManifest => write!(f, "{MANIFEST} is missing or cut short"),
            Self::OtherVersion { found } => write!(f, "it is another version ({found})"),
            Self::Missing(path) => write!(f, "{} is missing", path.display()),
            Self::Size { path, expected, found } => {
                write!(f, "{} has {found} bytes instead of {expected}", path.display())
            }
        }
    }
}

/// Writes the list of all files below `folder`; `version` is what [`check`] has to be called with.
pub(crate) fn seal(folder: &Path, version: &str) -> Result<()> {
    let mut files = Vec::new();
    collect(folder, Path::new(""), &mut files)?;
    files.sort();
    let mut text = format!("{version}\n");
    for (path, size) in &files {
        writeln!(text, "{size} {path}")?;
    }
    writeln!(text, "end {}", files.len())?;
    let path = folder.join(MANIFEST);
    fs::write(&path, text)?;
    fs::File::open(&path)?.sync_all()?;
    Ok(())
}

fn collect(root: &Path, below: &Path, files: &mut Vec<(String, u64)>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let metadata = fs::metadata(entry.path())?; // of the file itself where it is a link
        if metadata.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.push((path.display().to_string(), metadata.len()));
        }
    }
    Ok(())
}

/// Compares what lies in `folder` with its list.
pub(crate) fn check(folder: &Path, version: &str) -> Result<(), Damage> {
    if !folder.exists() {
        return Err(Damage::Absent);
    }
    let Ok(text) = fs::read_to_string(folder.join(MANIFEST)) else {
        return Err(Damage::NoManifest);
    };
    let (first, rest) = text.split_once('\n').ok_or(Damage::NoManifest)?;
    if first != version {
        return Err(Damage::OtherVersion { found: first.to_owned() });
    }
    let mut seen = 0;
    for line in rest.lines() {
        let (left, right) = line.split_once(' ').ok_or(Damage::NoManifest)?;
        if left == "end" {
            let whole = right.parse() == Ok(seen);
            return if whole { Ok(()) } else { Err(Damage::NoManifest) };
        }
        let expected: u64 = left.parse().map_err(|_| Damage::NoManifest)?;
        let path = PathBuf::from(right);
        match fs::metadata(folder.join(&path)) {
            Err(_) => return Err(Damage::Missing(path)),
            Ok(metadata) if metadata.len() != expected => {
                return Err(Damage::Size { path, expected, found: metadata.len() });
            }
            Ok(_) => seen += 1,
        }
    }
    Err(Damage::NoManifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "libtorch 0.0.0, layout 1";

    fn sealed() -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("lib"))?;
        fs::write(folder.path().join("lib/libc10.so"), "0123456789")?;
        fs::write(folder.path().join("build-version"), "0.0.0")?;
        std::os::unix::fs::symlink("libc10.so", folder.path().join("lib/libtorch.so"))?;
        seal(folder.path(), VERSION)?;
        Ok(folder)
    }

    #[test]
    fn a_whole_one_passes() -> Result<()> {
        let folder = sealed()?;
        assert_eq!(check(folder.path(), VERSION), Ok(()));
        Ok(())
    }

    #[test]
    fn a_missing_file_is_named_also_behind_a_link() -> Result<()> {
        let folder = sealed()?;
        fs::remove_file(folder.path().join("lib/libtorch.so"))?;
        let missing = Damage::Missing("lib/libtorch.so".into());
        assert_eq!(check(folder.path(), VERSION), Err(missing));
        Ok(())
    }

    #[test]
    fn a_truncated_file_is_named() -> Result<()> {
        let folder = sealed()?;
        fs::write(folder.path().join("lib/libc10.so"), "0123")?;
        let Err(damage) = check(folder.path(), VERSION) else {
            anyhow::bail!("not noticed");
        };
        assert_eq!(damage.to_string(), "lib/libc10.so has 4 bytes instead of 10");
        Ok(())
    }

    #[test]
    fn a_truncated_list_is_noticed_at_every_byte() -> Result<()> {
        let folder = sealed()?;
        let path = folder.path().join(MANIFEST);
        let text = fs::read_to_string(&path)?;
        for length in 0..text.trim_end().len() {
            fs::write(&path, &text[..length])?;
            assert!(check(folder.path(), VERSION).is_err(), "{length}");
        }
        Ok(())
    }

    #[test]
    fn other_versions_and_nothing_are_told_apart() -> Result<()> {
        let folder = sealed()?;
        let found = VERSION.to_owned();
        let other = check(folder.path(), "libtorch 9.9.9, layout 1");
        assert_eq!(other, Err(Damage::OtherVersion { found }));
        let nowhere = check(&folder.path().join("nowhere"), VERSION);
        assert_eq!(nowhere, Err(Damage::Absent));
        Ok(())
    }
}
