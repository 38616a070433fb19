//! Input encoders: from `u8` images, or from frames, to the frames that
//! [`Input::Frames`](crate::Input::Frames) takes (`docs/semantics.md`, section 9).

mod delta;
mod encoder;
mod frames;
mod latency;
mod phase;
mod poisson;

pub use encoder::Encoder;
