#![no_main]

#[path = "../checks/archives.rs"]
mod archives;
#[path = "../checks/first.rs"]
mod first;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !first::wanted(data) {
        return Corpus::Reject;
    }
    archives::check(data);
    Corpus::Keep
});
