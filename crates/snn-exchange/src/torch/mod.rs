//! PyTorch out: a network on the grid as integer weights and one readable file of plain torch
//! operations, so that anybody can check a deployment without this project.

mod names;
mod program;

use crate::{Error, Refusal, Result};
use snn_ir::{Form, Model, Tensor, write_atomically};
use std::path::Path;

/// Name of the file of weights.
pub const WEIGHTS: &str = "weights.safetensors";
/// Name of the program.
pub const PROGRAM: &str = "model.py";

/// Writes a network on the grid into a folder, which is made: [`WEIGHTS`], its integers under their
/// names, and [`PROGRAM`], which computes its logits with torch alone.
///
/// `python model.py image.npy` prints the logits of u8 images: the integers of every interpreter of
/// this project, bit for bit. Convolutions are of f64, and each asserts that no partial sum can
/// leave the integers which f64 holds.
///
/// # Errors
/// The model is not valid, or not on the grid; the folder cannot be written.
pub fn write(model: &Model, folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    let program = program(model)?;
    fs_err::create_dir_all(folder)?;
    write_atomically(&folder.join(WEIGHTS), &weights(model)?)?;
    write_atomically(&folder.join(PROGRAM), program.as_bytes())?;
    Ok(())
}

/// The text of [`PROGRAM`].
///
/// # Errors
/// The model is not valid, or not on the grid.
pub fn program(model: &Model) -> Result<String> {
    let checked = model.validate()?;
    let Form::Grid { logit_unit } = model.form() else {
        return Err(not_on_the_grid(model));
    };
    program::program(model, checked, logit_unit)
}

fn not_on_the_grid(model: &Model) -> Error {
    let node = model.graph().nodes.last();
    Error::Refused(vec![Refusal {
        node: node.map_or_else(String::new, |node| node.name.clone()),
        operator: node.map_or("graph", |node| node.op.label()).into(),
        reason: format!(
            "only a network on the grid has integers to write, and this one is in the form {}; \
             convert it",
            model.form().label()
        ),
    }])
}

/// The weights as safetensors, in order of their names.
fn weights(model: &Model) -> Result<Vec<u8>> {
    use safetensors::tensor::{Dtype, TensorView};
    let failed = |error: safetensors::SafeTensorError| Error::Bytes(error.to_string());
    let bytes: Vec<(&str, Dtype, &[usize], Vec<u8>)> = model
        .weights()
        .iter()
        .map(|(name, tensor)| match tensor {
            Tensor::I8(a) => {
                let bytes = a.iter().flat_map(|v| v.to_le_bytes()).collect();
                Ok((name.as_str(), Dtype::I8, a.shape(), bytes))
            }
            Tensor::I32(a) => {
                let bytes = a.iter().flat_map(|v| v.to_le_bytes()).collect();
                Ok((name.as_str(), Dtype::I32, a.shape(), bytes))
            }
            Tensor::F32(_) | Tensor::F64(_) => Err(Error::Bytes(format!(
                "weight `{name}` must be integers, found {}",
                tensor.dtype()
            ))),
        })
        .collect::<Result<_>>()?;
    let views = bytes
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((*name, TensorView::new(*dtype, shape.to_vec(), bytes).map_err(failed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize(views, None).map_err(failed)
}
