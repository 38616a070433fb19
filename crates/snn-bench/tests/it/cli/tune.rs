//! Times of layers on this machine, as commands measure, keep and use them.

use super::{folder, json, shared, snn, stderr, stdout};
use assert_cmd::Command;

/// The program with a cache of its own.
fn with_cache(cache: &std::path::Path) -> Command {
    let mut command = snn();
    command.env("SNN_CACHE_DIR", cache);
    command
}

#[test]
fn what_is_measured_is_kept_and_predicts_what_a_node_takes() {
    let cache = folder("tune-cache");
    let model = &shared().model;
    let snn = || with_cache(&cache);
    let tuned = json(&snn().arg("tune").arg(model).arg("--json").assert().success());
    let measured = tuned["measured"].as_u64().unwrap();
    assert!(measured > 0, "{tuned}");
    let layers = tuned["models"][0]["layers"].as_array().unwrap();
    assert!(!layers.is_empty());
    for layer in layers {
        let of = |form: &str| layer[form].as_array().unwrap().iter().map(|t| t.as_u64().unwrap());
        assert!(of("events").chain(of("dense")).all(|time| time > 0), "{layer}");
        assert!(layer["break_even"].as_u64().unwrap() <= 1000, "{layer}");
    }
    let file = std::path::PathBuf::from(tuned["file"].as_str().unwrap());
    assert!(file.starts_with(&cache), "{}", file.display());
    let again = stdout(&snn().arg("tune").arg(model).assert().success());
    assert!(again.contains("0 layers measured"), "{again}");
    // Times of other models stay where some are measured again.
    let before: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let mut others = before.clone();
    others["layers"]["another layer"] =
        before["layers"].as_object().unwrap().values().next().unwrap().clone();
    std::fs::write(&file, others.to_string()).unwrap();
    let forced = json(&snn().args(["tune", "--force", "--json"]).arg(model).assert().success());
    assert_eq!(forced["measured"].as_u64().unwrap(), measured);
    let after: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(after["layers"]["another layer"].is_object(), "{after}");
    // Those of another version count as nothing, whatever their form.
    let mut older = before.clone();
    (older["version"], older["layers"]) = ("0.0.1".into(), 7.into());
    std::fs::write(&file, older.to_string()).unwrap();
    snn()
        .arg("infer")
        .arg(model)
        .args(["--dataset", "shapes10", "--limit", "1"])
        .assert()
        .success();
    std::fs::write(&file, before.to_string()).unwrap();

    // The same integers, whatever was measured.
    let infer = |command: &mut Command| {
        let command = command.arg("infer").arg(model).args(["--dataset", "shapes10", "--json"]);
        json(&command.assert().success())["accuracy"].as_f64().unwrap()
    };
    let untuned = infer(&mut with_cache(&folder("tune-none")));
    assert!((infer(&mut snn()) - untuned).abs() < 1e-9);

    let mut inspect = snn();
    inspect.arg("inspect").arg(model).args(["--dataset", "shapes10", "--times", "3"]);
    let found = json(&inspect.arg("--json").assert().success());
    let times = found["times"].as_array().unwrap();
    assert!(times.iter().all(|time| time["measured"].as_f64().unwrap() > 0.0), "{times:?}");
    let predicted = times.iter().filter(|time| time["predicted"].is_number()).count();
    assert!(predicted > 0 && predicted <= layers.len(), "{times:?}");
    let mut inspect = snn();
    inspect.arg("inspect").arg(model).args(["--dataset", "shapes10", "--times", "3"]);
    let text = stdout(&inspect.assert().success());
    assert!(text.contains("predicted, µs"), "{text}");

    std::fs::write(&file, "{").unwrap();
    let refused = stderr(&snn().arg("infer").arg(model).arg("--dataset=shapes10").assert().code(2));
    assert!(refused.contains("snn tune") && refused.contains(file.to_str().unwrap()), "{refused}");
    assert!(stderr(&snn().arg("tune").arg(model).assert().code(2)).contains("snn tune"));
    snn().args(["tune", "--force"]).arg(model).assert().success();
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let snn = || with_cache(&folder("tune-refused"));
    let trained = shared().run.join("model.safetensors");
    let refused = stderr(&snn().arg("tune").arg(&trained).assert().code(2));
    assert!(refused.contains("snn convert"), "{refused}");
    let mut inspect = snn();
    inspect.arg("inspect").arg(&trained).args(["--times", "1", "--dataset", "shapes10"]);
    assert!(stderr(&inspect.assert().code(2)).contains("snn convert"));
    let mut unnamed = snn();
    unnamed.arg("inspect").arg(&shared().model).args(["--times", "1"]);
    assert!(stderr(&unnamed.assert().code(2)).contains("--dataset"));
}
