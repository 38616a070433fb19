//! Data sets of recordings and their splits, on small folders of the true form.

use snn_data::recordings::events::{ReadOptions, SensorSize};
use snn_data::recordings::frames::{Framing, Slicing};
use snn_data::recordings::{RecordingSource, Recordings, SplitFile, SplitRule};
use snn_data::{Batch, DatasetName, Error, LoaderConfig, OnDamage, SampleShape, Source};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// A recording of a DVS128 with `events` events, the first at the pixel (`number`, 5) of jAER.
fn aedat2(number: u32, events: u32) -> Vec<u8> {
    let records = (0..events).flat_map(|index| {
        let address = (5 << 8) | (number + index) << 1;
        [address.to_be_bytes(), (index * 10).to_be_bytes()].concat()
    });
    b"#!AER-DAT2.0\r\n".iter().copied().chain(records).collect()
}

fn zip(path: &Path, files: &[(String, Vec<u8>)]) {
    let mut writer = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (index, (name, bytes)) in files.iter().enumerate() {
        let method = if index % 2 == 0 {
            zip::CompressionMethod::Deflated
        } else {
            zip::CompressionMethod::Stored
        };
        writer
            .start_file(name.as_str(), SimpleFileOptions::default().compression_method(method))
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// CIFAR10-DVS with twelve recordings a class: half of the classes as folders, half as archives.
fn cifar10_dvs() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("CIFAR10DVS");
    fs::create_dir(&folder).unwrap();
    for (label, class) in CLASSES.iter().enumerate() {
        let files = (0..12)
            .map(|number| (format!("{class}/cifar10_{class}_{number}.aedat"), aedat2(number, 20)));
        let mut files: Vec<_> = files.collect();
        if label % 2 == 0 {
            fs::create_dir(folder.join(class)).unwrap();
            for (name, bytes) in &files {
                fs::write(folder.join(name), bytes).unwrap();
            }
            fs::write(folder.join(class).join("notes.txt"), "x").unwrap();
        } else {
            files.push((format!("__MACOSX/{class}/._cifar10_{class}_0.aedat"), vec![0; 9]));
            zip(&folder.join(format!("{class}.zip")), &files);
        }
    }
    root
}

/// The frames of some recordings in one batch.
fn framed(set: Recordings, indices: &[usize], framing: Framing) -> snn_data::Result<Batch> {
    let source = RecordingSource::new(set.into(), indices.to_vec(), framing, Vec::new())?;
    let loader = LoaderConfig::evaluation(indices.len()).init_source(Arc::new(source), None)?;
    loader.epoch(0)?.next().unwrap()
}

#[test]
fn cifar10_dvs_is_read_from_folders_and_archives() {
    let root = cifar10_dvs();
    let set = Recordings::open(DatasetName::Cifar10Dvs, root.path()).unwrap();
    assert_eq!((set.len(), set.classes().len()), (120, 10));
    for (index, number) in [(2, 2_u16), (11, 11), (22, 10)] {
        let events = set.read(index).unwrap();
        // jAER's x is turned over and becomes our row, since this set is turned upright.
        assert_eq!(
            (events.len(), events.y()[0], events.x()[0]),
            (20, 127 - number, 122),
            "{index}"
        );
    }
    assert_eq!(set.sample_name(22), Some("automobile/cifar10_automobile_10.aedat"));
    let framing =
        Framing { slicing: Slicing::Number { slices: 4 }, size: Some("32x32".parse().unwrap()) };
    let batch = framed(set.clone(), &[0, 119, 13], framing).unwrap();
    assert_eq!(batch.samples.shape(), SampleShape::Frames([4, 2, 32, 32]));
    assert_eq!(batch.targets.labels, [0, 9, 1]);
    assert_eq!(batch.samples.bytes().iter().map(|&count| u32::from(count)).sum::<u32>(), 60);
    let open = Framing { slicing: Slicing::Duration { micros: 10 }, size: None };
    assert!(matches!(
        framed(set, &[0], open).unwrap_err(),
        Error::InvalidConfig { field: "slicing", .. }
    ));
}

#[test]
fn a_damaged_recording_is_named_with_its_place() {
    let root = cifar10_dvs();
    let path = root.path().join("CIFAR10DVS/bird/cifar10_bird_3.aedat");
    fs::write(&path, &aedat2(3, 4)[..40]).unwrap();
    let set = Recordings::open(DatasetName::Cifar10Dvs, root.path()).unwrap();
    let framing = Framing { slicing: Slicing::Time { slices: 2 }, size: None };
    let message = framed(set, &[0, 27], framing).unwrap_err().to_string();
    for part in ["sample 27", "bird/cifar10_bird_3.aedat", "byte 38"] {
        assert!(message.contains(part), "{message}");
    }
    // An archive that leads out of its folder, and one that is none.
    let folder = root.path().join("CIFAR10DVS");
    zip(&folder.join("cat.zip"), &[("../../cat/x.aedat".into(), vec![])]);
    let message = Recordings::open(DatasetName::Cifar10Dvs, root.path()).unwrap_err().to_string();
    assert!(message.contains("cat.zip") && message.contains("inside"), "{message}");
    fs::write(folder.join("cat.zip"), [b'P'; 100]).unwrap();
    let message = Recordings::open(DatasetName::Cifar10Dvs, root.path()).unwrap_err().to_string();
    assert!(message.contains("cat.zip") && message.contains("a zip archive"), "{message}");
    let message = Recordings::open(DatasetName::NMnist, root.path()).unwrap_err().to_string();
    assert!(message.contains("n-mnist: no recording"), "{message}");
}

#[test]
fn splits_choose_the_recordings_they_say() {
    let root = cifar10_dvs();
    let set = Recordings::open(DatasetName::Cifar10Dvs, root.path()).unwrap();
    let apply = |rule| SplitFile { dataset: DatasetName::Cifar10Dvs, rule }.apply(&set).unwrap();
    let first = apply(SplitRule::FirstPerClass { test: 2 });
    assert_eq!(first.test[..4], [0, 1, 12, 13]);
    assert_eq!((first.train.len(), first.test.len()), (100, 20));
    let last = apply(SplitRule::LastPerClass { test: 1 });
    assert_eq!(last.test[..2], [11, 23]);
    let random = |seed| apply(SplitRule::Random { of: 4, seed });
    assert_eq!((random(1), random(1).test.len()), (random(1), 30));
    assert_ne!(random(1), random(2));
    for class in 0..10 {
        assert_eq!(
            random(7).test.iter().filter(|&&index| set.label(index) == Some(class)).count(),
            3
        );
    }
    let files = apply(SplitRule::Files(vec!["ship/cifar10_ship_4.aedat".into()]));
    assert_eq!(files.test, [100]);
    for rule in [
        SplitRule::Official,
        SplitRule::FirstPerClass { test: 12 },
        SplitRule::Files(vec!["ship/none.aedat".into()]),
        SplitRule::Files(vec![]),
        SplitRule::Random { of: 13, seed: 0 },
    ] {
        let split = SplitFile { dataset: DatasetName::Cifar10Dvs, rule };
        assert!(
            matches!(split.apply(&set).unwrap_err(), Error::InvalidConfig { field: "split", .. }),
            "{split:?}"
        );
        if split.rule != SplitRule::Files(vec![]) {
            assert_eq!(split.to_string().parse::<SplitFile>().unwrap(), split);
        }
    }
    let other = SplitFile { dataset: DatasetName::NMnist, rule: SplitRule::Official };
    assert!(other.apply(&set).unwrap_err().to_string().contains("expected a split of cifar10-dvs"));
}

#[test]
fn split_files_that_ship_are_read_and_wrong_ones_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/splits");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 5);
    for file in files {
        SplitFile::read(&file).unwrap();
    }
    for (text, parts) in [
        ("", ["line 0", "a line `dataset`"]),
        ("dataset cifar", ["line 1", "cifar10-dvs"]),
        ("dataset n-mnist\nrule last", ["line 2", "first-per-class"]),
        ("dataset n-mnist\nrule official\nseed 1", ["line 3", "only keys that the rule uses"]),
        ("dataset n-mnist\nrule random\nof 1\nseed 1", ["line 3", "from 2 on"]),
        ("dataset n-mnist\nrule first-per-class\ntest -1", ["line 3", "`-1`"]),
        ("dataset n-mnist\nrule first-per-class\ntest 1\nfile x", ["line 0", "only with the rule"]),
        ("dataset n-mnist\n# x\ndataset n-mnist", ["line 3", "again"]),
        ("datset n-mnist", ["line 1", "`datset`"]),
    ] {
        let message = text.parse::<SplitFile>().unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), b"dataset \xff").unwrap();
    assert!(SplitFile::read(file.path()).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn n_mnist_has_its_official_split() {
    let root = tempfile::tempdir().unwrap();
    let event = |x: u8| vec![x, 1, 0x80, 0, 9];
    for digit in 0..10_u8 {
        let folder = root.path().join(format!("Train/{digit}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("00002.bin"), event(digit)).unwrap();
        fs::write(folder.join("00010.bin"), event(20)).unwrap();
    }
    let test: Vec<_> =
        (0..10_u8).map(|digit| (format!("Test/{digit}/00001.bin"), event(digit))).collect();
    zip(&root.path().join("Test.zip"), &test);
    let set = Recordings::open(DatasetName::NMnist, root.path()).unwrap();
    let split =
        SplitFile { dataset: DatasetName::NMnist, rule: SplitRule::Official }.apply(&set).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (20, 10));
    for &index in &split.test {
        assert_eq!(Some(set.read(index).unwrap().x()[0]), set.label(index));
    }
}

/// A packet of AEDAT 3.1 with events at these times, in column t / 100.
fn packet(times: &[u32]) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0];
    let count = u32::try_from(times.len()).unwrap();
    for word in [8, 4, 0, count, count, count] {
        bytes.extend(word.to_le_bytes());
    }
    for t in times {
        bytes.extend([((t / 100) << 17 | 3).to_le_bytes(), t.to_le_bytes()].concat());
    }
    bytes
}

/// A long recording is read as a whole once; then a gesture needs nothing but its own packets.
#[test]
fn a_gesture_is_read_without_the_rest_of_its_recording() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(root.path().join(name), bytes).unwrap();
    let mut recording = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n".to_vec();
    let mut ends = Vec::new();
    // The second packet begins with an event that is late: it belongs to the first gesture.
    for times in [&[0, 100, 200][..], &[], &[150, 300, 400, 500], &[600, 700, 800]] {
        recording.extend(packet(times));
        ends.push(recording.len());
    }
    write("user01_led.aedat", &recording);
    write("trials_to_train.txt", b"user01_led.aedat\n");
    write("trials_to_test.txt", b"");
    let lines = "class,startTime_usec,endTime_usec\n1,0,250\n2,250,550\n3,550,900\n4,5000,6000\n";
    write("user01_led_labels.csv", lines.as_bytes());
    let set = Recordings::open(DatasetName::Dvs128Gesture, root.path()).unwrap();
    let times = |index: usize| set.read(index).map(|events| events.t().to_vec());
    let expected: [&[i64]; 4] = [&[0, 100, 200, 150], &[300, 400, 500], &[600, 700, 800], &[]];
    for _ in 0..2 {
        for (index, expected) in expected.iter().enumerate() {
            assert_eq!(times(index).unwrap(), *expected, "gesture {index}");
        }
    }
    // What the first gestures do not need is destroyed: the last packet, and then the first one.
    write("user01_led.aedat", &recording[..ends[2]]);
    assert_eq!((times(0).unwrap(), times(1).unwrap()), (expected[0].into(), expected[1].into()));
    let first = recording.windows(4).position(|bytes| bytes == [1, 0, 0, 0]).unwrap();
    assert!(first < ends[0]);
    recording[first..ends[0]].fill(0xFF);
    write("user01_led.aedat", &recording);
    assert_eq!((times(1).unwrap(), times(2).unwrap()), (expected[1].into(), expected[2].into()));
    let fresh = Recordings::open(DatasetName::Dvs128Gesture, root.path()).unwrap();
    assert!(fresh.read(1).is_err(), "who has not read the recording yet reads all of it");
}

#[test]
fn recordings_of_other_tools_are_found() {
    let root = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/events");
    // What is inside of a file decides how it is read, and its name whether it is one.
    let write = |to: &str| {
        let to = root.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, aedat2(1, 3)).unwrap();
    };
    // tonic: AEDAT 4 in a folder in a folder.
    let aedat4 =
        ["airplane", "bird"].map(|class| format!("CIFAR10DVS/CIFAR10DVS/{class}/a_0.aedat4"));
    for to in &aedat4 {
        write(to);
    }
    let open = || Recordings::open(DatasetName::Cifar10Dvs, root.path()).unwrap();
    assert_eq!((open().len(), open().label(1)), (2, Some(2)));
    assert_eq!(open().read(0).unwrap().size(), open().size());
    // A class that has both formats is that of AEDAT 2.0, not twice as large.
    write("CIFAR10DVS/CIFAR10DVS/bird/a_0.aedat");
    assert_eq!((open().len(), open().sample_name(1)), (2, Some("bird/a_0.aedat")));

    // SLAYER: the five bytes of N-MNIST by another name, in one folder with a list.
    let root = root.path().join("slayer");
    for number in [1, 2, 60_001] {
        fs::create_dir_all(&root).unwrap();
        fs::copy(golden.join("n-mnist.bin"), root.join(format!("{number}.bs2"))).unwrap();
    }
    fs::write(root.join("labels.txt"), "1\t5\n2\t0\n60001\t7\n").unwrap();
    let set = Recordings::open(DatasetName::NMnist, &root).unwrap();
    assert_eq!((set.len(), set.label(0), set.label(2)), (3, Some(0), Some(7)));
    assert_eq!(set.read(1).unwrap().size(), SensorSize { width: 34, height: 34 });
    let split: SplitFile = "dataset n-mnist\nrule files\nfile 60001.bs2".parse().unwrap();
    assert_eq!(split.apply(&set).unwrap().test, [2]);
}

#[test]
fn gestures_are_parts_of_recordings() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
    let mut recording = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n".to_vec();
    recording.extend([1, 0, 0, 0]);
    for word in [8_u32, 4, 0, 10, 10, 10] {
        recording.extend(word.to_le_bytes());
    }
    for t in 0..10_u32 {
        recording.extend([(t << 17 | 3).to_le_bytes(), (t * 100).to_le_bytes()].concat());
    }
    fs::write(root.path().join("user01_led.aedat"), recording).unwrap();
    write("trials_to_train.txt", "user01_led.aedat\n");
    write("trials_to_test.txt", "\n");
    write("user01_led_labels.csv", "class,startTime_usec,endTime_usec\n11,100,300\n2,300,900\n");
    let set = Recordings::open(DatasetName::Dvs128Gesture, root.path()).unwrap();
    assert_eq!((set.len(), set.label(0), set.label(1)), (2, Some(1), Some(10)));
    assert_eq!(set.read(1).unwrap().x(), [1, 2]);
    assert_eq!(set.read(0).unwrap().len(), 6);
    for (name, text, part) in [
        ("user01_led_labels.csv", "class\n12,1,2\n", "a class from 1 to 11"),
        ("trials_to_test.txt", "../user01_led.aedat\n", "in this folder"),
        ("trials_to_test.txt", "user02_led.aedat\n", "is missing"),
    ] {
        write(name, text);
        let message =
            Recordings::open(DatasetName::Dvs128Gesture, root.path()).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        write("user01_led_labels.csv", "class\n");
    }
}

#[test]
fn damaged_recordings_are_skipped_counted_and_named_or_end_the_epoch() {
    let root = cifar10_dvs();
    let folder = root.path().join("CIFAR10DVS");
    // A last record that is cut, and a file that is none.
    fs::write(folder.join("bird/cifar10_bird_3.aedat"), &aedat2(3, 4)[..40]).unwrap();
    fs::write(folder.join("bird/cifar10_bird_4.aedat"), b"nothing").unwrap();
    let framing = Framing { slicing: Slicing::Number { slices: 2 }, size: None };
    let loaded = |on_damage: OnDamage| {
        let options = ReadOptions { on_damage, ..ReadOptions::default() };
        let set = Recordings::open_with(DatasetName::Cifar10Dvs, root.path(), options).unwrap();
        let indices = (24..36).collect();
        let source = RecordingSource::new(set.into(), indices, framing, Vec::new()).unwrap();
        let source: Arc<dyn Source> = Arc::new(source);
        let loader = LoaderConfig::evaluation(12).init_source(Arc::clone(&source), None).unwrap();
        (loader.epoch(0).unwrap().next().unwrap(), source.damaged())
    };
    let (batch, damaged) = loaded(OnDamage::Fail);
    let message = batch.unwrap_err().to_string();
    assert!(message.contains("sample 27") && message.contains("byte 38"), "{message}");
    assert_eq!(damaged.keys().collect::<Vec<_>>(), [&3]);
    let (batch, damaged) = loaded(OnDamage::Skip);
    let counts = batch.unwrap().samples.bytes().iter().map(|&count| u32::from(count)).sum::<u32>();
    // Three events of the cut one, and the recording after it in the place of the other.
    assert_eq!(counts, 11 * 20 + 3);
    assert_eq!(damaged.keys().collect::<Vec<_>>(), [&3, &4]);
    assert!(damaged[&3].contains("1 cut") && damaged[&4].contains("bird_4.aedat"), "{damaged:?}");
}

#[test]
fn a_damaged_entry_of_an_archive_is_named_as_that() {
    let root = cifar10_dvs();
    let archive = root.path().join("CIFAR10DVS/automobile.zip");
    let mut bytes = fs::read(&archive).unwrap();
    // The second entry is stored: its first byte, the `#` of the header, becomes another.
    let header = b"#!AER-DAT2.0";
    let start = bytes.windows(header.len()).position(|part| part == header).unwrap();
    bytes[start] = b'X';
    fs::write(&archive, bytes).unwrap();
    let set = Recordings::open(DatasetName::Cifar10Dvs, root.path()).unwrap();
    let message = set.read(13).unwrap_err().to_string();
    for part in ["automobile.zip", "cifar10_automobile_1.aedat", "entry", "checksum"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("#!AER-DAT"), "{message}");
}
