//! import → quantise → convert → verify → codes → export, and back.

use super::{folder, has, json, shared, snn, stderr, stdout};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A file of `fixtures/golden`.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(name)
}

/// What the program prints with these arguments, as JSON.
fn done<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> serde_json::Value {
    json(&snn().arg("--json").args(arguments).assert().success())
}

/// The message of a command that refuses.
fn refused<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    stderr(&snn().args(arguments).assert().code(2))
}

/// Percent of the first 200 test images.
fn accuracy(model: &Path) -> f64 {
    let model = model.to_str().unwrap();
    let found = done(["infer", model, "--dataset", "shapes10", "--limit", "200"]);
    found["accuracy"].as_f64().unwrap()
}

/// A run whose sites are all ReLUs, and its model.
fn relus() -> &'static (PathBuf, PathBuf) {
    static RUN: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    RUN.get_or_init(|| {
        let run = folder("exchange-relus").join("run");
        let mut train = snn();
        train.args(["train", "--config"]).arg(&shared().config).arg("--out").arg(&run);
        for set in ["policy=all", "replacement=relu", "time_steps=1", "epochs=2"] {
            train.args(["--set", set]);
        }
        train.assert().success();
        let model = run.join("model.safetensors");
        (run, model)
    })
}

#[test]
fn relus_become_events_without_training() {
    let (run, model) = relus();
    let folder = folder("exchange-quantise");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (run, quantised, events) = (run.to_str().unwrap(), path("q"), path("events"));
    let found = done(["quantise", run, "--levels", "15", "--samples", "100", "--out", &quantised]);
    has(&found, &["out", "bytes", "plan"]);
    assert_eq!(found["samples"], 100);
    done(["convert", &quantised, "--code", "unary", "--out", &events]);
    let of = [model.as_path(), Path::new(&quantised), Path::new(&events)].map(accuracy);
    assert!(of[0] > 30.0, "{of:?}");
    assert!((of[0] - of[1]).abs() <= 3.0 && (of[1] - of[2]).abs() <= 3.0, "{of:?}");
    let verify = ["verify", &quantised, &events, "--dataset", "shapes10", "--limit", "50"];
    let proved = done(verify.iter().chain(&["--naive-samples", "2", "--max-drop", "100"]));
    assert_eq!((&proved["holds"], &proved["level"]), (&true.into(), &"bitwise".into()));
}

#[test]
fn codes_take_fewer_steps_than_rates() {
    let (run, _) = relus();
    let out = folder("exchange-codes");
    let found = done([
        "codes".as_ref(),
        run.as_os_str(),
        "--levels".as_ref(),
        "1,7".as_ref(),
        "--steps".as_ref(),
        "4,16".as_ref(),
        "--limit".as_ref(),
        "100".as_ref(),
        "--counted".as_ref(),
        "2".as_ref(),
        "--samples".as_ref(),
        "64".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ]);
    has(&found, &["model", "dataset", "samples", "trained", "machine", "rows"]);
    let rows = found["rows"].as_array().unwrap();
    // Two codes of two numbers of levels, two rates of two numbers of steps.
    assert_eq!(rows.len(), 8, "{rows:?}");
    let accuracy = |method: &str, steps: u64| {
        let of = |row: &&serde_json::Value| row["method"] == method && row["steps"] == steps;
        rows.iter().find(of).unwrap()["accuracy"].as_f64().unwrap()
    };
    let in_three_steps = accuracy("bit-plane", 3);
    assert!(in_three_steps > accuracy("rate, from rest", 4) + 5.0, "{rows:?}");
    assert!(in_three_steps + 10.0 > found["trained"].as_f64().unwrap(), "{rows:?}");
    let text = std::fs::read_to_string(out.join("codes.md")).unwrap();
    assert_eq!(text.matches("\n| bit-plane |").count(), 2, "{text}");
}

#[test]
fn weights_of_pytorch_are_matched_with_a_network_that_is_given() {
    let (_, model) = relus();
    let folder = folder("exchange-network");
    let out = folder.join("imported.safetensors");
    let (weights, config) = (model.to_str().unwrap(), model.with_file_name("config.toml"));
    let import = ["import", weights, "--dataset", "shapes10", "--out", out.to_str().unwrap()];
    // A model file is one of safetensors: its names are those of its own network.
    let found = done(import.iter().map(OsStr::new).chain(["--network".as_ref(), weights.as_ref()]));
    let report = &found["report"];
    assert_eq!(report["missing"].as_array().unwrap().len(), 0, "{report}");
    assert_eq!(report["left_over"].as_array().unwrap().len(), 0, "{report}");
    assert!((accuracy(&out) - accuracy(model)).abs() <= 0.5);
    // A network of the config has spiking sites, whose weights PyTorch does not have.
    let network = ["--force".as_ref(), "--network".as_ref(), config.as_os_str()];
    let found = done(import.iter().map(OsStr::new).chain(network));
    assert_eq!(found["report"]["missing"].as_array().unwrap().len(), 0);
}

#[test]
fn a_network_is_recognised_by_its_weights() {
    let out = folder("exchange-import").join("resnet.safetensors");
    let file = golden("state_dicts/cifar-option-a.legacy.pt");
    let mean = "0.48627450980392156,0.4549019607843137,0.40784313725490196";
    let import = snn()
        .args(["import", file.to_str().unwrap(), "--mean", mean, "--std", "0.229,0.224,0.225"])
        .arg("--out")
        .arg(&out)
        .assert()
        .success();
    let text = stdout(&import);
    assert!(text.contains("ResNet of basic blocks") && text.contains("option A"), "{text}");
    assert!(text.contains("means are integers"), "{text}");
    let inspected = stdout(&snn().arg("inspect").arg(&out).assert().success());
    assert!(inspected.contains("trained"), "{inspected}");
    // Other means are kept by a batch norm, or rounded.
    for (option, expected) in [(None, "image_offset"), (Some("--round-means"), "take up")] {
        let import = snn()
            .args(["import", file.to_str().unwrap(), "--mean", "0.485,0.456,0.406"])
            .args(option)
            .args(["--std", "0.229,0.224,0.225", "--force", "--out"])
            .arg(&out)
            .assert()
            .success();
        let text = stdout(&import);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_spiking_network_goes_to_nir_and_comes_back() {
    let folder = folder("exchange-nir");
    let (nir, back) = (folder.join("run.nir"), folder.join("back.safetensors"));
    let mut export = snn();
    export.arg("export").arg(&shared().run).arg("--nir").arg(&nir);
    let text = stdout(&export.assert().success());
    assert!(text.contains("NIR of"), "{text}");
    let mut import = snn();
    import.arg("import").arg(&nir).args(["--dataset", "shapes10", "--out"]).arg(&back);
    import.assert().success();
    let trained = shared().run.join("model.safetensors");
    let (found, expected) = (accuracy(&back), accuracy(&trained));
    assert!((found - expected).abs() <= 0.5, "{found}, expected {expected}");
}

#[test]
fn a_grid_goes_to_pytorch_and_onnx() {
    let folder = folder("exchange-export");
    let (torch, onnx) = (folder.join("torch"), folder.join("grid.onnx"));
    let export = || {
        let mut command = snn();
        command.arg("export").arg(&shared().model).arg("--torch").arg(&torch);
        command.arg("--onnx").arg(&onnx);
        command
    };
    let text = stdout(&export().assert().success());
    assert_eq!(text.matches("wrote ").count(), 3, "{text}");
    for file in [torch.join("model.py"), torch.join("weights.safetensors"), onnx.clone()] {
        assert!(std::fs::metadata(&file).unwrap().len() > 100, "{}", file.display());
    }
    assert!(stderr(&export().assert().code(2)).contains("--force"));
    export().arg("--force").assert().success();
    // A program for devices, with the memory that it takes; it gives the bits of the deployment.
    let edge = folder.join("program.snne");
    let program = || {
        let mut command = snn();
        command.arg("export").arg(&shared().model).arg("--edge").arg(&edge);
        command
    };
    let told = json(&program().arg("--json").assert().success());
    let size = usize::try_from(std::fs::metadata(&edge).unwrap().len()).unwrap();
    assert_eq!(told["edge"]["flash"], size, "{told}");
    assert!(stderr(&program().assert().code(2)).contains("--force"));
    let text = stdout(&program().arg("--force").assert().success());
    assert!(text.contains("flash:") && text.contains("RAM:"), "{text}");
    let bytes = std::fs::read(&edge).unwrap();
    let program = snn_edge::Program::new(&bytes).unwrap();
    for (name, mode) in ["image", "frames", "stream"].into_iter().zip(snn_edge::Mode::ALL) {
        assert_eq!(told["edge"][name], 4 * program.memory(mode), "{name}");
    }
    let words = program.memory(snn_edge::Mode::Image);
    let mut buffer = vec![0; words];
    let mut engine = snn_edge::Engine::new(program, snn_edge::Mode::Image, &mut buffer).unwrap();
    let pixel = |i: usize| i.to_le_bytes()[0].wrapping_mul(37);
    let image: Vec<u8> = (0..program.input_size()).map(pixel).collect();
    let scores = engine.run(&image).unwrap();
    let found: Vec<i64> = (0..program.classes()).map(|class| scores.get(class).unwrap()).collect();
    let deployment = snn_runtime::Deployment::load(&shared().model).unwrap();
    let expected = deployment
        .with_session(|session| session.run(&image).unwrap().integers().unwrap().to_vec());
    assert_eq!(found, expected);
    // A network that is not on the grid is no program.
    let trained = shared().run.join("model.safetensors");
    let mut refused = snn();
    refused.arg("export").arg(&trained).arg("--edge").arg(folder.join("none.snne"));
    assert!(stderr(&refused.assert().code(2)).contains("convert"));
    // What a grid is, NIR cannot say.
    let mut nir = snn();
    nir.arg("export").arg(&shared().model).arg("--nir").arg(folder.join("grid.nir"));
    assert!(stderr(&nir.assert().code(2)).contains("rounds its membranes"));
    assert!(!folder.join("grid.nir").exists());
}

#[test]
fn a_trained_network_goes_to_onnx_and_comes_back() {
    let (_, model) = relus();
    let folder = folder("exchange-onnx");
    let (onnx, back) = (folder.join("relus.onnx"), folder.join("back.safetensors"));
    snn().arg("export").arg(model).arg("--onnx").arg(&onnx).assert().success();
    let mut import = snn();
    import.arg("import").arg(&onnx).args(["--dataset", "shapes10", "--out"]).arg(&back);
    import.assert().success();
    let (found, expected) = (accuracy(&back), accuracy(model));
    assert!((found - expected).abs() <= 0.5, "{found}, expected {expected}");
}

#[test]
fn what_cannot_be_imported_is_refused_by_name() {
    let out = folder("exchange-refused").join("x.safetensors");
    let out = out.to_str().unwrap();
    let calls = golden("state_dicts/calls.pt");
    let onnx = golden("onnx/refused.onnx");
    for (arguments, message) in [
        (vec![calls.to_str().unwrap()], "calls.pt"),
        (vec![onnx.to_str().unwrap()], "cannot be taken over"),
        (vec!["weights.h5"], "expected a file that ends in `.pt`"),
        (vec!["nothing.pth"], "nothing.pth: no such file"),
        (vec![onnx.to_str().unwrap(), "--partial"], "--partial is for weights of PyTorch"),
        (vec![onnx.to_str().unwrap(), "--dt", "0.1"], "--dt is for NIR"),
        (vec![calls.to_str().unwrap(), "--output", "y"], "--output is for ONNX"),
    ] {
        let text = refused(["import", "--out", out].into_iter().chain(arguments.clone()));
        assert!(text.contains(message), "{arguments:?}: {text}");
        assert!(!Path::new(out).exists());
    }
}
