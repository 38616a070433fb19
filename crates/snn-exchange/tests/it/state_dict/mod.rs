//! State dicts of PyTorch in.

mod files;
mod hostile;
mod networks;
