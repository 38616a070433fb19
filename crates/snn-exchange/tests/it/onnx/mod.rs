//! ONNX in.

mod hostile;
mod import;
