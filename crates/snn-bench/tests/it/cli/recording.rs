//! From simulated recordings to logits of a stream: made, listed, cached, trained on, converted,
//! verified, and run from a file and from a pipe.

use super::{folder, has, json, snn, stderr, stdout};
use assert_cmd::assert::Assert;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const STEPS: usize = 4;
const CONFIG: &str = r#"
epochs = 1
batch = 8
time_steps = 4
policy = "stem"
network = { kind = "small", width = 4 }
[data]
dataset = "recording-folder"
path = "events"
frames = { slices = 4, by = "time", size = "16x16", augment = ["flip-columns"] }
held_out = 4
crop_padding = 0
cache = {}
"#;

/// Recordings, a run on them and its model on the grid.
struct Made {
    root: PathBuf,
    config: PathBuf,
    run: PathBuf,
    model: PathBuf,
    recording: PathBuf,
}

fn simulate(arguments: &[&str], out: &Path) -> Assert {
    let made = ["data", "simulate", "shapes10", "--motion", "saccades", "--json"];
    snn().args(made).args(arguments).arg("--out").arg(out).assert()
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = folder("recording");
        let simulated = json(
            &simulate(&["--split", "both", "--per-class", "2"], &root.join("events")).success(),
        );
        has(&simulated, &["folder", "recordings", "made", "events", "seconds"]);
        assert_eq!((&simulated["recordings"], &simulated["made"]), (&40.into(), &40.into()));
        let config = root.join("config.toml");
        fs::write(&config, CONFIG).unwrap();
        let (run, model) = (root.join("run"), root.join("model.safetensors"));
        snn()
            .args(["train", "--config"])
            .arg(&config)
            .arg("--out")
            .arg(&run)
            .arg("--data")
            .arg(&root)
            .assert()
            .success();
        snn()
            .arg("convert")
            .arg(&run)
            .args(["--code", "unary", "--out"])
            .arg(&model)
            .assert()
            .success();
        let class = root.join("events/Test/ring");
        let recording = fs::read_dir(class).unwrap().next().unwrap().unwrap().path();
        Made { root, config, run, model, recording }
    })
}

fn infer(arguments: &[&str]) -> assert_cmd::Command {
    let mut command = snn();
    command.arg("infer").arg(&made().model).args(arguments);
    command
}

/// The lines of a stream as JSON.
fn lines(assert: &Assert) -> Vec<Value> {
    stdout(assert).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn error(assert: Assert) -> String {
    let message = stderr(&assert.code(2));
    let last = message.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: "), "{message}");
    last.to_owned()
}

#[test]
fn simulated_recordings_train_and_convert_bitwise() {
    let Made { root, run, model, .. } = made();
    let verified = snn()
        .arg("verify")
        .arg(run)
        .arg(model)
        .arg("--data")
        .arg(root)
        .args(["--max-drop", "100", "--limit", "8", "--json"])
        .assert();
    assert_eq!(json(&verified)["level"], "bitwise", "{}", stdout(&verified));
    // The model says how recordings become its frames, and so does its description.
    let inspected = json(&snn().arg("inspect").arg(model).arg("--json").assert().success());
    let framing = serde_json::json!({"by": "time", "sensor": [128, 128]});
    assert_eq!(inspected["framing"], framing);
    // The frames are in the cache that the training made, and no other is built.
    let build = |sets: &[&str]| {
        let config = &made().config;
        let command = ["data", "cache", "build", "--json", "--config"];
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let data = snn().args(command).arg(config).args(sets).arg("--data").arg(root).assert();
        json(&data.success())
    };
    let found = build(&[]);
    assert_eq!((&found["built"], found["caches"].as_array().unwrap().len()), (&0.into(), 2));
    fs::remove_dir_all(root.join("cache")).unwrap();
    assert_eq!(build(&[])["built"], 2);
    // A twin with other frames has its own.
    let twin = "twin={ epochs = 1, data = { frames = { size = '8x8' } } }";
    assert_eq!(build(&[twin])["built"], 2);
    assert_eq!(build(&[twin, "twin.data.frames.size=16x16"])["built"], 0);
    let none = snn()
        .args(["data", "cache", "build", "--set", "data.dataset=shapes10", "--config"])
        .arg(super::shared().config.clone())
        .assert();
    assert!(error(none).contains("`cache` in [data]"));
}

#[test]
fn the_last_logits_of_a_stream_are_those_of_the_whole_recording() {
    let Made { recording, .. } = made();
    let recording = recording.to_str().unwrap();
    let whole = json(&infer(&[recording, "--json"]).assert().success());
    has(&whole, &["recording", "class", "name", "best", "logits", "engine", "seconds", "events"]);
    let streamed = lines(&infer(&[recording, "--stream", "--json"]).assert().success());
    assert_eq!(streamed.len(), STEPS);
    has(&streamed[0], &["frame", "since_rest", "from_us", "until_us", "events", "class", "logits"]);
    assert_eq!(streamed[STEPS - 1]["logits"], whole["logits"]);
    assert_eq!(streamed[STEPS - 1]["name"], whole["name"]);
    assert_ne!(streamed[0]["logits"], whole["logits"], "after one frame of {STEPS}");
    let since: Vec<_> = streamed.iter().map(|line| line["since_rest"].as_u64().unwrap()).collect();
    assert_eq!(since, [1, 2, 3, 4]);

    // A pipe needs a window; of the same length as the slices it gives the same frames.
    let bytes = fs::read(recording).unwrap();
    let piped = |arguments: &[&str], bytes: &[u8]| {
        infer(&[&["-", "--stream", "--json"], arguments].concat()).write_stdin(bytes).assert()
    };
    let micros =
        streamed[0]["until_us"].as_i64().unwrap() - streamed[0]["from_us"].as_i64().unwrap();
    let micros = micros.to_string();
    let pipe = lines(&piped(&["--window-us", &micros], &bytes).success());
    for (piped, streamed) in pipe.iter().zip(&streamed).take(STEPS - 1) {
        assert_eq!(
            (&piped["logits"], &piped["events"]),
            (&streamed["logits"], &streamed["events"])
        );
    }
    let restarted =
        lines(&piped(&["--window-events", "500", "--restart-after", "2"], &bytes).success());
    let since: Vec<_> = restarted.iter().map(|line| line["since_rest"].as_u64().unwrap()).collect();
    assert!(since.chunks(2).all(|pair| pair[0] == 1), "{since:?}");
    let endless =
        lines(&piped(&["--window-events", "500", "--restart-after", "0"], &bytes).success());
    assert!(
        endless
            .iter()
            .map(|line| line["since_rest"].as_u64())
            .eq((1..).map(Some).take(endless.len()))
    );
    assert!(error(piped(&[], &bytes)).contains("--window-us"));
    let text = stdout(&infer(&[recording, "--stream"]).assert().success());
    assert!(text.contains("logits") && text.lines().count() == 1 + STEPS, "{text}");
}

#[test]
fn broken_streams_and_recordings_of_other_cameras_are_said() {
    let Made { recording, run, .. } = made();
    let bytes = fs::read(recording).unwrap();
    let piped = |arguments: &[&str], bytes: &[u8]| {
        infer(&[&["-", "--stream", "--json", "--window-events", "400"], arguments].concat())
            .write_stdin(bytes)
            .assert()
    };
    // What came before the end of a pipe that is cut is printed; then the error.
    let cut = piped(&[], &bytes[..bytes.len() - 3]);
    assert!(lines(&cut).len() > 1);
    let message = error(cut);
    assert!(message.contains("`stdin`") && message.contains("5 bytes, then the end"), "{message}");
    for (bytes, part) in [
        (&b"hello"[..], "format: expected the first bytes of AEDAT"),
        (b"", "an empty file"),
        (b"#!AER-DAT2.0\r\n", "at least one event"),
    ] {
        let message = error(piped(&[], bytes));
        assert!(message.contains(part), "{message}");
    }
    let golden = |name: &str| -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "../../fixtures/golden", name].iter().collect()
    };
    let small = golden("events/n-mnist.bin");
    let small = small.to_str().unwrap();
    let davis = golden("events/davis346.aedat");
    let message = error(infer(&[davis.to_str().unwrap()]).assert());
    assert!(message.contains("a sensor of 346x260") && message.contains("128x128"), "{message}");
    infer(&[davis.to_str().unwrap(), "--size", "346x260"]).assert().success();
    // Files that do not say their sensor are of the one that the model was trained on.
    infer(&[small]).assert().success();
    let message = error(infer(&[golden("images/420.JPEG").to_str().unwrap()]).assert());
    assert!(message.contains("format"), "{message}");
    let message = error(infer(&["no/such.aedat"]).assert());
    assert!(message.contains("no/such.aedat"), "{message}");
    // A model of images takes no recordings.
    let shared = super::shared();
    let of_images = snn().arg("infer").arg(&shared.model).arg(small).assert();
    assert!(error(of_images).contains("frames of 2 channels"));
    // Options of streams are for streams.
    infer(&[small, "--window-us", "5"]).assert().code(2);
    infer(&[small, "--dataset", "shapes10"]).assert().code(2);
    // The run says the same as the model, for files that do not.
    let run = run.to_str().unwrap();
    let recording = recording.to_str().unwrap();
    let with_run = json(&infer(&[recording, "--run", run, "--json"]).assert().success());
    let without = json(&infer(&[recording, "--json"]).assert().success());
    assert_eq!(with_run["logits"], without["logits"]);
    let other = json(&infer(&[recording, "--slicing", "number", "--json"]).assert().success());
    assert_ne!(other["logits"], without["logits"]);
}

#[test]
fn simulated_sets_are_marked_and_settings_are_checked() {
    let root = folder("simulated");
    let out = root.join("cifar10-dvs");
    // Folders of CIFAR-10's names, as `data list` looks for them.
    let made = json(&simulate(&["--per-class", "1", "--seed", "3"], &out).success());
    assert_eq!(made["recordings"], 10);
    let again = json(&simulate(&["--per-class", "1", "--seed", "3"], &out).success());
    assert_eq!((&again["made"], &again["events"]), (&0.into(), &0.into()));
    fs::rename(out.join("disc"), out.join("airplane")).unwrap();
    let listed =
        json(&snn().args(["data", "list", "--json", "--data"]).arg(&root).assert().success());
    let sets = listed["sets"].as_array().unwrap();
    let set = sets.iter().find(|set| set["dataset"] == "cifar10-dvs").unwrap();
    assert_eq!((&set["form"], &set["parts"][0]["found"]), (&"simulated".into(), &1.into()));
    let message = set["parts"][0]["message"].as_str().unwrap();
    assert!(message.contains("not recorded"), "{message}");
    for (arguments, part) in [
        (&["--per-class", "1", "--seed", "4"][..], "name another folder"),
        (&["--threshold", "0"], "threshold_on"),
        (&["--reach", "1000"], "reach"),
        (&["--per-class", "100000"], "per_class"),
        (&["--split", "half"], "train, test, both"),
    ] {
        let assert = simulate(arguments, &out).code(2);
        assert!(stderr(&assert).contains(part), "{}", stderr(&assert));
    }
    let recordings =
        snn().args(["data", "simulate", "n-mnist", "--out"]).arg(root.join("x")).assert();
    assert!(error(recordings).contains("a set of images in memory"));
}
