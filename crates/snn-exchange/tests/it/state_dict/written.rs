//! Files of torch.save that tests write.

use std::io::Write as _;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

pub(crate) const STORED: CompressionMethod = CompressionMethod::Stored;

/// An object of a pickle.
pub(crate) enum Item<'a> {
    Dictionary(&'a [(&'a str, Item<'a>)]),
    /// A view of storage `0`, of so many f32.
    Tensor {
        count: u32,
        shape: &'a [u32],
        strides: &'a [u32],
        offset: u32,
    },
    Number(u32),
}

/// The pickle of an object.
pub(crate) fn pickle(item: &Item<'_>) -> Vec<u8> {
    let mut bytes = b"\x80\x02".to_vec();
    write(&mut bytes, item);
    bytes.push(b'.');
    bytes
}

pub(crate) fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, number: u32) {
    bytes.push(b'J');
    bytes.extend(number.to_le_bytes());
}

fn write(bytes: &mut Vec<u8>, item: &Item<'_>) {
    match item {
        Item::Number(value) => number(bytes, *value),
        Item::Dictionary(items) => {
            bytes.extend(b"}(");
            for (key, value) in *items {
                text(bytes, key);
                write(bytes, value);
            }
            bytes.push(b'u');
        }
        Item::Tensor { count, shape, strides, offset } => {
            bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            text(bytes, "storage");
            bytes.extend(b"ctorch\nFloatStorage\n");
            text(bytes, "0");
            text(bytes, "cpu");
            number(bytes, *count);
            bytes.extend(b"tQ");
            number(bytes, *offset);
            for sizes in [shape, strides] {
                bytes.push(b'(');
                for &size in *sizes {
                    number(bytes, size);
                }
                bytes.push(b't');
            }
            bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        }
    }
}

/// An archive of torch.save with these entries.
pub(crate) fn archive(entries: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes, method) in entries {
        let options = SimpleFileOptions::default().compression_method(*method);
        writer.start_file(format!("model/{name}"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An archive of a pickle and one storage.
pub(crate) fn one(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    archive(&[("data.pkl", pickle, STORED), ("data/0", storage, STORED)])
}
