//! Networks that are built in. Their sites are LIF neurons; a policy of `snn-hybrid` then decides
//! which of them train as ReLU.

mod resnet;
mod small;

pub use resnet::ResNet;
pub use small::SmallNet;
