//! Finding the tensor of each weight of a graph.

use super::StateDict;
use super::names::{Named, Names, canonical, natural};
use super::report::{Axes, Matched, Report, Unmatched};
use crate::error::{Error, Result, printable};
use ndarray::{ArrayD, IxDyn};
use snn_ir::{Form, Graph, InitialWeights, Op, Tensor, WeightSpec, Weights, weight_specs};
use std::collections::{BTreeSet, HashMap};

/// How tensors are matched with weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatchOptions {
    /// Layers whose names are known in no layout are matched by their order: the first convolution
    /// with the first, and so on, where there are as many of a kind and all shapes fit. Files of
    /// safetensors keep no order; their names are sorted.
    pub by_order: bool,
    /// Whether weights may be missing and tensors left over.
    pub partial: Partial,
}

/// Whether a match may be partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Partial {
    /// It may not.
    #[default]
    Refuse,
    /// It may: weights without a tensor get the first values of this seed.
    Allow {
        /// Seed of [`Graph::initial_weights`].
        seed: u64,
    },
}

/// The weights of a graph in the form `trained`, from the tensors of a state dict, and what was
/// found.
///
/// A tensor is a weight's if their names are the same, without prefixes of wrappers such as
/// `module.`, or the same place in the layouts of the built-in networks, torchvision, timm and the
/// usual networks for CIFAR (`stem.conv` is `conv1`, `shortcut.bn` is `downsample.1` and
/// `shortcut.1`, `fc` is `linear`), and if its shape fits; a matrix may be transposed. Weights of
/// neurons, which PyTorch does not have, begin at their first values.
///
/// ```
/// use snn_exchange::state_dict::{MatchOptions, StateDict, weights_of};
/// use snn_ir::{Lif, networks::ResNet};
///
/// # let file = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
/// # let graph = ResNet::default().build();
/// # let model = snn_ir::Model::new(
/// #     snn_ir::Signature::new(
/// #         snn_ir::Form::Trained,
/// #         graph.clone(),
/// #         1,
/// #         snn_ir::Preprocessing::new(vec![0; 3], vec![1.0; 3]),
/// #     ),
/// #     graph.initial_weights(0).unwrap(),
/// # );
/// # model.save(file.path()).unwrap();
/// # let path = file.path();
/// let graph = ResNet::default().build();
/// let state = StateDict::load(path, None)?;
/// let (weights, report) = weights_of(&graph, &state, MatchOptions::default())?;
/// assert_eq!(weights.len(), report.matched.len());
/// # Ok::<(), snn_exchange::Error>(())
/// ```
///
/// # Errors
/// [`Error::Match`] names what has no counterpart, unless [`Partial::Allow`]; nothing fits, or a
/// tensor holds no floats.
pub fn weights_of(
    graph: &Graph,
    state: &StateDict,
    options: MatchOptions,
) -> Result<(Weights, Report)> {
    matched(graph, state, &Weights::new(), options)
}

/// The same with weights that the layout fixes.
pub(super) fn matched(
    graph: &Graph,
    state: &StateDict,
    fixed: &Weights,
    options: MatchOptions,
) -> Result<(Weights, Report)> {
    let resolved = graph.resolve()?;
    let specs = weight_specs(graph, &resolved, Form::Trained)?;
    let names = Names::of(state);
    let source = printable(&state.path().display().to_string());
    let mut report = Report {
        source,
        notes: state.notes().to_vec(),
        counters: names.counters,
        fixed: fixed.keys().cloned().collect(),
        ..Report::default()
    };
    let mut pairs = by_name(graph, &specs, &names, fixed);
    if options.by_order {
        by_order(graph, &specs, &names, fixed, &mut pairs);
    }
    let mut weights = fixed.clone();
    let mut open = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        if fixed.contains_key(&spec.name) {
            continue;
        }
        if let Some(pair) = pairs.get(&index) {
            let theirs = &names.tensors[pair.theirs];
            weights.insert(spec.name.clone(), weight(spec, theirs, pair.axes)?);
            report.matched.push(Matched {
                ours: spec.name.clone(),
                theirs: printable(theirs.full),
                shape: spec.part.shape.clone(),
                axes: pair.axes,
                by_order: pair.by_order,
            });
        } else {
            open.push(spec);
        }
    }
    for spec in &open {
        let node = &graph.nodes[spec.node];
        if node.frozen && is_certain(node.initial) {
            report.fixed.push(spec.name.clone());
        } else if matches!(node.op, Op::Activation { .. } | Op::Scale) {
            report.initial.push(spec.name.clone());
        } else {
            let (name, shape) = (spec.name.clone(), spec.part.shape.clone());
            report.missing.push(Unmatched { name, shape });
        }
    }
    let taken: BTreeSet<usize> = pairs.values().map(|pair| pair.theirs).collect();
    let left = names.tensors.iter().enumerate().filter(|(index, _)| !taken.contains(index));
    let named = |(_, theirs): (usize, &Named<'_>)| Unmatched {
        name: printable(theirs.full),
        shape: theirs.tensor.shape().to_vec(),
    };
    report.left_over = left.map(named).collect();
    let seed = match options.partial {
        Partial::Refuse if !report.is_complete() => return Err(Error::Match(report.refusal())),
        Partial::Refuse => 0,
        Partial::Allow { .. } if report.matched.is_empty() => {
            return Err(Error::Match(report.refusal()));
        }
        Partial::Allow { seed } => seed,
    };
    if !open.is_empty() {
        let mut initial = graph.initial_weights(seed)?;
        for spec in open {
            if let Some(first) = initial.remove(&spec.name) {
                weights.insert(spec.name.clone(), first);
            }
        }
    }
    Ok((weights, report))
}

/// `true` of first values that are the same whatever the seed.
fn is_certain(initial: Option<InitialWeights>) -> bool {
    matches!(initial, Some(InitialWeights::Constant(_) | InitialWeights::Voting))
}

/// The tensor of a weight.
struct Pair {
    theirs: usize,
    axes: Axes,
    by_order: bool,
}

/// Tensors that are weights by their names, by the place of the weight.
fn by_name(
    graph: &Graph,
    specs: &[WeightSpec],
    names: &Names<'_>,
    fixed: &Weights,
) -> HashMap<usize, Pair> {
    let mut exact: HashMap<&str, usize> = HashMap::new();
    let mut spelled: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, theirs) in names.tensors.iter().enumerate() {
        exact.insert(theirs.name, index);
        spelled.entry(canonical(theirs.name)).or_default().push(index);
    }
    // A name as it stands in the file comes before one without its prefixes.
    exact.extend(names.tensors.iter().enumerate().map(|(index, theirs)| (theirs.full, index)));
    let mut taken = BTreeSet::new();
    let mut pairs = HashMap::new();
    for (index, spec) in specs.iter().enumerate() {
        if fixed.contains_key(&spec.name) {
            continue;
        }
        let found = exact.get(spec.name.as_str()).copied().or_else(|| {
            match spelled.get(&canonical(&spec.name)).map(Vec::as_slice) {
                Some(&[one]) => Some(one),
                _ => None,
            }
        });
        let Some(theirs) = found.filter(|theirs| !taken.contains(theirs)) else { continue };
        let shape = names.tensors[theirs].tensor.shape();
        if let Some(axes) = axes(&graph.nodes[spec.node].op, spec, shape) {
            taken.insert(theirs);
            pairs.insert(index, Pair { theirs, axes, by_order: false });
        }
    }
    pairs
}

/// How a tensor of this shape is a weight; `None` if it is not.
fn axes(op: &Op, spec: &WeightSpec, theirs: &[usize]) -> Option<Axes> {
    let ours = spec.part.shape.as_slice();
    if ours == theirs {
        return Some(Axes::Same);
    }
    if spec.part.part != "weight" || !matches!(op, Op::Conv(_) | Op::Linear { .. }) {
        return None;
    }
    let ([outputs, inputs, kernel @ ..], [first, second, taps @ ..]) = (ours, theirs) else {
        return None;
    };
    let ones = kernel.iter().chain(taps).all(|&size| size == 1);
    if ones && (outputs, inputs) == (first, second) {
        return Some(Axes::Reshaped);
    }
    // Where both are the same a matrix may be either, and is taken as PyTorch has it.
    (kernel.is_empty() && taps.is_empty() && (outputs, inputs) == (second, first))
        .then_some(Axes::Transposed)
}

/// The weight that a tensor is.
fn weight(spec: &WeightSpec, theirs: &Named<'_>, axes: Axes) -> Result<Tensor> {
    let wrong =
        |reason: String| Error::Match(format!("tensor `{}`: {reason}", printable(theirs.full)));
    if !theirs.tensor.element().is_float() {
        return Err(wrong(format!(
            "expected floats for `{}`, found {}",
            spec.name,
            theirs.tensor.element()
        )));
    }
    let tensor = theirs.tensor.to_weight().map_err(wrong)?;
    Ok(match (axes, tensor) {
        (Axes::Same, tensor) => tensor,
        (_, Tensor::F64(array)) => arranged(array, axes, &spec.part.shape).map_err(wrong)?.into(),
        (_, Tensor::F32(array)) => arranged(array, axes, &spec.part.shape).map_err(wrong)?.into(),
        (_, other) => return Err(wrong(format!("expected floats, found {}", other.dtype()))),
    })
}

fn arranged<T: Clone>(array: ArrayD<T>, axes: Axes, shape: &[usize]) -> Result<ArrayD<T>, String> {
    let array = if axes == Axes::Transposed { array.reversed_axes() } else { array };
    let values: Vec<T> = array.iter().cloned().collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| error.to_string())
}

/// What a layer is, of a graph and of a state dict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Conv,
    Linear,
    Norm,
}

/// The parts of a layer: their names, and their places in a list of weights or tensors.
type Parts<'a> = Vec<(&'a str, usize)>;

/// Matches layers of which no part is matched by their order among those of their kind, where there
/// are as many and all their shapes fit.
fn by_order(
    graph: &Graph,
    specs: &[WeightSpec],
    names: &Names<'_>,
    fixed: &Weights,
    pairs: &mut HashMap<usize, Pair>,
) {
    let taken: BTreeSet<usize> = pairs.values().map(|pair| pair.theirs).collect();
    let mut ours: Vec<(Kind, Parts<'_>)> = Vec::new();
    let mut last = None;
    for (index, spec) in specs.iter().enumerate() {
        let kind = match &graph.nodes[spec.node].op {
            Op::Conv(_) => Kind::Conv,
            Op::Linear { .. } => Kind::Linear,
            Op::BatchNorm(_) => Kind::Norm,
            _ => continue,
        };
        if fixed.contains_key(&spec.name) || pairs.contains_key(&index) {
            continue;
        }
        if last != Some(spec.node) {
            ours.push((kind, Vec::new()));
            last = Some(spec.node);
        }
        if let Some((_, parts)) = ours.last_mut() {
            parts.push((&spec.part.part, index));
        }
    }
    let theirs = layers(names, &taken);
    for kind in [Kind::Conv, Kind::Linear, Kind::Norm] {
        let of = |layers: &[(Kind, Parts<'_>)]| -> Vec<usize> {
            let of_kind = layers.iter().enumerate().filter(|(_, (own, _))| *own == kind);
            of_kind.map(|(index, _)| index).collect()
        };
        let (own, found) = (of(&ours), of(&theirs));
        if own.len() != found.len() {
            continue;
        }
        let mut new = Vec::new();
        let all = own.iter().zip(&found).all(|(&own, &found)| {
            let (own, found) = (&ours[own].1, &theirs[found].1);
            own.len() == found.len()
                && own.iter().all(|&(part, index)| {
                    let Some(&(_, theirs)) = found.iter().find(|(name, _)| *name == part) else {
                        return false;
                    };
                    let spec = &specs[index];
                    let shape = names.tensors[theirs].tensor.shape();
                    let axes = axes(&graph.nodes[spec.node].op, spec, shape);
                    new.extend(axes.map(|axes| (index, Pair { theirs, axes, by_order: true })));
                    axes.is_some()
                })
        });
        if all {
            pairs.extend(new);
        }
    }
}

/// The layers of a state dict whose tensors are not taken, in its order.
fn layers<'s>(names: &Names<'s>, taken: &BTreeSet<usize>) -> Vec<(Kind, Parts<'s>)> {
    let mut order: Vec<usize> =
        (0..names.tensors.len()).filter(|index| !taken.contains(index)).collect();
    if !names.ordered {
        order.sort_by_key(|&index| natural(names.tensors[index].name));
    }
    let mut layers: Vec<(&str, Parts<'s>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for index in order {
        let name = names.tensors[index].name;
        let (node, part) = name.rsplit_once('.').unwrap_or(("", name));
        let place = *places.entry(node).or_insert_with(|| {
            layers.push((node, Vec::new()));
            layers.len() - 1
        });
        layers[place].1.push((part, index));
    }
    let kind = |(_, parts): (&str, Parts<'s>)| {
        let find = |wanted: &str| parts.iter().find(|(part, _)| *part == wanted);
        let kind = if find("running_mean").is_some() {
            Kind::Norm
        } else {
            match names.tensors[find("weight")?.1].tensor.shape().len() {
                2 => Kind::Linear,
                3 | 4 => Kind::Conv,
                _ => return None,
            }
        };
        Some((kind, parts))
    };
    layers.into_iter().filter_map(kind).collect()
}
