//! Drawings: of a graph in text and as SVG, of the same lanes; contact sheets as PNG.

mod lanes;
#[cfg(feature = "data")]
mod sheet;
mod svg;
mod text;

#[cfg(feature = "data")]
pub(crate) use sheet::{Block, png, row_fits, sheet, tile};
pub(crate) use svg::svg;
pub(crate) use text::text;

use lanes::Lanes;

/// A node as a drawing shows it.
pub(crate) struct Shown {
    /// Positions of the nodes that it reads in a macro-step, all before it.
    pub(crate) inputs: Vec<usize>,
    pub(crate) role: Role,
    pub(crate) name: String,
    /// Everything else, the most important first.
    pub(crate) facts: Vec<String>,
}

/// The kinds of nodes that a drawing tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The image or the class scores.
    End,
    /// Weights: convolution, linear layer, scale.
    Synapse,
    /// A site with a membrane.
    Spiking,
    /// A site without.
    Relu,
    /// Addition and concatenation.
    Join,
    /// Events of an earlier macro-step.
    Delay,
    /// Batch norm, pooling, flattening.
    Other,
}

impl Role {
    const ALL: [Role; 7] =
        [Role::End, Role::Synapse, Role::Spiking, Role::Relu, Role::Join, Role::Delay, Role::Other];

    fn symbol(self) -> char {
        match self {
            Role::End => '■',
            Role::Synapse => '●',
            Role::Spiking => '◆',
            Role::Relu => '◇',
            Role::Join => '⊕',
            Role::Delay => '↺',
            Role::Other => '○',
        }
    }

    fn label(self) -> &'static str {
        match self {
            Role::End => "input, head",
            Role::Synapse => "synapse",
            Role::Spiking => "LIF",
            Role::Relu => "ReLU",
            Role::Join => "add, concat, mask",
            Role::Delay => "delay",
            Role::Other => "norm, pool, flatten, dropout",
        }
    }
}
