//! A model compiled for deployment: stages, each of which fills one buffer, in the order in which
//! they run.

pub(crate) mod dense;
pub(crate) mod depth_wise;
pub(crate) mod grouped;
pub(crate) mod layout;
pub(crate) mod neurons;
pub(crate) mod tile_product;
pub(crate) mod vector_product;
pub(crate) mod weights;

use crate::deploy::events::Extent;
use crate::deploy::number::Number;
use crate::deploy::options::{Kernels, Options};
use crate::deploy::plan::dense::Dense;
use crate::deploy::plan::depth_wise::DepthWise;
use crate::deploy::plan::grouped::Grouped;
use crate::deploy::plan::neurons::StageNeurons;
use crate::deploy::plan::weights::{Bytes, PackedWeights};
use crate::deploy::tuning::{Inputs, Layer, Tuning};
use crate::geometry::Window2d;
use crate::limits::check_size;
use crate::mask::Mask;
use crate::neuron::SiteSource;
use crate::pool::{Pool, Pooling};
use snn_ir::Model;
use snn_ir::Resolved;
use snn_ir::{Conv, MASKED, Op, PoolKind, Readout};
use snn_ir::{Error, Result, Site, Spike};
use snn_ir::{StreamKind as Kind, Streams};
use snn_simd::InstructionSet;

/// Least and most bytes of currents that one tile of image rows holds between synapses and neurons.
/// They should stay in the first two caches; but weights that do not stay there come back for every
/// tile, which should then be worth it.
const TILE_BYTES: [usize; 2] = [64 << 10, 512 << 10];

/// Synapse that adds to the currents of a stage.
#[derive(Debug)]
pub(crate) enum Connection<N: Number> {
    /// Through events, or as a dense product where more inputs are active than that pays for.
    Packed(Box<PackedWeights<N::Weight>>, Option<Box<Dense>>),
    /// The same for several groups, the dense form of depth-wise convolutions alone.
    Grouped(Grouped<N>, Option<Box<DepthWise>>),
    /// One weight a channel (eq. 3), for every value of an image row.
    Scale(Vec<N>),
    /// Currents that another stage left in a buffer.
    Current,
}

/// A synapse with the node that it reads.
#[derive(Debug)]
pub(crate) struct Incoming<N: Number> {
    pub(crate) node: usize,
    pub(crate) connection: Connection<N>,
}

/// Synapses, their sum and the site that reads it, in one pass over the output.
#[derive(Debug)]
pub(crate) struct Stage<N: Number> {
    pub(crate) incoming: Vec<Incoming<N>>,
    /// Sum of the biases, for every value of an image row; zeros where there are none.
    pub(crate) bias: Vec<N>,
    /// `None` where the currents themselves are the result.
    pub(crate) neurons: Option<StageNeurons<N>>,
    /// `true` if its currents vary over time for a static image (eq. 14).
    pub(crate) varies: bool,
    /// Image rows that are worked on together, where there are as many.
    pub(crate) tile: usize,
}

/// A step of a plan, which fills a buffer.
#[derive(Debug)]
pub(crate) enum Operation<N: Number> {
    Pixels {
        mean: Vec<u8>,
    },
    Stage(Stage<N>),
    Pool(Pool),
    Flatten,
    Concat {
        starts: Vec<usize>,
    },
    Mask(Mask),
    /// What its input sent some macro-steps before.
    Delay {
        /// State at rest of one position: zeros for each of these steps.
        rest: Vec<N>,
    },
    Head,
}

impl<N: Number> Operation<N> {
    /// `true` if it pools, moves or masks values and neither weighs nor adds streams.
    pub(crate) fn rearranges(&self) -> bool {
        match self {
            Operation::Pool(_)
            | Operation::Flatten
            | Operation::Concat { .. }
            | Operation::Mask(_) => true,
            Operation::Pixels { .. }
            | Operation::Stage(_)
            | Operation::Delay { .. }
            | Operation::Head => false,
        }
    }
}

/// Where the values of a node are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    /// In an event buffer.
    Events(usize),
    /// In a buffer of currents.
    Current(usize),
    /// Nowhere: the stage of a later node computes it on the way.
    Fused,
}

/// A node of the plan.
#[derive(Debug)]
pub(crate) struct NodePlan<N: Number> {
    pub(crate) name: String,
    pub(crate) label: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) inputs: Vec<usize>,
    /// For all macro-steps.
    pub(crate) extent: Extent,
    pub(crate) varies: bool,
    pub(crate) is_site: bool,
    pub(crate) place: Location,
    pub(crate) step: Option<Operation<N>>,
}

impl<N: Number> NodePlan<N> {
    pub(crate) fn size(&self) -> usize {
        self.extent.rows * self.extent.width()
    }

    /// State of one position before the first macro-step; empty where there are none, or they
    /// remember nothing.
    pub(crate) fn rest(&self) -> &[N] {
        match &self.step {
            Some(Operation::Stage(stage)) => stage.neurons.as_ref().map_or(&[], StageNeurons::rest),
            Some(Operation::Delay { rest }) => rest,
            _ => &[],
        }
    }
}

/// A compiled model.
#[derive(Debug)]
pub(crate) struct Plan<N: Number> {
    pub(crate) nodes: Vec<NodePlan<N>>,
    pub(crate) time_steps: usize,
    /// Macro-steps that each stage computes at once: all, or one where there are delays.
    pub(crate) steps_at_once: usize,
    pub(crate) readout: Readout,
    /// The largest extents that share each event buffer.
    pub(crate) events: Vec<Vec<Extent>>,
    /// Size of each buffer of currents.
    pub(crate) currents: Vec<usize>,
}

fn has_delays(model: &Model) -> bool {
    model.graph().nodes.iter().any(|node| matches!(node.op, Op::Delay { .. }))
}

struct Compiler<'m> {
    model: &'m Model,
    steps_at_once: usize,
    resolved: &'m Resolved,
    streams: &'m Streams,
    fused: Vec<bool>,
    neurons: snn_ir::Neurons,
    kernels: Kernels,
    tuning: Option<&'m Tuning>,
    instruction_set: InstructionSet,
}

impl<N: Number> Plan<N> {
    /// Compiles a converted model, of the form whose numbers these are.
    pub(crate) fn compile(
        model: &Model,
        options: &Options,
        instruction_set: InstructionSet,
    ) -> Result<Self> {
        let checked = model.validate()?;
        let (resolved, streams) = (checked.resolved(), checked.streams()?);
        check_size(model.graph(), resolved)?;
        let fused = fused(model, resolved, streams);
        let has_delays = has_delays(model);
        let steps_at_once = if has_delays { 1 } else { model.time_steps() };
        let compiler = Compiler {
            model,
            steps_at_once,
            resolved,
            streams,
            fused,
            neurons: snn_ir::Neurons::default(),
            kernels: options.kernels,
            tuning: options.tuning.as_deref(),
            instruction_set,
        };
        let nodes = (0..resolved.nodes.len())
            .map(|index| compiler.node(index))
            .collect::<Result<Vec<_>>>()?;
        let mut plan = Self {
            nodes,
            time_steps: model.time_steps(),
            steps_at_once,
            readout: model.graph().readout(),
            events: Vec::new(),
            currents: Vec::new(),
        };
        plan.settle_payloads();
        plan.settle_sorting();
        plan.place(has_delays);
        Ok(plan)
    }

    /// Layers that may have a dense form with their nodes, at one macro-step and at all of them.
    pub(crate) fn layers(
        model: &Model,
        instruction_set: InstructionSet,
    ) -> Result<Vec<(usize, Layer)>> {
        let checked = model.validate()?;
        let steps = model.time_steps();
        let compiler = Compiler {
            model,
            steps_at_once: steps,
            resolved: checked.resolved(),
            streams: checked.streams()?,
            fused: Vec::new(),
            neurons: snn_ir::Neurons::default(),
            kernels: Kernels::Auto,
            tuning: None,
            instruction_set,
        };
        let mut layers = Vec::new();
        // Delays need one macro-step after another.
        let delayed = has_delays(model);
        for (index, node) in model.graph().nodes.iter().enumerate() {
            let conv = match &node.op {
                Op::Conv(conv) => conv,
                Op::Linear { features, bias } => &Conv::from_linear(*features, *bias),
                _ => continue,
            };
            // A stream has one macro-step at a time, and so has what does not vary; but where the
            // image is frames, everything varies.
            for steps in [1, steps].into_iter().take(1 + usize::from(steps > 1 && !delayed)) {
                layers.extend(compiler.layer(index, conv, steps).map(|layer| (index, layer)));
            }
        }
        Ok(layers)
    }

    /// `true` if a layer has a dense form.
    pub(crate) fn has_dense_form(&self) -> bool {
        let stages = self.nodes.iter().filter_map(|node| match &node.step {
            Some(Operation::Stage(stage)) => Some(stage),
            _ => None,
        });
        stages.flat_map(|stage| &stage.incoming).any(|incoming| match &incoming.connection {
            Connection::Packed(_, dense) => dense.is_some(),
            Connection::Grouped(_, dense) => dense.is_some(),
            Connection::Scale(_) | Connection::Current => false,
        })
    }

    pub(crate) fn classes(&self) -> usize {
        self.nodes.last().map_or(0, |head| head.extent.channels)
    }

    /// `true` if macro-steps run one after another, since delays carry events between them.
    pub(crate) fn has_delays(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.step, Some(Operation::Delay { .. })))
    }

    /// Bytes of the weights of all synapses, in the form that events read.
    pub(crate) fn weight_bytes(&self) -> usize {
        let stages = self.nodes.iter().filter_map(|node| match &node.step {
            Some(Operation::Stage(stage)) => Some(stage),
            _ => None,
        });
        let incoming = stages.flat_map(|stage| &stage.incoming);
        incoming
            .map(|incoming| match &incoming.connection {
                Connection::Packed(rows, _) => rows.bytes(),
                Connection::Grouped(grouped, _) => grouped.bytes(),
                Connection::Scale(_) | Connection::Current => 0,
            })
            .sum()
    }

    pub(crate) fn sites(&self) -> impl Iterator<Item = &NodePlan<N>> {
        self.nodes.iter().filter(|node| node.is_site)
    }

    /// Nodes whose buffers a node reads when it runs.
    pub(crate) fn reads(&self, index: usize) -> Vec<usize> {
        match &self.nodes[index].step {
            Some(Operation::Stage(stage)) => {
                stage.incoming.iter().map(|incoming| incoming.node).collect()
            }
            Some(_) => self.nodes[index].inputs.clone(),
            None => Vec::new(),
        }
    }

    /// A node that rearranges events has levels where one of its inputs has; sum pools have them
    /// always.
    fn settle_payloads(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let inherited = node.inputs.iter().any(|&input| self.nodes[input].extent.payloads);
            let payloads = match &node.step {
                Some(Operation::Pool(pool)) => pool.pooling == Pooling::Sum || inherited,
                Some(step) if step.rearranges() => inherited,
                Some(_) | None => continue,
            };
            self.nodes[index].extent.payloads = payloads;
        }
    }

    /// Events are sorted by steps where a synapse reads them sorted.
    fn settle_sorting(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(Operation::Stage(stage)) = &self.nodes[index].step else { continue };
            let least = |incoming: &Incoming<N>| match &incoming.connection {
                Connection::Packed(rows, _) if rows.may_sort(self.steps_at_once) => {
                    Some((incoming.node, rows.min_saved_by_position()))
                }
                _ => None,
            };
            for (read, least) in stage.incoming.iter().filter_map(least).collect::<Vec<_>>() {
                let extent = &mut self.nodes[read].extent;
                extent.min_saved = extent.min_saved.min(least);
            }
        }
    }

    /// Gives every buffer to the next node that needs one as soon as its last reader has run. With
    /// delays that is the end of the macro-step for what they read, and never for what is computed
    /// once.
    fn place(&mut self, has_delays: bool) {
        let mut last = vec![0; self.nodes.len()];
        for index in 0..self.nodes.len() {
            last[index] = last[index].max(index);
            self.reads(index).into_iter().for_each(|read| last[read] = last[read].max(index));
        }
        if has_delays {
            for (index, node) in self.nodes.iter().enumerate() {
                if !node.varies {
                    last[index] = self.nodes.len();
                }
                if matches!(node.step, Some(Operation::Delay { .. })) {
                    last[node.inputs[0]] = self.nodes.len();
                }
            }
        }
        let (mut free_events, mut free_currents) = (Vec::new(), Vec::new());
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if node.step.is_none() {
                continue;
            }
            // What is computed once shares its buffer with nothing, before it or after it.
            let alone = has_delays && !node.varies;
            match &mut node.place {
                Location::Events(slot) => {
                    let free = if alone { None } else { free_events.pop() };
                    *slot = free.unwrap_or_else(|| {
                        self.events.push(Vec::new());
                        self.events.len() - 1
                    });
                    self.events[*slot].push(node.extent);
                }
                Location::Current(slot) if !matches!(node.step, Some(Operation::Head)) => {
                    let free = if alone { None } else { free_currents.pop() };
                    *slot = free.unwrap_or_else(|| {
                        self.currents.push(0);
                        self.currents.len() - 1
                    });
                    let size = node.extent.rows * node.extent.width() * node.extent.steps;
                    self.currents[*slot] = self.currents[*slot].max(size);
                }
                Location::Current(_) | Location::Fused => {}
            }
            for done in
                (0..=index).filter(|&done| last[done] == index && self.nodes[done].step.is_some())
            {
                match self.nodes[done].place {
                    Location::Events(slot) => free_events.push(slot),
                    Location::Current(slot) => free_currents.push(slot),
                    Location::Fused => {}
                }
            }
        }
    }
}

/// The currents that have one reader, which adds them to others or fires on them, at as many
/// macro-steps.
fn fused(model: &Model, resolved: &Resolved, streams: &Streams) -> Vec<bool> {
    let nodes = &model.graph().nodes;
    let mut readers = vec![Vec::new(); nodes.len()];
    for (index, info) in resolved.nodes.iter().enumerate() {
        info.inputs.iter().for_each(|&input| readers[input].push(index));
    }
    (0..nodes.len())
        .map(|index| {
            let adds =
                matches!(nodes[index].op, Op::Conv(_) | Op::Linear { .. } | Op::Scale | Op::Add);
            let [reader] = readers[index][..] else { return false };
            adds && streams.kinds[index] == Kind::Current
                && match nodes[reader].op {
                    Op::Activation { .. } => true,
                    Op::Add => resolved.nodes[reader].varies == resolved.nodes[index].varies,
                    _ => false,
                }
        })
        .collect()
}

impl Compiler<'_> {
    fn chw(&self, index: usize) -> [usize; 3] {
        self.resolved.nodes[index].chw()
    }

    fn node<N: Number>(&self, index: usize) -> Result<NodePlan<N>> {
        let (node, info) = (&self.model.graph().nodes[index], &self.resolved.nodes[index]);
        let [channels, rows, columns] = self.chw(index);
        let input = |i: usize| self.chw(info.inputs[i]);
        let step = match &node.op {
            _ if self.fused[index] => None,
            Op::Input { .. } => {
                Some(Operation::Pixels { mean: self.model.preprocessing().mean.clone() })
            }
            Op::Conv(_) | Op::Linear { .. } | Op::Scale | Op::Add | Op::Activation { .. } => {
                Some(Operation::Stage(self.stage(index)?))
            }
            Op::Pool { pool, window } => {
                let [channels, height, width] = input(0);
                let grid = Window2d::new(window.as_2d(), [height, width], [rows, columns]);
                Some(Operation::Pool(Pool { pooling: self.pooling(index, *pool)?, channels, grid }))
            }
            Op::GlobalPool { pool } => {
                let [channels, height, width] = input(0);
                let grid = Window2d::new(
                    snn_ir::Geometry::whole([height, width]),
                    [height, width],
                    [1, 1],
                );
                Some(Operation::Pool(Pool { pooling: self.pooling(index, *pool)?, channels, grid }))
            }
            Op::Flatten => Some(Operation::Flatten),
            Op::Concat => {
                let channels = (0..info.inputs.len()).map(|i| input(i)[0]);
                let starts = channels
                    .scan(0, |next, channels| Some(std::mem::replace(next, *next + channels)));
                Some(Operation::Concat { starts: starts.collect() })
            }
            Op::Delay { steps, .. } => {
                Some(Operation::Delay { rest: vec![N::default(); steps * channels] })
            }
            Op::Mask { inverted } => {
                let shape = |i: usize| self.resolved.nodes[info.inputs[i]].shape.as_slice();
                Some(Operation::Mask(Mask::new(*inverted, shape(0), shape(MASKED))))
            }
            Op::TimeMean | Op::TimeLast | Op::TimeMax => Some(Operation::Head),
            Op::BatchNorm { .. }
            | Op::ChannelSum { .. }
            | Op::Dropout { .. }
            | Op::DropPath { .. } => {
                return self
                    .refuse(index, "norms, dropout and channel sums are gone after conversion");
            }
        };
        let payloads = match &node.op {
            Op::Activation { .. } | Op::Delay { .. } => !self.is_unit(index),
            _ => true,
        };
        let place = match (&step, self.streams.kinds[index]) {
            (None, _) => Location::Fused,
            (Some(_), Kind::Current) => Location::Current(0),
            (Some(_), Kind::Events | Kind::Pixels) => Location::Events(0),
        };
        Ok(NodePlan {
            name: node.name.clone(),
            label: node.op.label(),
            shape: info.shape.clone(),
            inputs: info.inputs.clone(),
            extent: Extent {
                rows,
                columns,
                channels,
                steps: self.steps_at_once,
                payloads,
                min_saved: usize::MAX,
            },
            varies: info.varies,
            is_site: matches!(node.op, Op::Activation { .. }),
            place,
            step,
        })
    }

    fn refuse<V>(&self, index: usize, reason: &str) -> Result<V> {
        Err(Error::Refused {
            node: self.model.graph().nodes[index].name.clone(),
            reason: reason.into(),
        })
    }

    fn pooling(&self, index: usize, pool: PoolKind) -> Result<Pooling> {
        match pool {
            PoolKind::Sum => Ok(Pooling::Sum),
            PoolKind::Max => Ok(Pooling::Max),
            PoolKind::Average => self.refuse(index, "averages do not exist after conversion"),
        }
    }

    fn stage<N: Number>(&self, index: usize) -> Result<Stage<N>> {
        let (node, info) = (&self.model.graph().nodes[index], &self.resolved.nodes[index]);
        let [channels, _, columns] = self.chw(index);
        let bias = vec![N::default(); channels * columns];
        let mut stage =
            Stage { incoming: Vec::new(), bias, neurons: None, varies: info.varies, tile: 1 };
        if let Op::Activation { site, .. } = &node.op {
            let current = info.inputs[0];
            let bound = self.streams.bounds[current].iter().copied().fold(0.0, f64::max);
            let source = SiteSource {
                model: self.model,
                node: &node.name,
                channels,
                neurons: &self.neurons,
            };
            stage.neurons = Some(StageNeurons::compile(&source, site, bound)?);
            stage.varies = self.resolved.nodes[current].varies;
            self.collect(current, !self.fused[current], &mut stage)?;
        } else {
            self.collect(index, false, &mut stage)?;
        }
        let line = 4 * channels * columns * self.steps_at_once;
        let weights = stage.incoming.iter().map(|incoming| match &incoming.connection {
            Connection::Packed(rows, _) => rows.bytes(),
            Connection::Grouped(..) | Connection::Scale(_) | Connection::Current => 0,
        });
        let bytes = weights.max().unwrap_or(0).clamp(TILE_BYTES[0], TILE_BYTES[1]);
        stage.tile = (bytes / line.max(1)).max(1);
        Ok(stage)
    }

    /// Adds what makes up the current of a node to a stage; `stored` if it is in a buffer.
    fn collect<N: Number>(&self, index: usize, stored: bool, stage: &mut Stage<N>) -> Result<()> {
        let (node, info) = (&self.model.graph().nodes[index], &self.resolved.nodes[index]);
        let connection = match &node.op {
            _ if stored => {
                stage.incoming.push(Incoming { node: index, connection: Connection::Current });
                return Ok(());
            }
            Op::Add => {
                return info
                    .inputs
                    .iter()
                    .try_for_each(|&input| self.collect(input, !self.fused[input], stage));
            }
            Op::Scale => Connection::Scale(
                N::part(self.model, &node.name, "weight")?.repeat(self.chw(index)[2]),
            ),
            Op::Conv(conv) => self.synapse(index, conv)?,
            Op::Linear { features, bias } => {
                let conv = Conv::from_linear(*features, *bias);
                self.synapse(index, &conv)?
            }
            _ => return self.refuse(index, "yields no current"),
        };
        if let Op::Conv(Conv { bias: true, .. }) | Op::Linear { bias: true, .. } = node.op {
            let bias = N::part(self.model, &node.name, "bias")?;
            // On the grid a sum of currents is below 2³¹ at the end; on the way there it may wrap.
            stage.bias.iter_mut().zip(bias.iter().cycle()).for_each(|(sum, b)| *sum = sum.plus(*b));
        }
        stage.incoming.push(Incoming { node: info.inputs[0], connection });
        Ok(())
    }

    fn synapse<N: Number>(&self, index: usize, conv: &Conv) -> Result<Connection<N>> {
        let name = &self.model.graph().nodes[index].name;
        let from = self.resolved.nodes[index].inputs[0];
        let weight = N::part(self.model, name, "weight")?;
        let multiplier = N::multipliers(self.model, name)?;
        let (input, output) = (self.chw(from), self.chw(index));
        if conv.groups > 1 || conv.as_2d().kernel[0] > weights::MAX_TAPS {
            let level = self.streams.bounds[from].iter().fold(1.0_f64, |a, b| a.max(*b));
            let facts = (level, self.is_signed(from));
            let pack =
                |least| N::depth_wise(conv, (&weight, &multiplier), (input, output), facts, least);
            let dense = match self.kernels {
                Kernels::Events | Kernels::StepTree => None,
                Kernels::Auto => pack(self.least(index, conv, self.steps_at_once)),
                Kernels::Dense | Kernels::Tiles => pack(Some(0)),
            };
            let grouped = Grouped::pack(conv, &weight, &multiplier, input, output);
            return Ok(Connection::Grouped(grouped, dense.map(Box::new)));
        }
        let weight: Vec<_> = weight.into_iter().map(N::packed).collect();
        let unit = self.is_unit(from);
        let bounds = &self.streams.bounds[from];
        let signed = self.is_signed(from);
        let bytes = self.bytes(from);
        let source = weights::WeightSource {
            conv,
            weight: &weight,
            multiplier: &multiplier,
            input,
            output,
            bounds,
            unit,
            signed,
            bytes,
            steps: self.steps_at_once,
        };
        let mut rows = N::rows(&source);
        match self.kernels {
            Kernels::Auto | Kernels::Events => {}
            Kernels::StepTree => rows.min_saved = 0,
            Kernels::Dense | Kernels::Tiles => rows.min_saved = usize::MAX,
        }
        let best = self.instruction_set;
        let dense = match self.kernels {
            Kernels::Events | Kernels::StepTree => None,
            Kernels::Auto => {
                let least = [1, self.steps_at_once].map(|steps| self.least(index, conv, steps));
                N::dense(&source, &rows, best, least)
            }
            Kernels::Dense => N::dense(&source, &rows, best, [Some(0); 2]),
            Kernels::Tiles => N::dense(&source, &rows, InstructionSet::Amx, [Some(0); 2]),
        };
        Ok(Connection::Packed(Box::new(rows), dense.map(Box::new)))
    }

    /// What the time of a synapse that reads events or pixels depends on; `None` where it has no
    /// dense form, levels being too large or channels sharing kernels in groups, and where other
    /// levels than pixels are negative, which is not measured.
    fn layer(&self, index: usize, conv: &Conv, steps: usize) -> Option<Layer> {
        let from = self.resolved.nodes[index].inputs[0];
        let has_dense_form = conv.groups == 1 || conv.groups == conv.channels;
        let reads = match &self.model.graph().nodes[from].op {
            Op::Input { .. } if conv.groups == 1 => Inputs::Pixels,
            _ if self.streams.kinds[from] == Kind::Events
                && !self.is_signed(from)
                && has_dense_form =>
            {
                let level = self.streams.bounds[from].iter().fold(1.0_f64, |a, b| a.max(*b));
                Inputs::Levels((1..=u8::MAX).find(|levels| f64::from(*levels) >= level)?)
            }
            _ => return None,
        };
        Some(Layer::new(self.instruction_set, conv, self.chw(from), steps, reads))
    }

    /// Active inputs of a thousand from which the dense form of a synapse takes less time, where
    /// that was measured.
    fn least(&self, index: usize, conv: &Conv, steps: usize) -> Option<usize> {
        Some(self.tuning?.of(&self.layer(index, conv, steps)?)?.break_even())
    }

    /// How bytes without sign hold the levels of an event stream. A pixel less its mean is a byte
    /// again with the mean added, however large both are.
    fn bytes(&self, index: usize) -> Bytes {
        let (node, info) = (&self.model.graph().nodes[index], &self.resolved.nodes[index]);
        match &node.op {
            Op::Input { .. } => {
                let offsets = self.model.preprocessing().mean.clone();
                return Bytes { offsets, largest: f64::from(u8::MAX) };
            }
            Op::Flatten => {
                let [_, rows, columns] = self.chw(info.inputs[0]);
                let Bytes { offsets, largest } = self.bytes(info.inputs[0]);
                let each = offsets.iter().flat_map(|&offset| vec![offset; rows * columns]);
                return Bytes { offsets: each.collect(), largest };
            }
            _ => {}
        }
        let bounds = &self.streams.bounds[index];
        let largest = bounds.iter().fold(1.0_f64, |a, b| a.max(*b));
        if !self.is_signed(index) {
            return Bytes { offsets: Vec::new(), largest };
        }
        // Levels on the grid are integers.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let offsets = bounds.iter().map(|bound| *bound as u8).collect();
        Bytes { offsets, largest: 2.0 * largest }
    }

    /// `true` if levels of an event stream may be negative.
    fn is_signed(&self, index: usize) -> bool {
        let inputs = &self.resolved.nodes[index].inputs;
        match &self.model.graph().nodes[index].op {
            Op::Activation { site, .. } => site.spike() == Some(Spike::Ternary),
            Op::Delay { .. } => self.is_signed(inputs[0]),
            op if op.role().is_stateless() && !matches!(op, Op::Add) => {
                inputs.iter().any(|&input| self.is_signed(input))
            }
            _ => true,
        }
    }

    /// `true` if all levels of an event stream are one.
    fn is_unit(&self, index: usize) -> bool {
        let inputs = &self.resolved.nodes[index].inputs;
        match &self.model.graph().nodes[index].op {
            Op::Activation { site, .. } => is_unit(site),
            Op::Pool { pool: PoolKind::Max, .. }
            | Op::GlobalPool { pool: PoolKind::Max }
            | Op::Flatten
            | Op::Concat
            | Op::Delay { .. } => inputs.iter().all(|&input| self.is_unit(input)),
            Op::Mask { .. } => self.is_unit(inputs[MASKED]),
            _ => false,
        }
    }
}

fn is_unit(site: &Site) -> bool {
    site.levels() == Some(1) && site.spike() != Some(Spike::Ternary)
}
