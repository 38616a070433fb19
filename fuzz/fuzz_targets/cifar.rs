#![no_main]

#[path = "../checks/cifar.rs"]
mod cifar;
#[path = "../checks/first.rs"]
mod first;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if !first::wanted(data) {
        return Corpus::Reject;
    }
    cifar::check(data);
    Corpus::Keep
});
