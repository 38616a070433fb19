//! Tests of snn-exchange through its public interface, as one program.

mod peers;
mod torch;
