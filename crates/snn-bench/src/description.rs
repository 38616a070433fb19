//! Description of a model: the data behind `inspect`.

use crate::drawing::{Role, Shown};
use crate::table::counted;
use crate::tuning;
use anyhow::Result;
use serde::Serialize;
use snn_ir::{
    Adaptation, FirstMembrane, GridAdaptation, GridReset, GridSynapse, Leak, Lif, Reset, Site,
    Spike, Synapse, Threshold,
};
use snn_ir::{
    BATCH_NORM_MOMENTUM, Code, ConversionOptions, Encoder, Form, Framing, Geometry, GridOptions,
    Model, Node, Op, Preprocessing, Resolved, SliceBy, Tensor,
};
use snn_ir::{StreamKind as Kind, Streams};
use snn_runtime::deploy::{Deployment, Summary};
use snn_train::{RunConfig, RunResult};

#[derive(Serialize)]
pub(crate) struct Description<'a> {
    pub(crate) form: Form,
    pub(crate) time_steps: usize,
    pub(crate) micro_steps: u32,
    pub(crate) parameters: usize,
    pub(crate) neurons: usize,
    pub(crate) lif_neurons: usize,
    /// Multiply-adds of a sample and a time step, computed densely.
    pub(crate) multiply_adds: u64,
    pub(crate) preprocessing: &'a Preprocessing,
    pub(crate) encoder: Encoder,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) framing: Option<Framing>,
    pub(crate) classes: &'a [String],
    /// Options of the conversion, where the file stores them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversion: Option<&'a ConversionOptions>,
    pub(crate) nodes: Vec<NodeDescription>,
    /// For a model on the grid: how this machine runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<&'a RunConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<&'a RunResult>,
}

#[derive(Serialize)]
pub(crate) struct NodeDescription {
    pub(crate) name: String,
    pub(crate) op: &'static str,
    pub(crate) inputs: Vec<String>,
    pub(crate) shape: Vec<usize>,
    /// For a converted model: pixels, events or current.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) carries: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<Code>,
    /// Number of weights.
    pub(crate) weights: usize,
    /// On the grid, of a synapse: least and largest multiplier that brings its sum to its
    /// accumulator's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) multiplier: Option<[i32; 2]>,
    /// On the grid: the largest absolute value, proved from the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<f64>,
    /// `true` if it differs between macro-steps (eq. 14).
    pub(crate) varies: bool,
    pub(crate) detail: String,
    #[serde(skip)]
    role: Role,
    #[serde(skip)]
    reads: Vec<usize>,
}

impl<'a> Description<'a> {
    pub(crate) fn of(
        model: &'a Model,
        config: Option<&'a RunConfig>,
        result: Option<&'a RunResult>,
    ) -> Result<Self> {
        let checked = model.validate()?;
        let (resolved, streams) = (checked.resolved(), checked.streams().ok());
        let nodes = (0..resolved.nodes.len()).map(|index| node(model, resolved, streams, index));
        let deployment = match model.form() {
            Form::Grid { .. } => Some(Deployment::new(model, &tuning::options()?)?),
            // Some sites run off the grid that cannot be deployed.
            Form::Events => Deployment::new(model, &tuning::options()?).ok(),
            Form::Trained => None,
        };
        let sites = model.graph().sites()?;
        Ok(Self {
            form: model.form(),
            time_steps: model.time_steps(),
            micro_steps: model.graph().micro_steps(),
            parameters: model.weights().values().map(Tensor::len).sum(),
            neurons: sites.iter().map(snn_ir::SiteInfo::neurons).sum(),
            lif_neurons: sites
                .iter()
                .filter(|site| site.site.is_stateful())
                .map(snn_ir::SiteInfo::neurons)
                .sum(),
            multiply_adds: model.graph().multiply_adds()?.iter().sum(),
            preprocessing: model.preprocessing(),
            encoder: model.encoder(),
            framing: model.framing(),
            classes: model.classes(),
            conversion: model.conversion(),
            nodes: nodes.collect(),
            deployment: deployment.map(|deployment| deployment.summary()),
            config,
            result,
        })
    }

    /// One line about the whole.
    pub(crate) fn summary(&self) -> String {
        let unit = match self.form {
            Form::Grid { logit_unit } => format!(", logits in units of {logit_unit:.3e}"),
            Form::Trained | Form::Events => String::new(),
        };
        let encoder = match self.encoder {
            Encoder::Direct => String::new(),
            encoder => format!(", images encoded by `{}`", encoder.label()),
        };
        let framing = self.framing.map_or(String::new(), |framing| {
            let [height, width] = framing.sensor;
            let by = match framing.by {
                SliceBy::Number => "events",
                SliceBy::Time => "duration",
            };
            format!(", recordings of {width}x{height} in slices of equal {by}")
        });
        format!(
            "form {}, T = {} macro-steps of {}, {} weights, {} neurons ({:.1} % LIF), {} \
             classes{encoder}{framing}{unit}",
            self.form.label(),
            self.time_steps,
            counted(self.micro_steps as usize, "micro-step"),
            self.parameters,
            self.neurons,
            100.0 * self.lif_neurons as f64 / self.neurons.max(1) as f64,
            self.nodes.last().and_then(|node| node.shape.first()).copied().unwrap_or(0),
        )
    }

    /// Lines about operations, the range of scales and bounds, options and the deployment.
    pub(crate) fn overview(&self) -> String {
        let mut lines = Vec::new();
        let mut ops: Vec<(&str, usize)> = Vec::new();
        for node in &self.nodes {
            match ops.iter_mut().find(|(op, _)| *op == node.op) {
                Some((_, count)) => *count += 1,
                None => ops.push((node.op, 1)),
            }
        }
        let ops: Vec<String> = ops.iter().map(|(op, count)| format!("{count} {op}")).collect();
        lines.push(format!("{}: {}", counted(self.nodes.len(), "node"), ops.join(", ")));
        lines.push(format!(
            "{:.2} million multiply-adds a time step, computed densely",
            self.multiply_adds as f64 / 1e6
        ));
        if let Some(ConversionOptions { codes, grid }) = self.conversion {
            let mut line = format!("converted with the code {}", codes.default.label());
            line.extend(
                codes.sites.iter().map(|(site, code)| format!(", {site}={}", code.label())),
            );
            if let Some(GridOptions { weight_bits, calibration, guard_bits, leak_bits }) = grid {
                let wide = *weight_bits != snn_ir::DEFAULT_WEIGHT_BITS;
                line.extend(wide.then(|| format!(", {weight_bits}-bit weights")));
                line.extend([format!(", {guard_bits} guard bits, {leak_bits} bits of leaks")]);
                let nearest = *calibration == 0;
                let by = format!(", rounded by {calibration} training samples");
                line.extend((!nearest).then_some(by));
            }
            lines.push(line);
        }
        let bounded = self.nodes.iter().filter_map(|node| Some((node.bound?, &node.name)));
        if let Some((bound, name)) = bounded.max_by(|a, b| a.0.total_cmp(&b.0)) {
            lines.push(format!("largest bound of a value |x| ≤ {bound}, at `{name}`"));
        }
        if let Some(deployment) = &self.deployment {
            let bytes: usize = deployment.nodes.iter().map(|node| node.weight_bytes).sum();
            lines.push(format!(
                "deployed here with the instructions: {}, {:.1} MB of packed weights",
                deployment.instruction_set,
                bytes as f64 / 1e6
            ));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The columns of [`shown`](Self::shown).
    pub(crate) const FACTS: [&'static str; 6] =
        ["op", "shape", "carries", "weights", "detail", "unit and bound"];

    /// The nodes for a drawing.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.nodes.iter().map(NodeDescription::shown).collect()
    }
}

impl NodeDescription {
    fn shown(&self) -> Shown {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let words = [self.carries, self.code.map(Code::label)];
        let unit = self.multiplier.map(|[least, most]| {
            if least == most { format!("M = {least}") } else { format!("M = {least}…{most}") }
        });
        let limits = [unit, self.bound.map(|bound| format!("|x| ≤ {bound}"))];
        Shown {
            inputs: self.reads.clone(),
            role: self.role,
            name: self.name.clone(),
            facts: vec![
                self.op.to_string(),
                shape.join("×"),
                words.into_iter().flatten().collect::<Vec<_>>().join(" "),
                if self.weights > 0 { format!("{} w", self.weights) } else { String::new() },
                self.detail.clone(),
                limits.into_iter().flatten().collect::<Vec<_>>().join(", "),
            ],
        }
    }
}

fn node(
    model: &Model,
    resolved: &Resolved,
    streams: Option<&Streams>,
    index: usize,
) -> NodeDescription {
    let (node, info) = (&model.graph().nodes[index], &resolved.nodes[index]);
    let prefix = format!("{}.", node.name);
    let own = |name: &str| name.strip_prefix(&prefix).is_some_and(|part| !part.contains('.'));
    let bound = streams.map(|streams| streams.bounds[index].iter().copied().fold(0.0, f64::max));
    let multiplier = match model.weights().get(&format!("{prefix}multiplier")) {
        Some(Tensor::I32(values)) => {
            values.iter().min().zip(values.iter().max()).map(|(min, max)| [*min, *max])
        }
        _ => None,
    };
    NodeDescription {
        name: node.name.clone(),
        op: node.op.label(),
        inputs: node.inputs.clone(),
        shape: info.shape.clone(),
        carries: streams.map(|streams| match streams.kinds[index] {
            Kind::Pixels => "pixels",
            Kind::Events => "events",
            Kind::Current => "current",
        }),
        code: if let Op::Activation { code, .. } = node.op { code } else { None },
        weights: model
            .weights()
            .iter()
            .filter(|(name, _)| own(name))
            .map(|(_, tensor)| tensor.len())
            .sum(),
        multiplier,
        bound: bound.filter(|bound| bound.is_finite()),
        varies: info.varies,
        detail: detail(node, info.varies),
        role: role(&node.op),
        // A delay begins a lane: what it yields is of another macro-step.
        reads: if matches!(node.op, Op::Delay { .. }) { Vec::new() } else { info.inputs.clone() },
    }
}

fn role(op: &Op) -> Role {
    match (op.role(), op) {
        (_, Op::Activation { site, .. }) if site.is_stateful() => Role::Spiking,
        (snn_ir::Role::Site, _) => Role::Relu,
        (snn_ir::Role::Source | snn_ir::Role::Head, _) => Role::End,
        (snn_ir::Role::Synapse, _) => Role::Synapse,
        (snn_ir::Role::Join | snn_ir::Role::Gate, _) => Role::Join,
        (snn_ir::Role::Delay, _) => Role::Delay,
        (
            snn_ir::Role::Norm | snn_ir::Role::Pool | snn_ir::Role::Shape | snn_ir::Role::Dropout,
            _,
        ) => Role::Other,
    }
}

/// Attributes that matter for what a node computes.
fn detail(node: &Node, varies: bool) -> String {
    let axes =
        |values: &[usize]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
    let mut parts = Vec::new();
    match &node.op {
        Op::Conv(conv) => {
            parts.push(axes(&conv.kernel));
            for (name, values, usual) in
                [("stride", &conv.stride, 1), ("dilation", &conv.dilation, 1)]
            {
                if values.iter().any(|value| *value != usual) {
                    parts.push(format!("{name} {}", axes(values)));
                }
            }
            if conv.groups > 1 {
                parts.push(format!("{} groups", conv.groups));
            }
            parts.extend(lopsided(conv.as_2d()));
        }
        Op::Pool { window, .. } => {
            parts.push(axes(&window.kernel));
            if window.stride != window.kernel {
                parts.push(format!("stride {}", axes(&window.stride)));
            }
            parts.extend(lopsided(window.as_2d()));
        }
        Op::BatchNorm(norm) => {
            if !norm.scale {
                parts.push("no scale".into());
            }
            if norm.momentum != BATCH_NORM_MOMENTUM {
                parts.push(format!("momentum {}", norm.momentum));
            }
        }
        Op::Dropout { rate } | Op::DropPath { rate } => parts.push(format!("p = {rate}")),
        Op::Delay { steps, .. } => {
            parts.push(format!("{}, {steps} before", node.inputs.join(", ")));
        }
        Op::ChannelSum { groups } if *groups > 1 => parts.push(format!("{groups} groups")),
        Op::Mask { inverted: true } => parts.push("inverted".into()),
        Op::Activation { site, .. } => match site {
            Site::Lif(lif) => lif_attributes(lif, &mut parts),
            Site::Custom(custom) => parts.push(custom.name.clone()),
            Site::Relu { limit } => parts.extend(limit.map(|limit| format!("at most {limit}"))),
            Site::QuantRelu(quantised) => parts.push(format!("D = {}", quantised.levels)),
            Site::GridQuantRelu { levels } => parts.push(format!("D = {levels}")),
            Site::GridLif(lif) => {
                parts.push(format!(
                    "leak {}/2^{}, {} guard bits",
                    lif.leak_multiplier, lif.leak_shift, lif.guard_bits
                ));
                parts.extend(levels(lif.spike));
                match lif.reset {
                    GridReset::Hard => {}
                    GridReset::Soft => parts.push("soft reset".into()),
                    GridReset::None => parts.push("no reset".into()),
                }
                if lif.initial {
                    parts.push("v₀ per channel".into());
                }
                if let GridSynapse::Current { multiplier, shift } = lif.synapse {
                    parts.push(format!("α = {multiplier}/2^{shift}"));
                }
                if let GridAdaptation::Threshold { multiplier, shift } = lif.adaptation {
                    parts.push(format!("ρ = {multiplier}/2^{shift}"));
                }
            }
        },
        Op::Input { .. }
        | Op::Linear { .. }
        | Op::Scale
        | Op::GlobalPool { .. }
        | Op::Flatten
        | Op::Add
        | Op::Concat
        | Op::ChannelSum { .. }
        | Op::Mask { .. }
        | Op::TimeMean
        | Op::TimeLast
        | Op::TimeMax => {}
    }
    parts.extend(node.initial.map(|initial| format!("begins {initial}")));
    if node.frozen {
        parts.push("frozen".into());
    }
    if !varies {
        parts.push("once".into());
    }
    parts.join(", ")
}

/// Zero padding, where it differs between the sides.
fn lopsided(geometry: Geometry) -> Option<String> {
    let [[top, left], [bottom, right]] = [geometry.padding, geometry.padding_after];
    geometry.is_lopsided().then(|| format!("padding {top}×{left} before, {bottom}×{right} behind"))
}

/// Attributes that the name of the kind does not imply.
fn lif_attributes(lif: &Lif, parts: &mut Vec<String>) {
    let threshold = match lif.threshold {
        Threshold::Fixed(value) => format!("θ = {value}"),
        Threshold::Learned { .. } => "θ learned".into(),
    };
    let leak = match lif.leak {
        Leak::Factor { factor } => format!("λ = {factor}"),
        Leak::Learned { .. } => "λ learned".into(),
    };
    parts.push(format!("{threshold}, {leak}"));
    parts.extend(levels(lif.spike));
    match lif.reset {
        Reset::Hard { potential } if potential != 0.0 => parts.push(format!("v_r = {potential}")),
        Reset::Hard { .. } => {}
        Reset::Soft => parts.push("soft reset".into()),
        Reset::None => parts.push("no reset".into()),
    }
    match lif.initial {
        FirstMembrane::Rest => {}
        FirstMembrane::Potential(potential) => parts.push(format!("v₀ = {potential}")),
        FirstMembrane::Threshold { share } => parts.push(format!("v₀ = {share} of θ")),
    }
    if let Synapse::Current { alpha } = lif.synapse {
        parts.push(format!("α = {alpha}"));
    }
    if let Adaptation::Threshold { decay, strength } = lif.adaptation {
        parts.push(format!("ρ = {decay}, β = {strength}"));
    }
}

fn levels(spike: Spike) -> Option<String> {
    match spike {
        Spike::Binary => None,
        Spike::Ternary => Some("ternary".into()),
        Spike::Integer { levels } => Some(format!("D = {levels}")),
    }
}
