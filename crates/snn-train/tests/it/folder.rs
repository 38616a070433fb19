//! What can be wrong with a run folder: another process in it, no right to write, no room.

use snn_train::{Error, Options, Outcome, Progress, RunConfig, RunFolder, Start, train};
use std::path::{Path, PathBuf};
use std::process::Command;

const CONFIG: &str = "
epochs = 2
batch = 16
time_steps = 2
checkpoint_every = 2
threads = 1
network = { kind = 'small', width = 3 }
[data]
dataset = 'shapes10'
held_out = 7832 # of 8,000: leaves 168, ten batches of 16
crop_padding = 1
";

fn go(folder: &Path, start: Start, step_limit: Option<usize>) -> Result<Outcome, Error> {
    let config = RunConfig::from_toml(CONFIG).unwrap();
    train(&config, folder, &Options { start, step_limit, ..Options::default() }, &mut |_| {})
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

#[test]
fn a_second_training_in_a_folder_is_refused_and_the_first_goes_on() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, folder) = (parent.path().join("whole"), parent.path().join("run"));
    go(&whole, Start::New, None).unwrap();
    let config = RunConfig::from_toml(CONFIG).unwrap();
    let mut refused = 0;
    train(&config, &folder, &Options::default(), &mut |progress| {
        if matches!(progress, Progress::Step { step: 3, .. }) {
            for start in [Start::Resume, Start::Overwrite] {
                let error = go(&folder, start, None).unwrap_err();
                assert!(matches!(error, Error::Locked { .. }), "{error}");
                assert!(error.to_string().contains("another process is training in it"), "{error}");
                refused += 1;
            }
            assert!(matches!(go(&folder, Start::New, None), Err(Error::FolderInUse { .. })));
        }
    })
    .unwrap();
    assert_eq!(refused, 4);
    assert_eq!(bytes(&folder), bytes(&whole));
    // Reading needs no lock, and a finished run's is free again.
    assert!(RunFolder::open(&folder).unwrap().result().unwrap().is_some());
    assert!(matches!(go(&folder, Start::Resume, None).unwrap(), Outcome::Finished(_)));
}

#[test]
fn what_a_killed_process_left_half_written_does_not_stand_in_the_way() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".partial-x7"), "half a config").unwrap();
    std::fs::write(folder.join(".lock"), "").unwrap();
    go(&folder, Start::New, Some(3)).unwrap();
    assert!(!folder.join(".partial-x7").exists());
    std::fs::write(folder.join(".partial-y8"), "half a checkpoint").unwrap();
    go(&folder, Start::Resume, Some(3)).unwrap();
    assert!(!folder.join(".partial-y8").exists());
}

/// A file system of its own, gone with the value.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(folder: &Path, options: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        mount(&["-t", "tmpfs", "-o", options, "tmpfs", &folder.display().to_string()]);
        Self(folder.to_path_buf())
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}"), &self.0.display().to_string()]);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str]) {
    assert!(
        Command::new("mount").args(arguments).status().unwrap().success(),
        "mount {arguments:?}"
    );
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn a_full_disk_is_a_clear_error_and_the_run_goes_on_when_there_is_room() {
    let parent = tempfile::tempdir().unwrap();
    go(&parent.path().join("whole"), Start::New, None).unwrap();
    // What fills the disk leaves room for less and less of what a run writes: the write that fails
    // is another one each time.
    let mut failed_at = std::collections::BTreeSet::new();
    for free in [0, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160] {
        let disk = Mounted::tmpfs(&parent.path().join("disk"), "size=1m");
        let folder = disk.0.join("run");
        std::fs::write(disk.0.join("filling"), vec![0; (1024 - free) * 1024]).unwrap();
        let Err(error) = go(&folder, Start::New, None) else {
            assert_eq!(
                bytes(&folder),
                bytes(&parent.path().join("whole")),
                "{free} KiB are enough"
            );
            continue;
        };
        let message = error.to_string();
        assert!(
            message.contains("/disk/run") && message.contains("No space left on device"),
            "{free}: {message}"
        );
        failed_at.insert(message.split("/disk/").nth(1).unwrap_or_default().to_string());
        let leftovers = folder
            .exists()
            .then(|| std::fs::read_dir(&folder).unwrap().flatten().collect::<Vec<_>>());
        let partial = |name: std::ffi::OsString| name.to_string_lossy().starts_with(".partial-");
        assert!(
            !leftovers.unwrap_or_default().iter().any(|entry| partial(entry.file_name())),
            "{message}"
        );

        std::fs::remove_file(disk.0.join("filling")).unwrap();
        let start = if folder.join("config.toml").exists() { Start::Resume } else { Start::New };
        go(&folder, start, None).unwrap();
        assert_eq!(bytes(&folder), bytes(&parent.path().join("whole")), "after: {message}");
    }
    assert!(failed_at.len() >= 3, "{failed_at:?}");
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn a_read_only_folder_is_a_clear_error_and_stays_as_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let disk = Mounted::tmpfs(&parent.path().join("disk"), "size=4m");
    let folder = disk.0.join("run");
    go(&folder, Start::New, Some(3)).unwrap();
    disk.remount("ro");
    for start in [Start::Resume, Start::Overwrite] {
        let message = go(&folder, start, None).unwrap_err().to_string();
        assert!(
            message.contains("/disk/run") && message.contains("Read-only file system"),
            "{message}"
        );
    }
    let message = go(&disk.0.join("another"), Start::New, None).unwrap_err().to_string();
    assert!(
        message.contains("/disk/another") && message.contains("Read-only file system"),
        "{message}"
    );
    disk.remount("rw");
    assert!(matches!(go(&folder, Start::Resume, None).unwrap(), Outcome::Finished(_)));
}
