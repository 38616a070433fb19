//! A folder of caches.

use super::build::build;
use super::layout::{Header, read_header};
use super::{Cached, Fingerprint};
use crate::{Error, Result, Source};
use fs_err as fs;
use serde::Serialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const WHOLE: &str = "cache";
const PARTIAL: &str = "partial";
const JOURNAL: &str = "journal";
const LOCK: &str = "lock";

/// A folder of caches with a limit on its size.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    max_bytes: u64,
}

/// One cache of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheEntry {
    /// Its name: the hash of all that its samples depend on.
    pub key: String,
    /// Title for people; empty if the header cannot be read.
    pub title: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// `true` if it is whole; others are left from a process that ended early, or are being built.
    pub complete: bool,
    /// When it was last opened or written.
    #[serde(skip)]
    pub used: SystemTime,
}

impl Cache {
    /// The caches of a folder, which is made if need be, with at most `max_bytes` altogether.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be made.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), max_bytes })
    }

    /// The samples of `source` from their cache, which is built first if it is not there.
    ///
    /// Only one process builds; others wait for it, and go on where it ended if it was killed. To
    /// make room, the caches that were not used for longest are removed. `source` must not use its
    /// random stream: a cache is for what is the same in every epoch.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the cache alone is above the limit; what the source reports,
    /// after which the pieces that were made stay; [`Error::Parse`] if a whole cache is damaged;
    /// [`Error::Io`].
    pub fn get(
        &self,
        fingerprint: &Fingerprint,
        source: &dyn Source,
        classes: usize,
    ) -> Result<Cached> {
        let key = fingerprint.key();
        let whole = self.path(&key, WHOLE);
        if let Some(cached) = touch(&whole)? {
            return Ok(cached);
        }
        let lock = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(self.path(&key, LOCK))?;
        // The lock ends with the process, whatever ends it.
        lock.file().lock()?;
        // Another process may have built it meanwhile.
        if let Some(cached) = touch(&whole)? {
            return Ok(cached);
        }
        let header = header(fingerprint, source, classes)?;
        self.make_room(&key, header.file_bytes().unwrap_or(u64::MAX))?;
        let (partial, journal) = (self.path(&key, PARTIAL), self.path(&key, JOURNAL));
        build(source, &header, &partial, &journal)?;
        fs::rename(&partial, &whole)?;
        fs::remove_file(&journal)?;
        Cached::open(&whole)
    }

    /// All caches, the one that was not used for longest first.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read.
    pub fn list(&self) -> Result<Vec<CacheEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let (Some(key), Some(ending)) = (path.file_stem(), path.extension()) else { continue };
            if ending != WHOLE && ending != PARTIAL {
                continue;
            }
            // It may be gone since the folder was read.
            let Ok(metadata) = entry.metadata() else { continue };
            entries.push(CacheEntry {
                key: key.to_string_lossy().into_owned(),
                title: title(&path).unwrap_or_default(),
                bytes: metadata.len(),
                complete: ending == WHOLE,
                used: metadata.modified()?,
            });
        }
        entries.sort_by(|a, b| (a.used, &a.key).cmp(&(b.used, &b.key)));
        Ok(entries)
    }

    /// Removes all caches but those that are being built; returns how many bytes that freed.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file that cannot be removed.
    pub fn clear(&self) -> Result<u64> {
        let mut freed = 0;
        for entry in self.list()? {
            if self.remove(&entry)? {
                freed += entry.bytes;
            }
        }
        Ok(freed)
    }

    fn path(&self, key: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{key}.{ending}"))
    }

    /// Removes a cache unless it is being built; says whether it did.
    fn remove(&self, entry: &CacheEntry) -> Result<bool> {
        let path = self.path(&entry.key, LOCK);
        let lock = fs::OpenOptions::new().create(true).write(true).truncate(false).open(&path)?;
        if lock.file().try_lock().is_err() {
            return Ok(false);
        }
        for ending in [WHOLE, PARTIAL, JOURNAL] {
            match fs::remove_file(self.path(&entry.key, ending)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Removes caches, the one that was not used for longest first, until `bytes` fit.
    fn make_room(&self, key: &str, bytes: u64) -> Result<()> {
        if bytes > self.max_bytes {
            return Err(Error::InvalidConfig {
                field: "cache",
                expected: format!(
                    "at most {} bytes, the limit of `{}`",
                    self.max_bytes,
                    self.folder.display()
                ),
                found: format!("{bytes} bytes"),
            });
        }
        let others: Vec<_> = self.list()?.into_iter().filter(|entry| entry.key != key).collect();
        let mut total: u64 = others.iter().map(|entry| entry.bytes).sum();
        for entry in others {
            if total.saturating_add(bytes) <= self.max_bytes {
                break;
            }
            if self.remove(&entry)? {
                total -= entry.bytes;
            }
        }
        Ok(())
    }
}

/// Opens a cache if it is there, and notes that it was used.
fn touch(path: &Path) -> Result<Option<Cached>> {
    if !path.is_file() {
        return Ok(None);
    }
    let cached = Cached::open(path)?;
    // Not being allowed to note it harms nobody.
    let _ = fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|file| file.file().set_modified(SystemTime::now()));
    Ok(Some(cached))
}

fn header(fingerprint: &Fingerprint, source: &dyn Source, classes: usize) -> Result<Header> {
    let fits = |number: usize| {
        u32::try_from(number).map_err(|_| Error::InvalidConfig {
            field: "cache",
            expected: "sides and classes of at most 32 bits".into(),
            found: number.to_string(),
        })
    };
    let shape = source.shape();
    let [channels, height, width] = shape.image();
    Ok(Header {
        image: [fits(channels)?, fits(height)?, fits(width)?],
        steps: shape.time_steps().map(fits).transpose()?,
        classes: fits(classes)?,
        count: source.len() as u64,
        title: fingerprint.title().to_owned(),
    })
}

fn title(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.take(1 << 12).read_to_end(&mut bytes).ok()?;
    Some(read_header(&bytes, length, path).ok()?.title)
}
