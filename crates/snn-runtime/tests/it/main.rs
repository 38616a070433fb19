//! Tests of the public interface, in one program.

mod agreement;
mod corpus;
mod counting;
mod custom_neurons;
mod deployment;
mod draw;
mod encoders;
mod exit;
mod front;
mod identities;
mod input;
mod kinds_of_input;
mod long_stream;
mod mask;
mod mixed;
mod parallel;
mod shipped;
mod sites;
mod statistics;
mod tuning;
