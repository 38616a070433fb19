#![no_main]

#[path = "../checks/edge.rs"]
mod edge;

libfuzzer_sys::fuzz_target!(|data: &[u8]| edge::check(data));
