#![no_main]

#[path = "../checks/archives.rs"]
mod archives;

libfuzzer_sys::fuzz_target!(|data: &[u8]| archives::check(data));
