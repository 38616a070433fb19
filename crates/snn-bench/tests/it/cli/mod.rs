//! The commands as a user runs them: exit codes, streams, JSON, and that nothing is overwritten
//! unasked.
//!
//! One run of a few seconds on the embedded image set is made once and shared.

mod chain;
mod data;
mod errors;
mod examples;
mod exchange;
mod inspect;
mod overwrite;
mod policy;
mod processes;
mod recording;
mod report;
mod table;
mod terminal;
mod tune;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A hybrid as small as can be that still learns something.
const CONFIG: &str = r#"
epochs = 1
batch = 32
policy = { kind = "union", policies = ["stem", "head"] }
replacement = { kind = "quant_relu", levels = 3 }
network = { kind = "small", width = 6 }
data = { dataset = "shapes10", held_out = 7000, crop_padding = 0, flip = "none" }
neuron = { surrogate = { kind = "rectangle", width = 1.0 } }
"#;

/// The program, with nothing of the caller's environment that it reads. Tests run beside each
/// other, so each gets one thread: where threads of libtorch outnumber cores they wait for each
/// other most of the time.
fn snn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snn"));
    command.env("OMP_NUM_THREADS", "1");
    // Without what `snn tune` measured for the caller.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache-without-times");
    command.env("SNN_CACHE_DIR", cache);
    for name in ["SNN_DATA", "NO_COLOR", "CLICOLOR_FORCE", "WORLD_SIZE"] {
        command.env_remove(name);
    }
    command
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Assert {
    snn().args(arguments).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// The one line of JSON that a command printed.
fn json(assert: &Assert) -> Value {
    let text = stdout(assert);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Asserts that an object has these fields.
fn has(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(value.get(field).is_some(), "no `{field}` in {value}");
    }
}

/// A new, empty folder of a test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).unwrap();
    }
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Data that all tests share and none changes.
struct Shared {
    config: PathBuf,
    run: PathBuf,
    /// The run on the grid, in unary code.
    model: PathBuf,
    trained: Assert,
    converted: Assert,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = folder("shared");
        let config = folder.join("config.toml");
        std::fs::write(&config, CONFIG).unwrap();
        let (run_folder, model) = (folder.join("run"), folder.join("unary.safetensors"));
        let trained = snn()
            .args(["train", "--config"])
            .arg(&config)
            .arg("--out")
            .arg(&run_folder)
            .assert()
            .success();
        let converted = snn()
            .arg("convert")
            .arg(&run_folder)
            .args(["--code", "unary", "--out"])
            .arg(&model)
            .assert()
            .success();
        Shared { config, run: run_folder, model, trained, converted }
    })
}
