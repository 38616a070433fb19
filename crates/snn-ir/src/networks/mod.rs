//! Networks that are built in, each by the name that a config uses ([`BuiltIn`]). Their sites are
//! LIF neurons; a policy of `snn-hybrid` then decides which of them train as ReLU.

mod airbench;
mod built_in;
mod list;
mod ms_resnet;
mod plif_net;
mod qkformer;
mod resnet;
mod sew_resnet;
mod small;
mod spike_driven;
mod stem;
mod vgg;

pub use airbench::Airbench;
pub use built_in::{BuiltIn, KeyError, Network};
pub use list::{KINDS, NETWORKS, Row};
pub use ms_resnet::MsResNet;
pub use plif_net::PlifNet;
pub use qkformer::QkFormer;
pub use resnet::ResNet;
pub use sew_resnet::SewResNet;
pub use small::SmallNet;
pub use spike_driven::SpikeDrivenTransformer;
pub use stem::Stem;
pub use vgg::Vgg;

use crate::graph::GraphBuilder;

/// Channels times a factor, rounded; at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest size, and what is too large is refused with the graph"
)]
fn widened(channels: usize, factor: f64) -> usize {
    ((channels as f64 * factor).round() as usize).max(1)
}

/// Dropout `name` of the tip, where there is any.
fn dropout(net: &mut GraphBuilder, name: &str, rate: f64) {
    if rate > 0.0 {
        net.dropout(name, rate);
    }
}

/// Drop-path `name` of the tip, the end of a branch, where there is any.
fn drop_path(net: &mut GraphBuilder, name: &str, rate: f64) {
    if rate > 0.0 {
        net.drop_path(name, rate);
    }
}

/// Channels of a stage, each twice as wide as the one before.
fn stage_width(width: usize, stage: usize) -> usize {
    (0..stage).fold(width, |width, _| width.saturating_mul(2))
}
