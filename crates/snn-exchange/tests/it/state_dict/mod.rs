//! State dicts of PyTorch in.

mod checkpoints;
mod files;
mod hostile;
mod matching;
mod networks;
mod written;
