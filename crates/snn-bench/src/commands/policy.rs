//! `policy show`: which sites a config makes ReLU.

use crate::cli::Policy;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::Result;
use serde::Serialize;
use snn_data::DatasetName;
use snn_hybrid::Placement;
use snn_train::RunConfig;
use std::path::Path;

#[derive(Serialize)]
struct Shown<'a> {
    config: &'a Path,
    explanation: String,
    relu_sites: usize,
    neurons: usize,
    lif_neurons: usize,
    relu_share: f64,
    #[serde(flatten)]
    placement: &'a Placement,
}

pub(crate) fn run(arguments: &Policy, json: bool) -> Result<Outcome> {
    let Policy::Show { config: path, sets } = arguments;
    let config = RunConfig::load(path, sets)?;
    let (shape, classes) = images(config.data.dataset);
    let spiking = config.network.build(shape, classes, &config.neuron);
    let (_, placement) = snn_hybrid::apply(&spiking, &config.policy, &config.replacement)?;
    if json {
        print_json(&Shown {
            config: path,
            explanation: config.policy.explanation(),
            relu_sites: placement.relu_sites(),
            neurons: placement.neurons(),
            lif_neurons: placement.lif_neurons(),
            relu_share: placement.relu_share(),
            placement: &placement,
        })?;
    } else {
        output::line(&placement)?;
        output::line(format_args!("It chooses {}.", config.policy.explanation()))?;
    }
    Ok(Outcome::Holds)
}

/// Shape and number of classes of a data set, without opening it.
fn images(dataset: DatasetName) -> ([usize; 3], usize) {
    match dataset {
        DatasetName::Cifar10 => ([3, 32, 32], 10),
        DatasetName::Cifar100 => ([3, 32, 32], 100),
        DatasetName::Shapes10 => ([3, 16, 16], 10),
        DatasetName::Mnist | DatasetName::FashionMnist => ([1, 28, 28], 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_data::{CIFAR10, CIFAR100, Dataset};

    #[test]
    fn images_are_those_of_the_data_sets() {
        let shapes = Dataset::open_named(DatasetName::Shapes10, None).unwrap();
        assert_eq!(
            images(DatasetName::Shapes10),
            (shapes.train.image_shape(), shapes.classes.len())
        );
        for (name, layout) in [(DatasetName::Cifar10, CIFAR10), (DatasetName::Cifar100, CIFAR100)] {
            assert_eq!(images(name).1, usize::from(layout.labels.last().unwrap().1));
        }
    }
}
