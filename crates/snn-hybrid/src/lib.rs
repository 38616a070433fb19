//! Policies that choose which activation sites of a network train as ReLU
