//! Lossless conversion of hybrid networks to events: passes, plan, grid, verification
