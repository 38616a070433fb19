//! Activation sites.

use super::{Gain, Stream, Writer, below, full, spread};
use crate::error::{Error, Result};
use crate::op::Op;
use snn_ir::{
    Adaptation, FirstMembrane, Leak, Lif, Reset, Site, Spike, Synapse, Tensor, Threshold, logistic,
};

/// A LIF neuron in numbers, potentials counted from the reset potential.
struct Neuron {
    leak: f64,
    /// Decay factor of the synapse; 0 for none.
    alpha: f64,
    /// θ, for each channel or for all.
    thresholds: Vec<f64>,
    /// v₀, likewise.
    firsts: Vec<f64>,
}

impl<'m> Writer<'m> {
    pub(super) fn site(
        &mut self,
        name: &'m str,
        input: &'m str,
        site: &Site,
        coded: bool,
    ) -> Result<Stream> {
        match site {
            Site::Lif(lif) => self.lif(name, input, lif),
            Site::QuantRelu(relu) => {
                let step = self.weight(name, "step")?;
                let step: Vec<f64> = step.iter().copied().collect();
                let edges = |level: u8| {
                    step.iter().map(|step| (f64::from(level) - 0.5) * step).collect::<Vec<f64>>()
                };
                let edges: Vec<Vec<f64>> = (1..=relu.levels).map(edges).collect();
                let sources = self.whole(input)?;
                let nodes = self.thresholds(name, &sources, &edges)?;
                let text = "its level is the sum of a Threshold for each level";
                self.note(name, text);
                Ok(Stream { nodes, thermometer: true, step: (!coded).then_some(step) })
            }
            Site::Relu { .. } => Err(Error::refused(
                name,
                "NIR has no ReLU; a quantised one is a sum of thresholds: set its levels \
                 (QuantRelu) before training, or when the model is converted",
            )),
            Site::Custom(_) => Err(Error::refused(name, "NIR has no neurons of a user's own")),
            Site::GridLif(_) | Site::GridQuantRelu { .. } => Err(Error::refused(
                name,
                "a site on the grid rounds to integers, which no primitive of NIR does",
            )),
        }
    }

    /// Thresholds of the ascending edges that some nodes' sum is compared with; a single one has
    /// the name of the site.
    fn thresholds(
        &mut self,
        name: &str,
        sources: &[String],
        edges: &[Vec<f64>],
    ) -> Result<Vec<String>> {
        let mut nodes = Vec::new();
        for (level, edge) in edges.iter().enumerate() {
            let own = match edges.len() {
                1 => name.to_owned(),
                _ => self.fresh(&format!("{name}.{}", level + 1)),
            };
            let edge: Vec<f64> = edge.iter().map(|&edge| below(edge)).collect();
            let threshold = self.full(name, &edge)?;
            self.graph.push(own.clone(), Op::Threshold { threshold });
            for source in sources {
                self.graph.connect(source, &own);
            }
            nodes.push(own);
        }
        Ok(nodes)
    }

    fn lif(&mut self, name: &'m str, input: &'m str, lif: &Lif) -> Result<Stream> {
        let refuse = |reason: &str| Err(Error::refused(name, reason));
        if lif.adaptation != Adaptation::None {
            return refuse("NIR has no neuron whose threshold adapts");
        }
        let neuron = self.numbers(name, lif)?;
        let levels = match (lif.spike, lif.reset) {
            (Spike::Ternary, _) => return refuse("NIR has no neuron of spikes −1, 0 and 1"),
            (Spike::Integer { .. }, Reset::Hard { .. }) => {
                return refuse(
                    "NIR has no neuron of several levels, and its own reset, to a potential, \
                     belongs to one threshold: train it with a soft reset, or with binary spikes",
                );
            }
            (Spike::Binary, Reset::Hard { .. }) => return self.hard(name, input, &neuron),
            (Spike::Integer { levels }, _) => Some(levels),
            (Spike::Binary, _) => None,
        };
        let resets = lif.reset == Reset::Soft;
        self.expanded(name, input, &neuron, levels, resets)
    }

    fn numbers(&self, name: &str, lif: &Lif) -> Result<Neuron> {
        let rest = lif.rest();
        let leak = match lif.leak {
            Leak::Factor { factor } => factor,
            Leak::Learned { .. } => {
                logistic(self.weight(name, "leak")?.iter().copied().next().unwrap_or_default())
            }
        };
        let thresholds: Vec<f64> = match lif.threshold {
            Threshold::Fixed(threshold) => vec![threshold],
            Threshold::Learned { .. } => self.weight(name, "threshold")?.iter().copied().collect(),
        };
        let firsts: Vec<f64> = match lif.initial {
            // The share is of the distance to the threshold, and 0 at rest for any potential.
            FirstMembrane::Rest => vec![0.0],
            other => thresholds.iter().map(|&theta| other.of(rest, theta) - rest).collect(),
        };
        if firsts.iter().any(|&first| first != 0.0) && leak != 1.0 {
            return Err(Error::refused(
                name,
                "NIR has no first membrane; without a leak it is a lower threshold, with one it \
                 cannot be expressed",
            ));
        }
        Ok(Neuron {
            leak,
            alpha: match lif.synapse {
                Synapse::Instant => 0.0,
                Synapse::Current { alpha } => alpha,
            },
            firsts,
            thresholds: thresholds.into_iter().map(|threshold| threshold - rest).collect(),
        })
    }

    /// Binary spikes and a hard reset: NIR's own neurons.
    fn hard(&mut self, name: &'m str, input: &'m str, neuron: &Neuron) -> Result<Stream> {
        let shape = self.shapes[name];
        let Neuron { leak, alpha, .. } = *neuron;
        let dt = self.options.dt;
        let one = |value: f64| full(shape, value);
        let fused = alpha > 0.0 && alpha < 1.0 && leak < 1.0;
        let sources = self.whole(input)?;
        let sources = if fused { sources } else { self.synapse(name, sources, alpha) };
        let op = if leak == 1.0 {
            // An IF neuron counted from its first membrane begins at 0.
            let v_threshold = self.potentials(name, neuron, 1.0)?;
            let v_reset = spread(shape, &neuron.firsts.iter().map(|v| -v).collect::<Vec<f64>>());
            let v_reset = v_reset.ok_or_else(|| Error::refused(name, "it has no channels"))?;
            Op::If { r: one(1.0 / dt), v_threshold, v_reset }
        } else {
            let tau = dt / (1.0 - leak);
            if fused {
                let tau_syn = dt / (1.0 - alpha);
                Op::CubaLif {
                    tau_syn: one(tau_syn),
                    tau_mem: one(tau),
                    r: one(tau / dt),
                    v_leak: one(0.0),
                    v_threshold: self.potentials(name, neuron, 1.0)?,
                    v_reset: one(0.0),
                    w_in: one(tau_syn / dt),
                }
            } else {
                let (r, unit) = match self.options.gain {
                    Gain::Resistance => (tau / dt, 1.0),
                    Gain::Unit => (1.0, 1.0 - leak),
                };
                let v_threshold = self.potentials(name, neuron, unit)?;
                Op::Lif {
                    tau: one(tau),
                    r: one(r),
                    v_leak: one(0.0),
                    v_threshold,
                    v_reset: one(0.0),
                }
            }
        };
        self.graph.push(name, op);
        for source in sources {
            self.graph.connect(source, name);
        }
        Ok(Stream { nodes: vec![name.into()], thermometer: true, step: None })
    }

    /// Thresholds as NIR has them, below those of the model, in another unit.
    fn potentials(&self, name: &str, neuron: &Neuron, unit: f64) -> Result<Tensor> {
        let firsts = neuron.firsts.iter().cycle();
        let thresholds = neuron.thresholds.iter().zip(firsts);
        let values: Vec<f64> =
            thresholds.map(|(threshold, first)| below((threshold - first) * unit)).collect();
        self.full(name, &values)
    }

    /// Nodes whose sum is the current behind a synapse.
    fn synapse(&mut self, name: &str, sources: Vec<String>, alpha: f64) -> Vec<String> {
        if alpha == 0.0 {
            return sources;
        }
        let own = self.fresh(&format!("{name}.synapse"));
        let op = self.integrator(name, alpha);
        self.graph.push(own.clone(), op);
        for source in sources {
            self.graph.connect(source, &own);
        }
        self.note(name, format!("its synaptic current is the integrator `{own}`"));
        vec![own]
    }

    /// An integrator `v[t] = leak·v[t−1] + x[t]`.
    fn integrator(&self, name: &str, leak: f64) -> Op {
        let shape = self.shapes[name];
        let dt = self.options.dt;
        if leak == 1.0 {
            return Op::I { r: full(shape, 1.0 / dt) };
        }
        let tau = dt / (1.0 - leak);
        Op::Li { tau: full(shape, tau), r: full(shape, tau / dt), v_leak: full(shape, 0.0) }
    }

    /// Any spikes without a hard reset: the membrane is an integrator, spikes are thresholds of
    /// it, and a soft reset is an edge back, a step later.
    fn expanded(
        &mut self,
        name: &'m str,
        input: &'m str,
        neuron: &Neuron,
        levels: Option<u8>,
        resets: bool,
    ) -> Result<Stream> {
        let shape = self.shapes[name];
        let sources = self.whole(input)?;
        let sources = self.synapse(name, sources, neuron.alpha);
        let membrane = self.fresh(&format!("{name}.membrane"));
        let op = self.integrator(name, neuron.leak);
        self.graph.push(membrane.clone(), op);
        for source in sources {
            self.graph.connect(source, &membrane);
        }
        let edges = |factor: f64| {
            let firsts = neuron.firsts.iter().cycle();
            let edge = |(threshold, first): (&f64, &f64)| factor * threshold - first;
            neuron.thresholds.iter().zip(firsts).map(edge).collect::<Vec<f64>>()
        };
        let edges: Vec<Vec<f64>> = match levels {
            None => vec![edges(1.0)],
            Some(levels) => (1..=levels).map(|level| edges(f64::from(level) - 0.5)).collect(),
        };
        let nodes = self.thresholds(name, std::slice::from_ref(&membrane), &edges)?;
        if resets && neuron.leak > 0.0 {
            let delay = self.fresh(&format!("{name}.delay"));
            let scale = self.fresh(&format!("{name}.reset"));
            self.graph.push(delay.clone(), Op::Delay { delay: full(shape, self.options.dt) });
            let back: Vec<f64> =
                neuron.thresholds.iter().map(|theta| -neuron.leak * theta).collect();
            let back = self.full(name, &back)?;
            self.graph.push(scale.clone(), Op::Scale { scale: back });
            for node in &nodes {
                self.graph.connect(node, &delay);
            }
            self.graph.connect(delay, &scale);
            self.graph.connect(scale, &membrane);
            self.note(
                name,
                format!("its soft reset is an edge from its spikes back to `{membrane}`"),
            );
        } else {
            self.note(name, format!("its membrane is the integrator `{membrane}`"));
        }
        Ok(Stream { nodes, thermometer: true, step: None })
    }
}
