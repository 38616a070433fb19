//! One file holds everything needed to run: a `.safetensors` file whose metadata carries the graph as JSON. Any safetensors client can open it.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::model::{Form, Model, Preprocessing};
use crate::weights::{Tensor, Weights};
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Version of the format. A reader takes this version and every earlier one.
pub const VERSION: u32 = 1;
/// The one key of the safetensors metadata that this format uses.
const METADATA_KEY: &str = "snn";

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
    classes: Cow<'a, [String]>,
    graph: Cow<'a, Graph>,
}

impl Model {
    /// Reads and validates a model file.
    ///
    /// # Errors
    /// The file cannot be read, is not a model, is of a later version, or does not validate; the message names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs_err::read(path)?;
        Self::from_bytes(&bytes).map_err(|error| Error::File { path: path.to_path_buf(), reason: error.to_string() })
    }

    /// Reads and validates a model from the bytes of a file.
    ///
    /// # Errors
    /// As [`Model::load`], without the name of the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let fail = |reason: String| Error::Graph(reason);
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|e| fail(format!("not a safetensors file: {e}")))?;
        let json = metadata.metadata().as_ref().and_then(|m| m.get(METADATA_KEY)).ok_or_else(|| {
            fail(format!("a safetensors file without the metadata `{METADATA_KEY}`, so not a model of this project"))
        })?;
        let version: Version =
            serde_json::from_str(json).map_err(|e| fail(format!("metadata `{METADATA_KEY}`: {e}")))?;
        if version.version == 0 || version.version > VERSION {
            return Err(fail(format!("format version {} (this build reads 1 to {VERSION})", version.version)));
        }
        let header: Header<'_> =
            serde_json::from_str(json).map_err(|e| fail(format!("metadata `{METADATA_KEY}`: {e}")))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| fail(format!("not a safetensors file: {e}")))?;
        let mut weights = Weights::new();
        for (name, view) in file.tensors() {
            let tensor = tensor(&name, &view)?;
            weights.insert(name, tensor);
        }
        let model = Model {
            form: header.form,
            graph: header.graph.into_owned(),
            weights,
            time_steps: header.time_steps,
            preprocessing: header.preprocessing.into_owned(),
            classes: header.classes.into_owned(),
        };
        model.validate()?;
        Ok(model)
    }

    /// The bytes of a model file; equal models give equal bytes.
    ///
    /// # Errors
    /// The model is not valid.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.validate()?;
        let header = Header {
            version: VERSION,
            form: self.form,
            time_steps: self.time_steps,
            preprocessing: Cow::Borrowed(&self.preprocessing),
            classes: Cow::Borrowed(&self.classes),
            graph: Cow::Borrowed(&self.graph),
        };
        let json = serde_json::to_string(&header).map_err(|e| Error::Graph(e.to_string()))?;
        let raw: Vec<(&str, Dtype, &[usize], Vec<u8>)> = self.weights.iter().map(|(name, t)| raw(name, t)).collect();
        let views = raw
            .iter()
            .map(|(name, dtype, shape, data)| Ok((*name, TensorView::new(*dtype, shape.to_vec(), data)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| Error::Graph(e.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| Error::Graph(e.to_string()))
    }

    /// Writes a model file: all of it under its name, or nothing.
    ///
    /// # Errors
    /// The model is not valid or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path.as_ref(), &self.to_bytes()?)
    }
}

/// Writes to a temporary file in the same folder, flushes it to the disk, and renames it.
///
/// # Errors
/// The folder or file cannot be written; the message names the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let named =
        |error: std::io::Error| std::io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(named)?;
    file.write_all(bytes).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    // Temporary files are private; a model is as readable as any file its owner makes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(named)?;
    }
    file.persist(path).map_err(|e| named(e.error))?;
    Ok(())
}

fn tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor> {
    let shape = IxDyn(view.shape());
    let data = view.data();
    let fail = |found: String| Error::Weight {
        name: name.into(),
        expected: "f32, f64, i8 or i32 values of its shape".into(),
        found,
    };
    let shaped = |e: ndarray::ShapeError| fail(e.to_string());
    Ok(match view.dtype() {
        Dtype::F32 => {
            Tensor::F32(ArrayD::from_shape_vec(shape, words(data).map(f32::from_le_bytes).collect()).map_err(shaped)?)
        }
        Dtype::F64 => {
            Tensor::F64(ArrayD::from_shape_vec(shape, words(data).map(f64::from_le_bytes).collect()).map_err(shaped)?)
        }
        Dtype::I32 => {
            Tensor::I32(ArrayD::from_shape_vec(shape, words(data).map(i32::from_le_bytes).collect()).map_err(shaped)?)
        }
        Dtype::I8 => {
            Tensor::I8(ArrayD::from_shape_vec(shape, words(data).map(i8::from_le_bytes).collect()).map_err(shaped)?)
        }
        other => return Err(fail(format!("{other:?}"))),
    })
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
