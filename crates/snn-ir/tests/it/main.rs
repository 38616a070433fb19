//! Tests of snn-ir through its public interface, as one program.

mod build;
mod corpus;
mod delay;
mod encode;
mod file;
mod graph_file;
mod init;
mod kinds;
mod mask;
mod naive;
mod networks;
mod random;
mod refusals;
mod resolve;
mod tiny;
