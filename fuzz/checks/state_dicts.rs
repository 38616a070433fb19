//! State dicts of PyTorch.

use snn_exchange::pixels::Normalisation;
use snn_exchange::state_dict::{ImportOptions, StateDict, import};
use std::io::{Cursor, Write as _};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Bytes of the storage of an archive that is packed here: 1,024 f32 of 1/2.
const STORAGE: usize = 4096;

/// The first byte chooses: `p` a pickle, which is packed into an archive here, so that it can be
/// changed without its checksum; else the rest is a file as it is.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, content)) = data.split_first() else { return };
    let bytes = if choice == b'p' { packed(content) } else { content.to_vec() };
    let size = bytes.len();
    let state = match StateDict::from_bytes(bytes, "file", None) {
        Ok(state) => state,
        Err(error) => return assert!(error.to_string().starts_with("file: "), "{error}"),
    };
    let values = |tensor: &snn_exchange::state_dict::StateTensor| {
        let values = tensor.to_f64().expect("a shape that was checked");
        assert_eq!(values.shape(), tensor.shape());
        values.len()
    };
    let values: usize = state.tensors().map(|(_, tensor)| values(tensor)).sum();
    assert!(values <= 4 * size, "{values} values of {size} bytes");
    match import(&state, &Normalisation::unit(1), &ImportOptions::default()) {
        Ok(imported) => {
            imported.model.validate().expect("what is read is valid");
            assert!(imported.report.is_complete());
            assert!(imported.report.matched.len() <= state.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn packed(pickle: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let storage = 0.5_f32.to_le_bytes().repeat(STORAGE / 4);
    for (name, bytes) in [("m/data.pkl", pickle), ("m/data/0", &storage)] {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        archive.start_file(name, stored).expect("memory");
        archive.write_all(bytes).expect("memory");
    }
    archive.finish().expect("memory").into_inner()
}
