//! Untrusted files: whatever they hold, loading ends soon, takes memory in proportion to the file,
//! and either gives a valid model or one error that names the file.

#[path = "it/tiny/mod.rs"]
mod tiny;

use serde_json::{Value, json};
use snn_ir::{Graph, Model, Op, PoolKind, Window};
use snn_ir::{MAX_HEADER_BYTES, MAX_WEIGHT_BYTES};
use snn_test_support::CountingAllocator;
use snn_test_support::allocator::peak_of;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tiny::{chain, events_model, grid_model, real, trained_model};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MIB: usize = 1 << 20;

/// A folder with one file in it.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Loads, checks that memory stays below `limit` bytes, and that a model is valid and an error
/// names the file in one line.
fn load(path: &Path, limit: usize) -> Result<Model, String> {
    let (result, peak) = peak_of(|| Model::load(path));
    assert!(peak <= limit, "{peak} bytes held, expected at most {limit}: {result:.200?}");
    let name = path.file_name().unwrap().to_str().unwrap();
    result
        .inspect(|model| {
            model.validate().unwrap();
        })
        .map_err(|error| {
            let message = error.to_string();
            assert!(message.contains(name) && !message.contains('\n'), "{message}");
            message
        })
}

/// What loading these bytes says, in at most `limit` bytes of memory and a time that a person
/// waits.
fn refusal(bytes: &[u8], limit: usize) -> String {
    let (_folder, path) = file(bytes);
    let begin = Instant::now();
    let message = load(&path, limit).expect_err("loaded");
    assert!(begin.elapsed() < Duration::from_mins(1), "{:?}: {message:.200}", begin.elapsed());
    message
}

/// A file with a model's metadata as text, and a list of weights as text.
fn foreign(metadata: &str, list: &str, data: &[u8]) -> Vec<u8> {
    let metadata = serde_json::to_string(metadata).unwrap();
    let comma = if list.is_empty() { "" } else { "," };
    let header = format!(r#"{{"__metadata__":{{"snn":{metadata}}}{comma}{list}}}"#);
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Metadata of a model with these nodes, as JSON text.
fn metadata(nodes: &str) -> String {
    format!(
        r#"{{"version":1,"form":{{"kind":"events"}},"time_steps":1,"preprocessing":{{"mean":[0],"std":[1.0]}},"classes":[],"graph":{{"nodes":[{nodes}]}}}}"#
    )
}

#[test]
fn the_allocator_counts() {
    let (buffer, peak) = peak_of(|| vec![1_u8; 5 * MIB]);
    assert!((5 * MIB..6 * MIB).contains(&peak), "{peak}");
    let ((), peak) = peak_of(|| drop(buffer));
    assert_eq!(peak, 0);
}

/// Every so many bytes the file is written to disk as well, which takes longer than all the rest.
const ON_DISK: usize = 97;

/// As [`load`], of bytes in memory, and of a file where `on_disk`.
fn try_bytes(bytes: &[u8], path: &Path, on_disk: bool) -> Result<Model, String> {
    let (result, peak) = peak_of(|| Model::from_bytes(bytes));
    assert!(peak <= MIB, "{peak} bytes held: {result:.200?}");
    let result = result
        .inspect(|model| {
            model.validate().unwrap();
        })
        .map_err(|error| error.to_string());
    if on_disk {
        std::fs::write(path, bytes).unwrap();
        match (load(path, MIB), &result) {
            (Ok(loaded), Ok(model)) => assert_eq!(&loaded, model),
            (Err(loaded), Err(_)) => assert!(loaded.contains("net.safetensors: "), "{loaded}"),
            (loaded, _) => panic!("{loaded:?} from the disk, {result:?} from memory"),
        }
    }
    result
}

#[test]
fn a_file_cut_anywhere_is_one_error() {
    for model in [trained_model(), events_model(), grid_model()] {
        let bytes = model.to_bytes().unwrap();
        let (_folder, path) = file(&bytes);
        load(&path, MIB).unwrap();
        for length in 0..bytes.len() {
            let message =
                try_bytes(&bytes[..length], &path, length % ON_DISK == 0).expect_err("loaded");
            let named = message.contains("not a safetensors file")
                || message.contains("truncated: its header lists");
            assert!(
                named && !message.contains("graph:"),
                "{length} of {} bytes: {message}",
                bytes.len()
            );
        }
    }
}

#[test]
fn any_changed_byte_is_a_valid_model_or_one_error() {
    for model in [trained_model(), events_model(), grid_model()] {
        let mut bytes = model.to_bytes().unwrap();
        let (_folder, path) = file(&bytes);
        let (mut loaded, mut refused) = (0, 0);
        for position in 0..bytes.len() {
            for mask in [0xFF, 0x01] {
                bytes[position] ^= mask;
                match try_bytes(&bytes, &path, position % ON_DISK == 0) {
                    Ok(_) => loaded += 1,
                    Err(_) => refused += 1,
                }
                bytes[position] ^= mask;
            }
        }
        // Both happen: most weights may be anything finite, most of the header may not.
        assert!(
            loaded > 100 && refused > 100,
            "{}: {loaded} loaded, {refused} refused",
            model.form().label()
        );
    }
}

/// The fields that a change of weights breaks are named.
#[test]
fn a_weight_that_becomes_infinite_is_named() {
    let model = events_model();
    let mut bytes = model.to_bytes().unwrap();
    // Data ends with the last weight by name and type; all are f64, so the order is that of the
    // names.
    let length = bytes.len();
    bytes[length - 8..].copy_from_slice(&f64::INFINITY.to_le_bytes());
    let message = refusal(&bytes, MIB);
    assert!(
        message.contains("net.safetensors: weight `level.step`: expected finite values"),
        "{message}"
    );
}

#[test]
fn a_sparse_file_of_terabytes_is_refused_without_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let sparse = |bytes: &[u8], length: u64| {
        std::fs::write(&path, bytes).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        load(&path, MIB).expect_err("loaded")
    };
    // Text with terabytes of zeros behind it.
    assert!(sparse(b"hello, world", 1 << 40).contains("not a safetensors file"));
    // A model with more data than its header lists.
    let bytes = events_model().to_bytes().unwrap();
    let message = sparse(&bytes, 1 << 40);
    assert!(
        message.contains("its header lists") && message.contains("bytes of weights, found"),
        "{message}"
    );
    // A header that lists all of it.
    let list =
        r#""fc.weight":{"dtype":"F64","shape":[1073741824,1024],"data_offsets":[0,8796093022208]}"#;
    let nodes = r#"{"name":"image","op":{"op":"input","shape":[1024]}}"#;
    let bytes = foreign(&metadata(nodes), list, &[]);
    let message = sparse(&bytes, bytes.len() as u64 + (1 << 43));
    assert!(message.contains(&format!("at most {MAX_WEIGHT_BYTES} bytes of weights")), "{message}");
    // Gigabytes that the graph does not want.
    let list = r#""fc.weight":{"dtype":"F64","shape":[134217728,8],"data_offsets":[0,8589934592]}"#;
    let nodes = r#"{"name":"image","op":{"op":"input","shape":[8]}},{"name":"fc","op":{"op":"linear","features":2,"bias":false},"inputs":["image"]},
        {"name":"head","op":{"op":"time_mean"},"inputs":["fc"]}"#;
    let bytes = foreign(&metadata(nodes), list, &[]);
    let message = sparse(&bytes, bytes.len() as u64 + (1 << 33));
    assert!(
        message.contains("weight `fc.weight`: expected f64 [2, 8], found f64 [134217728, 8]"),
        "{message}"
    );
    let message = sparse(
        &foreign(&metadata(nodes), "", &[]),
        foreign(&metadata(nodes), "", &[]).len() as u64,
    );
    assert!(message.contains("weight `fc.weight` is missing (expected f64 [2, 8])"), "{message}");
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder.safetensors");
    std::fs::create_dir(&path).unwrap();
    assert!(load(&path, MIB).unwrap_err().contains("not a plain file"));
    #[cfg(unix)]
    for device in ["/dev/zero", "/dev/null"] {
        assert!(load(Path::new(device), MIB).unwrap_err().contains("not a plain file"));
    }
    assert!(load(&folder.path().join("missing"), MIB).unwrap_err().contains("missing"));
}

#[test]
fn headers_are_bounded() {
    let claimed = MAX_HEADER_BYTES + 1;
    let message = refusal(&[&claimed.to_le_bytes(), vec![b' '; 1 << 25].as_slice()].concat(), MIB);
    assert!(message.contains(&format!("a header of {claimed} bytes")), "{message}");
    // What cannot be read is not written either.
    let name = "n".repeat(usize::try_from(MAX_HEADER_BYTES).unwrap());
    let mut model = events_model();
    model.signature_mut().classes[0] = name;
    let message = model.to_bytes().unwrap_err().to_string();
    assert!(message.contains("bytes of graph"), "{message:.200}");
}

#[test]
fn a_million_nodes_are_refused_in_time() {
    let mut nodes = String::new();
    // As short as a node can be, or a million would not fit into a header.
    for index in 0..1_000_000 {
        let comma = if index == 0 { "" } else { "," };
        write!(nodes, r#"{comma}{{"name":"","op":{{"op":"add"}}}}"#).unwrap();
    }
    let bytes = foreign(&metadata(&nodes), "", &[]);
    let message = refusal(&bytes, 2048 * MIB);
    assert!(message.contains("bytes") || message.contains("at most 100000 nodes"), "{message}");
    // As many as a header holds.
    let nodes = nodes.split_at(nodes.len() / 3).0.rsplit_once(",{\"name").unwrap().0.to_string();
    let bytes = foreign(&metadata(&nodes), "", &[]);
    assert!(bytes.len() < 1 << 24, "{}", bytes.len());
    assert!(refusal(&bytes, 1024 * MIB).contains("at most 100000 nodes, found"));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    for depth in [100, 200, 100_000, 4_000_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            if open.len() * depth > 1 << 24 {
                continue;
            }
            let value = deep(open, close, depth).replace(":}", ":0}");
            // In the header itself, among the nodes, inside an operation, and inside a field of a
            // kind that is buffered before it is read.
            let header = format!(r#"{{"x":{value}}}"#);
            refusal(
                &[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat(),
                1024 * MIB,
            );
            refusal(&foreign(&metadata(&value), "", &[]), 1024 * MIB);
            refusal(
                &foreign(&metadata(&format!(r#"{{"name":"a","op":{value}}}"#)), "", &[]),
                1024 * MIB,
            );
            refusal(
                &foreign(
                    &metadata(&format!(r#"{{"name":"a","op":{{"op":"flatten","x":{value}}}}}"#)),
                    "",
                    &[],
                ),
                1024 * MIB,
            );
        }
    }
}

/// The form of JSON that takes most memory: many short values where a reader has to keep them.
#[test]
fn long_lists_take_memory_in_proportion() {
    let zeros = |count: usize| "0,".repeat(count) + "0";
    for (what, bytes) in [
        ("header", {
            let header = format!(r#"{{"x":[{}]}}"#, zeros(8_000_000));
            [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
        }),
        (
            "operation",
            foreign(
                &metadata(&format!(
                    r#"{{"name":"a","op":{{"op":"flatten","x":[{}]}}}}"#,
                    zeros(8_000_000)
                )),
                "",
                &[],
            ),
        ),
        (
            "shape",
            foreign(
                &metadata(&format!(
                    r#"{{"name":"a","op":{{"shape":[{}],"op":"input"}}}}"#,
                    zeros(8_000_000)
                )),
                "",
                &[],
            ),
        ),
    ] {
        let message = refusal(&bytes, 64 * bytes.len());
        assert!(message.len() < 1000, "{what}: a message of {} bytes", message.len());
    }
}

#[test]
fn what_a_file_says_does_not_reach_the_terminal_as_it_is() {
    for name in ["\u{1b}[2J", "a\nb", "x\u{9b}31m"] {
        let nodes =
            serde_json::to_string(&json!({"name": name, "op": {"op": "add"}, "inputs": []}))
                .unwrap();
        let message = refusal(&foreign(&metadata(&nodes), "", &[]), MIB);
        assert!(message.contains("(add)") && !message.chars().any(char::is_control), "{message:?}");
    }
}

/// Every input of an add, and every channel of it, is work for the type check: 10⁶ · 10⁶ would be
/// hours.
#[test]
fn an_add_of_a_million_inputs_is_refused_in_time() {
    let inputs = vec![r#""fc""#; 1_000_000].join(",");
    let nodes = format!(
        r#"{{"name":"image","op":{{"op":"input","shape":[1]}}}},{{"name":"fc","op":{{"op":"linear","features":1000000,"bias":false}},"inputs":["image"]}},
        {{"name":"sum","op":{{"op":"add"}},"inputs":[{inputs}]}},{{"name":"head","op":{{"op":"time_mean"}},"inputs":["sum"]}}"#
    );
    let message = refusal(&foreign(&metadata(&nodes), "", &[]), 1024 * MIB);
    assert!(
        message.contains("node `sum`") && message.contains("counted for each input"),
        "{message}"
    );
}

#[test]
fn numbers_that_json_does_not_have_are_refused() {
    let model = events_model();
    let text = serde_json::to_string(&json!({"mean": [120], "std": [1.0]})).unwrap();
    for bad in ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "null", "\"1\""] {
        let changed = text.replace("1.0", bad);
        let (list, data) = listed(&model);
        let json = header_text(&model).replace(&text, &changed);
        assert!(json.contains(&changed));
        let message = refusal(&foreign(&json, &list, &data), MIB);
        assert!(message.contains("metadata `snn`"), "{bad}: {message}");
    }
}

/// The metadata of a model's file, the list of its weights and their bytes.
fn header_text(model: &Model) -> String {
    let bytes = model.to_bytes().unwrap();
    let (_, list) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    list.metadata().as_ref().unwrap()["snn"].clone()
}

fn listed(model: &Model) -> (String, Vec<u8>) {
    let bytes = model.to_bytes().unwrap();
    let (length, _) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header.as_object_mut().unwrap().remove("__metadata__");
    let list = serde_json::to_string(&header).unwrap();
    (list[1..list.len() - 1].to_string(), bytes[8 + length..].to_vec())
}

#[test]
fn windows_that_do_not_fit_are_named() {
    let graph = |window: Window| {
        let mut graph = chain(
            &[1, 4, 4],
            vec![
                ("pool", Op::Pool { pool: PoolKind::Sum, window }),
                ("flat", Op::Flatten),
                ("fc", Op::Linear { features: 1, bias: false }),
            ],
        );
        graph.nodes.retain(|node| node.name != "none");
        graph
    };
    let of = |kernel: usize, stride: usize, padding: usize| {
        graph(Window {
            kernel: vec![kernel; 2],
            stride: vec![stride; 2],
            padding: vec![padding; 2],
        })
        .resolve()
    };
    assert!(of(2, 2, 0).is_ok());
    let most = usize::MAX;
    for (kernel, stride, padding) in [
        (0, 1, 0),
        (2, 0, 0),
        (2, 1, 2),
        (2, 1, most),
        (most, 1, 0),
        (most, most, most / 2),
        (5, 1, 0),
        (1 << 28, 1, 1 << 27),
        (2, most, 1),
    ] {
        let message = of(kernel, stride, padding).expect_err("resolved").to_string();
        assert!(message.contains("node `pool`"), "{kernel} {stride} {padding}: {message}");
    }
    let ragged = Window { kernel: vec![2, 2], stride: vec![2], padding: vec![0, 0] };
    assert!(graph(ragged).resolve().unwrap_err().to_string().contains("node `pool`"));
}

/// Names and inputs are looked up, not searched for: the time grows with the size of the file.
#[test]
fn ten_thousand_synapses_and_sites_load_in_time() {
    use snn_ir::{Code, Form, Lif, Site};
    let mut graph = Graph::default();
    let mut last = graph.push("image", Op::Input { shape: vec![2] }, &[]);
    let mut weights = snn_ir::Weights::new();
    for index in 0..5_000 {
        let fc =
            graph.push(format!("fc{index}"), Op::Linear { features: 2, bias: false }, &[&last]);
        weights.insert(format!("{fc}.weight"), real(&[2, 2], &[1.0, 0.5, -0.5, 1.0]));
        last = if index == 4_999 {
            fc
        } else {
            let site = Op::Activation { site: Site::Lif(Lif::default()), code: Some(Code::Binary) };
            graph.push(format!("lif{index}"), site, &[&fc])
        };
    }
    graph.push("head", Op::TimeMean, &[&last]);
    let mut model = tiny::model(Form::Events, graph, 2, []);
    *model.weights_mut() = weights;
    let bytes = model.to_bytes().unwrap();
    let begin = Instant::now();
    assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
