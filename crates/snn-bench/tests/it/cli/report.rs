//! `report`: one page that needs nothing else, of a run and of a table.

use super::{folder, has, json, run, shared, snn, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page of the shared run with its converted model.
fn page(more: &[&str]) -> (PathBuf, String) {
    let out = folder("report").join("report.html");
    let model = shared().model.to_str().unwrap();
    let mut arguments = vec!["report", shared().run.to_str().unwrap(), "--samples", "60"];
    arguments.extend(["--model", model, "--json", "--out", out.to_str().unwrap()]);
    arguments.extend(more);
    let written = json(&run(&arguments).success());
    has(&written, &["out", "bytes"]);
    let html = std::fs::read_to_string(&out).unwrap();
    assert_eq!(written["bytes"], html.len());
    (out, html)
}

/// Every element that is opened is closed, in order.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 3] = ["meta", "img", "br"];
    let mut open: Vec<&str> = Vec::new();
    let body = html.strip_prefix("<!DOCTYPE html>").unwrap();
    for piece in body.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let name = tag.split_whitespace().next().unwrap();
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Nothing from outside: no address, no script, no style sheet of its own.
fn assert_self_contained(html: &str) {
    for outside in ["http://", "https://", "<script", "<link", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    let sources = html.split("src=\"").skip(1);
    assert!(sources.clone().all(|source| source.starts_with("data:image/png;base64,")));
}

#[test]
fn a_run_is_one_page() {
    let (out, html) = page(&["--sample", "7", "--sample", "0"]);
    assert_well_formed(&html);
    assert_self_contained(&html);
    for expected in [
        "id=\"summary\"",
        "id=\"training\"",
        "id=\"rates\"",
        "Sample 0: ",
        "Sample 7: ",
        "Membranes before the reset",
        "of 60 samples are classified right",
        "holds: bitwise",
        "energy of each layer",
        "prefers-color-scheme: dark",
        "Skip to the content",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    assert_eq!(html.matches("<img ").count(), 2, "a picture of each sample");
    // Sites of the network by name, each with its raster and its bar.
    let model = snn_ir::Model::load(shared().run.join("model.safetensors")).unwrap();
    for site in model.graph().sites().unwrap() {
        assert!(html.matches(site.name.as_str()).count() >= 3, "{}", site.name);
    }
    // Never over a file, unless asked to.
    let arguments = ["report", shared().run.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert!(stderr(&run(arguments).code(2)).contains("--force"));
    rendered(&out);
}

#[test]
fn a_table_is_one_page() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let out = folder("report-table").join("table.html");
    let written = snn().current_dir(root).args(["report", "cifar10", "--out"]).arg(&out).assert();
    written.success();
    let html = std::fs::read_to_string(&out).unwrap();
    assert_well_formed(&html);
    assert_self_contained(&html);
    for expected in ["CIFAR-10, budget cpu", "SpikingReLU", "97.31 %"] {
        assert!(html.contains(expected), "{expected}");
    }
    rendered(&out);
}

#[test]
fn what_cannot_be_reported_is_said() {
    let out = folder("report-errors").join("no.html");
    let refused = |arguments: &[&str]| {
        let assert = snn().arg("report").args(arguments).arg("--out").arg(&out).assert();
        let error = stderr(&assert.code(2));
        assert!(!out.exists(), "{error}");
        error
    };
    assert!(refused(&["nowhere"]).contains("neither a run folder nor the name of a table"));
    let path = shared().run.to_str().unwrap();
    let error = refused(&[path, "--samples", "5", "--sample", "5"]);
    assert!(error.contains("there is no sample 5: the report measures 5"), "{error}");
    assert!(refused(&[path, "--budget", "cpu"]).contains("--budget is for a table"));
}

/// Looks at a page in a browser, in light and dark and three sizes, where there is one.
#[expect(clippy::print_stdout, reason = "what is skipped is said")]
fn rendered(page: &Path) {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(browser) = found else {
        println!("skipped: there is no Chromium to render {}", page.display());
        return;
    };
    let profile = tempfile::tempdir().unwrap();
    for (theme, size) in [("light", "1280,900"), ("dark", "768,1024"), ("light", "380,800")] {
        let picture = profile.path().join("page.png");
        let mut command = Command::new(browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--screenshot={}", picture.display()))
            .arg(format!("--window-size={size}"));
        if theme == "dark" {
            command.arg("--blink-settings=preferredColorScheme=0");
        }
        let output = command.arg(format!("file://{}", page.display())).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let decoder =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&picture).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let mean = pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / pixels.len() as f64;
        // Paper is white or nearly black, with ink on it.
        let (low, high) = if theme == "dark" { (18.0, 110.0) } else { (180.0, 254.5) };
        assert!((low..high).contains(&mean), "{theme} {size}: {mean}");
    }
}
