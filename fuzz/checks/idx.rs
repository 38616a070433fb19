//! IDX files, plain and as gzip.

use flate2::read::MultiGzDecoder;
use snn_data::read_idx;
use std::path::Path;

/// Requested sizes, by the first byte.
const SIZES: [&[usize]; 4] = [&[3], &[2, 2, 3], &[], &[0, 7]];

/// The first byte chooses the expected sizes; the rest is a file.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, content)) = data.split_first() else { return };
    let expected = SIZES[usize::from(choice) % SIZES.len()];
    for result in [
        read_idx(content, Path::new("file"), expected),
        read_idx(MultiGzDecoder::new(content), Path::new("file"), expected),
    ] {
        match result {
            Ok(values) => assert_eq!(values.len(), expected.iter().product::<usize>()),
            Err(error) => assert!(error.to_string().starts_with("`file`: byte "), "{error}"),
        }
    }
}
