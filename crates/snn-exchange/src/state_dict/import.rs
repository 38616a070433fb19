//! A state dict as a model.

use super::matching::{MatchOptions, matched};
use super::network::{NetworkOptions, Recognised, network_of};
use super::{Imported, StateDict};
use crate::error::{Error, Result};
use crate::pixels::{Normalisation, add_offset};
use snn_ir::{Form, Graph, Model, Op, Signature, Weights};

/// How a state dict becomes a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportOptions {
    /// The network; none where it is to be recognised ([`network_of`]).
    pub graph: Option<Graph>,
    /// What the weights do not tell of a network that is recognised.
    pub network: NetworkOptions,
    /// How tensors are matched with weights.
    pub matching: MatchOptions,
    /// Names of the classes, in the order of the logits; may be empty.
    pub classes: Vec<String>,
    /// Time steps T, of a graph that is given and has spiking neurons.
    pub time_steps: usize,
    /// Whether means are rounded to integers in pixel terms at once, as a network must have them
    /// that is converted or trained on without [`quantise`](snn_reparam::quantise) between; exact
    /// but at a border of zero padding.
    pub round_means: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            graph: None,
            network: NetworkOptions::default(),
            matching: MatchOptions::default(),
            classes: Vec::new(),
            time_steps: 1,
            round_means: false,
        }
    }
}

/// Makes a model of a state dict. Images enter as PyTorch normalises them, but with means that are
/// integers of 0 to 255; what is lacking is added by the first layer, or by a batch norm of the
/// image ([`Report::remainder`](super::Report::remainder)).
///
/// ```no_run
/// use snn_exchange::pixels::Normalisation;
/// use snn_exchange::state_dict::{ImportOptions, StateDict, import};
///
/// let state = StateDict::load("resnet20.pth", None)?;
/// let normalisation = Normalisation {
///     mean: vec![0.4914, 0.4822, 0.4465],
///     std: vec![0.2470, 0.2435, 0.2616],
/// };
/// let imported = import(&state, &normalisation, &ImportOptions::default())?;
/// println!("{}", imported.report);
/// imported.model.save("resnet20.safetensors")?;
/// # Ok::<(), snn_exchange::Error>(())
/// ```
///
/// # Errors
/// The network is not recognised, does not fit, or fits only in part; the normalisation does not
/// fit its channels; a weight is not finite.
pub fn import(
    state: &StateDict,
    normalisation: &Normalisation,
    options: &ImportOptions,
) -> Result<Imported> {
    let Recognised { mut graph, layout, fixed } = match &options.graph {
        Some(graph) => {
            Recognised { graph: graph.clone(), layout: String::new(), fixed: Weights::new() }
        }
        None => network_of(state, &options.network)?,
    };
    let (mut weights, mut report) = matched(&graph, state, &fixed, options.matching)?;
    report.layout = layout;
    let channels = match graph.nodes.first().map(|node| &node.op) {
        Some(Op::Input { shape }) => shape.first().copied().unwrap_or(0),
        _ => return Err(Error::Match("expected a graph that begins with its input".into())),
    };
    let normalisation = normalisation.clone().for_channels(channels)?;
    let offset = normalisation.offset();
    report.remainder = add_offset(&mut graph, &mut weights, &offset, options.round_means)?;
    let signature =
        Signature::new(Form::Trained, graph, options.time_steps, normalisation.preprocessing())
            .with_classes(options.classes.clone());
    let model = Model::new(signature, weights);
    model.validate()?;
    Ok(Imported { model, report })
}
