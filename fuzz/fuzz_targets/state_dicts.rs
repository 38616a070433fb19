#![no_main]

#[path = "../checks/first.rs"]
mod first;
#[path = "../checks/state_dicts.rs"]
mod state_dicts;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !first::wanted(data) {
        return Corpus::Reject;
    }
    state_dicts::check(data);
    Corpus::Keep
});
