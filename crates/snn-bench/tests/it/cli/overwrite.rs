//! No output that exists is replaced without `--force`.

use super::{folder, shared, snn, stderr};
use assert_cmd::Command;
use std::path::Path;

const MARK: &[u8] = b"mine";

/// The command refuses to touch a file of the user's, says which, and replaces it with `--force`.
fn refuses(file: &Path, command: &dyn Fn() -> Command) {
    std::fs::write(file, MARK).unwrap();
    let refused = command().assert().code(2);
    let message = stderr(&refused);
    assert!(message.contains("--force") && message.contains(file.to_str().unwrap()), "{message}");
    assert_eq!(std::fs::read(file).unwrap(), MARK);
    command().arg("--force").assert().success();
    assert_ne!(std::fs::read(file).unwrap(), MARK);
}

#[test]
fn convert() {
    let file = folder("overwrite-convert").join("model.safetensors");
    refuses(&file, &|| {
        let mut command = snn();
        command.arg("convert").arg(&shared().run).args(["--code", "graded", "--out"]).arg(&file);
        command
    });
}

#[test]
fn convert_never_replaces_what_it_reads() {
    let trained = shared().run.join("model.safetensors");
    let before = std::fs::read(&trained).unwrap();
    for source in [&shared().run, &trained] {
        let mut command = snn();
        command
            .arg("convert")
            .arg(source)
            .args(["--code", "graded", "--force", "--out"])
            .arg(&trained);
        assert!(stderr(&command.assert().code(2)).contains("is the trained model itself"));
    }
    assert_eq!(std::fs::read(&trained).unwrap(), before);
}

#[test]
fn inspect_svg() {
    let file = folder("overwrite-svg").join("graph.svg");
    refuses(&file, &|| {
        let mut command = snn();
        command.arg("inspect").arg(&shared().model).arg("--svg").arg(&file);
        command
    });
}

#[test]
fn man() {
    let folder = folder("overwrite-man");
    refuses(&folder.join("snn-train.1"), &|| {
        let mut command = snn();
        command.args(["man", "--out"]).arg(&folder);
        command
    });
    // Refused means that no other page was written either.
    let other = super::folder("overwrite-man-none");
    std::fs::write(other.join("snn-verify.1"), MARK).unwrap();
    snn().args(["man", "--out"]).arg(&other).assert().code(2);
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn runs() {
    // A run, and a folder with something else in it.
    let foreign = folder("overwrite-foreign");
    std::fs::write(foreign.join("thesis.tex"), MARK).unwrap();
    let config = std::fs::read(shared().run.join("config.toml")).unwrap();
    for out in [&shared().run, &foreign] {
        let train = ["train".as_ref(), "--config".as_ref(), shared().config.as_os_str()];
        let finetune = ["finetune".as_ref(), shared().run.as_os_str(), shared().model.as_os_str()];
        for command in [train, finetune] {
            let message = stderr(&snn().args(command).arg("--out").arg(out).assert().code(2));
            assert!(
                message.contains(out.to_str().unwrap()) && message.contains("already"),
                "{message}"
            );
            // What helps a run helps no folder of other files.
            for option in ["--resume", "--force"] {
                assert_eq!(message.contains(option), *out != foreign, "{message}");
            }
        }
        let message = stderr(&snn().args(["demo", "--out"]).arg(out).assert().code(2));
        assert_eq!(message.contains("--force"), *out != foreign, "{message}");
        assert!(!message.contains("--resume"), "a demo cannot be resumed: {message}");
    }
    // Not even with --force is a folder emptied that holds no run.
    snn().args(train(&foreign)).arg("--force").assert().code(2);
    assert_eq!(std::fs::read(foreign.join("thesis.tex")).unwrap(), MARK);
    assert_eq!(std::fs::read(shared().run.join("config.toml")).unwrap(), config);
}

fn train(out: &Path) -> [&std::ffi::OsStr; 5] {
    [
        "train".as_ref(),
        "--config".as_ref(),
        shared().config.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
    ]
}
