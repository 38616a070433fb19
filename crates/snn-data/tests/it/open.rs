//! One call opens every kind of data set as sources, by plain settings.

use snn_data::recordings::events::SensorSize;
use snn_data::{
    Batch, DatasetName, LoaderConfig, Result, SampleShape, SliceBy, Source, SourceConfig, Sources,
    open,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden").join(name)
}

fn config(text: &str) -> SourceConfig {
    toml::from_str(text).unwrap()
}

fn copy(from: &str, to: PathBuf) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(golden(from), to).unwrap();
}

fn all(source: &Arc<dyn Source>) -> Batch {
    let loader = LoaderConfig::evaluation(source.len()).init_source(Arc::clone(source), None);
    loader.unwrap().epoch(0).unwrap().next().unwrap().unwrap()
}

/// Classes `cat` and `dog` of `count` pictures each in `train` and `val`.
fn pets(count: usize) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        for class in ["cat", "dog"] {
            for number in 0..count {
                copy("images/420.JPEG", root.path().join(format!("{part}/{class}/{number}.jpg")));
            }
        }
    }
    root
}

#[test]
fn settings_are_plain_data_with_defaults() {
    let short = config("dataset = 'n-mnist'");
    assert_eq!(short, SourceConfig::new(DatasetName::NMnist));
    assert_eq!(toml::to_string(&short).unwrap(), "dataset = \"n-mnist\"\n");
    let long = config(
        "dataset = 'n-mnist'\nframes = { slices = 4, by = 'time', size = '17x16' }\n\
         cache = { max_gib = 1 }",
    );
    assert_eq!((long.frames.slices, long.frames.by), (4, SliceBy::Time));
    assert_eq!(long.frames.size, Some(SensorSize { width: 17, height: 16 }));
    assert_eq!(config(&toml::to_string(&long).unwrap()), long);
    assert_eq!(long.shape(), Some(SampleShape::Frames([4, 2, 16, 17])));
    assert_eq!(config("dataset = 'imagenet'").shape(), Some(SampleShape::Static([3, 224, 224])));
    for (text, part) in [
        ("dataset = 'n-mnst'", "did you mean `n-mnist`?"),
        ("dataset = 'mnist'\nslices = 3", "unknown field `slices`"),
        ("dataset = 'n-mnist'\nframes = { size = 'large' }", "expected WIDTHxHEIGHT"),
    ] {
        let error = toml::from_str::<SourceConfig>(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    for (text, message) in [
        (
            "dataset = 'cifar-10'\nframes = { slices = 3 }",
            "frames: expected none: it is for sets of recordings, found a setting for `cifar-10`",
        ),
        (
            "dataset = 'picture-folder'",
            "path: expected the folder of the `picture-folder`, found none",
        ),
        ("dataset = 'n-mnist'\nframes = { slices = 0 }", "slices: expected at least 1, found 0"),
    ] {
        assert_eq!(open(&config(text), None).unwrap_err().to_string(), message);
    }
}

#[test]
fn every_name_opens_or_says_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    for name in DatasetName::ALL {
        let mut config = SourceConfig::new(name);
        if name.spec().train == 0 {
            config.path = Some("mine".into());
        }
        match open(&config, Some(root.path())) {
            Ok(sources) => {
                assert_eq!(name, DatasetName::Shapes10);
                assert_eq!(Some(sources.shape()), config.shape());
                assert_eq!(sources.classes.len(), name.spec().classes);
            }
            Err(error) => {
                let folder = root.path().display().to_string();
                assert!(error.to_string().contains(&folder), "{name}: {error}");
            }
        }
    }
}

#[test]
fn a_folder_of_pictures_has_random_crops_to_train_on_and_the_middle_for_evaluation() {
    let root = pets(2);
    let text = "dataset = 'picture-folder'\npath = '.'\npictures = { size = 24 }\ncache = {}";
    let open = || open(&config(text), Some(root.path())).unwrap();
    let sources = open();
    assert_eq!(sources.classes, ["cat", "dog"]);
    assert_eq!(sources.shape(), SampleShape::Static([3, 24, 24]));
    let (train, plain, test) = (all(&sources.train), all(&sources.train_plain), all(&sources.test));
    assert_eq!(train.targets.labels, [0, 0, 1, 1]);
    assert_ne!(train.samples, plain.samples);
    assert_eq!(plain.samples, test.samples, "the same pictures in both parts");
    let caches = || fs::read_dir(root.path().join("cache")).unwrap().count();
    let found = caches();
    assert!(found > 0);
    assert_eq!(all(&open().test), test);
    assert_eq!(caches(), found, "used again");
    fs::rename(root.path().join("val/dog"), root.path().join("val/pig")).unwrap();
    let error = snn_data::open(&config(text), Some(root.path())).unwrap_err().to_string();
    assert!(error.contains("2 classes of the training part") && error.contains("`pig`"), "{error}");
}

#[test]
fn held_out_pictures_are_decoded_once_and_keep_their_names_and_random_streams() {
    let root = pets(3);
    let sources = |cache: &str| {
        let text = "dataset = 'picture-folder'\npath = '.'\npictures = { size = 24 }";
        open(&config(&format!("{text}\n{cache}")), Some(root.path())).unwrap()
    };
    // The pictures differ, so that an exchange of two would show.
    for (index, name) in ["train/cat/1.jpg", "train/dog/2.jpg"].into_iter().enumerate() {
        copy(["images/444.JPEG", "images/exif6.JPEG"][index], root.path().join(name));
    }
    let (plain, cached) = (sources(""), sources("cache = {}"));
    let caches = || fs::read_dir(root.path().join("cache")).unwrap().count();
    let before = caches();
    let indices = vec![5, 0, 1];
    let (slow, fast) =
        (plain.held_out(indices.clone()).unwrap(), cached.held_out(indices.clone()).unwrap());
    assert!(caches() > before, "it has a cache");
    assert_eq!(all(&fast), all(&slow));
    assert_eq!(all(&fast).targets.labels, [1, 0, 0]);
    let keys = |source: &Arc<dyn Source>| [0, 1, 2].map(|at| source.random_key(at));
    assert_eq!((keys(&fast), keys(&slow)), ([5, 0, 1], [5, 0, 1]));
    assert!(fast.sample_name(0).unwrap().contains("dog/2.jpg"), "{:?}", fast.sample_name(0));
    assert_eq!(fast.sample_name(2), slow.sample_name(2));
    // The same part is read from its cache, another order or part is another.
    let found = caches();
    assert_eq!(all(&cached.held_out(indices).unwrap()), all(&slow));
    assert_eq!(caches(), found, "used again");
    for other in [vec![0, 5, 1], vec![5, 0]] {
        let read = all(&cached.held_out(other.clone()).unwrap());
        assert_eq!(read, all(&plain.held_out(other).unwrap()));
    }
    assert!(caches() > found);
    for sources in [plain, cached] {
        let error = sources.held_out(vec![6]).unwrap_err().to_string();
        assert!(error.contains('6'), "{error}");
    }
}

fn recordings(root: &TempDir, text: &str) -> Result<Sources> {
    open(&config(text), Some(root.path()))
}

#[test]
fn n_mnist_may_be_one_folder_with_a_list_of_labels() {
    let root = tempfile::tempdir().unwrap();
    for number in 1..=20 {
        copy("events/n-mnist.bin", root.path().join(format!("n-mnist/{number:05}.bin")));
    }
    let list = |text: &str| fs::write(root.path().join("n-mnist/labels.txt"), text).unwrap();
    let lines: Vec<_> = (1..=20).map(|number| format!("{number}\t{}", number % 2)).collect();
    list(&format!("#sample #class\n{}\n", lines.join("\n")));
    let sources = recordings(&root, "dataset = 'n-mnist'\nframes = { slices = 3 }").unwrap();
    assert_eq!((sources.train.len(), sources.test.len()), (18, 2), "one of ten of each class");
    assert_eq!(sources.shape(), SampleShape::Frames([3, 2, 34, 34]));
    assert_eq!(all(&sources.test).targets.labels, [0, 1]);
    assert!(sources.test.sample_name(0).unwrap().contains(".bin"));
    for (text, part) in [("1 0\n21 0", ".bin or .bs2 file"), ("1 10", "a label below 10")] {
        list(text);
        let error = recordings(&root, "dataset = 'n-mnist'").unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("labels.txt"), "{error}");
    }
}

#[test]
fn a_folder_of_recordings_has_a_folder_a_class_and_perhaps_two_parts() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| copy("events/dvs128.aedat", root.path().join("mine").join(name));
    for number in 0..10 {
        file(&format!("left/{number}.aedat"));
        file(&format!("right/{number}.aedat"));
    }
    let text = "dataset = 'recording-folder'\npath = 'mine'\n\
                frames = { slices = 5, size = '32x32', augment = [{ roll = { pixels = 4 } }] }";
    let sources = recordings(&root, text).unwrap();
    assert_eq!((sources.train.len(), sources.test.len()), (18, 2));
    assert_eq!(sources.classes, ["left", "right"]);
    assert_eq!(sources.shape(), SampleShape::Frames([5, 2, 32, 32]));
    assert_ne!(all(&sources.train).samples, all(&sources.train_plain).samples);
    for part in ["train", "test"] {
        file(&format!("{part}/left/1.aedat"));
        file(&format!("{part}/right/1.aedat"));
    }
    let sources = recordings(&root, text).unwrap();
    assert_eq!((sources.train.len(), sources.test.len()), (2, 2));
    assert_eq!(all(&sources.test).targets.labels, [0, 1]);
}

#[test]
fn a_path_that_is_not_there_is_named_with_where_it_starts() {
    for (name, root) in [("picture-folder", "/data"), ("cifar-10", "datasets")] {
        let text = format!("dataset = '{name}'\npath = 'no-such-folder'");
        let config: SourceConfig = toml::from_str(&text).unwrap();
        let message = open(&config, Some(root.as_ref())).unwrap_err().to_string();
        let parts = [
            "path: ",
            "a folder that exists",
            "starts from the data root",
            "`no-such-folder`",
            root,
        ];
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
}
