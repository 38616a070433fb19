//! Traces of sites, for [`snn_ir::Record::Sites`].

use crate::batch::time_first;
use crate::counting::event_list::EventList;
use crate::counting::program::NAME;
use crate::counting::program::NodeProgram;
use crate::neuron::SiteNumber;
use snn_ir::{Result, SiteOutput, SiteTrace};

/// Output of one site for one sample, `[T or 1, C, positions]`.
#[derive(Debug)]
pub(crate) enum Trace {
    Levels(Vec<i16>),
    Values(Vec<f64>),
}

impl Trace {
    /// All zero, for `steps` macro-steps.
    pub(crate) fn new<A: SiteNumber>(node: &NodeProgram<A>, steps: usize) -> Self {
        let size = steps * node.size();
        if node.traces_values { Self::Values(vec![0.0; size]) } else { Self::Levels(vec![0; size]) }
    }

    /// Writes macro-step `t`.
    pub(crate) fn record<A: SiteNumber>(
        &mut self,
        levels: &EventList<A>,
        node: &NodeProgram<A>,
        t: usize,
    ) {
        for position in 0..node.positions {
            let (channels, values) = levels.at(position);
            for (&channel, &value) in channels.iter().zip(values) {
                let at = t * node.size() + channel as usize * node.positions + position;
                match self {
                    Self::Levels(levels) => {
                        levels[at] = i16::try_from(value.level()).unwrap_or(i16::MAX);
                    }
                    Self::Values(values) => values[at] = value.to_real(),
                }
            }
        }
    }
}

/// Joins the samples of site `site`, a column of `samples`, to `[T or 1, B, …shape]`.
pub(crate) fn join<A: SiteNumber>(
    node: &NodeProgram<A>,
    samples: &[Vec<Trace>],
    site: usize,
    steps: usize,
) -> Result<SiteTrace> {
    let traces = samples.iter().filter_map(|traces| traces.get(site));
    let mut shape = vec![steps, samples.len()];
    shape.extend(&node.shape);
    let output = if node.traces_values {
        let values = traces.map(|t| if let Trace::Values(v) = t { v.as_slice() } else { &[] });
        SiteOutput::Values(time_first(&values, &shape, node.size(), NAME)?)
    } else {
        let levels = traces.map(|t| if let Trace::Levels(v) = t { v.as_slice() } else { &[] });
        SiteOutput::Levels(time_first(&levels, &shape, node.size(), NAME)?)
    };
    Ok(SiteTrace { site: node.name.clone(), output, ties: 0 })
}
