//! Tests of snn-exchange through its public interface, as one program.

mod hostile;
mod import;
mod peers;
mod pixels;
mod torch;
