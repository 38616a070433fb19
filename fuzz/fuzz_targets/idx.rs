#![no_main]

#[path = "../checks/first.rs"]
mod first;
#[path = "../checks/idx.rs"]
mod idx;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !first::wanted(data) {
        return Corpus::Reject;
    }
    idx::check(data);
    Corpus::Keep
});
