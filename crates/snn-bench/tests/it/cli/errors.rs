//! Errors are one line on stderr, with exit code 2, and nothing on stdout.

use super::{folder, json, run, shared, snn, stderr, stdout};
use assert_cmd::assert::Assert;

/// One readable error and no trace of a panic.
fn error(assert: Assert) -> String {
    let assert = assert.code(2);
    let (out, err) = (stdout(&assert), stderr(&assert));
    assert!(out.is_empty(), "{out}");
    assert!(
        err.starts_with("error: ") && !err.contains("panicked") && !err.contains("backtrace"),
        "{err}"
    );
    err
}

#[test]
fn usage() {
    for arguments in [
        &["trian"][..],
        &["--nonsense"],
        &["train", "--config", "x.toml"],
        &["convert", "run", "--code", "ternary", "--out", "x"],
        &["convert", "run", "--code", "unary", "--out", "x", "--site-code", "stem.act"],
        &["verify", "run"],
        &["infer", "model"],
        &["infer", "model", "--dataset", "cifar10"],
        &["inspect", "model", "--json", "--frce"],
        &["inspect", "model", "--force"],
        &["finetune", "run", "model", "--out", "x", "--resume", "--force"],
        &["infer", "model", "--image", "x", "--limit", "1"],
        &["infer", "model", "--image", "x", "--data", "y"],
        &["verify", "run", "model", "--long", "--json"],
        &["verify", "run", "model", "--max-drop", "nan"],
        &["verify", "run", "model", "--max-drop", "inf"],
        &["verify", "run", "model", "--threads", "100000"],
        &["convert", "run", "--code", "unary", "--out", "x", "--plan", "--json"],
        &["inspect", "model", "--nodes", "--json"],
        &["demo", "--out"],
        &["demo", "--force"],
        &["data", "check", "cifar"],
        &["data", "show", "shapes10"],
        &["data", "show", "shapes10", "--out", "x.png", "--augment", "blur"],
        &["data", "show", "shapes10", "--out", "x.png", "--index", "1", "--limit", "1"],
        &["data", "info"],
        &["data", "cache"],
        &["policy"],
        &["policy", "show"],
        &["completions", "tcsh"],
        &["man", "--force"],
        &["train", "--config", "x.toml", "--out", "x", "--device", "tpu"],
    ] {
        let message = stderr(&run(arguments).code(2));
        // A command group without a command shows its help.
        assert!(
            message.starts_with("error: ") || message.contains("Usage: "),
            "{arguments:?}: {message}"
        );
        assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    }
    let message = error(run(["infer", "x"]));
    assert!(message.contains("--dataset") && message.contains("--image"), "{message}");
    error(run(["infer", "x", "--dataset", "shapes10", "--image", "y"]));
    assert!(error(run(["infer", "x", "--datset", "y"])).contains("--dataset"));
    assert!(
        error(run(["infer", "x", "--dataset", "cifar10"])).contains("did you mean `cifar-10`?")
    );
}

#[test]
fn missing_files() {
    for arguments in [
        &["train", "--config", "no/such.toml", "--out", "no/run"][..],
        &["policy", "show", "no/such.toml"],
        &["convert", "no/such", "--code", "unary", "--out", "no/out"],
        &["finetune", "no/such", "no/such", "--out", "no/out"],
        &["verify", "no/such", "no/such"],
        &["infer", "no/such", "--dataset", "shapes10"],
        &["inspect", "no/such"],
    ] {
        let message = error(run(arguments));
        assert_eq!(message.matches("no/such").count(), 1, "{arguments:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{arguments:?}: {message}");
    }
    for arguments in [&["infer", "no/such", "--dataset", "shapes10"][..], &["inspect", "no/such"]] {
        assert_eq!(error(run(arguments)), "error: no/such: no such file\n");
    }
    let empty = folder("empty");
    for command in [&["inspect"][..], &["convert", "--code", "unary", "--out", "no/out"]] {
        let message = error(snn().args(command).arg(&empty).assert());
        assert!(message.contains("empty: not a run folder (it has no config.toml)"), "{message}");
    }
}

#[test]
fn damaged_files() {
    let bytes = std::fs::read(&shared().model).unwrap();
    let file = folder("damaged").join("model.safetensors");
    let cut = bytes.len() - 5;
    let mut garbled = bytes.clone();
    garbled[40] ^= 0x55;
    for (damaged, commands) in [
        (&bytes[..cut], &["inspect", "infer", "verify", "convert", "finetune"][..]),
        (&bytes[..20], &["inspect"]),
        (b"", &["inspect"]),
        (&garbled, &["inspect"]),
    ] {
        std::fs::write(&file, damaged).unwrap();
        for &command in commands {
            let mut program = snn();
            match command {
                "infer" => program.arg(command).arg(&file).args(["--dataset", "shapes10"]),
                "verify" => program.arg(command).arg(&shared().run).arg(&file),
                "convert" => {
                    program.arg(command).arg(&file).args(["--code", "unary", "--out", "no/out"])
                }
                "finetune" => {
                    program.arg(command).arg(&shared().run).arg(&file).args(["--out", "no/out"])
                }
                _ => program.arg(command).arg(&file),
            };
            let message = error(program.assert());
            assert!(
                message.contains("damaged") && message.lines().count() == 1,
                "{command}: {message}"
            );
        }
    }
}

#[test]
fn models_of_the_wrong_form() {
    let trained = shared().run.join("model.safetensors");
    let message = error(snn().arg("verify").arg(&shared().run).arg(&trained).assert());
    assert!(message.contains("convert it first"), "{message}");
    let message = error(
        snn()
            .arg("convert")
            .arg(&shared().model)
            .args(["--code", "unary", "--out", "no/out"])
            .assert(),
    );
    assert!(
        message.contains("unary.safetensors: ")
            && message.contains("converted already (form grid)"),
        "{message}"
    );
    // A trained network runs on libtorch, where there are no events to count.
    let counts = ["--dataset", "shapes10", "--counts"];
    let message = error(snn().arg("infer").arg(&trained).args(counts).assert());
    assert!(message.contains("`snn convert`"), "{message}");
    error(
        snn().arg("finetune").arg(&shared().run).arg(&trained).args(["--out", "no/out"]).assert(),
    );
}

#[test]
fn unknown_keys_of_a_config_name_the_nearest() {
    let config = folder("unknown").join("config.toml");
    let text = std::fs::read_to_string(&shared().config).unwrap();
    for (wrong, nearest) in [
        (text.replace("epochs", "epoch"), "`epochs`"),
        (text.replace("held_out", "heldout"), "`held_out`"),
        (text.replace("shapes10", "shapes"), "`shapes10`"),
        (text.replace("levels", "level"), "`levels`"),
        (text.replace("\"stem\"", "\"stm\""), "`stem`"),
        (format!("schedule = {{ kind = \"constant\", warmup = 1 }}\n{text}"), "`schedule.kind`"),
    ] {
        std::fs::write(&config, wrong).unwrap();
        let message = error(snn().args(["policy", "show"]).arg(&config).assert());
        assert!(message.contains("config.toml: "), "{message}");
        assert!(
            message.trim_end().ends_with(&format!("did you mean {nearest}?")),
            "{nearest}: {message}"
        );
    }
    let message = error(snn().args(["train", "--out", "no/run", "--config"]).arg(&config).assert());
    assert!(message.contains("did you mean `schedule.kind`?"), "{message}");
    let set = |set: &str| {
        error(snn().args(["policy", "show", "--set", set]).arg(&shared().config).assert())
    };
    assert!(set("bach=3").contains("did you mean `batch`?"));
    let message = set("policy=inr");
    assert!(
        message.contains("after `policy=inr`: ") && message.contains("did you mean `inner`?"),
        "{message}"
    );
    assert!(!message.contains("line ") && message.lines().count() == 1, "{message}");
    // A kind without settings may stand by its name alone.
    std::fs::write(&config, format!("schedule = \"cosine\"\n{text}")).unwrap();
    snn().args(["policy", "show"]).arg(&config).assert().success();
    std::fs::write(&config, format!("schedule = \"cosin\"\n{text}")).unwrap();
    let message = error(snn().args(["policy", "show"]).arg(&config).assert());
    assert!(message.contains("did you mean `cosine`?"), "{message}");
}

#[test]
fn absent_data_is_a_failed_check_and_an_error_of_a_run() {
    let empty = folder("no-data");
    let check = |name: &str, json: &[&str]| {
        snn().args(["data", "check", name, "--data"]).arg(&empty).args(json).assert()
    };
    assert!(stdout(&check("cifar-10", &[]).code(1)).contains("missing"));
    let report = json(&check("cifar-10", &["--json"]).code(1));
    assert!(report.to_string().contains("data_batch_1.bin"), "{report}");
    check("shapes10", &[]).code(0);
    let mut train = snn();
    train
        .args(["train", "--set", "data.dataset=cifar-10", "--out", "no/run", "--config"])
        .arg(&shared().config);
    let message = error(train.arg("--data").arg(&empty).assert());
    for part in ["cifar-10", "--data", "SNN_DATA", "datasets/README.md"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let infer = ["--dataset", "cifar-10", "--data"];
    let message = error(snn().arg("infer").arg(&shared().model).args(infer).arg(&empty).assert());
    assert!(message.contains("SNN_DATA"), "{message}");
}
