//! ONNX in and out.

mod export;
mod external;
mod file;
mod fold;
mod import;
mod names;
mod proto;
mod report;
mod tensor;

pub use report::{Became, Entry, Report};

/// A network of a file of ONNX, and what became of each of its nodes.
pub type Imported = crate::Imported<Report>;

use crate::pixels::Normalisation;
use crate::{Error, Result};
use external::External;
use file::Source;
use import::Importer;
use prost::bytes::Bytes;
use snn_ir::{Model, write_atomically};
use std::path::Path;

/// The largest file that is read: a message of protocol buffers cannot be larger.
pub const MAX_FILE_BYTES: u64 = 1 << 31;

/// What a file of ONNX does not say.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Options {
    /// `m` of the normalisation `x = (p/255 − m)/s` with which the network reads pixels p of 0 to
    /// 255: one value, or one for each channel. Without it 0, as the image that torchvision's
    /// `ToTensor` makes. A normalisation that is part of the graph comes on top.
    pub mean: Option<Vec<f64>>,
    /// `s` of it: one value, or one for each channel. Without it 1.
    pub std: Option<Vec<f64>>,
    /// What stands in the place of both where neither is given: the normalisation of the data that
    /// the network was trained on. A network that reads bytes does not ask for it.
    pub usual: Option<Normalisation>,
    /// Shape of one sample, `[C, H, W]`, `[C, L]` or `[F]`, where the file leaves it open.
    pub shape: Option<Vec<usize>>,
    /// What stands in its place where it is not given and the file leaves it open: the shape of the
    /// data that the network was trained on.
    pub usual_shape: Option<Vec<usize>>,
    /// Output to take, of a network of several.
    pub output: Option<String>,
    /// Names of the classes, in the order of the logits; may be empty.
    pub classes: Vec<String>,
    /// Whether means are rounded to integers in pixel terms at once, as a network must have them
    /// that is converted or trained on without [`quantise`](snn_reparam::quantise) between; exact
    /// but at a border of zero padding.
    pub round_means: bool,
}

/// Reads a network of a file: a CNN in the form `trained`, at T = 1, whose sites are ReLUs.
///
/// Values of tensors may lie in files of their own in the model's folder or below it.
///
/// # Errors
/// The file is not there, damaged or too large; an option does not fit; or nodes that cannot be
/// taken over, all of them by name and operator.
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Imported> {
    let path = path.as_ref();
    let named = |reason: String| Error::File { path: path.into(), reason };
    let metadata = std::fs::metadata(path).map_err(|error| named(error.to_string()))?;
    if !metadata.is_file() {
        return Err(named("not a plain file".into()));
    }
    if metadata.len() > MAX_FILE_BYTES {
        let found = metadata.len();
        return Err(named(format!("expected at most {MAX_FILE_BYTES} bytes, found {found}")));
    }
    let bytes = fs_err::read(path)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    import(bytes.into(), External::of(folder), options).map_err(|error| match error {
        Error::Bytes(reason) => named(reason),
        other => other,
    })
}

/// As [`read`], of a file's bytes; values of tensors must be in them.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Imported> {
    import(Bytes::copy_from_slice(bytes), External::default(), options)
}

fn import(bytes: Bytes, external: External, options: &Options) -> Result<Imported> {
    let source = Source::read(bytes, options.output.as_deref())?;
    Importer::run(&source, external, options)
}

/// Writes a network as a dense graph of ONNX, whose macro-steps stand one after another. Its input
/// is raw pixels, `image` `[N, …]` of u8, or, where the model has an encoder, `frames`
/// `[T, N, …]`; the batch is free.
///
/// A network on the grid yields `scores`, int64 `[N, classes]`: the integers of every interpreter,
/// bit for bit, and `logits`, f64, what [`Signature::logits`](snn_ir::Signature::logits) makes of
/// them. A network of the form `trained` yields `logits` in f32.
///
/// # Errors
/// The model is not valid or of another form; a node has no counterpart; the file cannot be
/// written.
pub fn write(model: &Model, path: impl AsRef<Path>) -> Result<()> {
    Ok(write_atomically(path.as_ref(), &to_bytes(model)?)?)
}

/// As [`write()`], the bytes of the file.
///
/// # Errors
/// As [`write()`].
pub fn to_bytes(model: &Model) -> Result<Vec<u8>> {
    export::to_bytes(model)
}
