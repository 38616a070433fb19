//! Caches: the same samples, built once, by whoever is there, whatever happens to whom.

use snn_data::cache::{Cache, Cached, Fingerprint, read_header};
use snn_data::pictures::{CentreCrop, DecodeOptions, Exif, RandomResizedCrop};
use snn_data::pictures::{OnDamage, PictureSource, Pictures, View};
use snn_data::recordings::augment::EventAugment;
use snn_data::recordings::frames::{Framing, Slicing};
use snn_data::recordings::{RecordingSource, Recordings};
use snn_data::{
    DatasetName, Error, LoaderConfig, Result, SampleMut, SampleRng, SampleShape, Samples, Source,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Samples of 40,000 bytes that are a function of the index.
#[derive(Debug, Default)]
struct Made {
    count: usize,
    /// Milliseconds for each.
    slow: u64,
    fails_at: Option<usize>,
    loads: AtomicUsize,
}

fn byte(index: usize, at: usize) -> u8 {
    u8::try_from((index * 31 + at * 7) % 251).unwrap()
}

impl Source for Made {
    fn len(&self) -> usize {
        self.count
    }

    fn shape(&self) -> SampleShape {
        SampleShape::Static([4, 100, 100])
    }

    fn load(&self, index: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> Result<u16> {
        std::thread::sleep(Duration::from_millis(self.slow));
        if self.fails_at == Some(index) {
            return Err(Error::IndexOutOfRange { index, count: 0 });
        }
        self.loads.fetch_add(1, Ordering::Relaxed);
        sample.image()?.iter_mut().enumerate().for_each(|(at, value)| *value = byte(index, at));
        Ok(u16::try_from(index % 7).unwrap())
    }
}

fn made(count: usize) -> Made {
    Made { count, ..Made::default() }
}

fn open(folder: &TempDir) -> Cache {
    Cache::open(folder.path(), 1 << 30).unwrap()
}

fn whole(cached: &Cached, count: usize) {
    assert_eq!(cached.len(), count);
    for index in 0..count {
        let sample = cached.sample(index).unwrap();
        assert!(
            sample.iter().enumerate().all(|(at, &value)| value == byte(index, at)),
            "sample {index}"
        );
    }
    assert!(cached.sample(count).is_none());
}

#[test]
fn a_cache_is_built_once_and_is_a_source_for_loaders() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, source, print) = (open(&folder), made(120), Fingerprint::new("made, 120"));
    whole(&cache.get(&print, &source, 7).unwrap(), 120);
    let again = cache.get(&print, &source, 7).unwrap();
    whole(&again, 120);
    assert_eq!(
        (source.loads.load(Ordering::Relaxed), again.title(), again.classes()),
        (120, "made, 120", 7)
    );
    let cached: std::sync::Arc<dyn Source> = std::sync::Arc::new(again);
    let from_cache = LoaderConfig::default().init_source(cached, None).unwrap();
    let direct = LoaderConfig::default().init_source(std::sync::Arc::new(made(120)), None).unwrap();
    let batches =
        |loader: &snn_data::Loader| loader.epoch(2).unwrap().collect::<Result<Vec<_>>>().unwrap();
    assert_eq!(batches(&from_cache), batches(&direct));
    assert_eq!(cache.list().unwrap().len(), 1);
    assert!(cache.clear().unwrap() >= 120 * 40_000);
    assert!(cache.list().unwrap().is_empty());
}

#[test]
fn another_setting_or_file_is_another_cache() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let print = || Fingerprint::new("x").setting("slices", &10).unwrap().file(file.path()).unwrap();
    assert_eq!(print().key(), print().key());
    assert_ne!(
        print().key(),
        Fingerprint::new("x").setting("slices", &11).unwrap().file(file.path()).unwrap().key()
    );
    assert_ne!(print().text("a").text("b").key(), print().text("ab").key());
    let before = print().key();
    std::fs::write(file.path(), b"changed").unwrap();
    assert_ne!(print().key(), before);
    assert!(
        Fingerprint::new("x").file(Path::new("/none")).unwrap_err().to_string().contains("/none")
    );
}

/// Every key is another one.
fn all_differ(keys: &[String]) {
    let different: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len(), "{keys:?}");
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(name)
}

#[test]
fn recordings_have_a_key_of_all_that_their_frames_depend_on() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join("n-mnist/Train/3").join(name);
    std::fs::create_dir_all(file("")).unwrap();
    for name in ["00001.bin", "00002.bin"] {
        std::fs::copy(golden("events/n-mnist.bin"), file(name)).unwrap();
    }
    let source = |indices: &[usize], slicing, size, augment| {
        let set = Recordings::open(DatasetName::NMnist, root.path()).unwrap();
        RecordingSource::new(set.into(), indices.to_vec(), Framing { slicing, size }, augment)
            .unwrap()
    };
    let key = |indices: &[usize], slicing, size| {
        source(indices, slicing, size, Vec::new()).fingerprint().unwrap().key()
    };
    let usual = || key(&[0, 1], Slicing::Number { slices: 4 }, None);
    let size = snn_data::recordings::events::SensorSize { width: 17, height: 17 };
    let mut keys = vec![
        usual(),
        key(&[0, 1], Slicing::Number { slices: 5 }, None),
        key(&[0, 1], Slicing::Time { slices: 4 }, None),
        key(&[0, 1], Slicing::Number { slices: 4 }, Some(size)),
        key(&[1, 0], Slicing::Number { slices: 4 }, None),
        key(&[0], Slicing::Number { slices: 4 }, None),
    ];
    assert_eq!(usual(), keys[0]);
    let changed = std::time::UNIX_EPOCH + Duration::from_secs(7);
    std::fs::File::options()
        .append(true)
        .open(file("00002.bin"))
        .unwrap()
        .set_modified(changed)
        .unwrap();
    keys.push(usual());
    std::fs::write(file("00002.bin"), [0; 10]).unwrap();
    std::fs::File::options()
        .append(true)
        .open(file("00002.bin"))
        .unwrap()
        .set_modified(changed)
        .unwrap();
    keys.push(usual());
    all_differ(&keys);
    let random = source(&[0], Slicing::Number { slices: 4 }, None, vec![EventAugment::FlipColumns]);
    assert!(random.fingerprint().unwrap_err().to_string().contains("augment"));
    // It is what a cache takes.
    let one = source(&[0], Slicing::Number { slices: 4 }, None, Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let cached = open(&folder).get(&one.fingerprint().unwrap(), &one, 10).unwrap();
    assert_eq!((cached.len(), cached.shape()), (1, SampleShape::Frames([4, 2, 34, 34])));
    // Frames come out of it as they went in.
    let load = |source: &dyn Source| {
        let mut bytes = vec![0; source.shape().bytes()];
        let mut sample = SampleMut::from_bytes(source.shape(), &mut bytes).unwrap();
        source.load(0, &mut sample, &mut SampleRng::for_sample(0, 0, 0)).unwrap();
        bytes
    };
    assert_eq!(load(&cached), load(&one));
    let loader = LoaderConfig::evaluation(1).init_source(std::sync::Arc::new(cached), None);
    let batch = loader.unwrap().epoch(0).unwrap().next().unwrap().unwrap();
    assert!(matches!(&batch.samples, Samples::Frames(frames) if frames.dim() == (4, 1, 2, 34, 34)));
    std::fs::remove_file(file("00001.bin")).unwrap();
    assert!(one.fingerprint().unwrap_err().to_string().contains("00001.bin"));
}

#[test]
fn pictures_have_a_key_of_all_that_their_samples_depend_on() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join("cats").join(name);
    std::fs::create_dir_all(file("")).unwrap();
    for name in ["a.JPEG", "b.JPEG"] {
        std::fs::copy(golden("images/420.JPEG"), file(name)).unwrap();
    }
    let source = |view, exif, on_damage| {
        let pictures = Pictures::folder(root.path()).unwrap();
        PictureSource::new(pictures.into(), view, DecodeOptions { exif }, on_damage).unwrap()
    };
    let key = |view, exif, on_damage| source(view, exif, on_damage).fingerprint().unwrap().key();
    let middle = CentreCrop::default();
    let usual = || key(View::Evaluation(middle), Exif::default(), OnDamage::Fail);
    let other = if Exif::default() == Exif::Apply { Exif::Ignore } else { Exif::Apply };
    let mut keys = vec![
        usual(),
        key(View::Evaluation(CentreCrop { size: 32, ..middle }), Exif::default(), OnDamage::Fail),
        key(View::Evaluation(middle), other, OnDamage::Fail),
        key(View::Evaluation(middle), Exif::default(), OnDamage::Skip),
    ];
    assert_eq!(usual(), keys[0]);
    let changed = std::time::UNIX_EPOCH + Duration::from_secs(7);
    std::fs::File::options()
        .append(true)
        .open(file("b.JPEG"))
        .unwrap()
        .set_modified(changed)
        .unwrap();
    keys.push(usual());
    std::fs::rename(file("b.JPEG"), file("c.JPEG")).unwrap();
    keys.push(usual());
    std::fs::create_dir(root.path().join("ants")).unwrap();
    keys.push(usual());
    all_differ(&keys);
    let view = View::Train(RandomResizedCrop::default());
    let random = source(view, Exif::default(), OnDamage::Fail);
    assert!(random.fingerprint().unwrap_err().to_string().contains("view"));
}

#[test]
fn the_limit_removes_what_was_not_used_for_longest() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path(), 2_500_000).unwrap();
    for title in ["a", "b"] {
        cache.get(&Fingerprint::new(title), &made(25), 7).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    cache.get(&Fingerprint::new("a"), &made(25), 7).unwrap();
    cache.get(&Fingerprint::new("c"), &made(25), 7).unwrap();
    let titles: Vec<_> = cache.list().unwrap().into_iter().map(|entry| entry.title).collect();
    assert_eq!(titles, ["a", "c"]);
    let message = cache.get(&Fingerprint::new("d"), &made(100), 7).unwrap_err().to_string();
    assert!(message.contains("at most 2500000 bytes"), "{message}");
    assert_eq!(cache.list().unwrap().len(), 2);
}

#[test]
fn a_failed_build_keeps_its_pieces_and_damaged_ones_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, print) = (open(&folder), Fingerprint::new("made"));
    let failing = Made { fails_at: Some(199), ..made(200) };
    assert!(matches!(
        cache.get(&print, &failing, 7).unwrap_err(),
        Error::IndexOutOfRange { index: 199, .. }
    ));
    let entries = cache.list().unwrap();
    assert_eq!((entries.len(), entries[0].complete), (1, false));
    // A byte of a piece that was noted, and half a line in the journal.
    let file = |ending: &str| folder.path().join(format!("{}.{ending}", print.key()));
    let mut bytes = std::fs::read(file("partial")).unwrap();
    let kept = bytes.clone();
    bytes[8192 + 40_000] ^= 1;
    std::fs::write(file("partial"), &bytes).unwrap();
    let mut journal = std::fs::read(file("journal")).unwrap();
    assert!(journal.len() >= 16);
    journal.extend([1, 2, 3]);
    std::fs::write(file("journal"), journal).unwrap();
    let source = made(200);
    let cached = cache.get(&print, &source, 7).unwrap();
    whole(&cached, 200);
    assert!(source.loads.load(Ordering::Relaxed) < 200, "nothing of {} bytes was kept", kept.len());
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, print) = (open(&folder), Fingerprint::new("made"));
    cache.get(&print, &made(10), 7).unwrap();
    let file = folder.path().join(format!("{}.cache", print.key()));
    let bytes = std::fs::read(&file).unwrap();
    let refused = |bytes: &[u8], parts: [&str; 2]| {
        std::fs::write(&file, bytes).unwrap();
        let message = cache.get(&print, &made(10), 7).unwrap_err().to_string();
        assert!(
            parts.iter().all(|part| message.contains(part)) && message.contains(".cache"),
            "{message}"
        );
    };
    refused(&bytes[..bytes.len() - 1], ["byte 12", "size of the file"]);
    refused(&bytes[..100], ["byte 0", "found 100 bytes"]);
    for (at, field) in
        [(0, "header"), (8, "version"), (39, "title"), (15, "size of the file"), (4096, "label")]
    {
        let mut wrong = bytes.clone();
        wrong[at] = 0xEE;
        refused(&wrong, ["byte", field]);
    }
    assert!(read_header(&[0; 4096], 4096, Path::new("x")).is_err());
    assert!(cache.get(&Fingerprint::new("none"), &made(0), 7).is_err());
}

/// What a second process does: it builds slowly, until it is killed.
#[test]
fn child() {
    let Some(folder) = std::env::var_os("SNN_CACHE_CHILD").map(PathBuf::from) else { return };
    let slow = Made { slow: 2, ..made(2_000) };
    Cache::open(&folder, 1 << 30).unwrap().get(&Fingerprint::new("shared"), &slow, 7).unwrap();
}

#[test]
fn of_two_processes_that_build_one_cache_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let print = Fingerprint::new("shared");
    let start = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "cache::child"]).env("SNN_CACHE_CHILD", folder.path());
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut killed = start();
    let journal = folder.path().join(format!("{}.journal", print.key()));
    while !std::fs::metadata(&journal).is_ok_and(|metadata| metadata.len() >= 32) {
        assert!(killed.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    // The other one waits for the lock by now, or will.
    let mut other = start();
    std::thread::sleep(Duration::from_millis(30));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let source = made(2_000);
    let cached = open(&folder).get(&print, &source, 7).unwrap();
    whole(&cached, 2_000);
    assert!(other.wait().unwrap().success());
    assert!(source.loads.load(Ordering::Relaxed) < 2_000, "nothing that was there was used");
    whole(&open(&folder).get(&print, &made(0), 7).unwrap(), 2_000);
    assert_eq!(open(&folder).list().unwrap().len(), 1);
}
