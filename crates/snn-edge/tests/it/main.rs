//! Tests of the public interface, in one program.

mod agreement;
#[cfg(target_os = "linux")]
mod c;
#[path = "../../../snn-runtime/tests/it/draw/mod.rs"]
mod draw;
mod errors;
mod extremes;
mod hostile;
mod joins;
#[path = "../../examples/make_bars/network.rs"]
mod network;
mod shipped;
