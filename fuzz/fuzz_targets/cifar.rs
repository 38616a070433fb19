#![no_main]

#[path = "../checks/cifar.rs"]
mod cifar;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cifar::check(data));
