//! VGG (Simonyan and Zisserman 2015) as torchvision names it: `features.N` and `classifier.N`.
//!
//! The numbers count modules, among them `ReLUs` and poolings, which have no weights: the poolings
//! stand where a number is missing.

use super::layers::{Layers, graph, site};
use super::options::Recognised;
use snn_ir::{GraphBuilder, Op, PoolKind, Window};

/// The side of the last image of a VGG for `ImageNet`.
const IMAGENET_SIDE: usize = 7;

pub(super) fn build(layers: Layers<'_>) -> Result<Recognised, String> {
    let convs = numbers(&layers, "features", 4);
    let batch_norm = layers.has_norm(&format!("features.{}", convs[0] + 1));
    let poolings = poolings(&convs, if batch_norm { 3 } else { 2 })?;
    let linear = match numbers(&layers, "classifier", 2) {
        numbers if numbers.is_empty() => vec!["classifier".to_owned()],
        numbers => numbers.iter().map(|number| format!("classifier.{number}")).collect(),
    };
    let [inputs, channels] = [convs[0], convs[convs.len() - 1]]
        .map(|number| layers.conv_shape(&format!("features.{number}")));
    let (inputs, channels) = (inputs?[1], channels?[0]);
    let side = side(&layers, &linear[0], channels)?;
    let input = side
        .checked_shl(u32::try_from(poolings.len()).unwrap_or(u32::MAX))
        .filter(|&size| size > 0)
        .ok_or_else(|| format!("expected a few poolings, found {}", poolings.len()))?;
    let mut net = GraphBuilder::new(layers.options.input.unwrap_or([inputs, input, input]));
    for &number in &convs {
        let at = |offset: usize| format!("features.{}", number + offset);
        layers.conv(&mut net, &at(0), 1)?;
        if batch_norm {
            layers.norm(&mut net, &at(1))?;
        }
        let relu = if batch_norm { 2 } else { 1 };
        site(&mut net, &at(relu));
        if poolings.contains(&number) {
            net.pool(&at(relu + 1), PoolKind::Max, 2);
        }
    }
    adapt(&mut net, side)?;
    net.flatten("flatten");
    for (place, name) in linear.iter().enumerate() {
        layers.linear(&mut net, name)?;
        if place + 1 < linear.len() {
            site(&mut net, &format!("{name}.act"));
        }
    }
    let layout = format!(
        "VGG of {} convolutions{} and {} linear layers, {} max poolings; dropout is left out",
        convs.len(),
        if batch_norm { " with batch norm" } else { "" },
        linear.len(),
        poolings.len()
    );
    Ok(Recognised { graph: graph(&mut net)?, layout, fixed: layers.fixed })
}

/// The numbers of layers `GROUP.N` whose weights have so many axes, ascending.
fn numbers(layers: &Layers<'_>, group: &str, axes: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = layers
        .names()
        .filter_map(|name| {
            let number = name.strip_prefix(group)?.strip_prefix('.')?.strip_suffix(".weight")?;
            number.parse().ok().filter(|number| *number < MAX_MODULES)
        })
        .filter(|number| layers.has(&format!("{group}.{number}"), axes))
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Modules of a group at most; VGG-19 with batch norm has 53.
const MAX_MODULES: usize = 1 << 12;

/// The convolutions after which a max pooling stands: where one module more than the convolution's
/// own comes before the next one, and after the last.
fn poolings(convs: &[usize], own: usize) -> Result<Vec<usize>, String> {
    let mut poolings = Vec::new();
    for pair in convs.windows(2) {
        match (pair[1] - pair[0]).checked_sub(own) {
            Some(0) => {}
            Some(1) => poolings.push(pair[0]),
            _ => {
                return Err(format!(
                    "expected `features.{}` {own} modules after `features.{}`, or one more with a \
                     pooling, found {}; give the graph of the network",
                    pair[1],
                    pair[0],
                    pair[1] - pair[0]
                ));
            }
        }
    }
    poolings.extend(convs.last());
    Ok(poolings)
}

/// The side of the image that the first linear layer reads.
fn side(layers: &Layers<'_>, linear: &str, channels: usize) -> Result<usize, String> {
    let shape = layers.shape(&format!("{linear}.weight"));
    let Some(&[_, inputs]) = shape else {
        return Err(format!("expected a linear layer `{linear}`, found none"));
    };
    let side = (1..=IMAGENET_SIDE * 2).find(|side| channels.saturating_mul(side * side) == inputs);
    side.ok_or_else(|| {
        format!(
            "`{linear}.weight`: expected as many inputs as a square image of {channels} channels \
             has values, found {inputs}"
        )
    })
}

/// Adaptive average pooling to a side, where it is an average over equal windows.
fn adapt(net: &mut GraphBuilder, side: usize) -> Result<(), String> {
    let Some(&[_, height, width]) = net.shape() else { return graph(net).map(drop) };
    if (height, width) == (side, side) {
        return Ok(());
    }
    if height == 0 || width == 0 || height % side != 0 || width % side != 0 {
        return Err(format!(
            "expected an input whose image before the first linear layer is {side}×{side} or a \
             multiple, found {height}×{width}"
        ));
    }
    let kernel = vec![height / side, width / side];
    let window = Window { stride: kernel.clone(), kernel, padding: vec![0; 2] };
    net.op("avgpool", Op::Pool { pool: PoolKind::Average, window });
    Ok(())
}
