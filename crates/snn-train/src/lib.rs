//! Training of hybrid networks: optimiser, schedules, checkpoints, exact resume
