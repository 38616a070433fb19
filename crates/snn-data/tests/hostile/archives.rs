//! Archives: unpacked without end, and names that lead elsewhere.

use super::texts::gestures;
use super::{
    MIB, aedat2, archive, corpus, dvs_zip, events, frames, golden, gzip, idx_bytes, idx_gzip,
    imagenet_tar, info, npy, refused, tar, zip,
};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use snn_data::pictures::Pictures;
use snn_data::{Result, Split};
use std::fs;
use std::io::Write as _;
use std::path::Path;

#[test]
fn archives_that_unpack_without_end_are_stopped() {
    let zeros = vec![0; 96 * MIB];
    // AEDAT 4: the header of a packed recording, and one packet.
    let lz4 = {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(&zeros).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = ruzstd::encoding::compress_to_vec(
        zeros.as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    for (name, packed) in [("lz4", lz4), ("zstd", zstd)] {
        let corpus = corpus(&format!("events/aedat4-{name}-damaged"));
        let head = u32::from_le_bytes(*corpus[14..].first_chunk().unwrap()) as usize + 18;
        let size = i32::try_from(packed.len()).unwrap().to_le_bytes();
        let bytes = [&corpus[..head + 4], &size, &packed].concat();
        // 64 MiB are unpacked; a vector that grows has twice as much for a moment.
        refused(
            "x.aedat4",
            &bytes,
            events,
            200 * MIB,
            &["packet", "67108864 bytes at most", "found more"],
        );
    }

    // NumPy arrays: as many values as are allowed, and then more; a megabyte of events that a
    // kilobyte unpacks to.
    let many = npy("<i8", "65536,", &zeros[..]);
    let rest = npy("<i8", "65536,", &zeros[..8 << 16]);
    let arrays = [("t.npy", many.as_slice()), ("x.npy", &rest), ("y.npy", &rest), ("p.npy", &rest)];
    let bytes = zip(&arrays, zip::CompressionMethod::Deflated);
    refused(
        "x.npz",
        &bytes,
        events,
        3 * MIB,
        &["byte ", "expected 524288 bytes of values of `t`", "more bytes"],
    );
    let bytes =
        zip(&[("frames.npy", &npy("|u1", "1, 2, 4, 4", &zeros))], zip::CompressionMethod::Deflated);
    refused("frames.npz", &bytes, frames, MIB, &["32 bytes of values", "more bytes"]);

    // A recording in a zip archive, of more events than are taken, or than the list of the archive
    // says.
    let recording = [b"#!AER-DAT2.0\r\n".as_slice(), &zeros].concat();
    let bytes = zip(&[("a/x.aedat", &recording)], zip::CompressionMethod::Deflated);
    assert!(bytes.len() < MIB);
    let longer = {
        let mut bytes = bytes.clone();
        let list = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        bytes[list + 24..list + 28].copy_from_slice(&100_u32.to_le_bytes());
        bytes
    };
    refused(
        "airplane.zip",
        &longer,
        dvs_zip,
        2 * MIB,
        &["airplane.zip/a/x.aedat", "more bytes than the archive's list"],
    );

    // Gzip: what is expected is unpacked, and a byte more.
    let long = gzip(&[idx_bytes(), zeros.clone()].concat());
    refused("labels.gz", &long, idx_gzip, MIB, &["byte 24", "more bytes"]);
    refused(
        "labels.gz",
        &long,
        info,
        MIB,
        &["byte 24: values: expected 24 bytes for [3, 4], found more bytes"],
    );
    let bytes = gzip(&tar(&[(b"data_batch_1", &zeros)]));
    refused("cifar-10-python.tar.gz", &bytes, archive, MIB, &["data_batch_1", "found 100663296"]);
    refused("x.tar.gz", &gzip(&vec![7; 4 * MIB]), info, MIB, &["byte 0", "checksum of a header"]);

    // MATLAB: an element of more than 64 MiB.
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&zeros).unwrap();
    let element = zlib.finish().unwrap();
    let mut meta = golden("cifar/meta.mat")[..128].to_vec();
    meta.extend(
        [15_u32.to_le_bytes(), u32::try_from(element.len()).unwrap().to_le_bytes()].concat(),
    );
    meta.extend(element);
    refused(
        "meta.mat",
        &meta,
        meta_mat,
        200 * MIB,
        &["byte 128", "at most 67108864 bytes unpacked"],
    );
}

/// ImageNet's development kit with this file as its `meta.mat`.
fn meta_mat(path: &Path) -> Result<()> {
    let root = path.parent().unwrap();
    fs::create_dir_all(root.join("val")).unwrap();
    fs::write(root.join("val/ILSVRC2012_val_00000001.JPEG"), "").unwrap();
    fs::write(root.join("ILSVRC2012_validation_ground_truth.txt"), "1\n").unwrap();
    Pictures::imagenet(root, Split::Test).map(drop)
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../x.tar", "/etc/x.tar", "a/../../x.tar"] {
        let bytes = tar(&[(b"n0.tar", b""), (name.as_bytes(), b"")]);
        refused(
            "ILSVRC2012_img_train.tar",
            &bytes,
            imagenet_tar,
            MIB,
            &["byte 512", "name of a file", name],
        );
        let bytes = gzip(&tar(&[(b"n0.tar", b""), (name.as_bytes(), b"")]));
        refused(
            "cifar-10-python.tar.gz",
            &bytes,
            archive,
            MIB,
            &["byte 512", "name of a file", name],
        );
        let inner = tar(&[(name.replace("tar", "JPEG").as_bytes(), b"x")]);
        let bytes = tar(&[(b"n1.tar", &inner)]);
        refused(
            "ILSVRC2012_img_train.tar",
            &bytes,
            imagenet_tar,
            MIB,
            &["byte 512", "name of a file"],
        );
    }
    for name in ["../airplane/x.aedat", "/etc/x.aedat", "a/../../x.aedat"] {
        let bytes =
            zip(&[("a/y.aedat", &aedat2()), (name, &aedat2())], zip::CompressionMethod::Stored);
        refused(
            "airplane.zip",
            &bytes,
            dvs_zip,
            MIB,
            &["byte ", "inside the archive's folder", name],
        );
    }
    for name in ["../user01.aedat", "/etc/user01.aedat"] {
        refused(
            "trials_to_train.txt",
            format!("{name}\n").as_bytes(),
            gestures,
            MIB,
            &["in this folder", name],
        );
    }
}
