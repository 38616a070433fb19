//! The network that a state dict is of, from names and shapes alone.

mod layers;
mod options;
mod resnet;
mod vgg;

use super::StateDict;
use super::names::Names;
use crate::error::{Error, Result, printable};
use layers::Layers;

pub use options::{BottleneckStride, NetworkOptions, Recognised};

/// Recognises the network of a state dict: post-activation `ResNets` of basic blocks or bottlenecks
/// (torchvision, timm with its deep stems and average-pooled shortcuts, grouped ones such as
/// `ResNeXt`; for CIFAR with shortcuts of option A or B) and VGG (torchvision's `features` and
/// `classifier`, with and without batch norm).
///
/// # Errors
/// [`Error::Match`]: the layout is another one, or shapes do not fit it.
pub fn network_of(state: &StateDict, options: &NetworkOptions) -> Result<Recognised> {
    let names = Names::of(state);
    let layers = Layers::new(&names, options);
    let recognised = if layers.shape("layer1.0.conv1.weight").is_some() {
        resnet::build(layers)
    } else if layers.shape("features.0.weight").is_some_and(|shape| shape.len() == 4) {
        vgg::build(layers)
    } else {
        let first: Vec<_> =
            names.tensors.iter().take(3).map(|tensor| format!("`{}`", tensor.full)).collect();
        Err(format!(
            "expected the layout of a ResNet (`layer1.0.conv1.weight`) or of a VGG \
             (`features.0.weight`), found {}; give the graph of the network",
            first.join(", ")
        ))
    };
    recognised
        .map_err(|reason| Error::Match(printable(&format!("{}: {reason}", state.path().display()))))
}
