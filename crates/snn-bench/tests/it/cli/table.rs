//! `table`: rows are made once, what is cut off goes on, and the files are those of the records.

use super::{CONFIG, folder, has, json, run, snn, stderr, stdout};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TABLE: &str = r#"
title = "A table"
about = "Two networks that learn little."

[budgets.quick]
set = ["epochs=2"]
verify = 20

[budgets.cpu]
set = ["epochs=3"]
seeds = [0, 1]

[[rows]]
name = "hybrid"
config = "configs/config.toml"
codes = ["unary", "bitplane"]
max_drop = 100.0
published = 99.5

[[rows]]
name = "spiking"
config = "configs/config.toml"
set = ["policy=none"]
codes = ["unary"]
max_drop = 100.0
budgets = { quick = ["epochs=1"] }

[[published]]
method = "Another"
time_steps = 4
accuracy = 99.5
source = "Someone 2025"
best_epoch = true
"#;

/// A root with one table and its config.
fn root(name: &str) -> PathBuf {
    let root = folder(name);
    std::fs::create_dir(root.join("tables")).unwrap();
    std::fs::create_dir(root.join("configs")).unwrap();
    std::fs::write(root.join("tables/tiny.toml"), TABLE).unwrap();
    std::fs::write(root.join("configs/config.toml"), CONFIG).unwrap();
    root
}

fn table(root: &Path, more: &[&str]) -> assert_cmd::assert::Assert {
    let root = root.to_str().unwrap();
    run(["table", "tiny", "--budget", "quick", "--root", root].iter().chain(more))
}

/// The record of a row, without what differs from one day and machine to the next.
fn record(root: &Path, row: &str) -> Value {
    let results = root.join("docs/results/tables/tiny");
    let names = std::fs::read_dir(&results).unwrap().map(|entry| entry.unwrap().path());
    let is_row = |path: &PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{row}-s0-"))
    };
    let found: Vec<_> = names.filter(is_row).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    for file in ["config.toml", "run.json", "metrics.jsonl", "result.json", "verify-unary.json"] {
        assert!(found[0].join(file).is_file(), "{file}");
    }
    let text = std::fs::read_to_string(found[0].join("record.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record.as_object_mut().unwrap().remove("machine").unwrap();
    record["training"].as_object_mut().unwrap().remove("seconds").unwrap();
    for conversion in record["conversions"].as_array_mut().unwrap() {
        for field in ["samples_per_second", "machine"] {
            conversion.as_object_mut().unwrap().remove(field).unwrap();
        }
        if let Some(finetuning) = conversion.get_mut("finetuning") {
            finetuning.as_object_mut().unwrap().remove("seconds").unwrap();
        }
    }
    record
}

#[test]
fn a_table_is_made_once_and_written() {
    let root = root("table");
    let shown = json(&table(&root, &["--show", "--json"]).success());
    assert_eq!(shown["missing"], serde_json::json!(["hybrid", "spiking"]));
    let text = stdout(&table(&root, &["--show"]).success());
    assert!(text.contains("missing: snn table tiny --budget quick --row spiking"), "{text}");

    // Verified on fewer samples, a row is there and still counts as missing.
    let few = json(&table(&root, &["--row", "hybrid", "--verify", "5", "--json"]).success());
    assert_eq!(few["rows"][0]["codes"][0]["samples"], 5);
    assert_eq!(few["rows"][0]["missing"], serde_json::json!([0]));
    let again = table(&root, &["--row", "hybrid", "--verify", "5", "--json"]).success();
    assert!(!stderr(&again).contains("verify"), "{}", stderr(&again));

    let rest = table(&root, &["--json"]).success();
    let trained: Vec<_> = stderr(&rest)
        .lines()
        .filter(|line| line.ends_with(": training"))
        .map(String::from)
        .collect();
    assert!(trained.iter().all(|line| line.starts_with("spiking-s0-")), "{trained:?}");
    let made = json(&rest);
    has(&made, &["table", "title", "budget", "rows", "missing", "published", "machines"]);
    let rows = made["rows"].as_array().unwrap();
    assert_eq!((rows.len(), made["missing"].as_array().unwrap().len()), (2, 0));
    has(&rows[0], &["policy", "lif_share", "accuracy", "twin", "seconds", "codes", "published"]);
    assert_eq!(rows[0]["reproduced"], false, "{made}");
    assert_eq!(rows[1]["lif_share"], 1.0);
    let codes = rows[0]["codes"].as_array().unwrap();
    assert_eq!(codes.len(), 2);
    has(&codes[0], &["agreement", "additions", "energy", "micro_steps", "firing_rate"]);
    assert_eq!((&codes[0]["level"], &codes[0]["samples"]), (&"bitwise".into(), &20.into()));

    let (hybrid, spiking) = (record(&root, "hybrid"), record(&root, "spiking"));
    assert_eq!(hybrid["training"]["epochs"], 2);
    assert_eq!(spiking["training"]["epochs"], 1, "what the row sets comes last");
    let markdown = std::fs::read_to_string(root.join("docs/results/tables/tiny/quick.md")).unwrap();
    for expected in [
        "| hybrid | union(stem, head) | 2 |",
        "99.50 %, not reproduced",
        "| Another | 4 | 99.50 % | published, best epoch on the test set | Someone 2025 |",
    ] {
        assert!(markdown.contains(expected), "{expected}: {markdown}");
    }
    assert!(root.join("docs/results/tables/tiny/quick.svg").is_file());

    // A network of a row with its card, whose figures are those of the record.
    let out = root.join("model");
    let export = |code: &str| {
        let out = out.to_str().unwrap();
        let more = ["--row=hybrid", "--seed=0", "--export", out, "--code", code];
        table(&root, &[&["--show"], &more[..]].concat())
    };
    export("bitplane").success();
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    let expected =
        format!("{:.2} % of 20 test samples", codes[1]["accuracy"]["mean"].as_f64().unwrap());
    assert!(card.contains(&expected) && card.contains("holds: bitwise on 20"), "{card}");
    let model = out.join("model.safetensors");
    run(["infer", model.to_str().unwrap(), "--dataset", "shapes10"]).success();
    for file in ["config.toml", "record.json"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let error = stderr(&export("graded").code(2));
    assert!(error.contains("not converted to graded; there are: unary, bitplane"), "{error}");
    assert!(stderr(&export("binary").code(2)).contains("unknown code `binary`"));
    let id = std::fs::read_dir(root.join("runs/tables/tiny")).unwrap().map(|e| e.unwrap().path());
    let id = id.into_iter().find(|path| path.join("bitplane.safetensors").is_file()).unwrap();
    std::fs::copy(id.join("unary.safetensors"), id.join("bitplane.safetensors")).unwrap();
    let error = stderr(&export("bitplane").code(2));
    assert!(error.contains("is not the file that was verified"), "{error}");

    // Nothing is made again, also where the weights are gone.
    std::fs::remove_dir_all(root.join("runs")).unwrap();
    let again = table(&root, &["--json"]).success();
    assert_eq!(json(&again), made);
    assert!(!stderr(&again).contains("training"), "{}", stderr(&again));
    // What is missing of a record whose weights are gone is trained again.
    let text =
        TABLE.replace("codes = [\"unary\", \"bitplane\"]", "codes = [\"unary\", \"graded\"]");
    std::fs::write(root.join("tables/tiny.toml"), text).unwrap();
    let again = json(&table(&root, &["--row", "hybrid", "--json"]).success());
    assert_eq!(again["rows"][0]["codes"][1]["code"], "graded");
    assert_eq!(again["rows"][0]["accuracy"], made["rows"][0]["accuracy"]);

    // The overview of the checkout shows it.
    let overview = stdout(&snn().current_dir(&root).assert().success());
    let row = overview.lines().find(|line| line.starts_with("hybrid "));
    assert!(row.is_some_and(|row| row.trim_end().ends_with("quick")), "{overview}");
    let all = json(&snn().current_dir(&root).arg("--json").assert().success());
    assert_eq!(all["tables"].as_array().unwrap().len(), 2);
}

/// A table whose first row is fine-tuned as well: verified on as many test samples as that takes.
fn tuned_table(more: &str) -> String {
    let whole = "set = [\"epochs=2\", \"data.test_limit=1000\"]\nverify = 1000";
    TABLE
        .replace("set = [\"epochs=2\"]\nverify = 20", whole)
        .replace("\"unary\", \"bitplane\"]", &format!("\"unary\", \"unary-finetuned\"]{more}"))
}

#[test]
fn networks_are_fine_tuned_as_the_config_says() {
    let root = root("table-finetuned");
    let path = root.join("tables/tiny.toml");
    std::fs::write(&path, tuned_table("")).unwrap();
    let hybrid = |more: &[&str]| {
        let all = [&["--row", "hybrid", "--json"], more].concat();
        let made = table(&root, &all).success();
        (json(&made)["rows"][0].clone(), stderr(&made))
    };
    let (made, told) = hybrid(&[]);
    let codes = made["codes"].as_array().unwrap();
    assert_eq!((codes.len(), &made["missing"]), (2, &serde_json::json!([])), "{made}");
    assert_eq!(codes[1]["code"], "unary-finetuned");
    assert_eq!((&codes[1]["holds"], &codes[1]["samples"]), (&true.into(), &1000.into()));
    assert_eq!(told.matches("training on the grid").count(), 1, "{told}");
    let conversions = record(&root, "hybrid")["conversions"].clone();
    assert!(conversions[0].get("finetuning").is_none());
    let usual = serde_json::json!({"epochs": 1, "learning_rate": 0.005});
    assert_eq!(conversions[1]["finetuning"]["config"], usual);
    assert_ne!(conversions[0]["file"], conversions[1]["file"]);
    let text = std::fs::read_to_string(root.join("docs/results/tables/tiny/quick.md")).unwrap();
    assert!(text.contains("| unary-finetuned | 1 | bitwise after fine-tuning |"), "{text}");

    // Another rate is another network on the grid, of the same training.
    let set = "\nset = [\"finetuning.learning_rate=0.02\"]";
    std::fs::write(&path, tuned_table(set)).unwrap();
    let (_, told) = hybrid(&[]);
    assert!(!told.contains(": training") && told.contains("training on the grid"), "{told}");
    let again = record(&root, "hybrid")["conversions"].clone();
    assert_eq!(again[0], conversions[0]);
    assert_eq!(again[1]["finetuning"]["config"]["learning_rate"], 0.02);
    assert!(!hybrid(&[]).1.contains("training"));
    // Few samples say nothing for a network whose accuracy alone speaks for it.
    std::fs::remove_dir_all(root.join("docs")).unwrap();
    let (few, _) = hybrid(&["--verify", "5"]);
    assert_eq!(few["codes"].as_array().unwrap().len(), 1, "{few}");
}

#[test]
fn the_cost_of_a_training_is_predicted() {
    let root = root("table-cost");
    let path = root.join("tables/tiny.toml");
    let staged = TABLE.replace("set = [\"epochs=2\"]", "set = [\"epochs=7\", \"twin.epochs=30\"]");
    std::fs::write(&path, staged).unwrap();
    let made = json(&table(&root, &["--estimate", "2", "--json"]).success());
    assert_eq!(made["rows"], serde_json::json!([]), "nothing is made");
    let costs = made["costs"].as_array().unwrap();
    let rows: Vec<_> = costs.iter().map(|cost| cost["row"].as_str().unwrap()).collect();
    assert_eq!(rows, ["hybrid", "spiking"]);
    // What the row sets comes last.
    for (cost, epochs) in costs.iter().zip([7, 1]) {
        let stages = cost["stages"].as_array().unwrap();
        let stage = |index: usize| (&stages[index]["epochs"], &stages[index]["samples"]);
        assert_eq!(stage(0), (&30.into(), &1000.into()), "{cost}");
        assert_eq!(stage(1), (&epochs.into(), &1000.into()), "{cost}");
        assert!(stages.iter().all(|s| s["samples_per_second"].as_f64().unwrap() > 0.0));
    }
    let text = std::fs::read_to_string(root.join("docs/results/tables/tiny/quick.md")).unwrap();
    assert!(text.contains("| hybrid | twin | 30 | 1000 | 2 |"), "{text}");
    assert!(!root.join("runs").exists());
    let cpu = ["table", "tiny", "--budget", "cpu", "--estimate", "1", "--seed", "1", "--root"];
    let of_seed = json(&run(cpu.iter().chain(&[root.to_str().unwrap(), "--json"])).success());
    assert_eq!(of_seed["costs"].as_array().unwrap().len(), 1, "{of_seed}");
    // Costs that cannot be read are none.
    let costs = root.join("docs/results/tables/tiny/cpu-cost.json");
    std::fs::write(&costs, "[{}]").unwrap();
    let shown = ["table", "tiny", "--budget", "cpu", "--show", "--root"];
    let shown = run(shown.iter().chain(&[root.to_str().unwrap()])).success();
    assert!(stderr(&shown).contains("not costs of this version"), "{}", stderr(&shown));
    // A config that changed has another cost.
    std::fs::write(&path, TABLE).unwrap();
    let shown = json(&table(&root, &["--show", "--json"]).success());
    assert!(shown.get("costs").is_none(), "{shown}");

    let config = root.join("configs/config.toml");
    let config = ["estimate", "--config", config.to_str().unwrap(), "--set", "epochs=5"];
    let cost = json(&run(config.iter().chain(&["--steps", "2", "--json"])).success());
    has(&cost, &["seconds", "stages"]);
    assert_eq!(cost["stages"][0]["epochs"], 5);
    // Nothing held out, and weights that are frozen from the second epoch on.
    let all = ["--set", "data.held_out=0", "--set", "groups=[{ names = '*', freeze_after = 1 }]"];
    let cost = json(&run(config.iter().chain(&all).chain(&["--steps", "2", "--json"])).success());
    assert_eq!(cost["stages"][0]["samples"], 8000);
    let text = stdout(&run(config.iter().chain(&["--steps", "2"])).success());
    assert!(text.contains("all stages: "), "{text}");
    let much = run(config.iter().chain(&["--steps", "1000"])).code(2);
    assert!(stderr(&much).contains("data.limit"), "{}", stderr(&much));
}

#[test]
fn a_table_that_is_killed_at_any_moment_ends_the_same() {
    let whole = root("table-whole");
    std::fs::write(whole.join("tables/tiny.toml"), tuned_table("")).unwrap();
    table(&whole, &[]).success();
    // It begins with a record of one code whose weights are gone.
    let killed = root("table-killed");
    let path = killed.join("tables/tiny.toml");
    let one = tuned_table("").replace("\"unary\", \"unary-finetuned\"", "\"unary-finetuned\"");
    std::fs::write(&path, one).unwrap();
    table(&killed, &["--row", "hybrid"]).success();
    std::fs::remove_dir_all(killed.join("runs")).unwrap();
    std::fs::write(&path, tuned_table("")).unwrap();
    let mut kills = 0;
    let mut life = Duration::from_millis(200);
    loop {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_snn"))
            .args(["table", "tiny", "--budget", "quick", "--root"])
            .arg(&killed)
            .env("OMP_NUM_THREADS", "1")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Each attempt lives longer than the one before, so that the last one ends.
        life = life.mul_f64(1.6);
        let deadline = std::time::Instant::now() + life;
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if std::time::Instant::now() >= deadline => break None,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0);
    for row in ["hybrid", "spiking"] {
        assert_eq!(record(&whole, row), record(&killed, row), "{row}, {kills} kills");
    }
}

#[test]
fn rows_of_one_twin_share_it() {
    let root = root("table-twin");
    let staged = TABLE
        .replace("set = [\"epochs=2\"]", "set = [\"twin.epochs=1\"]")
        .replace("\"unary\", \"bitplane\"", "\"unary\"");
    std::fs::write(root.join("tables/tiny.toml"), staged).unwrap();
    let made = table(&root, &["--json"]).success();
    let trainings = stderr(&made).matches("the twin of these rows: training").count();
    assert_eq!(trainings, 1, "{}", stderr(&made));
    let rows = json(&made)["rows"].clone();
    assert!(rows[0]["twin"].is_object() && rows[0]["twin"] == rows[1]["twin"], "{rows}");
    let twins = root.join("runs/tables/twins");
    let folders = || {
        let entries = std::fs::read_dir(&twins).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    assert_eq!(folders().len(), 1);

    // A row whose own twin is trained gives it to the others.
    std::fs::remove_dir_all(&folders()[0]).unwrap();
    let spiking = std::fs::read_dir(root.join("docs/results/tables/tiny")).unwrap();
    let mut spiking = spiking.map(|entry| entry.unwrap().path());
    let spiking = spiking.find(|path| path.to_str().unwrap().contains("spiking-s0")).unwrap();
    std::fs::remove_dir_all(&spiking).unwrap();
    let run = root.join("runs/tables/tiny").join(spiking.file_name().unwrap());
    for file in ["result.json", "trainer.json", "checkpoint.safetensors"] {
        std::fs::remove_file(run.join(file)).unwrap();
    }
    let again = table(&root, &["--json"]).success();
    assert_eq!(stderr(&again).matches("the twin of these rows: training").count(), 0);
    let again = &json(&again)["rows"];
    for row in 0..2 {
        for figure in ["accuracy", "twin"] {
            assert_eq!(again[row][figure], rows[row][figure]);
        }
    }
    assert_eq!(folders().len(), 1);

    // Made anew, they are made of one new twin.
    let anew = table(&root, &["--force"]).success();
    assert_eq!(stderr(&anew).matches("the twin of these rows: training").count(), 1);
}

#[test]
fn rows_that_another_process_makes_or_whose_records_are_damaged_stop_no_other() {
    let root = root("table-locked");
    let runs = root.join("runs/tables/tiny");
    table(&root, &["--row", "spiking"]).success();
    let locks = std::fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path());
    let lock = locks.into_iter().find(|path| path.extension() == Some("lock".as_ref())).unwrap();
    let held = std::fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    let id = lock.file_stem().unwrap().to_str().unwrap();
    let record = root.join("docs/results/tables/tiny").join(id).join("record.json");
    std::fs::write(&record, "{}").unwrap();
    let assert = table(&root, &[]).code(2);
    let text = stderr(&assert);
    for expected in [
        "record.json: not a record of this version",
        "another process makes this row now",
        "1 row could not be made",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let shown = json(&table(&root, &["--show", "--json"]).success());
    assert_eq!(shown["missing"], serde_json::json!(["spiking"]));
    drop(held);
    table(&root, &[]).success();
    assert!(
        json(&table(&root, &["--show", "--json"]).success())["missing"] == serde_json::json!([])
    );
}

#[test]
fn what_is_wrong_with_a_table_is_said_before_anything_is_trained() {
    let root = root("table-errors");
    let wrong = |more: &[&str], expected: &str| {
        let assert = table(&root, more).code(2);
        let text = stderr(&assert);
        assert!(text.contains(expected), "expected {expected}, found {text}");
        assert!(!root.join("runs").exists() && !root.join("docs").exists());
    };
    wrong(&["--row", "none"], "it has no row `none`; expected one of: hybrid, spiking");
    wrong(&["--seed", "7"], "no row has what --row and --seed say");
    let path = root.join("tables/tiny.toml");
    for (from, to, expected) in [
        ("name = \"spiking\"", "name = \"hybrid\"", "there are two rows `hybrid`"),
        ("name = \"spiking\"", "name = \"A b\"", "expected lower-case letters"),
        ("policy=none", "polcy=none", "table `tiny`, row `spiking`"),
        ("quick = [\"epochs=1\"]", "full = []", "the table has no budget `full`"),
        ("seeds = [0, 1]", "seeds = [1, 1]", "the seed 1 stands there twice"),
        ("max_drop = 100.0", "max_drop = 101.0", "are points and percent"),
        ("title =", "titel =", "unknown field `titel`"),
    ] {
        std::fs::write(&path, TABLE.replacen(from, to, 1)).unwrap();
        wrong(&[], expected);
    }
    let text = TABLE.replace("[budgets.quick]", "[budgets.full]").replace("quick = [", "cpu = [");
    std::fs::write(&path, text).unwrap();
    wrong(&[], "it has no budget `quick`; expected one of: cpu, full");
    let assert = run(["table", "other", "--budget", "quick", "--root", root.to_str().unwrap()]);
    let text = stderr(&assert.code(2));
    assert!(text.contains("there is no table `other`") && text.contains("tiny"), "{text}");
}

#[test]
fn the_tables_of_the_repository_can_be_read() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let all = json(&snn().current_dir(root).arg("--json").assert().success());
    let names = all["tables"].as_array().unwrap().iter().map(|table| &table["table"]);
    for expected in ["activity", "cifar10", "cifar100", "levels", "lif-share", "paper", "policies"]
    {
        assert!(names.clone().any(|name| name == expected), "{expected}");
    }
}

#[test]
fn the_table_of_the_book_is_one() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(repository.join("docs/book/src/tables.md")).unwrap();
    let text = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let root = root("table-book");
    std::fs::write(root.join("tables/tiny.toml"), text).unwrap();
    let config = "configs/cifar100/resnet20-outer.toml";
    std::fs::create_dir(root.join("configs/cifar100")).unwrap();
    std::fs::copy(repository.join(config), root.join(config)).unwrap();
    let shown = json(&table(&root, &["--show", "--json"]).success());
    assert_eq!(shown["missing"], serde_json::json!(["outer"]));
    let arguments = ["table", "tiny", "--budget", "cpu", "--show", "--json", "--root"];
    let shown = json(&run(arguments.iter().copied().chain([root.to_str().unwrap()])).success());
    assert_eq!(shown["missing"], serde_json::json!(["outer", "inner"]));
}
