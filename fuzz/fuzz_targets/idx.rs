#![no_main]

#[path = "../checks/idx.rs"]
mod idx;

libfuzzer_sys::fuzz_target!(|data: &[u8]| idx::check(data));
