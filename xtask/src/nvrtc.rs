//! NVRTC, CUDA's compiler, from a pinned wheel: for checks of the kernels of GPUs on machines
//! without one.

use std::path::PathBuf;

use anyhow::Result;
use fs_err as fs;

use crate::{
    cache::{self, Lock},
    libtorch::{obtain, remove},
    wheel::Wheel,
};

/// The folder in the cache.
const FOLDER: &str = "nvrtc-13.0.88-x86_64";

/// Of the version that torch 2.11 is built with.
const WHEEL: Wheel = Wheel {
    requirement: "nvidia-cuda-nvrtc==13.0.88",
    sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    size: 90_215_200,
    take: &[
        ("nvidia/cu13/lib/libnvrtc.so.13", "libnvrtc.so.13"),
        ("nvidia/cu13/lib/libnvrtc-builtins.so.13.0", "libnvrtc-builtins.so.13.0"),
    ],
};

/// The folder with the library, which is made if need be.
///
/// # Errors
///
/// The wheel cannot be had.
pub(crate) fn ensure() -> Result<PathBuf> {
    let cache = cache::folder(|name| std::env::var_os(name))?;
    let folder = cache.join(FOLDER);
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&cache)?;
    let _lock = Lock::acquire(&cache.join(format!("{FOLDER}.lock")), || {
        eprintln!("waiting: another process is setting NVRTC up in {}", cache.display());
    })?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let partial = cache.join(format!("{FOLDER}.partial"));
    fs::create_dir_all(&partial)?;
    let file = partial.join(WHEEL.file_name());
    obtain(&WHEEL, &partial, &file)?;
    let tree = partial.join("tree");
    remove(&tree)?;
    WHEEL.unpack(&file, &tree)?;
    fs::rename(&tree, &folder)?;
    remove(&partial)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_by_its_version() {
        let (_, version) = WHEEL.requirement.split_once("==").unwrap_or_default();
        assert!(FOLDER.contains(version));
    }
}
