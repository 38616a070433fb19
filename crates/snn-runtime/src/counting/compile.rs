//! Compiles a converted model to a [`Program`] of one number type.

use crate::counting::counts::Tally;
use crate::counting::program::{NodeKernel, NodeProgram, Program, Synapse};
use crate::counting::stream::{Formation, MAX_MICRO_STEPS, Segment, Stream};
use crate::counting::weights::SynapseWeights;
use crate::geometry::Window2d;
use crate::limits::check_size;
use crate::mask::Mask;
use crate::neuron::{NeuronState, SiteKernel, SiteNumber, SiteSource};
use crate::packing::WeightShape;
use crate::pool::{Pool, Pooling};
use snn_ir::Resolved;
use snn_ir::StreamKind as Kind;
use snn_ir::{Code, Error, Neurons, Result, Spike};
use snn_ir::{Conv, MASKED, Node, Op, PoolKind};
use snn_ir::{Form, Model};

/// A model with what its validation found.
#[derive(Clone, Copy)]
struct Source<'m> {
    model: &'m Model,
    neurons: &'m Neurons,
    resolved: &'m Resolved,
    kinds: &'m [Kind],
}

impl<A: SiteNumber> Program<A> {
    /// Validates and compiles a converted model.
    pub(crate) fn compile(model: &Model, neurons: &Neurons) -> Result<Self> {
        let checked = model.validate()?;
        let (resolved, kinds) = (checked.resolved(), checked.streams()?.kinds.as_slice());
        check_size(model.graph(), resolved)?;
        let source = Source { model, neurons, resolved, kinds };
        let mut program = Self {
            nodes: Vec::new(),
            time_steps: model.time_steps(),
            readout: model.graph().readout(),
            accumulators: 0,
            row: 0,
        };
        for index in 0..model.graph().nodes.len() {
            let compiled = program.node(&source, index)?;
            if let NodeKernel::Synapse(synapse) = &compiled.kernel {
                program.accumulators =
                    program.accumulators.max(synapse.weights.width() * compiled.positions);
            }
            program.row = program.row.max(compiled.channels);
            program.nodes.push(compiled);
        }
        Ok(program)
    }

    fn node(&self, source: &Source<'_>, index: usize) -> Result<NodeProgram<A>> {
        let Source { model, neurons, resolved, kinds } = *source;
        let node = &model.graph().nodes[index];
        let info = &resolved.nodes[index];
        let [channels, height, width] = info.chw();
        let image = |i: usize| {
            let [channels, height, width] = resolved.nodes[info.inputs[i]].chw();
            (channels, [height, width])
        };
        let pool = |pool: PoolKind, geometry: snn_ir::Geometry, outputs| {
            let pooling = match pool {
                PoolKind::Sum => Pooling::Sum,
                PoolKind::Max => Pooling::Max,
                PoolKind::Average => {
                    return Err(Error::Refused {
                        node: node.name.clone(),
                        reason: "averages do not exist after conversion".into(),
                    });
                }
            };
            let (channels, inputs) = image(0);
            let grid = Window2d::new(geometry, inputs, outputs);
            Ok(NodeKernel::Pool(Pool { pooling, channels, grid }))
        };
        let kernel = match &node.op {
            Op::Input { .. } => NodeKernel::Input { mean: model.preprocessing().mean.clone() },
            Op::Conv(conv) => {
                self.synapse(model, node, Some(conv), info.inputs[0], [height, width], image(0))?
            }
            Op::Linear { features, bias } => {
                let conv = Conv::from_linear(*features, *bias);
                self.synapse(model, node, Some(&conv), info.inputs[0], [1, 1], image(0))?
            }
            Op::Scale => {
                self.synapse(model, node, None, info.inputs[0], [height, width], image(0))?
            }
            Op::Activation { site, .. } => NodeKernel::Site(A::Site::compile(
                &SiteSource { model, node: &node.name, channels, neurons },
                site,
            )?),
            Op::Pool { pool: kind, window } => pool(*kind, window.as_2d(), [height, width])?,
            Op::GlobalPool { pool: kind } => {
                pool(*kind, snn_ir::Geometry::whole(image(0).1), [1, 1])?
            }
            Op::Flatten => NodeKernel::Flatten,
            Op::Concat => {
                let channels = (0..info.inputs.len()).map(|i| image(i).0);
                let starts = channels
                    .scan(0, |next, channels| Some(std::mem::replace(next, *next + channels)));
                NodeKernel::Concat { starts: starts.collect() }
            }
            Op::Mask { inverted } => {
                let shape = |i: usize| resolved.nodes[info.inputs[i]].shape.as_slice();
                NodeKernel::Mask(Mask::new(*inverted, shape(0), shape(MASKED)))
            }
            Op::Add => NodeKernel::Add,
            Op::Delay { steps, .. } => NodeKernel::Delay { steps: *steps },
            Op::TimeMean | Op::TimeLast | Op::TimeMax => NodeKernel::Head,
            Op::BatchNorm { .. }
            | Op::ChannelSum { .. }
            | Op::Dropout { .. }
            | Op::DropPath { .. } => {
                return Err(Error::Refused {
                    node: node.name.clone(),
                    reason: format!("{} does not exist after conversion", node.op.label()),
                });
            }
        };
        let rest =
            if let NodeKernel::Site(site) = &kernel { site.rest() } else { NeuronState::default() };
        let mut compiled = NodeProgram {
            name: node.name.clone(),
            label: node.op.label(),
            shape: info.shape.clone(),
            channels,
            positions: height * width,
            varies: info.varies,
            inputs: info.inputs.clone(),
            kernel,
            stream: None,
            fixed: Tally::default(),
            rest,
            traces_values: matches!(
                &node.op,
                Op::Activation { site: snn_ir::Site::Relu { .. }, .. }
            ),
        };
        if kinds[index] != Kind::Current {
            compiled.stream = Some(self.stream(&source.model.graph().nodes, &compiled, node)?);
        }
        compiled.fixed = fixed(&compiled, node);
        Ok(compiled)
    }

    fn stream(&self, nodes: &[Node], compiled: &NodeProgram<A>, node: &Node) -> Result<Stream> {
        let lost = || Error::Refused { node: node.name.clone(), reason: "reads no events".into() };
        let input = |i: usize| self.nodes[compiled.inputs[i]].stream.as_ref().ok_or_else(lost);
        let source = |code, levels| {
            Stream::of_levels(vec![Segment::new(compiled.channels, code, levels, false)])
        };
        // A delay yields what its site does, which may stand later.
        let op = match &node.op {
            Op::Delay { .. } => &nodes[compiled.inputs[0]].op,
            op => op,
        };
        let stream = match (&compiled.kernel, op) {
            (NodeKernel::Input { .. }, _) => source(Code::Graded, 1),
            (_, Op::Activation { site, code: Some(code) }) => {
                source(*code, u32::from(site.levels().unwrap_or(1)))
            }
            (NodeKernel::Pool(pool), _) => match pool.pooling {
                Pooling::Sum => input(0)?.sum_pooled(pool.grid.largest_window()),
                Pooling::Max => input(0)?.max_pooled(),
            },
            (NodeKernel::Flatten, _) => {
                input(0)?.flattened(self.nodes[compiled.inputs[0]].positions)
            }
            (NodeKernel::Concat { .. }, _) => {
                let streams = (0..compiled.inputs.len()).map(input).collect::<Result<Vec<_>>>()?;
                Stream::concatenated(&streams)
            }
            // Planes of what passes: formed anew from its levels, or masked where they were pooled.
            (NodeKernel::Mask(_), _) => input(MASKED)?.clone(),
            _ => return Err(lost()),
        };
        if let Some(long) = stream.segments.iter().find(|segment| !segment.is_short()) {
            let reason = format!(
                "its levels of up to {} need more than {MAX_MICRO_STEPS} micro-steps (31 as \
                 bit-planes); choose another code for the sites before it, or pool less",
                long.levels
            );
            return Err(Error::Refused { node: node.name.clone(), reason });
        }
        Ok(stream)
    }

    /// A convolution, or a scale where there is none.
    fn synapse(
        &self,
        model: &Model,
        node: &Node,
        conv: Option<&Conv>,
        source: usize,
        outputs: [usize; 2],
        (inputs, image): (usize, [usize; 2]),
    ) -> Result<NodeKernel<A>> {
        let part = |part| A::part(model, &node.name, part);
        let weight = part("weight")?;
        let on_grid = matches!(model.form(), Form::Grid { .. });
        let (weights, channels) = match conv {
            None => (SynapseWeights::Scale { weights: weight }, inputs),
            Some(conv) => {
                let shape = WeightShape {
                    groups: conv.groups,
                    outputs: conv.channels / conv.groups,
                    inputs: inputs / conv.groups,
                    taps: conv.kernel.iter().product(),
                };
                let grid = Window2d::new(conv.as_2d(), image, outputs);
                (SynapseWeights::convolution(&weight, shape, grid), conv.channels)
            }
        };
        let stream = self.nodes[source].stream.as_ref();
        Ok(NodeKernel::Synapse(Synapse {
            fan_out: weights.fan_out(channels, image[0] * image[1]),
            weights,
            channels,
            source,
            chain: self.chain(source),
            passes: stream.map(Stream::passes).unwrap_or_default(),
            multiplier: if on_grid && conv.is_some() { Some(part("multiplier")?) } else { None },
            bias: if conv.is_some_and(|c| c.bias) { Some(part("bias")?) } else { None },
        }))
    }

    /// The nodes whose planes must be formed before `source` can send one.
    fn chain(&self, source: usize) -> Vec<usize> {
        let mut needed = vec![false; source + 1];
        needed[source] = true;
        for index in (0..=source).rev().filter(|&i| self.formation(i) == Formation::Derived) {
            if needed[index] {
                self.nodes[index].inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        (0..=source).filter(|&i| needed[i] && self.formation(i) != Formation::Whole).collect()
    }

    fn formation(&self, index: usize) -> Formation {
        self.nodes[index].stream.as_ref().map_or(Formation::Whole, |stream| stream.formation)
    }
}

/// Operations of a node at every macro-step that do not depend on the data.
fn fixed<A: SiteNumber>(node: &NodeProgram<A>, source: &Node) -> Tally {
    let values = node.size() as u64;
    let mut tally = Tally::default();
    match (&node.kernel, &source.op) {
        (NodeKernel::Site(_), Op::Activation { site, .. }) => {
            tally.neuron_updates = values;
            tally.comparisons = values * u64::from(site.spike().map_or(1, Spike::comparisons));
            tally.micro_steps =
                node.stream.as_ref().map_or(0, |s| u64::from(s.segments[0].micro_steps()));
        }
        (NodeKernel::Synapse(synapse), _) => {
            if synapse.bias.is_some() {
                tally.sums = values;
            }
            let scaled = synapse.multiplier.iter().flatten().filter(|m| **m != A::ONE).count();
            tally.rescalings = (scaled * node.positions) as u64;
        }
        (NodeKernel::Pool(pool), _) => match pool.pooling {
            Pooling::Max => tally.comparisons = pool.operations(),
            Pooling::Sum if node.stream.is_none() => tally.sums = pool.operations(),
            Pooling::Sum => {}
        },
        (NodeKernel::Add, _) => tally.sums = values * (node.inputs.len() as u64 - 1),
        _ => {}
    }
    tally
}
