//! Writes a model file as ONNX (a path that ends in `.onnx`) or for PyTorch (a folder):
//!
//! ```console
//! $ cargo run --release -p snn-exchange --example export -- model.safetensors network.onnx
//! $ cargo run --release -p snn-exchange --example export -- model.safetensors folder
//! ```

use snn_ir::Model;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let (Some(model), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: export MODEL NETWORK.onnx, or MODEL FOLDER".into());
    };
    let model = Model::load(&model)?;
    if to.extension().is_some_and(|extension| extension == "onnx") {
        snn_exchange::onnx::write(&model, to)?;
    } else {
        snn_exchange::torch::write(&model, to)?;
    }
    Ok(())
}
