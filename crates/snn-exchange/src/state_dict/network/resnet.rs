//! Post-activation `ResNets` (He 2016): `conv1`, `bn1`, `layerS.B`, and a linear layer.

use super::layers::{Layers, found, graph, site, stem_pool};
use super::options::{BottleneckStride, Recognised};
use ndarray::{ArrayD, IxDyn};
use snn_ir::{Conv, GraphBuilder, PoolKind, Tensor};

/// Names of the last layer.
const CLASSIFIERS: [&str; 5] = ["fc", "linear", "classifier", "head.fc", "head"];

/// Names of the convolution of a shortcut with that of its batch norm; before the last of them
/// stands an average pooling.
const SHORTCUTS: [(&str, &str, bool); 3] = [
    ("downsample.0", "downsample.1", false),
    ("shortcut.0", "shortcut.1", false),
    ("downsample.1", "downsample.2", true),
];

/// The places of convolutions and batch norms in a stem of three convolutions.
const DEEP_STEM: [(&str, Option<&str>); 3] =
    [("conv1.0", Some("conv1.1")), ("conv1.3", Some("conv1.4")), ("conv1.6", None)];

pub(super) fn build(mut layers: Layers<'_>) -> Result<Recognised, String> {
    let blocks = blocks(&layers);
    let strides = strides(&layers, blocks.len())?;
    let deep = layers.has("conv1.0", 4);
    let first = layers.conv_shape(if deep { "conv1.0" } else { "conv1" })?;
    if !layers.has_norm("bn1") {
        return Err(
            "expected a batch norm `bn1` after the first convolution, found none, as of a \
                    pre-activation ResNet, which is not recognised; give the graph of the network"
                .into(),
        );
    }
    let large = deep || first[2] >= 7;
    let stride = layers.options.stem_stride.unwrap_or(if large { 2 } else { 1 });
    let pooled = layers.options.stem_pool.unwrap_or(stride > 1);
    let side = if stride > 1 { 224 } else { 32 };
    let mut net = GraphBuilder::new(layers.options.input.unwrap_or([first[1], side, side]));
    stem(&layers, &mut net, deep, stride)?;
    site(&mut net, "act1");
    if pooled {
        stem_pool(&mut net, "maxpool");
    }
    let mut option_a = false;
    for (stage, &count) in blocks.iter().enumerate() {
        for block in 0..count {
            let stride = if block == 0 { strides[stage] } else { 1 };
            let name = format!("layer{}.{block}", stage + 1);
            option_a |= add_block(&mut layers, &mut net, &name, stride)?;
        }
    }
    net.global_pool("avgpool", PoolKind::Average);
    let classifier = CLASSIFIERS.iter().find(|name| layers.has(name, 2));
    let classifier = classifier.ok_or_else(|| {
        format!("expected a last linear layer, `{}`, found none", CLASSIFIERS.join("`, `"))
    })?;
    layers.linear(&mut net, classifier)?;
    let kind = if layers.shape("layer1.0.conv3.weight").is_some() {
        "bottlenecks"
    } else {
        "basic blocks"
    };
    let layout = format!(
        "ResNet of {kind}, {blocks:?} in stages of strides {strides:?}, first convolution{} {}×{} \
         of stride {stride}{}{}",
        if deep { "s" } else { "" },
        first[2],
        first[3],
        if pooled { " with max pooling" } else { "" },
        if option_a { ", shortcuts of option A" } else { "" },
    );
    Ok(Recognised { graph: graph(&mut net)?, layout, fixed: layers.fixed })
}

/// Number of blocks of each stage: those in a row from 0 on.
fn blocks(layers: &Layers<'_>) -> Vec<usize> {
    let there = |stage: usize, block: usize| layers.has(&format!("layer{stage}.{block}.conv1"), 4);
    let most = layers.names().count();
    let stages = (1..=most).take_while(|&stage| there(stage, 0));
    stages.map(|stage| (0..most).take_while(|&block| there(stage, block)).count()).collect()
}

fn strides(layers: &Layers<'_>, stages: usize) -> Result<Vec<usize>, String> {
    match &layers.options.stage_strides {
        Some(strides) if strides.len() == stages => Ok(strides.clone()),
        Some(strides) => {
            Err(format!("expected a stride of each of {stages} stages, found {strides:?}"))
        }
        None => Ok((0..stages).map(|stage| if stage == 0 { 1 } else { 2 }).collect()),
    }
}

fn stem(
    layers: &Layers<'_>,
    net: &mut GraphBuilder,
    deep: bool,
    stride: usize,
) -> Result<(), String> {
    if !deep {
        return layers.conv_norm(net, "conv1", "bn1", stride);
    }
    for (place, (conv, norm)) in DEEP_STEM.into_iter().enumerate() {
        layers.conv(net, conv, if place == 0 { stride } else { 1 })?;
        if let Some(norm) = norm {
            layers.norm(net, norm)?;
            site(net, &format!("{norm}.act"));
        }
    }
    layers.norm(net, "bn1")
}

/// Adds a block; says whether its shortcut is of option A.
fn add_block(
    layers: &mut Layers<'_>,
    net: &mut GraphBuilder,
    name: &str,
    stride: usize,
) -> Result<bool, String> {
    let at = |part: &str| format!("{name}.{part}");
    let start = net.tip().to_owned();
    let before = net.shape().map(<[usize]>::to_vec);
    let bottleneck = layers.has(&at("conv3"), 4);
    let convs = if bottleneck { 3 } else { 2 };
    let strided = match layers.options.bottleneck_stride {
        BottleneckStride::Middle if bottleneck => 2,
        BottleneckStride::Middle | BottleneckStride::First => 1,
    };
    for conv in 1..=convs {
        let stride = if conv == strided { stride } else { 1 };
        layers.conv_norm(net, &at(&format!("conv{conv}")), &at(&format!("bn{conv}")), stride)?;
        if conv < convs {
            site(net, &at(&format!("act{conv}")));
        }
    }
    let branch = net.tip().to_owned();
    let after = net.shape().map(<[usize]>::to_vec);
    let mut option_a = false;
    net.at(&start);
    let shortcut = SHORTCUTS
        .iter()
        .find(|(conv, norm, _)| layers.has(&at(conv), 4) && layers.has_norm(&at(norm)));
    if let Some((conv, norm, pooled)) = shortcut {
        if *pooled && stride > 1 {
            net.pool(&at("downsample.0"), PoolKind::Average, stride);
        }
        let stride = if *pooled { 1 } else { stride };
        layers.conv_norm(net, &at(conv), &at(norm), stride)?;
    } else if before != after {
        let (Some(before), Some(after)) = (before, after) else {
            // The builder names what does not fit.
            return graph(net).map(|_| false);
        };
        subsample(layers, net, &at("shortcut"), before[0], after[0], stride)?;
        option_a = true;
    }
    let shortcut = net.tip().to_owned();
    net.add(&at("add"), &[&branch, &shortcut]);
    site(net, &at(&format!("act{convs}")));
    Ok(option_a)
}

/// Weights of a shortcut that the file does not hold, at most: of 4,096 channels.
const MAX_SHORTCUT: usize = 1 << 24;

/// The shortcut of option A (He 2016, section 4.2): every second position, and channels of zeros
/// before and behind. It is a 1×1 convolution with the stride whose weights are 0 and 1.
fn subsample(
    layers: &mut Layers<'_>,
    net: &mut GraphBuilder,
    name: &str,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> Result<(), String> {
    let padding = outputs.checked_sub(inputs).filter(|padding| padding % 2 == 0);
    let padding = padding.ok_or_else(|| {
        format!(
            "`{name}`: expected the weights of a shortcut from {inputs} to {outputs} channels, \
             found {}, and it cannot pad as many channels before as behind",
            found(layers.shape(&format!("{name}.0.weight")))
        )
    })?;
    if outputs.saturating_mul(inputs) > MAX_SHORTCUT {
        return Err(format!(
            "`{name}`: expected a shortcut without weights of at most {MAX_SHORTCUT} pairs of \
             channels, found {inputs} and {outputs} channels"
        ));
    }
    let mut weight = ArrayD::<f32>::zeros(IxDyn(&[outputs, inputs, 1, 1]));
    for channel in 0..inputs {
        weight[[padding / 2 + channel, channel, 0, 0]] = 1.0;
    }
    layers.fixed.insert(format!("{name}.weight"), Tensor::F32(weight));
    net.conv(name, Conv::square(outputs, 1, stride)).frozen();
    Ok(())
}
