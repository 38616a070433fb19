//! Tests of the public interface, in one program.

mod agreement;
#[path = "../../../snn-runtime/tests/it/draw/mod.rs"]
mod draw;
