//! Custom neurons, which a registry defines. They compute in f64.

use crate::arithmetic::Real;
use crate::neuron::SiteSource;
use snn_ir::{Custom, Error, Neuron, Result, weights};

/// Neurons of one site.
#[derive(Debug)]
pub(crate) struct CustomNeurons {
    node: String,
    custom: Custom,
    channels: usize,
    /// One for each channel, or one for all.
    neurons: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    neuron: Box<dyn Neuron>,
    rest: Vec<f64>,
}

impl CustomNeurons {
    pub(crate) fn compile(source: &SiteSource<'_>, custom: &Custom) -> Result<Self> {
        let parts = custom
            .learned
            .keys()
            .map(|part| Ok((part, weights::real(source.model.weights(), source.node, part)?)))
            .collect::<Result<Vec<_>>>()?;
        let count = parts.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
        let member = |channel: usize| {
            let value = |values: &ndarray::ArrayD<f64>| {
                values[[if values.len() == 1 { 0 } else { channel }]]
            };
            let learned =
                parts.iter().map(|(part, values)| ((*part).clone(), value(values))).collect();
            let neuron = source.neurons.neuron(source.node, custom, &learned)?;
            Ok(Member { rest: neuron.rest(), neuron })
        };
        Ok(Self {
            node: source.node.into(),
            custom: custom.clone(),
            channels: source.channels,
            neurons: (0..count).map(member).collect::<Result<_>>()?,
        })
    }

    /// Each channel's neuron.
    fn members(&self) -> impl Iterator<Item = &Member> {
        self.neurons.iter().cycle().take(self.channels)
    }

    /// States of one position at rest, channel after channel.
    pub(crate) fn rest(&self) -> Vec<f64> {
        self.members().flat_map(|member| member.rest.iter().copied()).collect()
    }

    pub(crate) fn step<A: Real>(
        &self,
        currents: &[A],
        mut states: &mut [f64],
        emitted: &mut [A],
    ) -> Result<()> {
        let (least, most) = self.custom.spike.range();
        for ((member, &current), emitted) in self.members().zip(currents).zip(emitted) {
            let (state, rest) = std::mem::take(&mut states).split_at_mut(member.rest.len());
            states = rest;
            let level = member.neuron.step(state, current.to_real());
            if !(least..=most).contains(&level) {
                let reason = format!(
                    "neuron `{}` must emit levels of {least} to {most}, as the graph says; it \
                     emitted {level}",
                    self.custom.name
                );
                return Err(Error::Refused { node: self.node.clone(), reason });
            }
            *emitted = A::from(level);
        }
        Ok(())
    }
}
