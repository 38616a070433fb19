//! Tests of the interface. They are a part of the crate, because a library for C is none for Rust;
//! programs in C and Python that use it are in `tests/programs.rs`.

mod header;
mod interface;
