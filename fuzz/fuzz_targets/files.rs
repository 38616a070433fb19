#![no_main]

#[path = "../checks/files.rs"]
mod files;
#[path = "../checks/first.rs"]
mod first;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !first::wanted(data) {
        return Corpus::Reject;
    }
    files::check(data);
    Corpus::Keep
});
