//! Starting a run from the weights of another.

use crate::config::graph_difference::GraphDifference;
use crate::config::kind::PathOrTable;
use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use snn_ir::{Form, Model, Op};
use std::path::{Path, PathBuf};

/// The weights that a run starts with: a path, or a table with the path and what may differ.
///
/// The weights of a trained model are taken by name. Kinds of sites may differ (a ReLU site may
/// have become a LIF site): parts that only the new kind has begin as usual. Attributes of
/// operations (a stride, a kind of pooling) and edges may differ too, and each difference is told
/// and kept in `run.json`. Weights that would mean something else, since they read the outputs of
/// other weights or in another order, and weights that are missing, left over or of another shape
/// or type are refused by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StartFromConfig {
    /// A run folder or a model file; empty for none.
    pub path: PathBuf,
    /// `true` if the weights that depend on the number of classes may begin anew.
    pub new_classes: bool,
    /// `true` if LIF sites in the place of trained quantised `ReLU`s begin so that the network
    /// computes nearly what the other does: thresholds from the steps and the activity of the
    /// sites over [`SWAP_BATCHES`](crate::SWAP_BATCHES) training batches, the value of a spike in
    /// the weights that read it ([`SpikingFit`](crate::SpikingFit)), and the statistics of batch
    /// norm measured again.
    pub swap: bool,
}

impl<'de> Deserialize<'de> for StartFromConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[derive(Default)]
        struct Table {
            path: PathBuf,
            new_classes: bool,
            swap: bool,
        }
        let Table { path, new_classes, swap } = Table::deserialize(PathOrTable(deserializer))?;
        Ok(Self { path, new_classes, swap })
    }
}

impl StartFromConfig {
    /// `true` if a run starts from other weights than those its seed draws.
    pub fn is_on(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }

    /// The trained model in a file, that of the run or the one that the path names.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn load(&self, file: &Path) -> Result<Model> {
        Model::load(file).map_err(|e| Error::StartFrom {
            path: self.path.clone(),
            expected: "a model, or the folder of a run that has finished an epoch".into(),
            found: e.to_string(),
        })
    }

    /// Gives a fresh model the weights of another one, and returns how the two differ.
    ///
    /// # Errors
    /// It is not a trained model, or does not fit.
    pub(crate) fn take(&self, source: &Model, model: &mut Model) -> Result<Vec<String>> {
        let refuse = |expected: String, found: String| Error::StartFrom {
            path: self.path.clone(),
            expected,
            found,
        };
        if source.form() != Form::Trained {
            let found = format!("one of form {}", source.form().label());
            return Err(refuse("a trained model, whose weights are its own".into(), found));
        }
        let mut differences = Vec::new();
        let mut note = |what: &str, source: String, own: String| {
            if source != own {
                differences.push(format!("{what}: {source} there, {own} here"));
            }
        };
        note("time steps", source.time_steps().to_string(), model.time_steps().to_string());
        note(
            "preprocessing",
            format!("{:?}", source.preprocessing()),
            format!("{:?}", model.preprocessing()),
        );
        note("encoder", format!("{:?}", source.encoder()), format!("{:?}", model.encoder()));
        note("classes", format!("{:?}", source.classes()), format!("{:?}", model.classes()));
        let GraphDifference { lines, changed_sites, misfit } =
            GraphDifference::between(source.graph(), model.graph());
        differences.extend(lines);
        let of_changed = |weight: &str| {
            weight.rsplit_once('.').is_some_and(|(node, _)| changed_sites.contains(node))
        };
        let classes = |model: &Model| -> Result<usize> {
            let nodes = model.graph().resolve()?.nodes;
            Ok(nodes.last().and_then(|head| head.shape.first().copied()).unwrap_or(0))
        };
        let (own_classes, other_classes) = (classes(model)?, classes(source)?);
        if let Some(name) = source
            .weights()
            .keys()
            .find(|name| !model.weights().contains_key(*name) && !of_changed(name))
        {
            let expected = "weights that all have a place in the network".into();
            let advice = if is_norm_of_image(source, name) {
                " (it is of a batch norm of the image; `snn quantise` moves that into the first \
                 layer, and `snn import --round-means` makes none)"
            } else {
                ""
            };
            return Err(refuse(expected, format!("`{name}`, which has none{advice}")));
        }
        for (name, own) in model.weights_mut() {
            let Some(other) = source.weights().get(name) else {
                if of_changed(name) {
                    differences.push(format!("weight `{name}`: begins as usual"));
                    continue;
                }
                return Err(refuse(format!("weight `{name}`"), "none of this name".into()));
            };
            if own.shape() == other.shape() && own.dtype() == other.dtype() {
                own.clone_from(other);
                continue;
            }
            let (here, there) = (own.shape().to_vec(), other.shape().to_vec());
            if here == there {
                let expected = format!("{} for weight `{name}`", own.dtype());
                return Err(refuse(expected, other.dtype().into()));
            }
            let of_classes = own_classes != other_classes
                && here.first() == Some(&own_classes)
                && there.first() == Some(&other_classes)
                && here.get(1..) == there.get(1..);
            let told = format!("weight `{name}`: {there:?} there, {here:?} here");
            if of_classes && self.new_classes || of_changed(name) {
                differences.push(format!("{told}: begins anew"));
            } else if of_classes {
                let expected = format!(
                    "{own_classes} classes (`start_from = {{ path = …, new_classes = true }}` \
                     begins these weights anew)"
                );
                return Err(refuse(expected, told));
            } else {
                return Err(refuse(format!("{here:?} for weight `{name}`"), format!("{there:?}")));
            }
        }
        match misfit {
            Some((expected, found)) => Err(refuse(expected, found)),
            None => Ok(differences),
        }
    }
}

/// `true` for a weight of a batch norm that reads the image itself.
fn is_norm_of_image(model: &Model, weight: &str) -> bool {
    let graph = model.graph();
    let node = weight.rsplit_once('.').and_then(|(node, _)| graph.node(node));
    let input = graph.nodes.first().map(|input| &input.name);
    node.is_some_and(|node| matches!(node.op, Op::BatchNorm(_)) && node.inputs.first() == input)
}
