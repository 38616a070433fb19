//! Model files.

#[path = "metadata.rs"]
mod metadata;

use snn_ir::Model;

/// Bytes as a file, and as the metadata of one.
pub(crate) fn check(data: &[u8]) {
    read(data);
    if let Some(file) = metadata::packed(data) {
        read(&file);
    }
}

fn read(file: &[u8]) {
    match Model::from_bytes(file) {
        Ok(model) => {
            let again = model.to_bytes().expect("what loads can be written");
            assert_eq!(Model::from_bytes(&again).expect("what is written loads"), model);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
