//! Files that nobody vouches for: one error that names the file, and never a panic.

#[path = "../../../../../fuzz/checks/state_dicts.rs"]
mod check;

use super::files::load;
use super::written::{Item, STORED, archive, one, pickle, text};
use proptest::prelude::*;
use snn_exchange::state_dict::StateDict;
use snn_test_support::corpus::{mutate, replay};
use snn_test_support::golden;
use zip::CompressionMethod;

fn fixture(name: &str) -> Vec<u8> {
    golden::bytes(&format!("state_dicts/{name}"))
}

fn read(bytes: Vec<u8>) -> Result<StateDict, String> {
    StateDict::from_bytes(bytes, "model.pt", None).map_err(|error| {
        let message = error.to_string();
        assert!(message.starts_with("model.pt: "), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    })
}

fn refused(bytes: Vec<u8>) -> String {
    read(bytes).unwrap_err()
}

/// All values of all tensors.
fn values(state: &StateDict) -> usize {
    state.tensors().map(|(_, tensor)| tensor.to_f64().unwrap().len()).sum()
}

#[test]
fn corpus() {
    replay("state_dicts", check::check);
    mutate("state_dicts", check::check);
}

#[test]
fn files_cut_anywhere_are_refused() {
    for name in ["kinds.pt", "kinds.legacy.pt", "kinds.safetensors", "checkpoint.pt", "calls.pt"] {
        let whole = fixture(name);
        for length in 0..whole.len() {
            refused(whole[..length].to_vec());
        }
    }
}

/// The pickle of a dictionary with one tensor.
fn pickled(name: &str, count: u32, shape: &[u32], strides: &[u32], offset: u32) -> Vec<u8> {
    pickle(&Item::Dictionary(&[(name, Item::Tensor { count, shape, strides, offset })]))
}

#[test]
fn the_made_archive_is_read() {
    let state = read(one(&pickled("a.weight", 4, &[2, 2], &[1, 2], 0), &[0; 16])).unwrap();
    assert_eq!(values(&state), 4);
}

#[test]
fn sizes_are_bounded_by_the_file() {
    let four = [0; 16];
    for (pickle, expected) in [
        // A tensor larger than its storage, one outside of it, one repeated by strides of 0.
        (pickled("a.weight", 4, &[5], &[1], 0), "inside a storage of 4"),
        (pickled("a.weight", 4, &[4], &[1], 1), "inside a storage of 4"),
        (pickled("a.weight", 4, &[2, 2], &[1 << 30, 1], 0), "inside a storage of 4"),
        (pickled("a.weight", 4, &[5], &[0], 0), "strides of 0"),
        (pickled("a.weight", 4, &[1 << 30, 1 << 30, 1 << 30], &[0, 0, 0], 0), "fits in memory"),
        (pickled("a.weight", 4, &[1 << 30], &[0], 0), "at most 4 times"),
        (pickled("a.weight", 4, &[4], &[1, 1], 0), "a stride for each"),
        (pickled("a.weight", 1 << 30, &[4], &[1], 0), "expected 4294967296 bytes, found 16"),
        (pickled("a.weight", u32::MAX, &[4], &[1], 0), "a tensor of storage"),
        (pickled("a.weight", 4, &[u32::MAX], &[1], 0), "a tensor of storage"),
        (pickled("a.weight", 4, &[4], &[u32::MAX], 0), "a tensor of storage"),
        (pickled("a.weight", 4, &[4], &[1], u32::MAX), "a tensor of storage"),
        (pickled("a.weight", 4, &[1; 17], &[1; 17], 0), "at most 16 axes"),
        (pickled("a", 4, &[4], &[1], 0), "expected a state dict"),
    ] {
        let message = refused(one(&pickle, &four));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn archives_are_not_unpacked() {
    let deflated = CompressionMethod::Deflated;
    let pickle = pickled("a.weight", 1 << 20, &[1 << 20], &[1], 0);
    let bomb = archive(&[("data.pkl", &pickle, STORED), ("data/0", &vec![0; 4 << 20], deflated)]);
    assert!(bomb.len() < 1 << 14);
    let message = refused(bomb);
    assert!(message.contains("at most 4 times"), "{message}");
    let pickle = pickled("a.weight", 64, &[64], &[1], 0);
    for methods in [[STORED, deflated], [deflated, STORED]] {
        let entries = [("data.pkl", &pickle[..], methods[0]), ("data/0", &[0; 256], methods[1])];
        let message = refused(archive(&entries));
        assert!(message.contains("expected stored bytes, as torch.save writes them"), "{message}");
    }
    // The size of a stored entry in the directory, made 2 GiB.
    let mut bytes = one(&pickled("a.weight", 4, &[4], &[1], 0), &[0; 16]);
    let directory = find(&bytes, b"PK\x01\x02", 1);
    bytes[directory + 20..directory + 28].copy_from_slice(&[0, 0, 0, 0x7f, 0, 0, 0, 0x7f]);
    let message = refused(bytes);
    assert!(message.contains("overlap") || message.contains("zip archive"), "{message}");
}

/// The place of the `nth` of these bytes.
fn find(bytes: &[u8], wanted: &[u8], nth: usize) -> usize {
    let places = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(wanted));
    places.into_iter().nth(nth).unwrap()
}

#[test]
fn entries_do_not_share_bytes() {
    let pickle = pickled("a.weight", 4, &[4], &[1], 0);
    let mut bytes = archive(&[
        ("data.pkl", &pickle, STORED),
        ("data/0", &[0; 16], STORED),
        ("data/1", &[0; 16], STORED),
    ]);
    // The header of the third entry becomes that of the second.
    let [second, third] = [1, 2].map(|nth| find(&bytes, b"PK\x01\x02", nth) + 42);
    bytes.copy_within(second..second + 4, third);
    let message = refused(bytes);
    assert!(message.contains("do not overlap"), "{message}");
}

#[test]
fn damage_is_found_by_the_checksum() {
    let mut bytes = one(&pickled("a.weight", 4, &[4], &[1], 0), b"these are values");
    let at = find(&bytes, b"these", 0);
    bytes[at] ^= 1;
    let message = refused(bytes);
    assert!(message.contains("the file is damaged"), "{message}");
}

#[test]
fn other_kinds_are_named() {
    let pickle = pickled("a.weight", 4, &[4], &[1], 0);
    let data = [0; 16];
    for (entries, expected) in [
        (
            vec![("data.pkl", &pickle[..], STORED), ("byteorder", b"big", STORED)],
            "byte order `big`",
        ),
        (vec![("data.pkl", &pickle, STORED), ("constants.pkl", &data, STORED)], "TorchScript"),
        (vec![("weights", &data, STORED)], "without `NAME/data.pkl`"),
        (vec![("data.pkl", &pickle, STORED)], "expected an entry `model/data/0`, found none"),
    ] {
        let message = refused(archive(&entries));
        assert!(message.contains(expected), "{message}");
    }
    for (bytes, expected) in [
        (&b"\x89PNG\r\n"[..], "found neither"),
        (b"\x80\x04}.", "a pickle without tensors"),
        (b"\x80\x02cposix\nsystem\nX\x02\0\0\0ls\x85R.", "the object os.system"),
        (b"\x80\x02cbuiltins\neval\n.", "the object builtins.eval"),
        (b"\x80\x02ctorch\nload\n.", "the object torch.load"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "the object os.system"),
        (b"\x80\x02K\x01)\x81.", "byte 5: expected an instruction"),
        (b"\x80\x02K\x01\x85R.", "expected 2 values on the stack"),
        (b"\x80\x02K\x01K\x01R.", "a name and a tuple"),
        (b"\x80\x02h\x05.", "that was filled, found 5"),
        (b"\x80\x02X\xff\xff\xff\x7f.", "expected a text of 2147483647 bytes"),
        (b"\x80\x06.", "protocol 2 to 5"),
    ] {
        let message = refused(bytes.to_vec());
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn big_endian_files_of_the_older_format_are_refused() {
    let mut bytes = fixture("kinds.legacy.pt");
    let at = find(&bytes, b"little_endian", 0) + 15;
    assert_eq!(bytes[at], 0x88);
    bytes[at] = 0x89;
    let message = refused(bytes);
    assert!(message.contains("found big-endian"), "{message}");
}

#[test]
fn pickles_that_refer_to_themselves_end() {
    // A dictionary in itself, and a hundred that hold the next one twice.
    let mut nested = b"\x80\x02}q\0".to_vec();
    nested.extend(b"X\x01\0\0\0ah\0s.");
    let message = refused(archive(&[("data.pkl", &nested, STORED)]));
    assert!(message.contains("expected a state dict"), "{message}");
    let mut twice = b"\x80\x02}q\0".to_vec();
    for _ in 0..100 {
        twice.extend(b"}q\x01(X\x01\0\0\0ah\0X\x01\0\0\0bh\0uq\0");
    }
    twice.push(b'.');
    let message = refused(archive(&[("data.pkl", &twice, STORED)]));
    assert!(message.contains("expected a state dict"), "{message}");
    let mut deep = b"\x80\x02".to_vec();
    deep.push(b')');
    deep.extend(vec![0x85; 1 << 19]);
    deep.push(b'.');
    let message = refused(archive(&[("data.pkl", &deep, STORED)]));
    assert!(message.contains("expected a state dict"), "{message}");
    deep.pop();
    deep.extend(vec![0x85; 1 << 19]);
    deep.push(b'.');
    let message = refused(archive(&[("data.pkl", &deep, STORED)]));
    assert!(message.contains("at most 1048576 instructions"), "{message}");
}

#[test]
fn tensors_that_share_a_storage_are_bounded_together() {
    let view = |offset| Item::Tensor { count: 4096, shape: &[2048], strides: &[2], offset };
    let names: Vec<String> = (0..40).map(|place| format!("{place}.weight")).collect();
    let views = |count: usize| -> Vec<(&str, Item<'_>)> {
        let names = names.iter().take(count).enumerate();
        names
            .map(|(place, name)| (name.as_str(), view(u32::try_from(place % 2).unwrap())))
            .collect()
    };
    let state = read(one(&pickle(&Item::Dictionary(&views(2))), &[0; 1 << 14])).unwrap();
    assert_eq!(values(&state), 4096);
    let message = refused(one(&pickle(&Item::Dictionary(&views(40))), &[0; 1 << 14]));
    assert!(message.contains("at most 4 times"), "{message}");
}

/// A pickle whose root is a dictionary of as many entries, each made by these instructions behind
/// its key, after others that fill the memo.
fn repeated(before: &[u8], entry: &[u8], count: u32) -> Vec<u8> {
    let mut bytes = [b"\x80\x02", before, b"}("].concat();
    for key in 0..count {
        text(&mut bytes, &key.to_string());
        bytes.extend(entry);
    }
    bytes.extend(b"u.");
    bytes
}

/// What is said once and meant many times takes time for once: each of these takes hours if it is
/// gone through for each entry.
#[test]
fn what_is_repeated_by_the_memo_costs_nothing() {
    let count = 100_000;
    // Dictionaries, each made of the same list of pairs.
    let mut before = b"ccollections\nOrderedDict\nq\0]q\x01(".to_vec();
    before.extend(b"X\x01\0\0\0aNX\x01\0\0\0bN\x86\x86\x86q\x02");
    before.extend(b"h\x02".repeat(300_000));
    before.extend(b"eh\x01\x85q\x03");
    let message =
        refused(archive(&[("data.pkl", &repeated(&before, b"h\0h\x03R", count), STORED)]));
    assert!(message.contains("more entries than the pickle has bytes"), "{message}");
    // One tensor of very many axes.
    let mut before = b"ctorch._utils\n_rebuild_tensor_v2\nq\0((".to_vec();
    text(&mut before, "storage");
    before.extend(b"ctorch\nFloatStorage\n");
    text(&mut before, "0");
    text(&mut before, "cpu");
    before.extend(b"K\x04tQK\0(K\x01q\x05");
    before.extend(b"h\x05".repeat(300_000));
    before.extend(b"tq\x06h\x06tq\x07");
    let pickle = repeated(&before, b"h\0h\x07R", count);
    let pickle = [&pickle[..pickle.len() - 2], b"X\x06\0\0\0weighth\0h\x07Ru."].concat();
    let message = refused(one(&pickle, &[0; 16]));
    assert!(message.contains("at most 16 axes"), "{message}");
    // A long key.
    let mut before = Vec::new();
    text(&mut before, &"k".repeat(1 << 24));
    before.extend(b"q\0");
    let entry = [&b"0h\0}"[..]].concat();
    let message = refused(archive(&[("data.pkl", &repeated(&before, &entry, count), STORED)]));
    assert!(message.contains("expected a state dict"), "{message}");
}

#[test]
fn what_is_no_file_is_refused() {
    let message = load("nothing.pt", None).unwrap_err().to_string();
    assert!(message.ends_with("nothing.pt: no such file"), "{message}");
    let message = load("", None).unwrap_err().to_string();
    assert!(message.ends_with("not a plain file"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_never_panic(
        file in 0_usize..6,
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
    ) {
        let name = ["kinds.pt", "kinds.legacy.pt", "kinds.safetensors", "checkpoint.pt", "two.pt",
            "no-checksum.pt"][file];
        let mut bytes = fixture(name);
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        if let Ok(state) = read(bytes.clone()) {
            // No more than the file allows.
            prop_assert!(values(&state) <= 4 * bytes.len());
        }
    }
}
