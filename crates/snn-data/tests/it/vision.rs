//! Sets of picture files in every layout, damaged files, and loading them.

use snn_data::pictures::{CentreCrop, DecodeOptions, Filter, RandomResizedCrop};
use snn_data::pictures::{OnDamage, PictureSource, Pictures, View};
use snn_data::{
    Augment, Batch, DatasetName, Error, Flip, LoaderConfig, Order, SampleMut, SampleRng, Source,
    SourceConfig, Split, Transform, open,
};
use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const CLASSES: [&str; 3] = ["n01440764", "n01443537", "n02129165"];

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/images").join(name))
        .unwrap()
}

fn write(path: PathBuf, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The pictures of a class, by name: one in colour, one grey, one in inks, one a PNG by another
/// name.
fn pictures(class: &str) -> Vec<(String, Vec<u8>)> {
    let forms = ["420.JPEG", "grey.JPEG", "cmyk.JPEG", "png.JPEG"];
    forms
        .iter()
        .enumerate()
        .map(|(index, form)| (format!("{class}_{index}.JPEG"), fixture(form)))
        .collect()
}

fn folders(part: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for class in CLASSES {
        for (name, bytes) in pictures(class) {
            write(root.path().join(part).join(class).join(name), &bytes);
        }
        write(root.path().join(part).join(class).join("notes.txt"), b"x");
    }
    root
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn same(ours: &Pictures, others: &Pictures) {
    assert_eq!((ours.classes(), ours.labels()), (others.classes(), others.labels()));
    for index in 0..others.len() {
        let read = |pictures: &Pictures| pictures.read(index, DecodeOptions::default()).unwrap();
        assert_eq!(read(ours), read(others));
        assert_eq!(ours.path(index).unwrap().file_name(), others.path(index).unwrap().file_name());
    }
}

#[test]
fn imagenet_is_read_in_every_form() {
    let root = folders("train");
    let train = Pictures::imagenet(root.path(), Split::Train).unwrap();
    assert_eq!((train.classes(), train.len()), (CLASSES.map(str::to_owned).as_slice(), 12));
    assert_eq!(train.labels(), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);

    let packed = tempfile::tempdir().unwrap();
    // Archives in another order than that of the classes.
    let inner: Vec<_> =
        CLASSES.iter().rev().map(|class| (format!("{class}.tar"), tar(&pictures(class)))).collect();
    write(packed.path().join("ILSVRC2012_img_train.tar"), &tar(&inner));
    same(&Pictures::imagenet(packed.path(), Split::Train).unwrap(), &train);

    let val: Vec<_> = CLASSES.iter().flat_map(|class| pictures(class)).collect();
    let lines = val
        .iter()
        .map(|(name, _)| format!("{},{} 1 2 3 4\n", name.trim_end_matches(".JPEG"), &name[..9]));
    let list = format!("ImageId,PredictionString\n{}", lines.collect::<String>());
    write(packed.path().join("LOC_val_solution.csv"), list.as_bytes());
    write(packed.path().join("ILSVRC2012_img_val.tar"), &tar(&val));
    same(&Pictures::imagenet(packed.path(), Split::Test).unwrap(), &train);
    for (name, bytes) in &val {
        write(packed.path().join("val").join(name), bytes);
    }
    same(&Pictures::imagenet(packed.path(), Split::Test).unwrap(), &train);
    // Class folders in `val` have the labels of the training part, or of a list of the classes.
    let val = folders("val");
    let error = Pictures::imagenet(val.path(), Split::Test).unwrap_err().to_string();
    assert!(error.contains("the classes: a folder `train`"), "{error}");
    write(val.path().join("classes.txt"), CLASSES.join("\n").as_bytes());
    same(&Pictures::imagenet(val.path(), Split::Test).unwrap(), &train);
    let other = folders("train");
    fs::rename(other.path().join("train"), val.path().join("train")).unwrap();
    same(&Pictures::imagenet(val.path(), Split::Test).unwrap(), &train);
}

/// Classes are those of the training part: one folder less in `val` shifts no label.
#[test]
fn a_class_without_validation_pictures_shifts_no_label() {
    let root = folders("train");
    for class in [CLASSES[1], CLASSES[2]] {
        for (name, bytes) in pictures(class) {
            write(root.path().join("val").join(class).join(name), &bytes);
        }
    }
    for set in [DatasetName::ImageNet, DatasetName::Imagenette, DatasetName::PictureFolder] {
        let test = Pictures::open(set, root.path(), Split::Test).unwrap();
        assert_eq!(test.labels(), [1, 1, 1, 1, 2, 2, 2, 2], "{set}");
        assert_eq!(test.classes(), CLASSES, "{set}");
        let text = format!("dataset = '{set}'\npath = '.'\npictures = {{ size = 16 }}");
        let config: SourceConfig = toml::from_str(&text).unwrap();
        let data = open(&config, Some(root.path())).unwrap();
        assert_eq!((data.classes.len(), data.test.len()), (3, 8), "{set}");
        let batch = LoaderConfig::evaluation(8).init_source(data.test, None).unwrap();
        let batch = batch.epoch(0).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.targets.labels, [1, 1, 1, 1, 2, 2, 2, 2], "{set}");
    }
    // A class that was never trained is an error that names it.
    fs::rename(root.path().join("val").join(CLASSES[1]), root.path().join("val/n09999999"))
        .unwrap();
    for set in [DatasetName::ImageNet, DatasetName::PictureFolder] {
        let error = Pictures::open(set, root.path(), Split::Test).unwrap_err().to_string();
        assert!(error.contains("3 classes of the training part"), "{error}");
        assert!(error.contains("`n09999999`"), "{error}");
    }
    // Without the training part nobody knows the labels.
    fs::remove_dir_all(root.path().join("train")).unwrap();
    let error = Pictures::open(DatasetName::PictureFolder, root.path(), Split::Test).unwrap_err();
    assert!(error.to_string().contains("a folder `train`"), "{error}");
}

/// The development kit as published: numbers of classes, and what they mean.
#[test]
fn the_development_kit_labels_the_validation_pictures() {
    let golden = |name: &str| {
        fs::read(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/cifar").join(name),
        )
        .unwrap()
    };
    let root = tempfile::tempdir().unwrap();
    // Classes 1, 2 and 3 are n02129165, n01440764 and n01443537.
    let truth = b"3\n1\n2\n2\n1\n".to_vec();
    let name = |number: usize| format!("ILSVRC2012_val_{number:08}.JPEG");
    let val: Vec<_> = (1..=5).map(|number| (name(number), fixture("420.JPEG"))).collect();
    write(root.path().join("ILSVRC2012_img_val.tar"), &tar(&val));
    let kit = |meta: &str, truth: &[u8]| {
        let folder = "ILSVRC2012_devkit_t12";
        tar(&[
            (format!("{folder}/readme.txt"), b"x".to_vec()),
            (format!("{folder}/data/meta.mat"), golden(meta)),
            (format!("{folder}/data/ILSVRC2012_validation_ground_truth.txt"), truth.to_vec()),
        ])
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let archive = root.path().join("ILSVRC2012_devkit_t12.tar.gz");
    let check = || {
        let pictures = Pictures::imagenet(root.path(), Split::Test).unwrap();
        assert_eq!(pictures.classes(), CLASSES);
        assert_eq!(pictures.labels(), [1, 2, 0, 0, 2]);
    };
    for meta in ["meta.mat", "meta.plain.mat"] {
        write(archive.clone(), &gzip(&kit(meta, &truth)));
        check();
    }
    // Beside the training split, whose classes decide, and unpacked.
    let train: Vec<_> =
        CLASSES.iter().map(|class| (format!("{class}.tar"), tar(&pictures(class)))).collect();
    write(root.path().join("ILSVRC2012_img_train.tar"), &tar(&train));
    check();
    fs::remove_file(&archive).unwrap();
    let message = Pictures::imagenet(root.path(), Split::Test).unwrap_err().to_string();
    assert!(message.contains("ILSVRC2012_devkit_t12.tar.gz"), "{message}");
    let folder = root.path().join("ILSVRC2012_devkit_t12/data");
    write(folder.join("ILSVRC2012_validation_ground_truth.txt"), &truth);
    let message = Pictures::imagenet(root.path(), Split::Test).unwrap_err().to_string();
    assert!(message.contains("`meta.mat` beside"), "{message}");
    write(folder.join("meta.mat"), &golden("meta.mat"));
    check();
    // What is wrong is named.
    let wrong = |file: &str, bytes: &[u8], parts: [&str; 2]| {
        let path = folder.join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let message = Pictures::imagenet(root.path(), Split::Test).unwrap_err().to_string();
        assert!(
            message.contains(file) && parts.iter().all(|part| message.contains(part)),
            "{message}"
        );
        fs::write(&path, before).unwrap();
    };
    // 4 is no class but an inner node.
    wrong("ILSVRC2012_validation_ground_truth.txt", b"1\n4\n", ["3 classes", "`4` in line 2"]);
    wrong("ILSVRC2012_validation_ground_truth.txt", b"1\nx\n", ["3 classes", "`x` in line 2"]);
    let meta = golden("meta.mat");
    for cut in (0..meta.len()).step_by(13) {
        wrong("meta.mat", &meta[..cut], ["byte ", "expected"]);
    }
    let plain = golden("meta.plain.mat");
    for cut in (128..plain.len()).step_by(40) {
        wrong("meta.mat", &plain[..cut], ["byte ", "expected"]);
    }
    wrong("meta.mat", b"", ["byte 124", "version 5"]);
    write(folder.join("ILSVRC2012_validation_ground_truth.txt"), b"1\n2\n");
    let message = Pictures::imagenet(root.path(), Split::Test).unwrap_err().to_string();
    assert!(message.contains("00000003.JPEG") && message.contains("label"), "{message}");
}

#[test]
fn tiny_imagenet_and_imagenette_are_read() {
    let root = folders("train");
    let plain = Pictures::folder(&root.path().join("train")).unwrap();
    let tiny = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for class in CLASSES {
        for (name, bytes) in pictures(class) {
            write(tiny.path().join("train").join(class).join("images").join(&name), &bytes);
            list.extend([&name, "\t", class, "\t0\t0\t62\t62\n"]);
            write(tiny.path().join("val/images").join(&name), &bytes);
        }
    }
    write(tiny.path().join("val/val_annotations.txt"), list.as_bytes());
    same(&Pictures::tiny_imagenet(tiny.path(), Split::Train).unwrap(), &plain);
    same(&Pictures::tiny_imagenet(tiny.path(), Split::Test).unwrap(), &plain);
    let imagenette = tempfile::tempdir().unwrap();
    for (part, first) in [("train", 0), ("val", 2)] {
        for class in CLASSES {
            for (name, bytes) in &pictures(class)[first..] {
                write(
                    imagenette.path().join("imagenette2-160").join(part).join(class).join(name),
                    bytes,
                );
            }
        }
    }
    let open = |split| Pictures::open(DatasetName::Imagenette, imagenette.path(), split).unwrap();
    same(&open(Split::Train), &plain);
    assert_eq!((open(Split::Test).len(), open(Split::Test).classes()), (6, plain.classes()));
    write(tiny.path().join("val/images/new.JPEG"), b"x");
    let message = Pictures::tiny_imagenet(tiny.path(), Split::Test).unwrap_err().to_string();
    assert!(message.contains("new.JPEG") && message.contains("list of labels"), "{message}");
    write(tiny.path().join("val/val_annotations.txt"), (list + "a.JPEG\tn9\n").as_bytes());
    let message = Pictures::tiny_imagenet(tiny.path(), Split::Test).unwrap_err().to_string();
    assert!(message.contains("`n9` in line 13"), "{message}");
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let root = tempfile::tempdir().unwrap();
    for split in [Split::Train, Split::Test] {
        let message = Pictures::imagenet(root.path(), split).unwrap_err().to_string();
        assert!(message.contains("ILSVRC2012_img_"), "{message}");
    }
    assert!(Pictures::folder(root.path()).unwrap_err().to_string().contains("one folder a class"));
    write(root.path().join("n1/x.txt"), b"x");
    assert!(
        Pictures::folder(root.path())
            .unwrap_err()
            .to_string()
            .contains("files .jpg, .jpeg or .png")
    );

    let whole = tar(&[("n1.tar".into(), tar(&pictures("n1")))]);
    let archive = root.path().join("ILSVRC2012_img_train.tar");
    let refused = |bytes: &[u8], parts: [&str; 2]| {
        fs::write(&archive, bytes).unwrap();
        let message = Pictures::imagenet(root.path(), Split::Train).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    refused(&whole[..2048], ["byte 0", "bytes that are left"]);
    let mut wrong = whole.clone();
    wrong[512 + 20] ^= 1;
    refused(&wrong, ["byte 512", "checksum"]);
    wrong = whole.clone();
    wrong[124..136].fill(b'9');
    refused(&wrong, ["byte 0", "checksum"]);
    refused(&[], ["byte 0", "expected 512 bytes, found 0 bytes, then the end"]);
    // Zeros alone are an archive without files.
    refused(&[0; 1024], ["one folder a class", "found 0"]);
    // Between two archives, and inside the header of the second.
    let two =
        tar(&[("n1.tar".into(), tar(&pictures("n1"))), ("n2.tar".into(), tar(&pictures("n2")))]);
    let second = 512 + tar(&pictures("n1")).len();
    fs::write(&archive, &two[..second]).unwrap();
    assert_eq!(Pictures::imagenet(root.path(), Split::Train).unwrap().classes(), ["n1"]);
    refused(&two[..second + 100], [&format!("byte {second}"), "found 100 bytes, then the end"]);
}

fn source(root: &TempDir, view: View, on_damage: OnDamage) -> Arc<PictureSource> {
    let pictures = Arc::new(Pictures::imagenet(root.path(), Split::Train).unwrap());
    Arc::new(PictureSource::new(pictures, view, DecodeOptions::default(), on_damage).unwrap())
}

fn view() -> View {
    View::Train(RandomResizedCrop { size: 20, ..RandomResizedCrop::default() })
}

fn batches(source: &Arc<PictureSource>, threads: usize) -> Result<Vec<Batch>, Error> {
    let augment = Augment { flip: Flip::Horizontal, ..Augment::default() };
    let config =
        LoaderConfig { batch_size: 5, seed: 3, threads, augment, ..LoaderConfig::default() };
    config.init_source(Arc::<PictureSource>::clone(source), None).unwrap().epoch(1)?.collect()
}

#[test]
fn batches_of_files_do_not_depend_on_the_number_of_threads() {
    let root = folders("train");
    let source = source(&root, view(), OnDamage::Fail);
    let inline = batches(&source, 0).unwrap();
    assert_eq!(inline[0].samples.view().shape(), [5, 3, 20, 20]);
    for threads in [1, 4] {
        assert_eq!(batches(&source, threads).unwrap(), inline);
    }
    assert!(source.damaged().is_empty());
}

#[test]
fn damaged_files_end_the_epoch_or_are_skipped_and_named() {
    let root = folders("train");
    let path = root.path().join("train/n01443537/n01443537_1.JPEG");
    let bytes = fixture("420.JPEG");
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = batches(&source(&root, view(), OnDamage::Fail), 2).unwrap_err().to_string();
    for part in ["sample 5", "n01443537_1.JPEG", "truncated"] {
        assert!(message.contains(part), "{message}");
    }
    let skipping = source(&root, view(), OnDamage::Skip);
    let labels: Vec<_> =
        batches(&skipping, 2).unwrap().into_iter().flat_map(|batch| batch.targets.labels).collect();
    assert_eq!(labels.len(), 12);
    assert_eq!(skipping.damaged().keys().collect::<Vec<_>>(), [&5]);
    // Where nothing can be read, skipping ends as well.
    for class in CLASSES {
        for (name, _) in pictures(class) {
            fs::write(root.path().join("train").join(class).join(name), b"x").unwrap();
        }
    }
    assert!(matches!(batches(&skipping, 1).unwrap_err(), Error::Sample { .. }));
}

/// Breaks at every image.
#[derive(Debug)]
struct Broken;

impl Transform for Broken {
    fn apply(
        &self,
        _: &mut SampleMut<'_>,
        _: &mut SampleRng,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        panic!("the transform broke")
    }
}

#[test]
fn a_panic_in_a_worker_names_file_and_sample() {
    let root = folders("train");
    let source = source(&root, view(), OnDamage::Fail);
    let config = LoaderConfig {
        batch_size: 5,
        order: Order::Sequential,
        threads: 2,
        ..LoaderConfig::default()
    };
    let loader =
        config.init_source(source, Some(vec![7, 2])).unwrap().with_transform(Arc::new(Broken));
    let message = loader.epoch(0).unwrap().next().unwrap().unwrap_err().to_string();
    for part in ["batch 0, sample 7", "n01443537_3.JPEG", "the transform broke"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn evaluation_takes_the_middle() {
    let root = folders("train");
    let crop = CentreCrop { resize: 47, size: 31, filter: Filter::Bilinear };
    let source = source(&root, View::Evaluation(crop), OnDamage::Fail);
    let config = LoaderConfig::evaluation(12);
    let batch = config
        .init_source(Arc::<PictureSource>::clone(&source), None)
        .unwrap()
        .epoch(0)
        .unwrap()
        .next()
        .unwrap();
    let pictures = Pictures::imagenet(root.path(), Split::Train).unwrap();
    let whole = pictures.read(3, DecodeOptions::default()).unwrap().planes();
    // 61x47 stays as it is, and the middle begins at column 15, row 8.
    assert_eq!(
        batch.unwrap().samples.images().unwrap().slice(ndarray::s![3, .., .., ..]),
        whole.slice(ndarray::s![.., 8..39, 15..46])
    );
    assert!(
        CentreCrop { resize: 3, size: 4, ..crop }
            .apply(&pictures.read(0, DecodeOptions::default()).unwrap())
            .is_err()
    );
}

/// The first samples of folders are of one class; images of mixed classes keep their first ones.
#[test]
fn a_limit_leaves_every_class_of_samples_that_stand_class_by_class() {
    let root = folders("train");
    for class in CLASSES {
        for (name, bytes) in pictures(class) {
            write(root.path().join("val").join(class).join(name), &bytes);
        }
    }
    let config = SourceConfig {
        path: Some(root.path().to_owned()),
        ..SourceConfig::new(DatasetName::PictureFolder)
    };
    let data = open(&config, None).unwrap();
    let all: Vec<usize> = (0..data.train.len()).collect();
    assert!(data.by_class && all.len() == 12);
    let chosen = |limit, seed| data.limit(all.clone(), limit, seed);
    let classes: BTreeSet<usize> =
        (0..20).flat_map(|seed| chosen(3, seed)).map(|i| i / 4).collect();
    assert_eq!(classes.len(), 3, "the first three are of one class");
    assert!((0..20).any(|seed| chosen(3, seed) != chosen(3, 0)), "the seed chooses");
    assert!(chosen(3, 1).iter().all(|index| chosen(7, 1).contains(index)));
    assert_eq!((chosen(12, 1), chosen(99, 1)), (all.clone(), all.clone()));
    let shapes = open(&SourceConfig::new(DatasetName::Shapes10), None).unwrap();
    assert_eq!(shapes.limit(vec![2, 5, 6], 2, 1), [2, 5]);
}
