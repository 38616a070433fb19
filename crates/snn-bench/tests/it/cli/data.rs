//! `data`: what is there, what is in a file, caches, contact sheets.

use super::{folder, has, json, snn, stderr, stdout};
use assert_cmd::assert::Assert;
use serde_json::Value;
use snn_data::cache::{Cache, Fingerprint};
use snn_data::pictures::{DecodeOptions, Picture, decode};
use snn_data::{Dataset, Split, shapes::Shapes10};
use std::fs;
use std::path::{Path, PathBuf};

/// Recordings and pictures that are in the repository.
fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../fixtures/golden", name].iter().collect()
}

fn data(arguments: &[&str], path: &Path) -> Assert {
    snn().arg("data").args(arguments).arg(path).assert()
}

/// The one line of an error.
fn error(assert: Assert) -> String {
    let message = stderr(&assert.code(2));
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
    message
}

#[test]
fn list_says_what_is_there_of_every_set() {
    let root = folder("data-list");
    let of = |listed: &Value, name: &str| {
        listed["sets"]
            .as_array()
            .unwrap()
            .iter()
            .find(|set| set["dataset"] == name)
            .unwrap()
            .clone()
    };
    let listed = json(&data(&["list", "--json", "--data"], &root).success());
    assert_eq!(listed["sets"].as_array().unwrap().len(), 12);
    has(&of(&listed, "cifar-10"), &["presence", "form", "path", "classes", "parts", "files"]);
    assert_eq!(of(&listed, "cifar-10")["presence"], "missing");
    assert_eq!(of(&listed, "shapes10")["presence"], "computed");
    // Official sizes and checksums, where they are known.
    assert_eq!(of(&listed, "imagenet")["files"][0]["bytes"], 147_897_477_120_u64);
    let archive = |set: &Value, form: &str| {
        set["files"].as_array().unwrap().iter().find(|file| file["form"] == form).unwrap()["md5"]
            .clone()
    };
    assert_eq!(
        archive(&of(&listed, "cifar-10"), "python-archive"),
        "c58f30108f718f92721af3b95e74349a"
    );

    // A part of one set, a whole other one, an archive, recordings, pictures.
    fs::create_dir_all(root.join("cifar-10-batches-bin")).unwrap();
    let sized = |path: PathBuf, bytes| fs::File::create(path).unwrap().set_len(bytes).unwrap();
    for number in [1, 2] {
        sized(root.join(format!("cifar-10-batches-bin/data_batch_{number}.bin")), 30_730_000);
    }
    sized(root.join("cifar-100-python.tar.gz"), 169_001_437);
    let recording = fs::read(golden("events/n-mnist.bin")).unwrap();
    for place in ["n-mnist/Train/3", "n-mnist/Test/7"] {
        fs::create_dir_all(root.join(place)).unwrap();
        fs::write(root.join(place).join("00001.bin"), &recording).unwrap();
    }
    let listed = json(&data(&["list", "--json", "--data"], &root).success());
    let ten = of(&listed, "cifar-10");
    assert_eq!((&ten["presence"], &ten["form"]), (&"incomplete".into(), &"binary".into()));
    assert_eq!((&ten["parts"][0]["found"], &ten["parts"][1]["found"]), (&20_000.into(), &0.into()));
    let hundred = of(&listed, "cifar-100");
    assert_eq!(
        (&hundred["presence"], &hundred["form"]),
        (&"complete".into(), &"python-archive".into())
    );
    let digits = of(&listed, "n-mnist");
    assert_eq!(
        (&digits["presence"], &digits["parts"][1]["found"]),
        (&"incomplete".into(), &1.into())
    );

    let text = stdout(&data(&["list", "--data"], &root).success());
    assert!(
        text.contains("20000 + 0")
            && text.contains("test_batch.bin: missing; 30730000 bytes expected"),
        "{text}"
    );
    // Checking tells what listing cannot: the archive is not the official one.
    let checked = json(&data(&["check", "cifar-100", "--json", "--data"], &root).code(1));
    assert_eq!(checked["files"][0]["status"], "wrong_checksum");
    assert_eq!(checked["files"][0]["expected"], "eb9058c3a382ffc7106e4002c42a8d85");
    let checked = json(&data(&["check", "n-mnist", "--json", "--data"], &root).code(1));
    assert_eq!(
        (&checked["parts"][0]["found"], &checked["parts"][0]["expected"]),
        (&1.into(), &60_000.into())
    );
}

#[test]
fn info_knows_every_kind_of_file() {
    let info = |name: &str| json(&data(&["info", "--json"], &golden(name)).success());
    let recording = info("events/n-mnist.bin");
    has(
        &recording,
        &[
            "path", "bytes", "kind", "format", "sensor", "events", "on", "off", "span", "sorted",
            "skipped",
        ],
    );
    assert_eq!(
        (&recording["kind"], &recording["format"]),
        (&"recording".into(), &"n-mnist".into())
    );
    let [events, on, off] = ["events", "on", "off"].map(|key| recording[key].as_u64().unwrap());
    assert!(events > 0 && on + off == events, "{recording}");
    let picture = info("images/cmyk.JPEG");
    assert_eq!((&picture["kind"], &picture["format"]), (&"picture".into(), &"JPEG".into()));
    assert_eq!((&picture["width"], &picture["height"]), (&61.into(), &47.into()));
    assert_eq!(info("images/png.JPEG")["format"], "PNG");
    assert_eq!(info("images/grey.JPEG")["colour"], "grayscale");
    let pickle = info("cifar/data_batch");
    assert_eq!(
        (&pickle["kind"], &pickle["entries"][2][1]),
        (&"pickle".into(), &"array [3, 3072] of u1".into())
    );
    let text = stdout(&data(&["info"], &golden("events/n-mnist.bin")).success());
    assert!(text.contains("sensor      34x34") && text.contains(" ON, "), "{text}");

    let folder = folder("data-info");
    let file = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).unwrap();
        folder.join(name)
    };
    let idx = file("labels", &[0, 0, 8, 1, 0, 0, 0, 2, 5, 6]);
    assert_eq!(json(&data(&["info", "--json"], &idx).success())["shape"], serde_json::json!([2]));
    let cifar = file("test_batch.bin", &[0; 2 * 3073]);
    assert_eq!(json(&data(&["info", "--json"], &cifar).success())["records"], 2);
    // A damaged picture is described as far as it can be, and the exit code says so.
    let whole = fs::read(golden("images/420.JPEG")).unwrap();
    let cut = file("cut.JPEG", &whole[..whole.len() - 200]);
    let damaged = json(&data(&["info", "--json"], &cut).code(1));
    assert!(damaged["damage"].as_str().unwrap().contains("truncated"), "{damaged}");
    // What is nothing known, or not there, is an error with the file's name.
    for (path, part) in [
        (file("x.txt", b"hello"), "format"),
        (folder.join("none"), "none"),
        (folder.clone(), "folder"),
    ] {
        let message = error(data(&["info"], &path));
        assert!(message.contains(path.to_str().unwrap()) && message.contains(part), "{message}");
    }
}

#[test]
fn caches_are_listed_and_cleared() {
    let root = folder("data-cache");
    let place = root.join("cache");
    let run =
        |arguments: &[&str]| data(&[&["cache"], arguments, &["--json", "--data"]].concat(), &root);
    // Looking makes no folder.
    assert_eq!(json(&run(&["list"]).success())["caches"], serde_json::json!([]));
    assert!(!place.exists());
    let images = Shapes10::default().images(Split::Test).unwrap();
    let source = images.select(&[0, 1, 2]).unwrap();
    Cache::open(&place, 1 << 30)
        .unwrap()
        .get(&Fingerprint::new("three shapes"), &source, 10)
        .unwrap();
    let listed = json(&run(&["list"]).success());
    has(&listed["caches"][0], &["key", "title", "bytes", "complete"]);
    assert_eq!(
        (&listed["caches"][0]["title"], &listed["caches"][0]["complete"]),
        (&"three shapes".into(), &true.into())
    );
    assert!(stdout(&data(&["cache", "list"], &place).success()).contains("three shapes"));
    let file = place.join(format!("{}.cache", listed["caches"][0]["key"].as_str().unwrap()));
    let info = json(&data(&["info", "--json"], &file).success());
    assert_eq!((&info["kind"], &info["samples"]), (&"cache".into(), &3.into()));
    let cleared = json(&run(&["clear"]).success());
    assert_eq!((&cleared["removed"], &cleared["kept"]), (&1.into(), &0.into()));
    assert_eq!(cleared["freed_bytes"], listed["caches"][0]["bytes"]);
    assert_eq!(json(&run(&["list"]).success())["caches"], serde_json::json!([]));
    assert!(error(data(&["cache", "list"], &golden("images/420.JPEG"))).contains("found a file"));
}

fn show(arguments: &[&str], out: &Path) -> Assert {
    snn().args(["data", "show"]).args(arguments).arg("--out").arg(out).assert()
}

fn drawn(out: &Path) -> Picture {
    decode(out, DecodeOptions::default()).unwrap()
}

/// How many pixels of a sheet have this colour.
fn count(picture: &Picture, colour: [u8; 3]) -> usize {
    picture.pixels().as_chunks::<3>().0.iter().filter(|&&pixel| pixel == colour).count()
}

#[test]
fn a_sheet_of_images_shows_what_is_stored() {
    let out = folder("data-show").join("sheet.png");
    let shown = json(
        &show(&["shapes10", "--split", "test", "--index", "3", "--tile", "16", "--json"], &out)
            .success(),
    );
    has(&shown, &["out", "width", "height", "source", "available", "seed", "augment", "samples"]);
    let data = Dataset::open("shapes10", None).unwrap();
    let class = &data.classes[usize::from(data.test.labels()[3])];
    assert_eq!(
        (&shown["available"], &shown["samples"][0]["class"]),
        (&2000.into(), &class.as_str().into())
    );
    // One tile of 16x16 as it is: its pixels are on the sheet, row by row.
    let (sheet, image) = (drawn(&out), data.test.image(3).unwrap());
    let row: Vec<u8> =
        (0..16).flat_map(|x| [0, 1, 2].map(|channel| image[channel * 256 + 5 * 16 + x])).collect();
    assert!(
        sheet.pixels().windows(row.len()).any(|window| window == row),
        "the tile is not on the sheet"
    );

    // The same seed draws the same sheet, another seed another one.
    let sheets: Vec<Vec<u8>> = ["1", "1", "2"]
        .iter()
        .map(|seed| {
            let augment =
                "crop,flip,auto-augment-cifar,cutout,erasing,rand-augment,trivial-augment,\
                 random-resized-crop";
            let arguments = [
                "shapes10", "--limit", "3", "--views", "2", "--seed", seed, "--augment", augment,
                "--force",
            ];
            let text = stdout(&show(&arguments, &out).success());
            assert!(text.contains("3 samples of shapes10, train"), "{text}");
            fs::read(&out).unwrap()
        })
        .collect();
    assert!(sheets[0] == sheets[1] && sheets[0] != sheets[2]);
}

#[test]
fn a_sheet_of_recordings_has_both_polarities() {
    let out = folder("data-show-events").join("sheet.png");
    let file = golden("events/n-mnist.bin");
    let shown = json(
        &show(&[file.to_str().unwrap(), "--frames", "5", "--tile", "34", "--json"], &out).success(),
    );
    assert_eq!(shown["samples"][0]["tiles"], 5);
    let events = json(&data(&["info", "--json"], &file).success())["events"].clone();
    assert_eq!(shown["samples"][0]["events"], events);
    let sheet = drawn(&out);
    let red = sheet
        .pixels()
        .as_chunks::<3>()
        .0
        .iter()
        .filter(|[r, _, b]| u16::from(*r) > u16::from(*b) + 50)
        .count();
    let blue = sheet
        .pixels()
        .as_chunks::<3>()
        .0
        .iter()
        .filter(|[r, _, b]| u16::from(*b) > u16::from(*r) + 50)
        .count();
    assert!(red > 0 && blue > 0, "{red} red and {blue} blue pixels");
    // As many frames of a folder of classes, whose names are on the sheet.
    let root = folder("data-show-classes");
    for class in ["three", "seven"] {
        fs::create_dir_all(root.join(class)).unwrap();
        fs::copy(&file, root.join(class).join("a.bin")).unwrap();
    }
    let path = root.to_str().unwrap();
    let shown = json(
        &show(&[path, "--slicing", "number", "--frames", "2", "--json", "--force"], &out).success(),
    );
    let classes: Vec<_> =
        shown["samples"].as_array().unwrap().iter().map(|sample| sample["class"].clone()).collect();
    assert_eq!(classes, ["seven", "three"]);
    // Augmented, a row for every view; what is for images is refused.
    let augment =
        "flip,flip-rows,roll,rotate,shear,drop-events,drop-time,drop-area,jitter-times,nda";
    let file = file.to_str().unwrap();
    let sheets: Vec<Vec<u8>> = ["1", "1", "2"]
        .iter()
        .map(|seed| {
            let arguments = [
                file,
                "--augment",
                augment,
                "--views",
                "2",
                "--frames",
                "4",
                "--seed",
                seed,
                "--json",
                "--force",
            ];
            let shown = json(&show(&arguments, &out).success());
            assert_eq!(
                (&shown["samples"][0]["tiles"], &shown["samples"][0]["events"]),
                (&12.into(), &events)
            );
            fs::read(&out).unwrap()
        })
        .collect();
    assert!(sheets[0] == sheets[1] && sheets[0] != sheets[2]);
    assert!(
        error(show(&[path, "--augment", "cutout", "--force"], &out))
            .contains("`cutout` is for images")
    );
    assert!(
        error(show(&["shapes10", "--augment", "roll", "--force"], &out))
            .contains("`roll` is for recordings")
    );
}

#[test]
fn a_sheet_of_pictures_of_a_folder() {
    let root = folder("data-show-pictures");
    let out = root.join("sheet.png");
    for class in ["cats", "dogs"] {
        fs::create_dir_all(root.join("set").join(class)).unwrap();
        for name in ["420.JPEG", "grey.JPEG", "cmyk.JPEG", "png.JPEG"] {
            fs::copy(golden("images").join(name), root.join("set").join(class).join(name)).unwrap();
        }
    }
    let path = root.join("set");
    let shown = json(&show(&[path.to_str().unwrap(), "--json"], &out).success());
    assert_eq!((&shown["available"], &shown["samples"][7]["class"]), (&8.into(), &"dogs".into()));
    assert!(count(&drawn(&out), [0; 3]) > 100, "no letters");
    let one = golden("images/420.JPEG");
    show(&[one.to_str().unwrap(), "--augment", "random-resized-crop,flip", "--force"], &out)
        .success();

    // Nothing is overwritten, and what is wrong is said.
    let before = fs::read(&out).unwrap();
    assert!(error(show(&[one.to_str().unwrap()], &out)).contains("--force"));
    fs::copy(golden("events/n-mnist.bin"), path.join("dogs/a.bin")).unwrap();
    let path = path.to_str().unwrap();
    for (arguments, part) in [
        (&["shapes", "--force"][..], "did you mean `shapes10`?"),
        (&["no/such.png", "--force"], "no/such.png: no such file or folder"),
        (&["shapes10", "--index", "8000", "--force"], "--index 8000: there are 8000 samples"),
        (&["shapes10", "--split-file", "x", "--force"], "--split-file"),
        (&[path, "--force"], "8 pictures and 1 recordings"),
        (&[path, "--split", "test", "--force"], "have no splits"),
        (&["cifar-10", "--data", "no/data", "--force"], "no/data"),
        (&["n-mnist", "--data", "no/data", "--force"], "no/data"),
        (&["imagenet", "--data", "no/data", "--force"], "no/data"),
    ] {
        let message = error(show(arguments, &out));
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
    assert!(error(show(&["shapes10"], &root.join("sheet.gif"))).contains("ends with .png"));
    assert_eq!(fs::read(&out).unwrap(), before);
}

#[test]
fn a_sheet_without_room_is_refused_before_it_is_made() {
    let out = folder("data-show-room").join("sheet.png");
    let file = golden("events/n-mnist.bin");
    let begin = std::time::Instant::now();
    let message = error(show(&[file.to_str().unwrap(), "--frames", "100000"], &out));
    for part in ["--frames 100000", "expected at most", "--tile"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(begin.elapsed() < std::time::Duration::from_mins(1) && !out.exists());
}

#[test]
fn pictures_are_shown_as_training_sees_them_or_as_their_exif_says() {
    let out = folder("data-show-exif").join("sheet.png");
    let file = golden("images/exif6.JPEG");
    let size = |arguments: &[&str]| {
        let shown = json(&show(&[&[file.to_str().unwrap(), "--json"], arguments].concat(), &out));
        fs::remove_file(&out).unwrap();
        [&shown["width"], &shown["height"]].map(|side| side.as_u64().unwrap())
    };
    let stored = decode(&file, DecodeOptions::default()).unwrap();
    assert_ne!(stored.width(), stored.height());
    let (lying, upright) = (size(&[]), size(&["--exif"]));
    assert_eq!(lying[1] > upright[1], stored.height() > stored.width(), "{lying:?} {upright:?}");
}

#[test]
fn damage_is_an_error_or_left_out_and_counted() {
    let root = folder("data-damage");
    let file = root.join("cut.bin");
    fs::write(&file, [1, 2, 0x80, 0, 5, 40, 2, 0, 0, 6, 3, 4, 0, 0, 7, 1, 2]).unwrap();
    let path = file.to_str().unwrap();
    let message = error(data(&["info"], &file));
    assert!(message.contains("(40, 2)") && message.contains("--size"), "{message}");
    let skipped = json(&data(&["info", "--json", "--on-damage", "skip"], &file).success());
    assert_eq!(skipped["events"], 2);
    assert_eq!((&skipped["damage"]["outside"], &skipped["damage"]["cut"]), (&1.into(), &1.into()));
    let text = stdout(&data(&["info", "--on-damage", "skip"], &file).success());
    assert!(text.contains("1 events outside the sensor, 1 cut"), "{text}");
    let out = root.join("sheet.png");
    let shown = show(&[path, "--frames", "2", "--on-damage", "skip"], &out).success();
    assert!(stderr(&shown).contains("left out 1 events outside"), "{}", stderr(&shown));
    // A recording that nothing names.
    let bare = root.join("bare");
    fs::copy(&file, &bare).unwrap();
    assert!(error(data(&["info"], &bare)).contains("--format"));
    let named = ["info", "--json", "--format", "n-mnist", "--on-damage", "skip"];
    assert_eq!(json(&data(&named, &bare).success())["events"], 2);
}
