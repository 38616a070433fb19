//! A ResNet-20-shaped random model on the grid, about 15 % of whose neurons are active.

use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::networks::ResNet;
use snn_ir::{Code, GridLif, GridReset, Site};
use snn_ir::{Error, Result};
use snn_ir::{Form, Model, Preprocessing, Signature, weight_specs};
use snn_ir::{Graph, Node, Op, PoolKind};
use snn_ir::{Tensor, Weights};
use std::collections::HashMap;

/// D of the QuantRelu sites, and T where sites are LIF.
const LEVELS: u8 = 4;
/// First threshold in standard deviations of the current: 15 % of a normal distribution lies above;
/// the others follow at half a deviation.
const FIRST: f64 = 1.04;

/// The ResNet of `snn_ir::networks`, rewritten by hand as conversion would, with random weights.
pub(crate) fn model(sites: &str) -> Result<Model> {
    let site =
        |code| Op::Activation { site: Site::GridQuantRelu { levels: LEVELS }, code: Some(code) };
    let lif = GridLif::new(1, 1, 8, GridReset::Hard);
    let (site, time_steps) = match sites {
        "bitplane" => (site(Code::BitPlane), 1),
        "graded" => (site(Code::Graded), 1),
        "lif" => (
            Op::Activation { site: Site::GridLif(lif), code: Some(Code::Binary) },
            usize::from(LEVELS),
        ),
        _ => (site(Code::Unary), 1),
    };
    let mut graph = Graph::default();
    let mut renamed: HashMap<String, String> = HashMap::new();
    let trained = ResNet { classes: 100, ..ResNet::default() }.build();
    for node in trained.nodes {
        let mut inputs: Vec<String> =
            node.inputs.iter().map(|input| renamed.get(input).unwrap_or(input).clone()).collect();
        let op = match node.op {
            Op::BatchNorm { .. } => {
                renamed.insert(node.name, inputs.remove(0));
                continue;
            }
            Op::GlobalPool { .. } => Op::GlobalPool { pool: PoolKind::Sum },
            Op::Activation { .. } => site.clone(),
            Op::Add => {
                for input in &mut inputs {
                    let is_site = |node: &Node| matches!(node.op, Op::Activation { .. });
                    if graph.node(input).is_some_and(is_site) {
                        *input = graph.push(format!("{}.shortcut", node.name), Op::Scale, &[input]);
                    }
                }
                Op::Add
            }
            op => op,
        };
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        graph.push(node.name, op, &inputs);
    }
    let weights = weights(&graph, sites == "lif")?;
    Ok(Model::new(
        Signature::new(
            Form::Grid { logit_unit: 1.0 },
            graph,
            time_steps,
            Preprocessing::new(vec![128; 3], vec![1.0; 3]),
        ),
        weights,
    ))
}

/// Random weights, and thresholds at the deviations that currents then have.
fn weights(graph: &Graph, lif: bool) -> Result<Weights> {
    let resolved = graph.resolve()?;
    let specs = weight_specs(graph, &resolved, Form::Grid { logit_unit: 1.0 })?;
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut weights = Weights::new();
    // Mean square of what each node yields.
    let mut power: Vec<f64> = Vec::new();
    for (node, info) in graph.nodes.iter().zip(&resolved.nodes) {
        let input = info.inputs.first().map_or(0.0, |&i| power[i]);
        let mut yields = input;
        for spec in
            specs.iter().filter(|s| s.name.rsplit_once('.').is_some_and(|(n, _)| n == node.name))
        {
            let part = spec.name.rsplit('.').next().unwrap_or_default();
            let channels = *spec.part.shape.last().unwrap_or(&1);
            let tensor = match part {
                "weight" if spec.part.dtypes[0] == "i8" => {
                    let mut array = ArrayD::from_shape_simple_fn(IxDyn(&spec.part.shape), || {
                        random.random_range(-60..=60_i8)
                    });
                    // Weights of an output sum to about zero, or the mean of positive inputs would
                    // shift its currents.
                    for mut row in array.outer_iter_mut() {
                        let mean =
                            row.iter().map(|&w| f64::from(w)).sum::<f64>() / row.len() as f64;
                        let mean = i8::try_from(integer(mean)).unwrap_or_default();
                        row.mapv_inplace(|w| w.saturating_sub(mean).max(-127));
                    }
                    yields =
                        input * (60.0 * 60.0 / 3.0) * (array.len() / spec.part.shape[0]) as f64;
                    Tensor::from(array)
                }
                "weight" => {
                    yields = input * 200.0 * 200.0;
                    Tensor::from(Array1::<i32>::from_elem(channels, 200))
                }
                "multiplier" => Tensor::from(Array1::<i32>::ones(channels)),
                "threshold" => {
                    Tensor::from(Array1::from_elem(channels, integer(FIRST * input.sqrt())))
                }
                "thresholds" => Tensor::from(Array2::from_shape_fn(
                    (usize::from(LEVELS), channels),
                    |(d, _)| integer((FIRST + 0.5 * d as f64) * input.sqrt()),
                )),
                "bias" => Tensor::from(Array1::<i32>::zeros(channels)),
                other => return Err(Error::Graph(format!("no law for {other}"))),
            };
            weights.insert(spec.name.clone(), tensor);
        }
        power.push(match node.op {
            Op::Input { .. } => 255.0 * 255.0 / 12.0,
            // Σ (2d−1)·P(q ≥ d) for the tails 0.15, 0.06, 0.02 and 0.005; a spike is 1 or 0.
            Op::Activation { .. } => {
                if lif {
                    0.15
                } else {
                    0.15 + 3.0 * 0.06 + 5.0 * 0.02 + 7.0 * 0.005
                }
            }
            Op::Add => info.inputs.iter().map(|&i| power[i]).sum(),
            _ => yields,
        });
    }
    Ok(weights)
}

#[expect(clippy::cast_possible_truncation, reason = "currents of this model are below 2³¹")]
fn integer(value: f64) -> i32 {
    value.round() as i32
}
