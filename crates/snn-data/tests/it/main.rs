//! The tests of this crate in one binary; `hostile.rs` counts memory and is a process of its own.

mod augment;
mod cache;
mod check;
mod cifar;
mod cifar_forms;
mod corpus;
mod dataset;
mod event_augment;
mod event_faults;
mod events;
mod golden_augment;
mod golden_events;
mod golden_images;
mod holdout;
mod idx;
mod loader;
mod mix;
mod open;
mod picture_faults;
mod real_cifar;
mod recordings;
mod shapes;
mod simulate;
mod vision;
mod windows;
