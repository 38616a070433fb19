#![no_main]

#[path = "../checks/events.rs"]
mod events;
#[path = "../checks/first.rs"]
mod first;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !first::wanted(data) {
        return Corpus::Reject;
    }
    events::check(data);
    Corpus::Keep
});
