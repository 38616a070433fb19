//! One file holds everything needed to run: a `.safetensors` file whose metadata carries the graph
//! as JSON. Any safetensors client can open it.

use crate::encode::Encoder;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Norm, Op};
use crate::model::conversion::ConversionOptions;
use crate::model::weights::{Tensor, Weights};
use crate::model::{Form, Framing, Model, Preprocessing, Signature, WeightSpec, weight_specs};
use crate::site::{FirstMembrane, Site};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensorError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;

/// Version of the format. A reader takes this version and every earlier one; a writer gives a file
/// the earliest version that says all of it: 1, 2 with an encoder or the options of a conversion,
/// or 3 with operations or attributes that readers of version 2 do not know: nodes that say how
/// their weights begin or that they are frozen, a norm without scale or with a momentum, padding of
/// each side, a first membrane, delays, heads other than the mean, dropout, masks, channel sums,
/// the framing of recordings.
pub const VERSION: u32 = 3;
/// The largest header (graph and list of weights) a file may have, in bytes; a limit for
/// untrusted files. JSON takes up to fifty times its size while it is read.
pub const MAX_HEADER_BYTES: u64 = 1 << 24;
/// The most bytes all weights of a file may have together; a limit for untrusted files, as a
/// sparse file of terabytes costs its sender nothing.
pub const MAX_WEIGHT_BYTES: u64 = 1 << 34;
/// The one key of the safetensors metadata that this format uses.
const METADATA_KEY: &str = "snn";
/// Length at which a message about a file is cut.
const MAX_MESSAGE_BYTES: usize = 500;
/// Bytes before the header: its length.
const LENGTH_BYTES: u64 = 8;

#[derive(Serialize, Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    version: u32,
    form: Form,
    time_steps: usize,
    preprocessing: Cow<'a, Preprocessing>,
    /// Absent for `direct`.
    #[serde(default = "direct", skip_serializing_if = "is_direct")]
    encoder: Encoder,
    /// Absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    framing: Option<Framing>,
    classes: Cow<'a, [String]>,
    graph: Cow<'a, Graph>,
    /// Absent in files that were written before options were stored, and in trained models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversion: Option<Cow<'a, ConversionOptions>>,
}

fn direct() -> Encoder {
    Encoder::Direct
}

fn is_direct(encoder: &Encoder) -> bool {
    *encoder == Encoder::Direct
}

impl Model {
    /// Reads and validates a model file.
    ///
    /// Memory is bounded by the file: what its header says is checked against the file's size, and
    /// every weight's type and shape against the graph, before room for weights is made.
    ///
    /// # Errors
    /// The file cannot be read, is not a model, is of a later version, or does not validate; the
    /// message names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, length) = open(path)?;
        read(file, length).map_err(|error| named(path, &error.to_string()))
    }

    /// Reads and validates a model from the bytes of a file.
    ///
    /// # Errors
    /// As [`Model::load`], without the name of the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        read(bytes, bytes.len() as u64)
    }

    /// The bytes of a model file; equal models give equal bytes.
    ///
    /// # Errors
    /// The model is not valid.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.validate()?;
        let header = Header {
            version: self.version(),
            form: self.form(),
            time_steps: self.time_steps(),
            preprocessing: Cow::Borrowed(self.preprocessing()),
            encoder: self.encoder(),
            framing: self.framing(),
            classes: Cow::Borrowed(self.classes()),
            graph: Cow::Borrowed(self.graph()),
            conversion: self.conversion().map(Cow::Borrowed),
        };
        let json = serde_json::to_string(&header).map_err(|e| Error::Graph(e.to_string()))?;
        let raw: Vec<(&str, Dtype, &[usize], Vec<u8>)> =
            self.weights().iter().map(|(name, t)| raw(name, t)).collect();
        let views = raw
            .iter()
            .map(|(name, dtype, shape, data)| {
                Ok((*name, TensorView::new(*dtype, shape.to_vec(), data)?))
            })
            .collect::<std::result::Result<Vec<_>, SafeTensorError>>()
            .map_err(|e| Error::Graph(e.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|e| Error::Graph(e.to_string()))?;
        let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        let weights = bytes.len() as u64 - LENGTH_BYTES - header;
        if header > MAX_HEADER_BYTES || weights > MAX_WEIGHT_BYTES {
            return Err(Error::Graph(format!(
                "a file holds {MAX_HEADER_BYTES} bytes of graph and {MAX_WEIGHT_BYTES} bytes of \
                 weights at most, not {header} and {weights}"
            )));
        }
        Ok(bytes)
    }

    /// The earliest version that says all of it.
    fn version(&self) -> u32 {
        if self.framing().is_some() || self.graph().nodes.iter().any(is_of_version_3) {
            3
        } else if self.encoder() != Encoder::Direct || self.conversion().is_some() {
            2
        } else {
            1
        }
    }

    /// Writes a model file: all of it under its name, or nothing.
    ///
    /// # Errors
    /// The model is not valid or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path.as_ref(), &self.to_bytes()?)
    }
}

/// `true` for a node that readers of version 2 do not know.
fn is_of_version_3(node: &Node) -> bool {
    let newer = match &node.op {
        Op::BatchNorm(norm) => *norm != Norm::with_eps(norm.eps),
        Op::Conv(conv) => conv.padding.len() > conv.kernel.len(),
        Op::Pool { window, .. } => window.padding.len() > window.kernel.len(),
        Op::Activation { site: Site::Lif(lif), .. } => lif.initial != FirstMembrane::Rest,
        Op::Activation { site: Site::GridLif(lif), .. } => lif.initial,
        Op::TimeLast
        | Op::TimeMax
        | Op::Dropout { .. }
        | Op::DropPath { .. }
        | Op::Delay { .. }
        | Op::ChannelSum { .. }
        | Op::Mask { .. } => true,
        Op::Input { .. }
        | Op::Linear { .. }
        | Op::Scale
        | Op::GlobalPool { .. }
        | Op::Flatten
        | Op::Add
        | Op::Concat
        | Op::Activation { .. }
        | Op::TimeMean => false,
    };
    newer || node.initial.is_some() || node.frozen
}

/// Writes to a temporary file in the same folder, flushes it to the disk, renames it and flushes
/// the folder: after a power cut there is the old file or the new one.
///
/// # Errors
/// The folder or file cannot be written; the message names the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(named)?;
    file.write_all(bytes).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    // Temporary files are private; a model is as readable as any file its owner makes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(named)?;
    }
    file.persist(path).map_err(|e| named(e.error))?;
    // The rename itself must reach the disk too, or a power cut brings the old file back.
    #[cfg(unix)]
    match fs_err::File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if !cannot_be_synced(&error) => return Err(named(error).into()),
        _ => {}
    }
    Ok(())
}

/// `true` for the errors of folders that no program can sync: of file systems that know no such
/// thing (`EINVAL`, `ENOTSUP`), and where entries may be made but not listed (`EACCES`). The file
/// itself is on the disk then.
#[cfg(unix)]
fn cannot_be_synced(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
    )
}

/// An error of this file.
fn named(path: &Path, reason: &str) -> Error {
    Error::File { path: path.to_path_buf(), reason: printable(reason, MAX_MESSAGE_BYTES) }
}

/// Opens a plain file and says how long it is.
fn open(path: &Path) -> Result<(fs_err::File, u64)> {
    // Before it is opened: to open a pipe waits for its writer, and a device has no end.
    let information = fs_err::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => named(path, "no such file"),
        _ => Error::Io(error),
    })?;
    if !information.is_file() {
        return Err(named(path, "not a plain file"));
    }
    Ok((fs_err::File::open(path)?, information.len()))
}

/// All bytes of a plain file of at most `limit` bytes.
pub(crate) fn read_plain(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    if length > limit {
        return Err(named(path, &format!("expected at most {limit} bytes, found {length}")));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Signature {
    /// Reads the signature of a model file and not its weights; the graph is checked, and that the
    /// list of weights fits it.
    ///
    /// # Errors
    /// As [`Model::load`], but for the values of weights.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, length) = open(path)?;
        begin(&mut file, length)
            .map(|(signature, _)| signature)
            .map_err(|error| named(path, &error.to_string()))
    }
}

/// Reads a file of `length` bytes.
fn read(mut source: impl Read, length: u64) -> Result<Model> {
    let (signature, list) = begin(&mut source, length)?;
    let mut weights = Weights::new();
    // Weights follow each other without a gap, or the list would not have been read.
    for name in list.offset_keys() {
        if let Some(info) = list.info(&name) {
            let tensor = tensor(&name, info, &mut source)?;
            weights.insert(name, tensor);
        }
    }
    let model = Model::new(signature, weights);
    model.validate()?;
    Ok(model)
}

/// Reads what stands before the weights: the signature, and the list of weights, which fits it.
fn begin(source: &mut impl Read, length: u64) -> Result<(Signature, Metadata)> {
    let foreign = |reason: String| Error::Bytes(format!("not a safetensors file: {reason}"));
    let mut size = [0; 8];
    if length < LENGTH_BYTES {
        return Err(foreign(format!("it has {length} bytes")));
    }
    source.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    let after = length - LENGTH_BYTES;
    if size > after.min(MAX_HEADER_BYTES) {
        return Err(foreign(format!(
            "a header of {size} bytes in a file of {length} (at most {MAX_HEADER_BYTES} are read)"
        )));
    }
    let list: Metadata =
        serde_json::from_slice(&bytes(source, size)?).map_err(|e| foreign(e.to_string()))?;
    let found = after - size;
    let claimed = list.data_len() as u64;
    if found < claimed {
        return Err(Error::Bytes(format!(
            "truncated: its header lists {claimed} bytes of weights, found {found}"
        )));
    }
    if found > claimed {
        return Err(foreign(format!("its header lists {claimed} bytes of weights, found {found}")));
    }
    if found > MAX_WEIGHT_BYTES {
        return Err(Error::Graph(format!(
            "expected at most {MAX_WEIGHT_BYTES} bytes of weights, found {found}"
        )));
    }
    let header = header(&list)?;
    let graph = header.graph.into_owned();
    check_list(&graph, header.form, &list)?;
    let preprocessing = header.preprocessing.into_owned();
    let mut signature = Signature::new(header.form, graph, header.time_steps, preprocessing)
        .with_encoder(header.encoder)
        .with_framing(header.framing)
        .with_classes(header.classes.into_owned());
    signature.conversion = header.conversion.map(Cow::into_owned);
    Ok((signature, list))
}

/// Parses the metadata of a file.
fn header(list: &Metadata) -> Result<Header<'static>> {
    let fail = |reason: String| Error::Graph(reason);
    let json = list.metadata().as_ref().and_then(|m| m.get(METADATA_KEY)).ok_or_else(|| {
        fail(format!(
            "a safetensors file without the metadata `{METADATA_KEY}`, so not a model of \
                      this project"
        ))
    })?;
    let wrong = |e: serde_json::Error| fail(format!("metadata `{METADATA_KEY}`: {e}"));
    let version: Version = serde_json::from_str(json).map_err(wrong)?;
    if version.version == 0 || version.version > VERSION {
        return Err(fail(format!(
            "format version {} (this build reads 1 to {VERSION})",
            version.version
        )));
    }
    serde_json::from_str(json).map_err(wrong)
}

/// Checks names, types and shapes of the listed weights against the graph, before any of them is
/// read.
fn check_list(graph: &Graph, form: Form, list: &Metadata) -> Result<()> {
    let specs = weight_specs(graph, &graph.resolve()?, form)?;
    let known: HashMap<&str, &WeightSpec> =
        specs.iter().map(|spec| (spec.name.as_str(), spec)).collect();
    for name in list.offset_keys() {
        let (Some(spec), Some(info)) = (known.get(name.as_str()), list.info(&name)) else {
            return Err(Error::UnexpectedWeight { name });
        };
        spec.check(element(&name, info.dtype)?, &info.shape)?;
    }
    match specs.iter().find(|spec| list.info(&spec.name).is_none()) {
        Some(spec) => Err(spec.missing()),
        None => Ok(()),
    }
}

/// Name of an element type, where it is one of ours.
fn element(name: &str, dtype: Dtype) -> Result<&'static str> {
    match dtype {
        Dtype::F32 => Ok("f32"),
        Dtype::F64 => Ok("f64"),
        Dtype::I8 => Ok("i8"),
        Dtype::I32 => Ok("i32"),
        other => Err(Error::Weight {
            name: name.into(),
            expected: "f32, f64, i8 or i32".into(),
            found: format!("{other:?}"),
        }),
    }
}

/// Reads the values of one weight.
fn tensor(name: &str, info: &TensorInfo, source: &mut impl Read) -> Result<Tensor> {
    let (begin, end) = info.data_offsets;
    let data = bytes(source, end.saturating_sub(begin) as u64)?;
    let shape = IxDyn(&info.shape);
    let fail = |found: String| Error::Weight {
        name: name.into(),
        expected: "f32, f64, i8 or i32 values of its shape".into(),
        found,
    };
    let shaped = |e: ndarray::ShapeError| fail(e.to_string());
    Ok(match info.dtype {
        Dtype::F32 => Tensor::F32(
            ArrayD::from_shape_vec(shape, words(&data).map(f32::from_le_bytes).collect())
                .map_err(shaped)?,
        ),
        Dtype::F64 => Tensor::F64(
            ArrayD::from_shape_vec(shape, words(&data).map(f64::from_le_bytes).collect())
                .map_err(shaped)?,
        ),
        Dtype::I32 => Tensor::I32(
            ArrayD::from_shape_vec(shape, words(&data).map(i32::from_le_bytes).collect())
                .map_err(shaped)?,
        ),
        Dtype::I8 => Tensor::I8(
            ArrayD::from_shape_vec(shape, words(&data).map(i8::from_le_bytes).collect())
                .map_err(shaped)?,
        ),
        other => return Err(fail(format!("{other:?}"))),
    })
}

/// The next `count` bytes; refused, not aborted, where there is no room for them.
fn bytes(source: &mut impl Read, count: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = usize::try_from(count).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(length).map_err(|e| Error::Graph(format!("{count} bytes: {e}")))?;
    bytes.resize(length, 0);
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A message that fits on a screen, cut off behind about so many bytes and with control characters
/// escaped: what it quotes of a file may be megabytes long, or written for a terminal to obey.
pub fn printable(message: &str, bytes: usize) -> String {
    let mut text = String::new();
    for character in message.chars() {
        if text.len() >= bytes {
            return text + "…";
        }
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

fn raw<'t>(name: &'t str, tensor: &'t Tensor) -> (&'t str, Dtype, &'t [usize], Vec<u8>) {
    let (dtype, data) = match tensor {
        Tensor::F32(a) => (Dtype::F32, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Tensor::F64(a) => (Dtype::F64, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Tensor::I8(a) => (Dtype::I8, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Tensor::I32(a) => (Dtype::I32, a.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    (name, dtype, tensor.shape(), data)
}

#[cfg(all(test, unix))]
mod tests {
    use super::cannot_be_synced;
    use std::io::{Error, ErrorKind};

    #[test]
    fn only_folders_that_no_program_can_sync_are_excused() {
        for kind in [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::PermissionDenied] {
            assert!(cannot_be_synced(&Error::from(kind)), "{kind}");
        }
        // ENOTSUP is spelled EOPNOTSUPP on Linux: 95; EINVAL is 22 and EACCES 13 everywhere.
        #[cfg(target_os = "linux")]
        assert!([13, 22, 95].map(Error::from_raw_os_error).iter().all(cannot_be_synced));
        for kind in [ErrorKind::StorageFull, ErrorKind::NotFound, ErrorKind::Other] {
            assert!(!cannot_be_synced(&Error::from(kind)), "{kind}");
        }
    }
}
