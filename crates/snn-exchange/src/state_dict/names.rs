//! Names of tensors: prefixes of wrappers, what is no weight, and one spelling for the same place
//! in different libraries.

use super::{StateDict, StateTensor};
use std::collections::HashMap;

/// Prefixes that wrappers of a model put before all its names: `DataParallel`, `torch.compile`,
/// and modules that hold the network under a name.
const PREFIXES: [&str; 6] = ["module.", "_orig_mod.", "model.", "backbone.", "net.", "network."];

/// A tensor with its name in the file, and without prefixes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'s> {
    /// In the file.
    pub(super) full: &'s str,
    /// Without the prefixes that all names of the file have.
    pub(super) name: &'s str,
    pub(super) tensor: &'s StateTensor,
}

/// The tensors of a state dict that are weights, and the number of others: counters that a network
/// does not compute with.
#[derive(Debug)]
pub(super) struct Names<'s> {
    pub(super) tensors: Vec<Named<'s>>,
    /// Places of the tensors by their names without prefixes.
    places: HashMap<&'s str, usize>,
    pub(super) counters: usize,
    /// `true` if the order of the tensors is that of the layers.
    pub(super) ordered: bool,
}

impl<'s> Names<'s> {
    pub(super) fn of(state: &'s StateDict) -> Self {
        let mut tensors: Vec<Named<'s>> = state
            .tensors()
            .filter(|(name, _)| !is_counter(name))
            .map(|(full, tensor)| Named { full, name: full, tensor })
            .collect();
        let counters = state.len() - tensors.len();
        while let Some(prefix) = common_prefix(&tensors) {
            for tensor in &mut tensors {
                tensor.name = &tensor.name[prefix.len()..];
            }
        }
        let place = |(place, tensor): (usize, &Named<'s>)| (tensor.name, place);
        let places = tensors.iter().enumerate().map(place).collect();
        Self { tensors, places, counters, ordered: state.ordered }
    }

    /// The shape of the tensor of this name without prefixes.
    pub(super) fn shape(&self, name: &str) -> Option<&'s [usize]> {
        self.places.get(name).map(|&place| self.tensors[place].tensor.shape())
    }
}

/// Batches that a batch norm has seen, and models that an average is of.
fn is_counter(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    matches!(last, "num_batches_tracked" | "n_averaged")
}

/// The prefix that all names have and that leaves something of each.
fn common_prefix(tensors: &[Named<'_>]) -> Option<&'static str> {
    let fits = |prefix: &&&str| {
        !tensors.is_empty()
            && tensors.iter().all(|tensor| {
                tensor.name.strip_prefix(**prefix).is_some_and(|rest| rest.contains('.'))
            })
    };
    PREFIXES.iter().find(fits).copied()
}

/// One spelling of a name for the same place in the built-in networks, torchvision, timm and the
/// usual networks for CIFAR.
pub(super) fn canonical(name: &str) -> String {
    let segments: Vec<&str> = name.split('.').collect();
    let mut spelled: Vec<&str> = match segments.as_slice() {
        ["conv1", part] => vec!["stem", "conv", part],
        ["bn1" | "norm1", part] => vec!["stem", "bn", part],
        ["linear" | "classifier" | "head", part] | ["head" | "classifier", "fc", part] => {
            vec!["fc", part]
        }
        _ => segments,
    };
    for at in 1..spelled.len() {
        if matches!(spelled[at - 1], "downsample" | "shortcut") {
            spelled[at - 1] = "shortcut";
            spelled[at] = match spelled[at] {
                "0" => "conv",
                "1" | "norm" => "bn",
                other => other,
            };
        }
    }
    spelled.join(".")
}

/// A key by which numbers in names sort as numbers.
pub(super) fn natural(name: &str) -> Vec<(u64, &str)> {
    let key = |segment| match str::parse(segment) {
        Ok(number) => (number, ""),
        Err(_) => (u64::MAX, segment),
    };
    name.split('.').map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn layouts_have_one_spelling() {
        for (name, spelled) in [
            ("conv1.weight", "stem.conv.weight"),
            ("stem.conv.weight", "stem.conv.weight"),
            ("bn1.running_mean", "stem.bn.running_mean"),
            ("layer1.0.conv1.weight", "layer1.0.conv1.weight"),
            ("layer2.0.downsample.0.weight", "layer2.0.shortcut.conv.weight"),
            ("layer2.0.shortcut.1.bias", "layer2.0.shortcut.bn.bias"),
            ("layer2.0.shortcut.bn.bias", "layer2.0.shortcut.bn.bias"),
            ("linear.bias", "fc.bias"),
            ("head.fc.bias", "fc.bias"),
            ("fc.bias", "fc.bias"),
            ("classifier.0.weight", "classifier.0.weight"),
        ] {
            assert_eq!(canonical(name), spelled);
        }
    }
}
