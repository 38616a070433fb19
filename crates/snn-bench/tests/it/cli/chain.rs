//! train → convert → verify → infer → inspect → finetune.

use super::{Shared, folder, has, json, shared, snn, stderr, stdout};
use snn_ir::{Encoder, Model, Tensor};
use snn_runtime::InstructionSet;
use std::path::Path;

fn verify(model: &Path, options: &[&str]) -> assert_cmd::assert::Assert {
    verification(model, options).assert()
}

fn verification(model: &Path, options: &[&str]) -> assert_cmd::Command {
    let mut command = snn();
    command.arg("verify").arg(&shared().run).arg(model).args([
        "--limit",
        "100",
        "--naive-samples",
        "2",
    ]);
    // What a network that has seen 1,000 images loses by rounding is not what is tested here.
    command.args(["--max-drop", "100"]).args(options);
    command
}

#[test]
fn train_tells_its_progress_on_stderr_and_its_result_on_stdout() {
    let trained = &shared().trained;
    let (out, err) = (stdout(trained), stderr(trained));
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.contains("test accuracy") && out.contains("after 1 epoch (val"), "{out}");
    assert!(
        err.contains("policy union(stem, head): 2 of 5 sites are ReLU")
            && err.contains("epoch 1: loss"),
        "{err}"
    );
    assert!(err.contains("mean firing rate 0."), "{err}");
    // Resuming a finished run says what it reached.
    let target = [shared().config.as_os_str(), "--out".as_ref(), shared().run.as_os_str()];
    let again =
        snn().args(["train", "--resume", "--json", "--config"]).args(target).assert().success();
    let result = json(&again);
    has(
        &result,
        &[
            "dataset",
            "test_accuracy",
            "test_images",
            "final_epoch",
            "policy",
            "relu_share",
            "time_steps",
        ],
    );
    assert_eq!((&result["dataset"], &result["test_images"]), (&"shapes10".into(), &2000.into()));
}

/// What would come to light only in conversion, or never.
#[test]
fn train_tells_of_sites_that_are_silent_and_of_nodes_that_do_not_convert() {
    let run = folder("silent").join("run");
    let mut train = snn();
    train.args(["train", "--config"]).arg(&shared().config).arg("--out").arg(&run);
    let sets = ["epochs=2", "data.limit=64", "neuron.threshold=1000.0", "replacement=relu"];
    for set in sets {
        train.args(["--set", set]);
    }
    let err = stderr(&train.args(["--set", "data.test_limit=50"]).assert().success());
    let refusal =
        err.find("warning: this network trains, but `snn convert` will refuse it").unwrap();
    assert!(refusal < err.find("learned values").unwrap() && err.contains("stem.act"), "{err}");
    assert_eq!(err.matches("never fire:").count(), 1, "{err}");
    assert!(err.contains("warning: the sites `block1.act1`"), "{err}");
    assert!(!stderr(&shared().trained).contains("warning"), "nothing is wrong with that one");
    let err = stderr(&train.arg("--resume").assert().success());
    assert!(err.contains("learned values") && !err.contains("warning"), "told once: {err}");
}

#[test]
fn convert_prints_its_plan() {
    let summary = stdout(&shared().converted);
    assert!(summary.contains("batch norms folded") && summary.contains("wrote "), "{summary}");
    assert!(
        summary.contains("loses nothing") && summary.contains("Rounding to integers is a second"),
        "{summary}"
    );
    assert!(!summary.contains("stem.bn"), "the plan was not asked for: {summary}");
    let listed = folder("plan").join("model.safetensors");
    let options = ["--code", "unary", "--plan", "--out"];
    let out = stdout(
        &snn().arg("convert").arg(&shared().run).args(options).arg(&listed).assert().success(),
    );
    assert!(out.contains("stem.bn") && out.contains("merged") && out.contains("wrote "), "{out}");
    let of =
        |node: &str| out.lines().find(|line| line.split_whitespace().next() == Some(node)).unwrap();
    assert!(
        of("stem.conv").contains("carry the norm after it") && !of("fc").contains("norm"),
        "{out}"
    );
    assert!(of("head").ends_with("the mean over macro-steps"), "{out}");
    let file = folder("convert").join("new/graded.safetensors");
    let options = [
        "--code",
        "bitplane",
        "--grid",
        "none",
        "--site-code",
        "stem.act=graded",
        "--json",
        "--out",
    ];
    let converted =
        json(&snn().arg("convert").arg(&shared().run).args(options).arg(&file).assert().success());
    has(&converted, &["out", "form", "bytes", "plan"]);
    assert_eq!(converted["form"], "events");
    assert_eq!(converted["bytes"], file.metadata().unwrap().len());
    has(&converted["plan"]["entries"][0], &["node", "op", "action", "detail"]);
    assert!(stdout(&verify(&file, &[]).success()).contains("holds: zero flips"));
}

#[test]
fn verify_holds() {
    let holds = verify(&shared().model, &[]).success();
    assert!(stdout(&holds).contains("holds: bitwise") && stderr(&holds).contains("verified: 100"));
    let report = json(&verify(&shared().model, &["--json"]).success());
    has(
        &report,
        &[
            "run",
            "model",
            "holds",
            "comparisons",
            "accuracy_reference",
            "accuracy_converted",
            "failures",
        ],
    );
    assert_eq!(report["holds"], true);
    let comparisons = report["comparisons"].as_array().unwrap();
    // Where only classes and spikes are compared there is no difference of logits to print.
    let agreement = |c: &&serde_json::Value| c["level"] == "agreement";
    assert!(comparisons.iter().find(agreement).unwrap()["logit_difference"].is_null(), "{report}");
    // Every instruction set of this machine, on one thread, with forced kernels, as a stream.
    for set in InstructionSet::available() {
        for how in ["1 thread", "events forced", "patterns forced", "dense forced"] {
            let name = format!("deployment ({}, {how})", set.label());
            let found =
                comparisons.iter().find(|c| c["candidate"] == name.as_str()).expect("a deployment");
            assert_eq!((&found["level"], &found["samples"]), (&"bitwise".into(), &100.into()));
            assert!(found["decisions"].as_u64() > Some(0));
        }
        let name = format!("deployment ({}, streamed frame by frame), varying frames", set.label());
        let found = comparisons.iter().find(|c| c["candidate"] == name.as_str()).expect("frames");
        assert_eq!((&found["level"], &found["samples"]), (&"bitwise".into(), &20.into()));
    }
    assert_eq!((&report["samples"], &report["test_samples"]), (&100.into(), &2000.into()));
    assert_eq!((&report["verdict"], &report["changed_weights"]), (&"bitwise".into(), &0.into()));
    assert!(report["weights"].as_u64() > Some(0) && report["class_changes"].is_u64(), "{report}");
    assert_eq!(report["noise"]["samples"], 100);
    let layers = report["rounding"].as_array().unwrap();
    assert!(
        layers.len() > 3 && layers.iter().all(|l| l["largest_error"].as_f64() <= Some(0.500_000_1)),
        "{layers:?}"
    );
    let out = stdout(&holds);
    assert!(
        out.lines().any(|line| line.starts_with("agreement") && line.trim_end().ends_with('–')),
        "{out}"
    );
    assert!(!out.contains('−'), "one minus sign: {out}");
    let verdict = out.lines().last().unwrap();
    assert!(
        verdict.starts_with("holds: bitwise; 100 of 2000 images; ")
            && verdict.contains(" % keep their class (")
            && verdict.contains("; 0 of "),
        "{verdict}"
    );
    // Ways that found the same share a row; all of them on request.
    let long = stdout(&verify(&shared().model, &["--long"]).success());
    assert!(long.lines().count() > out.lines().count() && out.contains(" more"), "{out}");
    assert!(long.contains("dense forced") && long.contains("largest error in steps"), "{long}");
}

/// Options that are not the usual ones are stored in the file, where the proof finds them.
#[test]
fn verify_holds_with_other_bits() {
    let file = folder("bits").join("model.safetensors");
    let options = ["--code", "graded", "--guard-bits", "3", "--leak-bits", "5", "--json", "--out"];
    let converted = snn().arg("convert").arg(&shared().run).args(options).arg(&file).assert();
    json(&converted.success());
    let few = ["--kernel", "scalar", "--threads", "1"];
    assert!(stdout(&verify(&file, &few).success()).contains("holds: bitwise"));
    let inspected = stdout(&snn().arg("inspect").arg(&file).assert().success());
    assert!(inspected.contains("code graded, 3 guard bits, 5 bits of leaks"), "{inspected}");
    let out = folder("bits-off").join("no");
    let options = ["--code", "graded", "--grid", "none", "--leak-bits", "5", "--out"];
    let refused = snn().arg("convert").arg(&shared().run).args(options).arg(out).assert();
    let error = stderr(&refused.code(2));
    assert!(error.contains("--leak-bits"), "{error}");
}

/// Weights rounded by what layers read, and weights of 16 bits, are proved as all others are.
#[test]
fn calibrated_and_wide_files_are_proved() {
    let made = |options: &[&str]| {
        let file = folder("rounded").join("model.safetensors");
        let convert = snn().arg("convert").arg(&shared().run).args(options).arg(&file).assert();
        convert.success();
        file
    };
    let few = ["--kernel", "scalar", "--threads", "1"];
    let file = made(&["--code", "unary", "--calibrate", "64", "--out"]);
    let report = json(&verify(&file, &[&few[..], &["--json"]].concat()).success());
    assert_eq!((&report["verdict"], &report["calibrated"]), (&"bitwise".into(), &true.into()));
    assert!(report["changed_weights"].as_u64() > Some(0), "{report}");
    let inspected = stdout(&snn().arg("inspect").arg(&file).assert().success());
    assert!(inspected.contains("rounded by 64 training samples"), "{inspected}");
    let wide = made(&["--code", "unary", "--grid", "int16", "--out"]);
    let report = json(&verify(&wide, &[&few[..], &["--json"]].concat()).success());
    assert_eq!((&report["verdict"], &report["changed_weights"]), (&"bitwise".into(), &0.into()));
    let nearest = json(&verify(&shared().model, &[&few[..], &["--json"]].concat()).success());
    let changes = |of: &serde_json::Value| of["class_changes"].as_u64().unwrap();
    assert!(changes(&report) <= changes(&nearest), "{} {}", changes(&report), changes(&nearest));
    let inspected = stdout(&snn().arg("inspect").arg(&wide).assert().success());
    assert!(inspected.contains("16-bit weights"), "{inspected}");

    let out = folder("rounded-off").join("no");
    let refused = |options: &[&str]| {
        let convert = snn()
            .arg("convert")
            .arg(&shared().run)
            .args(["--code", "unary", "--out"])
            .arg(&out)
            .args(options)
            .assert();
        let error = stderr(&convert.code(2));
        assert!(!out.exists(), "{error}");
        error
    };
    assert!(refused(&["--calibrate", "64", "--grid", "int16"]).contains("16 bits"));
    assert!(refused(&["--calibrate", "64", "--grid", "none"]).contains("--calibrate"));
    assert!(refused(&["--calibrate", "9999999"]).contains("there are only"));
}

/// A file of other macro-steps, classes or preprocessing has one cause and runs nothing.
#[test]
fn verify_compares_before_it_runs() {
    type Edit = fn(&mut snn_ir::Signature);
    let edits: [(&str, Edit); 3] = [
        ("expected T = 2, found T = 3", |s| s.time_steps += 1),
        ("the names of the classes differ", |s| s.classes.swap(0, 1)),
        ("the means of the input differ", |s| s.preprocessing.mean[0] += 1),
    ];
    for (cause, edit) in edits {
        let mut model = Model::load(&shared().model).unwrap();
        edit(model.signature_mut());
        let file = folder("signature").join("model.safetensors");
        model.save(&file).unwrap();
        let out = stdout(&verify(&file, &[]).code(1));
        let failed: Vec<_> = out.lines().filter(|line| line.starts_with("FAILED")).collect();
        assert!(failed.len() == 1 && failed[0].contains(cause), "{out}");
        assert!(out.ends_with("does not hold; nothing was run\n"), "{out}");
    }
}

#[test]
fn a_file_off_the_grid_is_not_fine_tuned() {
    let file = folder("tuned-off-grid").join("model.safetensors");
    let options = ["--code", "unary", "--grid", "none", "--out"];
    snn().arg("convert").arg(&shared().run).args(options).arg(&file).assert().success();
    let error = stderr(&verify(&file, &["--finetuned"]).code(2));
    assert!(error.contains("in the form grid, found events"), "{error}");
}

#[test]
fn verify_takes_the_instructions_and_threads_that_are_named() {
    let report = json(
        &verify(&shared().model, &["--kernel", "scalar", "--threads", "1,3", "--json"]).success(),
    );
    let of = |c: &serde_json::Value| {
        c["candidate"].as_str().filter(|name| name.starts_with("deployment")).map(str::to_string)
    };
    let found: Vec<String> =
        report["comparisons"].as_array().unwrap().iter().filter_map(of).collect();
    let ways = [
        "1 thread",
        "3 threads over samples",
        "3 threads over pixels",
        "events forced",
        "patterns forced",
        "dense forced",
        "streamed frame by frame",
    ]
    .map(|how| format!("deployment (scalar, {how})"));
    let frames = ways.clone().map(|way| way + ", varying frames");
    assert_eq!(found, [ways, frames].concat());
}

/// On every machine, since the best set is a limit that the environment may set.
#[test]
fn verify_refuses_instructions_that_are_not_available() {
    let model = &shared().model;
    for set in InstructionSet::ALL.into_iter().filter(|set| *set != InstructionSet::Scalar) {
        let mut command = verification(model, &["--kernel", set.label()]);
        let error = stderr(&command.env("SNN_INSTRUCTION_SET", "scalar").assert().code(2));
        let expected = format!("instruction set {set} is not available here, the best is scalar");
        assert!(error.contains(&expected), "{error}");
    }
}

/// A program of one's own that calls the trainer makes a run that has no config.
#[test]
fn a_run_without_a_config_converts_and_verifies() {
    let run = folder("no-config").join("run");
    std::fs::create_dir(&run).unwrap();
    for entry in std::fs::read_dir(&shared().run).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_file() && name != "config.toml" {
            std::fs::copy(&path, run.join(name)).unwrap();
        }
    }
    let inspected = stdout(&snn().arg("inspect").arg(&run).assert().success());
    assert!(inspected.contains("form trained"), "{inspected}");
    let file = folder("no-config-file").join("model.safetensors");
    let options = ["--code", "unary", "--out"];
    snn().arg("convert").arg(&run).args(options).arg(&file).assert().success();
    let proof = |options: &[&str]| {
        let few = ["--limit", "30", "--max-drop", "100", "--kernel", "scalar", "--threads", "1"];
        snn().arg("verify").arg(&run).arg(&file).args(few).args(options).assert()
    };
    let error = stderr(&proof(&[]).code(2));
    assert!(error.contains("no config that names a data set; give --dataset"), "{error}");
    let verdict = stdout(&proof(&["--dataset", "shapes10"]).success());
    assert!(verdict.contains("holds: bitwise; 30 of 2000"), "{verdict}");
}

/// `data.test_limit` of a run limits what is verified and inferred too, unless told otherwise.
#[test]
fn verify_and_infer_keep_to_the_test_limit_of_the_run() {
    let run = folder("test-limit").join("run");
    std::fs::create_dir(&run).unwrap();
    for name in ["model.safetensors", "run.json"] {
        std::fs::copy(shared().run.join(name), run.join(name)).unwrap();
    }
    let config = std::fs::read_to_string(&shared().config).unwrap();
    let limited = config.replace("held_out = 7000", "held_out = 7000, test_limit = 40");
    std::fs::write(run.join("config.toml"), limited).unwrap();
    let few = ["--max-drop", "100", "--kernel", "scalar", "--threads", "1"];
    let verdict = |options: &[&str]| {
        let mut command = snn();
        command.arg("verify").arg(&run).arg(&shared().model).args(few).args(options);
        stdout(&command.assert().success())
    };
    assert!(verdict(&[]).contains("holds: bitwise; 40 of 2000 images"));
    assert!(verdict(&["--limit", "50"]).contains("holds: bitwise; 50 of 2000 images"));
    let infer = |options: &[&str]| {
        let mut command = snn();
        command.arg("infer").arg(&shared().model).arg("--json").args(options);
        json(&command.arg("--run").arg(&run).assert().success())["samples"].clone()
    };
    assert_eq!((infer(&[]), infer(&["--limit", "3"])), (40.into(), 3.into()));
}

#[test]
fn verify_fails_when_one_weight_differs() {
    let mut model = Model::load(&shared().model).unwrap();
    let Some(Tensor::I8(weight)) = model.weights_mut().get_mut("block1.conv1.weight") else {
        panic!("8-bit weights")
    };
    let first = weight.first_mut().unwrap();
    *first += if *first == 127 { -1 } else { 1 };
    let tampered = folder("tampered").join("model.safetensors");
    model.save(&tampered).unwrap();
    let failed = verify(&tampered, &[]).code(1);
    let out = stdout(&failed);
    assert!(
        out.contains("FAILED: ") && out.contains("block1.conv1.weight") && !out.contains("holds"),
        "{out}"
    );
    let report = json(&verify(&tampered, &["--json"]).code(1));
    assert_eq!(report["holds"], false);
    // As a fine-tuned model it may have other weights, but on a few images nothing is shown for it.
    let out = stdout(&verify(&tampered, &["--finetuned"]).code(1));
    assert!(
        out.contains("unproven; 100 of 2000 images")
            && out.contains("; 1 of ")
            && !out.contains("bitwise;"),
        "{out}"
    );
}

#[test]
fn infer_counts_and_classifies() {
    let model = &shared().model;
    let infer = || {
        let mut command = snn();
        command.arg("infer").arg(model);
        command
    };
    let set = ["--dataset", "shapes10", "--limit", "70"];
    let text = stdout(&infer().args(set).assert().success());
    assert!(text.contains("on 70 images") && text.contains("(deployed, "), "{text}");
    assert!(!text.contains("Operations"), "nobody asked for counts: {text}");
    let text = stdout(&infer().args(set).arg("--counts").assert().success());
    assert!(text.contains("Operations for one image") && text.contains("µJ an image"), "{text}");
    let plain = json(&infer().args(set).arg("--json").assert().success());
    let counted = json(&infer().args(set).args(["--counts", "--json"]).assert().success());
    has(
        &counted,
        &[
            "samples",
            "accuracy",
            "chance",
            "engine",
            "images_per_second",
            "energy_microjoules",
            "energy_figures",
            "counts",
        ],
    );
    assert_eq!((&counted["samples"], &counted["accuracy"]), (&70.into(), &plain["accuracy"]));
    assert!(plain["counts"].is_null() && plain["energy_microjoules"].is_null(), "{plain}");
    // Twice the usual figures are twice the energy.
    let twice = ["--counts", "--energy", "0.46,0.06", "--json"];
    let twice = json(&infer().args(set).args(twice).assert().success());
    let energy = |of: &serde_json::Value| of["energy_microjoules"].as_f64().unwrap();
    assert!((energy(&twice) - 2.0 * energy(&counted)).abs() < 1e-9 * energy(&twice), "{twice}");
    assert!(
        stderr(&infer().args(set).args(["--energy", "1,1"]).assert().code(2)).contains("--counts")
    );
    let wrong = infer().args(set).args(["--counts", "--energy", "1"]).assert().code(2);
    assert!(stderr(&wrong).contains("0.23,0.03"), "{}", stderr(&wrong));
    let bench = ["neurobench", "--dataset", "shapes10", "--limit", "70", "--json"];
    let bench = json(&snn().args(bench).arg(model).assert().success());
    assert_eq!(bench["samples"], 70);
    let accuracy = 100.0 * bench["ClassificationAccuracy"].as_f64().unwrap();
    assert!((accuracy - plain["accuracy"].as_f64().unwrap()).abs() < 1e-9, "{bench}");
    let additions = bench["SynapticOperations"]["Effective_ACs"].as_f64().unwrap();
    let all = counted["counts"]["nodes"].as_array().unwrap().iter();
    let all: f64 = all.map(|node| node["additions"].as_f64().unwrap()).sum::<f64>() / 70.0;
    // Weights of 0 are additions of a deployment, and none of NeuroBench.
    assert!(additions > 0.8 * all && additions <= all, "{additions} of {all}");

    let image = folder("image").join("image.bin");
    std::fs::write(&image, vec![90_u8; 3 * 16 * 16]).unwrap();
    let classified = json(&infer().arg("--json").arg("--image").arg(&image).assert().success());
    has(
        &classified,
        &["image", "class", "name", "best", "logits", "engine", "seconds", "events", "additions"],
    );
    assert_eq!(classified["best"].as_array().unwrap().len(), 5);
    assert_eq!(classified["best"][0]["class"], classified["class"]);
    assert!(classified["counts"].is_null(), "{classified}");
    let counted =
        json(&infer().args(["--json", "--counts", "--image"]).arg(&image).assert().success());
    assert_eq!(
        (&counted["logits"], &counted["counts"]["samples"]),
        (&classified["logits"], &1.into())
    );
    assert_eq!(classified["logits"].as_array().unwrap().len(), 10);
    let text = stdout(&infer().arg("--image").arg(&image).assert().success());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("class  name") && lines.len() == 11, "{text}");
    for (line, begin) in lines[8..].iter().zip(["time       ", "events     ", "additions  "]) {
        assert!(line.starts_with(begin), "{text}");
    }
    let text = stdout(&infer().args(["--counts", "--image"]).arg(&image).assert().success());
    assert!(text.contains("Operations for one image") && text.contains("share"), "{text}");
    std::fs::write(&image, [0; 7]).unwrap();
    let error = stderr(&infer().arg("--image").arg(&image).assert().code(2));
    assert!(error.contains("or 768 bytes") && error.contains("found 7"), "{error}");
}

/// A network that learned nothing is told so by all commands that measure it.
#[test]
fn a_result_at_chance_level_is_called_that_after_training_and_on_events() {
    let folder = folder("chance");
    let (run, model) = (folder.join("run"), folder.join("model.safetensors"));
    let mut train = snn();
    train.arg("train").arg("--config").arg(&shared().config).arg("--out").arg(&run);
    for set in ["data.limit=64", "optimiser.learning_rate=1e-12", "schedule=constant"] {
        train.args(["--set", set]);
    }
    let sentence = "This is chance level: always naming the most frequent class gives 10.00 %. \
                    The network has learned nothing that 2000 images can show.\n";
    let out = stdout(&train.assert().success());
    assert!(out.ends_with(sentence), "{out}");
    let mut convert = snn();
    convert.arg("convert").arg(&run).args(["--code", "graded", "--out"]).arg(&model);
    convert.assert().success();
    let infer = |options: &[&str]| {
        let mut command = snn();
        command.arg("infer").arg(&model).args(["--dataset", "shapes10"]).args(options);
        command.assert().success()
    };
    let out = stdout(&infer(&[]));
    assert!(out.contains(sentence), "{out}");
    assert_eq!(json(&infer(&["--json"]))["chance"], 10.0);
}

#[test]
fn infer_takes_pictures() {
    let classified = |image: &Path| {
        let mut command = snn();
        command.arg("infer").arg(&shared().model).args(["--json", "--image"]).arg(image);
        json(&command.assert().success())
    };
    // An image of the set as PNG is the same as its raw bytes.
    let test = snn_data::Dataset::open("shapes10", None).unwrap().test;
    let planes = test.image(3).unwrap();
    let folder = folder("pictures");
    let (raw, png) = (folder.join("image.bin"), folder.join("image.png"));
    std::fs::write(&raw, planes).unwrap();
    let pixels: Vec<u8> =
        (0..16 * 16).flat_map(|at| [0, 1, 2].map(|channel| planes[channel * 256 + at])).collect();
    let mut encoder = png::Encoder::new(std::fs::File::create(&png).unwrap(), 16, 16);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    assert_eq!(classified(&png)["logits"], classified(&raw)["logits"]);
    // One of another size is resized.
    let photo = snn_test_support::golden::path("images/420.JPEG");
    assert_eq!(classified(&photo)["logits"].as_array().unwrap().len(), 10);
    let cut = folder.join("cut.jpg");
    std::fs::write(&cut, &std::fs::read(&photo).unwrap()[..200]).unwrap();
    let mut command = snn();
    command.arg("infer").arg(&shared().model).arg("--image").arg(&cut);
    assert!(stderr(&command.assert().code(2)).contains("cut.jpg`: "));
}

#[test]
fn inspect_draws_the_graph() {
    let summary = stdout(&snn().arg("inspect").arg(&shared().model).assert().success());
    assert!(summary.lines().count() < 9 && summary.contains("nodes: 1 input"), "{summary}");
    assert!(summary.contains("converted with the code unary, 8 guard bits"), "{summary}");
    let drawn = stdout(&snn().args(["inspect", "--nodes"]).arg(&shared().model).assert().success());
    for line in ["form grid, T = 2 macro-steps of 3 micro-steps", "├─╮", "├─╯"] {
        assert!(drawn.contains(line), "no `{line}` in\n{drawn}");
    }
    let node = |name: &str| drawn.lines().find(|line| line.contains(name)).unwrap().to_string();
    assert!(
        node("stem.act").contains("grid_quant_relu") && node("stem.act").contains("events unary")
    );
    assert!(
        node("block1.act1").contains("events binary") && node("block1.act1").contains("|x| ≤ 1")
    );
    assert!(node("block1.conv1").contains("6×16×16") && node("block1.conv1").contains("M = "));
    let (_, plan) = drawn.split_once("instructions: ").expect("how it is deployed");
    assert!(
        plan.starts_with(InstructionSet::best().label())
            && plan.contains("block1.act1 (grid_lif): "),
        "{plan}"
    );

    let described = json(&snn().arg("inspect").arg(&shared().run).arg("--json").assert().success());
    let fields = [
        "form",
        "time_steps",
        "micro_steps",
        "parameters",
        "neurons",
        "lif_neurons",
        "nodes",
        "config",
        "result",
    ];
    has(&described, &fields);
    has(&described["nodes"][1], &["name", "op", "inputs", "shape", "weights", "varies", "detail"]);
    let described =
        json(&snn().arg("inspect").arg(&shared().model).arg("--json").assert().success());
    has(&described["nodes"][1], &["carries", "multiplier", "bound"]);
    has(&described["deployment"]["nodes"][1], &["node", "op", "form", "weight_bytes"]);
}

#[test]
fn inspect_writes_a_self_contained_svg() {
    let file = folder("svg").join("graph.svg");
    let inspected =
        snn().arg("inspect").arg(&shared().model).arg("--svg").arg(&file).assert().success();
    assert!(stderr(&inspected).contains("wrote ") && stdout(&inspected).contains("form grid"));
    let svg = std::fs::read_to_string(&file).unwrap();
    let model = Model::load(&shared().model).unwrap();
    let wires: usize = model.graph().nodes.iter().map(|node| node.inputs.len()).sum();
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"));
    assert_eq!(svg.matches("marker-end=").count(), wires);
    for node in &model.graph().nodes {
        assert!(svg.contains(&format!("<title>{}</title>", node.name)), "{}", node.name);
    }
    assert!(!svg.contains("href") && !svg.contains("<script"));
}

#[test]
fn finetune_makes_a_run_that_verifies_as_one() {
    let out = folder("finetune").join("run");
    let options = ["--epochs", "1", "--json", "--out"];
    let tuned = snn()
        .arg("finetune")
        .arg(&shared().run)
        .arg(&shared().model)
        .args(options)
        .arg(&out)
        .assert()
        .success();
    has(&json(&tuned), &["test_accuracy", "wall_seconds", "parameters"]);
    let told = stderr(&tuned);
    assert!(
        told.contains("epoch 1: loss") && !told.contains("firing rate"),
        "the grid records none: {told}"
    );
    let few = ["--kernel", "scalar", "--threads", "1", "--max-drop", "100"];
    let proof = |options: &[&str]| {
        let mut command = snn();
        command.arg("verify").arg(&shared().run).arg(out.join("model.safetensors"));
        command.args(few).args(options).assert()
    };
    let verdict = stdout(&proof(&["--finetuned", "--limit", "1000"]).success());
    let verdict = verdict.lines().last().unwrap();
    assert!(
        verdict.starts_with("holds: fine-tuned, the same bits in every interpreter; 1000 of 2000"),
        "{verdict}"
    );
    assert!(!verdict.contains("; 0 of "), "weights changed: {verdict}");
    proof(&["--finetuned", "--limit", "100"]).code(1);
    proof(&["--limit", "100"]).code(1);
}

/// Every key that a command prints as JSON stands in its help, which the book prints.
#[test]
fn every_key_of_the_json_is_in_the_help() {
    let documented = |commands: &[&str], printed: &serde_json::Value, within: &[&str]| {
        let help = stdout(&snn().args(commands).arg("--help").assert().success());
        let (_, json) = help.split_once("JSON").expect("a paragraph on JSON");
        let of = |value: &serde_json::Value| {
            let first = value.get(0).unwrap_or(value).clone();
            first.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let keys = within.iter().flat_map(|key| of(&printed[*key]));
        for key in of(printed).into_iter().chain(keys) {
            assert!(json.contains(&format!("`{key}`")), "{commands:?} prints `{key}`");
        }
    };
    let Shared { config, run, model, .. } = shared();
    let out = folder("keys").join("model.safetensors");
    let image = folder("keys-image").join("image.bin");
    std::fs::write(&image, vec![90_u8; 3 * 16 * 16]).unwrap();
    let result = |arguments: &[&dyn AsRef<std::ffi::OsStr>]| {
        let mut command = snn();
        command.args(arguments.iter().map(AsRef::as_ref)).arg("--json");
        json(&command.assert().success())
    };
    let train = result(&[&"train", &"--resume", &"--config", config, &"--out", run]);
    documented(&["train"], &train, &[]);
    let convert = result(&[&"convert", run, &"--code", &"unary", &"--out", &out]);
    documented(&["convert"], &convert, &[]);
    let few: [&str; 8] =
        ["--limit", "30", "--max-drop", "100", "--kernel", "scalar", "--threads", "1"];
    let mut verify: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"verify", run, model];
    verify.extend(few.iter().map(|option| option as &dyn AsRef<std::ffi::OsStr>));
    documented(&["verify"], &result(&verify), &["noise", "rounding", "comparisons"]);
    let infer = result(&[&"infer", model, &"--counts", &"--run", run, &"--limit", &"3"]);
    documented(&["infer"], &infer, &[]);
    let infer = result(&[&"infer", model, &"--counts", &"--image", &image]);
    documented(&["infer"], &infer, &["best"]);
    for path in [run, model] {
        documented(&["inspect"], &result(&[&"inspect", path]), &[]);
    }
    documented(&["policy", "show"], &result(&[&"policy", &"show", config]), &["sites"]);
}

/// A model file has the encoder that it was trained with: neither `--run` nor anything else must
/// say it again.
#[test]
fn a_model_keeps_the_encoder_that_it_was_trained_with() {
    let folder = folder("encoder");
    let (run, events) = (folder.join("run"), folder.join("events.safetensors"));
    let (grid, tuned) = (folder.join("grid.safetensors"), folder.join("tuned"));
    let mut train = snn();
    train.arg("train").arg("--config").arg(&shared().config).arg("--out").arg(&run);
    for set in ["encoder=latency", "time_steps=4", "data.limit=320", "data.test_limit=64"] {
        train.args(["--set", set]);
    }
    train.args(["--set", "data.validation_limit=64"]).assert().success();
    for (out, options) in [(&events, vec!["--grid", "none"]), (&grid, vec![])] {
        snn()
            .arg("convert")
            .arg(&run)
            .args(options)
            .args(["--code", "unary"])
            .arg("--out")
            .arg(out)
            .assert()
            .success();
        assert_eq!(Model::load(out).unwrap().encoder(), Encoder::Latency);
        let infer = |options: &[&std::ffi::OsStr]| {
            let mut command = snn();
            command.arg("infer").arg(out).args(["--limit", "100", "--counts", "--json"]);
            json(&command.args(options).assert().success())
        };
        let named = infer(&["--dataset".as_ref(), "shapes10".as_ref()]);
        let of_run = infer(&["--run".as_ref(), run.as_os_str()]);
        assert_eq!(named["counts"], of_run["counts"], "the same spikes");
        assert_eq!(named["accuracy"], of_run["accuracy"]);
    }
    // A single image gives the logits of its frames.
    let image = folder.join("image.bin");
    let pixels: Vec<u8> = (0..3 * 16 * 16).map(|i| u8::try_from(i * 7 % 256).unwrap()).collect();
    std::fs::write(&image, &pixels).unwrap();
    let mut infer = snn();
    infer.arg("infer").arg(&grid).args(["--json", "--image"]).arg(&image);
    let found: Vec<f64> =
        serde_json::from_value(json(&infer.assert().success())["logits"].clone()).unwrap();
    let shown = ndarray::ArrayViewD::from_shape(vec![1, 3, 16, 16], &pixels).unwrap();
    let frames = Encoder::Latency.encode(&snn_ir::Input::Static(shown), 4, 0).unwrap();
    let deployment = snn_runtime::Deployment::load(&grid).unwrap();
    let frames = frames.into_raw_vec_and_offset().0;
    assert_eq!(found, deployment.session().run_frames(&frames).unwrap().logits());
    // A proof that is given the model file alone shows it the same frames.
    let mut verify = snn();
    verify.arg("verify").arg(run.join("model.safetensors")).arg(&grid);
    verify.args(["--dataset", "shapes10", "--limit", "20", "--naive-samples", "1"]);
    let proof = json(&verify.args(["--max-drop", "100", "--json"]).assert().success());
    let mut verify = snn();
    verify.arg("verify").arg(&run).arg(&grid).args(["--limit", "20", "--naive-samples", "1"]);
    let same = json(&verify.args(["--max-drop", "100", "--json"]).assert().success());
    assert_eq!(proof["comparisons"], same["comparisons"]);
    assert!(stdout(&snn().arg("inspect").arg(&grid).assert().success()).contains("`latency`"));
    let mut finetune = snn();
    finetune.arg("finetune").arg(&run).arg(&grid).arg("--out").arg(&tuned);
    finetune.args(["--epochs", "1"]).assert().success();
    let tuned = Model::load(tuned.join("model.safetensors")).unwrap();
    assert_eq!(tuned.encoder(), Encoder::Latency);
    // Another encoder is another model.
    let other = folder.join("other.safetensors");
    let model = Model::load(&grid).unwrap().with_encoder(Encoder::Poisson { seed: 1, rate: 1.0 });
    model.save(&other).unwrap();
    let mut verify = snn();
    verify.arg("verify").arg(&run).arg(&other).args(["--limit", "1"]);
    let text = stdout(&verify.assert().code(1));
    assert!(text.contains("the encoders of the input differ"), "{text}");
}
