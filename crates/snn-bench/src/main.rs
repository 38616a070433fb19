//! Placeholder binary, replaced in the next commit.
fn main() {}
