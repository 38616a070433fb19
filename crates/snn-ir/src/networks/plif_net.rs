//! PLIF-nets.

use super::dropout;
use crate::graph::{Conv, Graph, GraphBuilder, Op, PoolKind};
use crate::site::Lif;
use serde::{Deserialize, Serialize};

/// The network of the parametric LIF neuron (Fang 2021, `ICCV`, table 1): stages of 3×3
/// convolutions of one width, each with a max pooling of 2×2 after it, two fully connected layers
/// without bias behind a dropout each, and a vote: each class is the mean of `votes` neurons in a
/// row. The default is that of CIFAR-10.
///
/// The paper's sites have a learned leak: `neuron.leak = { kind = "learned", initial = 0.5 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlifNet {
    /// Shape of one image or frame.
    #[serde(skip)]
    pub input: [usize; 3],
    /// Number of classes.
    #[serde(skip)]
    pub classes: usize,
    /// Channels of every convolution.
    pub width: usize,
    /// Convolutions of each stage.
    pub layers: Vec<usize>,
    /// Outputs of the first fully connected layer.
    pub hidden: usize,
    /// Neurons that vote for each class.
    pub votes: usize,
    /// Rate of the dropout before each of the two fully connected layers; 0 for none.
    pub dropout: f64,
    /// Every site, before a policy changes some.
    #[serde(skip)]
    pub neuron: Lif,
}

impl Default for PlifNet {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            classes: 10,
            width: 256,
            layers: vec![3, 3],
            hidden: 2048,
            votes: 10,
            dropout: 0.5,
            neuron: Lif::default(),
        }
    }
}

impl PlifNet {
    pub(super) const KEYS: &'static [&'static str] =
        &["width", "layers", "hidden", "votes", "dropout"];

    /// The one of MNIST, Fashion-MNIST and N-MNIST.
    pub fn of_mnist() -> Self {
        Self { input: [2, 34, 34], width: 128, layers: vec![1, 1], ..Self::default() }
    }

    /// The one of CIFAR10-DVS.
    pub fn of_cifar10_dvs() -> Self {
        Self { input: [2, 128, 128], layers: vec![1; 4], hidden: 512, ..Self::of_mnist() }
    }

    /// The one of DVS128 Gesture.
    pub fn of_gesture() -> Self {
        Self { classes: 11, layers: vec![1; 5], ..Self::of_cifar10_dvs() }
    }

    /// The graph; what does not fit in it is said when it is resolved.
    pub fn build(&self) -> Graph {
        let mut net = GraphBuilder::new(self.input);
        net.neuron(&self.neuron);
        for (stage, &layers) in self.layers.iter().enumerate() {
            for layer in 0..layers {
                let name = format!("stage{}.{layer}", stage + 1);
                net.conv_site(&name, Conv::square(self.width, 3, 1));
            }
            net.pool(&format!("pool{}", stage + 1), PoolKind::Max, 2);
        }
        let linear = |features| Op::Linear { features, bias: false };
        dropout(net.flatten("flat"), "drop1", self.dropout);
        net.op("fc1", linear(self.hidden)).site("fc1.act");
        dropout(&mut net, "drop2", self.dropout);
        net.op("fc2", linear(self.classes.saturating_mul(self.votes))).site("fc2.act");
        net.voting("vote", self.classes).finish()
    }
}
