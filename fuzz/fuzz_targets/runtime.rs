#![no_main]

#[path = "../checks/runtime.rs"]
mod runtime;

libfuzzer_sys::fuzz_target!(|data: &[u8]| runtime::check(data));
