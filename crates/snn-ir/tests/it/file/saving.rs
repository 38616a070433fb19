//! Saving: all of it or nothing.

use crate::tiny::{events_model, grid_model};
use snn_ir::Model;
use std::path::Path;

fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_failed_save_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    events_model().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();

    // An invalid model is not written.
    let mut invalid = grid_model();
    invalid.signature_mut().time_steps = 0;
    assert!(invalid.save(&path).unwrap_err().to_string().contains("time_steps"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(files_in(folder.path()), ["model.safetensors"]);

    // A folder that does not exist.
    let missing = folder.path().join("missing").join("model.safetensors");
    let error = grid_model().save(&missing).unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("cannot write"), "{error}");
    assert_eq!(files_in(folder.path()), ["model.safetensors"]);

    // The last step, the renaming, fails: a folder has the name.
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("file"), "x").unwrap();
    let error = grid_model().save(&taken).unwrap_err().to_string();
    assert!(error.contains("taken"), "{error}");
    assert_eq!(files_in(folder.path()), ["model.safetensors", "taken"]);
    assert_eq!(files_in(&taken), ["file"]);

    // What works replaces the whole file.
    grid_model().save(&path).unwrap();
    assert_eq!(Model::load(&path).unwrap(), grid_model());
    assert_eq!(files_in(folder.path()), ["model.safetensors", "taken"]);
}

/// A superuser may write everywhere; there the folder's mode says nothing.
#[cfg(unix)]
#[test]
fn a_save_into_a_read_only_folder_leaves_what_was_there() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    events_model().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mode = |mode| {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o555);
    let writable = std::fs::write(folder.path().join("probe"), "").is_ok();
    let result = grid_model().save(&path);
    mode(0o755);
    if writable {
        assert!(result.is_ok());
        return;
    }
    assert!(result.unwrap_err().to_string().contains("model.safetensors"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(files_in(folder.path()), ["model.safetensors"]);
}
