//! Spiking neurons, surrogate gradients and the libtorch interpreter of the graph
