//! Events as C has them.

use snn_runtime::deploy::Event;

/// One event of a camera, as `snn.h` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SnnEvent {
    /// Time in µs.
    pub t: i64,
    /// Column, from the left.
    pub x: u16,
    /// Row, from the top.
    pub y: u16,
    /// 0 for OFF, anything else for ON. A byte, since C may put any value there.
    pub polarity: u8,
}

impl From<&SnnEvent> for Event {
    fn from(event: &SnnEvent) -> Self {
        Self { t: event.t, x: event.x, y: event.y, polarity: event.polarity != 0 }
    }
}
