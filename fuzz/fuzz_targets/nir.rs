#![no_main]

#[path = "../checks/nir.rs"]
mod nir;

libfuzzer_sys::fuzz_target!(|data: &[u8]| nir::check(data));
