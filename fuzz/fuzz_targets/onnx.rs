#![no_main]

#[path = "../checks/onnx.rs"]
mod onnx;

libfuzzer_sys::fuzz_target!(|data: &[u8]| onnx::check(data));
