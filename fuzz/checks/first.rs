//! One format of a target that reads several.

/// Whether an input is wanted: all are, but where `SNN_FUZZ_FIRST` has a number only those whose
/// first byte, which chooses the format, is that.
pub(crate) fn wanted(data: &[u8]) -> bool {
    let Ok(first) = std::env::var("SNN_FUZZ_FIRST") else { return true };
    let first: u8 = first.parse().expect("SNN_FUZZ_FIRST is a number from 0 to 255");
    data.first() == Some(&first)
}
