//! Tests of the crate that need no process of their own.

mod book;
mod config;
mod features;
mod finetune;
mod folder;
mod golden;
mod keys;
mod old_run;
mod refusals;
mod replicas;
mod resume;
mod stages;
mod tensorboard;
mod trainer;
mod unknown;
mod whitening;
