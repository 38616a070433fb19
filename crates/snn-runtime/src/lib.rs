//! Event-driven interpreter of converted networks: spikes in, additions, spikes out
