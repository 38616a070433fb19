//! The text of the program: a line for each node, and the functions that these lines call.

use super::names::{identifiers, literal};
use crate::{Error, Refusal, Result};
use snn_ir::{
    Checked, Encoder, Geometry, GridAdaptation, GridLif, GridReset, GridSynapse, MASKED, Model,
    Node, Op, PoolKind, Readout, Site, Spike,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Functions of the program, in the order in which they are written; each only where a node calls
/// it.
const FUNCTIONS: [(&str, &str); 9] = [
    ("channel", include_str!("functions/channel.py")),
    ("conv", include_str!("functions/conv.py")),
    ("linear", include_str!("functions/linear.py")),
    ("scale", include_str!("functions/scale.py")),
    ("sum_pool", include_str!("functions/sum_pool.py")),
    ("max_pool", include_str!("functions/max_pool.py")),
    ("mask", include_str!("functions/mask.py")),
    ("quant_relu", include_str!("functions/quant_relu.py")),
    ("lif", include_str!("functions/lif.py")),
];
const BEGINNING: &str = include_str!("functions/beginning.py");
const END: &str = include_str!("functions/end.py");

pub(super) fn program(model: &Model, checked: &Checked, logit_unit: f64) -> Result<String> {
    let nodes = &model.graph().nodes;
    let lines = Lines {
        names: identifiers(nodes.iter().map(|node| node.name.as_str())),
        model,
        checked,
        called: BTreeSet::new(),
    };
    let (body, called) = lines.write()?;
    let mut text = BEGINNING.to_string();
    text.push_str(&facts(model, checked, logit_unit));
    for (name, function) in FUNCTIONS {
        if called.contains(name) {
            text.push_str("\n\n");
            text.push_str(function);
        }
    }
    text.push_str("\n\n");
    text.push_str(&body);
    text.push_str("\n\n");
    text.push_str(END);
    Ok(text)
}

/// The constants of the model.
fn facts(model: &Model, checked: &Checked, logit_unit: f64) -> String {
    let shape = tuple(checked.input_shape().iter().map(ToString::to_string));
    let readout = model.graph().readout();
    let divisor = match readout {
        Readout::Mean => " / T",
        Readout::Last | Readout::Max => "",
    };
    let frames_only = match model.encoder() {
        Encoder::Direct => "False",
        _ => "True  # its images are encoded; give it the frames that the encoder makes of them",
    };
    let mean = &model.preprocessing().mean;
    let first = mean.first().copied().unwrap_or(0);
    let mean = if mean.len() > 8 && mean.iter().all(|m| *m == first) {
        format!("({first},) * {}", mean.len())
    } else {
        tuple(mean.iter().map(ToString::to_string))
    };
    let classes = tuple(model.classes().iter().map(|class| literal(class)));
    format!(
        "T = {}  # macro-steps\n\
         SHAPE = {shape}  # of one image, channels first\n\
         MEAN = {}  # of each channel, in pixel terms\n\
         LOGIT_UNIT = {logit_unit:?}{divisor}  # a logit for each unit of the integers\n\
         CLASSES = {}\n\
         FRAMES_ONLY = {frames_only}\n\
         EXACT = 2**53  # every integer below it is a float64\n",
        model.time_steps(),
        wrapped(&mean),
        wrapped(&classes),
    )
}

fn tuple(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    match values.as_slice() {
        [only] => format!("({only},)"),
        _ => format!("({})", values.join(", ")),
    }
}

/// A tuple over several lines, where it is long.
fn wrapped(tuple: &str) -> String {
    const WIDTH: usize = 88;
    if tuple.len() <= WIDTH {
        return tuple.into();
    }
    let inner = tuple.trim_start_matches('(').trim_end_matches(')');
    let mut text = String::from("(\n   ");
    let mut column = 3;
    for value in inner.split(", ") {
        let value = value.trim_end_matches(',');
        if column + value.len() + 2 > WIDTH {
            text.push_str("\n   ");
            column = 3;
        }
        let _ = write!(text, " {value},");
        column += value.len() + 2;
    }
    text.push_str("\n)");
    text
}

/// The lines of the function that computes the network.
struct Lines<'m> {
    model: &'m Model,
    checked: &'m Checked,
    names: Vec<String>,
    called: BTreeSet<&'static str>,
}

impl Lines<'_> {
    fn write(mut self) -> Result<(String, BTreeSet<&'static str>)> {
        let nodes = &self.model.graph().nodes;
        let infos = self.checked.nodes();
        let (mut once, mut every, mut remembered) = (String::new(), String::new(), String::new());
        let mut histories = BTreeSet::new();
        for (index, (node, info)) in nodes.iter().zip(infos).enumerate() {
            let line = self.line(index, node)?;
            if info.varies || node.op.readout().is_some() {
                let _ = writeln!(every, "        {line}");
            } else {
                let _ = writeln!(once, "            {line}");
            }
            if let Op::Delay { .. } = node.op
                && histories.insert(info.inputs[0])
            {
                let site = &self.names[info.inputs[0]];
                let _ = writeln!(remembered, "        history[\"{site}\"].append({site})");
            }
        }
        let mut text = String::from(
            "def run(w, frames):\n    \"\"\"The integer scores [B, classes] of frames [T, B, C, H, \
             W], or [1, B, C, H, W] of images.\n\n    Numbers behind the lines are shapes of one \
             sample.\n    \"\"\"\n    batch = frames.shape[1]\n    states = {}  # of LIF sites\n",
        );
        if !histories.is_empty() {
            let names = histories.iter().map(|site| format!("\"{}\": []", self.names[*site]));
            let names: Vec<String> = names.collect();
            let _ = writeln!(text, "    history = {{{}}}  # of delayed sites", names.join(", "));
        }
        text.push_str("    for t in range(T):\n");
        text.push_str(
            "        if t == 0 or len(frames) > 1:  # does not vary over time (eq. 14)\n",
        );
        text.push_str(&once);
        text.push_str(&every);
        text.push_str(&remembered);
        text.push_str("    return scores.flatten(1)\n");
        Ok((text, self.called))
    }

    /// The line of a node, with its shape behind it.
    fn line(&mut self, index: usize, node: &Node) -> Result<String> {
        let infos = self.checked.nodes();
        let info = &infos[index];
        let read: Vec<&str> = info.inputs.iter().map(|&i| self.names[i].as_str()).collect();
        let x = read.first().copied().unwrap_or("frames");
        let key = literal(&node.name);
        let [c, h, w] = info.chw();
        let before = info.inputs.first().map_or([0; 3], |&i| infos[i].chw());
        let mut called = Vec::new();
        let value = match &node.op {
            Op::Input { .. } => "pixels(frames[t if len(frames) > 1 else 0])".to_string(),
            Op::Conv(conv) => {
                called.extend(["channel", "conv"]);
                let mut call = format!("conv(w, {key}, {x}{}", placed(conv.as_2d()));
                if conv.groups > 1 {
                    let _ = write!(call, ", groups={}", conv.groups);
                }
                call + ")"
            }
            Op::Linear { .. } => {
                called.extend(["channel", "linear"]);
                format!("linear(w, {key}, {x})")
            }
            Op::Scale => {
                called.extend(["channel", "scale"]);
                format!("scale(w, {key}, {x})")
            }
            Op::Pool { pool: pool @ (PoolKind::Sum | PoolKind::Max), window } => {
                let name = if *pool == PoolKind::Sum { "sum_pool" } else { "max_pool" };
                called.push(name);
                let geometry = window.as_2d();
                let [height, width] = geometry.kernel;
                format!("{name}({x}, ({height}, {width}){})", placed(geometry))
            }
            Op::GlobalPool { pool: PoolKind::Sum } => format!("{x}.sum((2, 3), keepdim=True)"),
            Op::GlobalPool { pool: PoolKind::Max } => format!("{x}.amax((2, 3), keepdim=True)"),
            Op::Flatten => format!("{x}.flatten(1)[:, :, None, None]"),
            Op::Add => read.join(" + "),
            Op::Concat => format!("torch.cat([{}], 1)", read.join(", ")),
            Op::Mask { inverted } => {
                called.push("mask");
                let m = if *inverted { format!("1 - {x}") } else { x.to_string() };
                format!("mask({m}, {})", read[MASKED])
            }
            Op::Activation { site: Site::GridQuantRelu { .. }, .. } => {
                called.push("quant_relu");
                format!("quant_relu(w, {key}, {x})")
            }
            Op::Activation { site: Site::GridLif(lif), .. } => {
                called.extend(["channel", "lif"]);
                format!("lif(w, {key}, states, {x}, {})", attributes(lif))
            }
            Op::Delay { steps, .. } => {
                let zeros = format!("torch.zeros(batch, {c}, {h}, {w}, dtype=torch.int64)");
                format!("history[\"{x}\"][t - {steps}] if t >= {steps} else {zeros}")
            }
            Op::TimeMean => format!("{x} if t == 0 else scores + {x}"),
            Op::TimeLast => x.to_string(),
            Op::TimeMax => format!("{x} if t == 0 else torch.maximum(scores, {x})"),
            Op::Pool { pool: PoolKind::Average, .. }
            | Op::GlobalPool { pool: PoolKind::Average }
            | Op::BatchNorm(_)
            | Op::ChannelSum { .. }
            | Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::Activation { .. } => {
                return Err(Error::Refused(vec![Refusal {
                    node: node.name.clone(),
                    operator: node.op.label().into(),
                    reason: "it does not exist on the grid".into(),
                }]));
            }
        };
        self.called.extend(called);
        let name = if node.op.readout().is_some() { "scores" } else { &self.names[index] };
        let changed = before != [c, h, w] || info.inputs.is_empty();
        let shape = if changed { format!("  # {c} x {h} x {w}") } else { String::new() };
        Ok(format!("{name} = {value}{shape}"))
    }
}

/// Stride, padding and dilation of a window, where they are not 1, 0 and 1. Padding in the order of
/// `F.pad`: left, right, top, bottom.
fn placed(geometry: Geometry) -> String {
    let Geometry { stride, padding, padding_after, dilation, .. } = geometry;
    let mut text = String::new();
    if stride != [1, 1] {
        let _ = write!(text, ", stride=({}, {})", stride[0], stride[1]);
    }
    let pads = [padding[1], padding_after[1], padding[0], padding_after[0]];
    if pads != [0; 4] {
        let [left, right, top, bottom] = pads;
        let _ = write!(text, ", pads=({left}, {right}, {top}, {bottom})");
    }
    if dilation != [1, 1] {
        let _ = write!(text, ", dilation=({}, {})", dilation[0], dilation[1]);
    }
    text
}

/// Attributes of a LIF site.
fn attributes(lif: &GridLif) -> String {
    let reset = match lif.reset {
        GridReset::Hard => "hard",
        GridReset::Soft => "soft",
        GridReset::None => "none",
    };
    let mut text = format!(
        "leak=({}, {}), f={}, reset=\"{reset}\"",
        lif.leak_multiplier, lif.leak_shift, lif.guard_bits
    );
    match lif.spike {
        Spike::Binary => {}
        Spike::Ternary => text.push_str(", spike=\"ternary\""),
        Spike::Integer { levels } => {
            let _ = write!(text, ", spike=\"integer\", levels={levels}");
        }
    }
    if let GridSynapse::Current { multiplier, shift } = lif.synapse {
        let _ = write!(text, ", synapse=({multiplier}, {shift})");
    }
    if let GridAdaptation::Threshold { multiplier, shift } = lif.adaptation {
        let _ = write!(text, ", adaptation=({multiplier}, {shift})");
    }
    text
}
