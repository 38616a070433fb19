//! Role of an operation, the channels that it passes on and the kind of the stream that it yields:
//! the one place where they are said.

use super::{Graph, Op};

/// Which input of a mask is the stream that it masks; the other one is the mask itself.
pub const MASKED: usize = 1;

/// Kind of a stream: what an edge of a graph carries (`docs/semantics.md`, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The input.
    Pixels,
    /// Levels of sites, perhaps pooled, flattened, concatenated or masked.
    Events,
    /// Sums of synapses.
    Current,
}

/// Role of an operation in the network around it, for checks, passes, kernels and drawings that
/// treat all operations of one role alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The image.
    Source,
    /// Weights that turn pixels or events into a current: convolution, linear, scale.
    Synapse,
    /// Batch normalisation of a current.
    Norm,
    /// An activation site.
    Site,
    /// Pooling, over a window or the whole image, or sums over channels.
    Pool,
    /// Another shape of the same values: flatten.
    Shape,
    /// Several streams made one: add, concat.
    Join,
    /// What a site yielded in an earlier macro-step: events, from nothing in the present one.
    Delay,
    /// Values dropped in training, nothing else: dropout, drop-path.
    Dropout,
    /// A stream that passes where another one lets it: mask.
    Gate,
    /// The class scores.
    Head,
}

/// How a head reads the class scores of all macro-steps out (eq. 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Readout {
    /// Their mean; on the grid and while a run lasts their sum.
    #[default]
    Mean,
    /// Those of the last macro-step.
    Last,
    /// The largest of each class.
    Max,
}

impl Readout {
    /// The head of this readout.
    pub fn op(self) -> Op {
        match self {
            Readout::Mean => Op::TimeMean,
            Readout::Last => Op::TimeLast,
            Readout::Max => Op::TimeMax,
        }
    }

    /// Value of a class after a macro-step of this score; `before` is the value after the steps
    /// before it, `None` of the first.
    #[inline]
    pub fn after<V: Copy + PartialOrd>(
        self,
        before: Option<V>,
        score: V,
        sum: impl FnOnce(V, V) -> V,
    ) -> V {
        match (self, before) {
            (Readout::Mean, Some(before)) => sum(before, score),
            (Readout::Max, Some(before)) if before >= score => before,
            _ => score,
        }
    }

    /// Number by which values after some macro-steps are divided to obtain logits: that of the
    /// steps for a mean, else 1.
    pub fn divisor(self, steps: u64) -> u64 {
        match self {
            Readout::Mean => steps.max(1),
            Readout::Last | Readout::Max => 1,
        }
    }
}

impl Role {
    /// `true` for operations that have neither weights nor state.
    pub fn is_stateless(self) -> bool {
        matches!(self, Role::Pool | Role::Shape | Role::Join | Role::Gate)
    }
}

impl Op {
    /// Role of this operation.
    pub fn role(&self) -> Role {
        match self {
            Op::Input { .. } => Role::Source,
            Op::Conv(_) | Op::Linear { .. } | Op::Scale => Role::Synapse,
            Op::BatchNorm { .. } => Role::Norm,
            Op::Activation { .. } => Role::Site,
            Op::Pool { .. } | Op::GlobalPool { .. } | Op::ChannelSum { .. } => Role::Pool,
            Op::Flatten => Role::Shape,
            Op::Add | Op::Concat => Role::Join,
            Op::Delay { .. } => Role::Delay,
            Op::Dropout { .. } | Op::DropPath { .. } => Role::Dropout,
            Op::Mask { .. } => Role::Gate,
            Op::TimeMean | Op::TimeLast | Op::TimeMax => Role::Head,
        }
    }

    /// How this operation reads class scores out over time; `None` of one that is no head.
    pub fn readout(&self) -> Option<Readout> {
        match self {
            Op::TimeMean => Some(Readout::Mean),
            Op::TimeLast => Some(Readout::Last),
            Op::TimeMax => Some(Readout::Max),
            _ => None,
        }
    }

    /// Channels that a stateless operation passes on, for each input: pairs of a channel of its
    /// output and the channel of that input whose values reach it, moved, pooled or added. A mask
    /// passes those of the stream that it masks, and none of its own. Empty for every other
    /// operation. `inputs` and `output` are numbers of channels.
    pub fn passed_channels(&self, inputs: &[usize], output: usize) -> Vec<Vec<(usize, usize)>> {
        let mut first = 0;
        let mut pairs = |(input, width): (usize, usize)| -> Vec<(usize, usize)> {
            match self {
                Op::Mask { .. } if input == MASKED => (0..output).map(|c| (c, c)).collect(),
                Op::Add | Op::Pool { .. } | Op::GlobalPool { .. } => {
                    (0..output).map(|c| (c, c)).collect()
                }
                Op::ChannelSum { groups } => {
                    let each = (width / groups).max(1);
                    (0..width).map(|c| (c / each, c)).collect()
                }
                Op::Flatten => {
                    let each = (output / width.max(1)).max(1);
                    (0..output).map(|f| (f, f / each)).collect()
                }
                Op::Concat => {
                    first += width;
                    (0..width).map(|c| (first - width + c, c)).collect()
                }
                _ => Vec::new(),
            }
        };
        inputs.iter().copied().enumerate().map(&mut pairs).collect()
    }

    /// Kind of the stream that this operation yields from streams of these kinds
    /// (`docs/semantics.md`, section 7), in any form: a join or mask of streams that are not
    /// currents yields events (pixels if all of them are), any other a current. Whether the
    /// operation may read these kinds is for the form to say.
    pub fn yields(&self, inputs: impl IntoIterator<Item = Kind>) -> Kind {
        match self.role() {
            Role::Source => Kind::Pixels,
            Role::Site | Role::Delay => Kind::Events,
            Role::Synapse | Role::Norm | Role::Head => Kind::Current,
            Role::Pool | Role::Shape | Role::Join | Role::Gate | Role::Dropout => inputs
                .into_iter()
                .reduce(|a, b| match (a, b) {
                    (Kind::Current, _) | (_, Kind::Current) => Kind::Current,
                    (Kind::Pixels, Kind::Pixels) => Kind::Pixels,
                    (Kind::Events | Kind::Pixels, Kind::Events | Kind::Pixels) => Kind::Events,
                })
                .unwrap_or(Kind::Current),
        }
    }
}

impl Graph {
    /// For each node `true` if a mask depends on its values being binary spikes: it is a mask, or a
    /// mask is made of it by max pooling, flattening, concatenation or masking. A site that is must
    /// stay one of binary spikes.
    pub fn makes_masks(&self) -> Vec<bool> {
        let positions: std::collections::HashMap<&str, usize> =
            self.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect();
        let mut masks = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let passes = masks[index] && node.op.role().is_stateless();
            for (number, input) in node.inputs.iter().enumerate() {
                let is_mask = matches!(node.op, Op::Mask { .. }) && number != MASKED;
                if let Some(&input) = positions.get(input.as_str()) {
                    masks[input] |= passes || is_mask;
                }
            }
        }
        masks
    }

    /// Micro-steps of one macro-step: the longest code of any site (eq. 15); 1 where no site has a
    /// code, or only such without levels.
    pub fn micro_steps(&self) -> u32 {
        let steps = self.nodes.iter().filter_map(|node| match &node.op {
            Op::Activation { site, code: Some(code) } => {
                Some(code.micro_steps(u32::from(site.levels()?)))
            }
            _ => None,
        });
        steps.max().unwrap_or(1)
    }

    /// Readout of the head; that of a graph without one is the mean.
    pub fn readout(&self) -> Readout {
        self.nodes.last().and_then(|node| node.op.readout()).unwrap_or_default()
    }

    /// Kind of the stream that each node yields, in the order of the nodes, in any form; see
    /// [`Op::yields`]. A name that no earlier node has counts as a current.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut positions = std::collections::HashMap::with_capacity(self.nodes.len());
        let mut kinds: Vec<Kind> = Vec::with_capacity(self.nodes.len());
        for (position, node) in self.nodes.iter().enumerate() {
            let inputs = node.inputs.iter().map(|name| {
                positions.get(name.as_str()).map_or(Kind::Current, |&input: &usize| kinds[input])
            });
            let kind = node.op.yields(inputs);
            kinds.push(kind);
            positions.insert(node.name.as_str(), position);
        }
        kinds
    }
}
