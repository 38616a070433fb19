//! Tests of snn-exchange through its public interface, as one program.

mod onnx;
mod peers;
mod state_dict;
mod torch;
