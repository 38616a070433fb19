//! The activity of sites, with gradients: what a regulariser of firing rates reduces.

use crate::error::Result;
use crate::network::stateless::per_channel;
use crate::network::{Network, in_graph_order};
use crate::neuron::quant_relu::step_gradient_scale;
use crate::observe::observer::{Emission, Observer, Requested};
use crate::tensor::int;
use snn_ir::{Form, Graph, Op, Site};
use tch::{Kind, Tensor};

/// Mean activity of a site in a forward pass.
#[derive(Debug)]
pub struct SiteActivity {
    /// Name of its node.
    pub site: String,
    /// Neurons of the site, for one sample.
    pub neurons: usize,
    /// `a = mean |q| / D` over neurons, samples and macro-steps, with the gradient of the pass: q
    /// is what a neuron emits, a spike (D = 1) or one of D levels. A scalar from 0 to 1. In the
    /// unary code, where level q is q spikes in D micro-steps, it is the firing rate.
    pub activity: Tensor,
}

/// Activities of the sites observed so far.
pub(crate) struct Activities<'n> {
    graph: &'n Graph,
    /// The network whose quantised ReLUs emit values, step · level; `None` where they emit levels.
    values: Option<&'n Network>,
    sites: Vec<SiteActivity>,
}

impl<'n> Activities<'n> {
    /// Of a network off the grid.
    pub(crate) fn of(network: &'n Network) -> Self {
        let values = Some(network).filter(|network| network.form() == Form::Trained);
        Self { graph: network.graph(), values, sites: Vec::new() }
    }

    /// Of sites that emit levels.
    pub(crate) fn of_levels(graph: &'n Graph) -> Self {
        Self { graph, values: None, sites: Vec::new() }
    }

    /// The activities in the order of the graph.
    pub(crate) fn finish(mut self) -> Vec<SiteActivity> {
        in_graph_order(self.graph, &mut self.sites, |site| &site.site);
        self.sites
    }
}

impl Observer for Activities<'_> {
    fn requested(&self) -> Requested {
        Requested::default()
    }

    fn site(&mut self, emission: Emission<'_>) -> Result<()> {
        let name = emission.site;
        let node = self.graph.nodes.iter().find(|node| node.name == name);
        let Some(Op::Activation { site, .. }) = node.map(|node| &node.op) else { return Ok(()) };
        let Some(spike) = site.spike() else { return Ok(()) };
        let output = emission.output;
        let kind = if output.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
        let mean = match (site, self.values) {
            (Site::QuantRelu(_), Some(network)) => {
                // One step for each channel, or one for all.
                let others: Vec<i64> = (0..int(output.dim())).filter(|&axis| axis != 1).collect();
                let means = output.f_mean_dim(others.as_slice(), true, kind)?;
                let step = per_channel(network.parameter(&format!("{name}.step"))?, &means)?;
                // The values pass a scaled gradient on to the step (Esser 2020, section 2.2), and
                // so must the division, or steps would grow where neurons should be silent.
                let scale = step_gradient_scale(output, &step, spike.levels());
                let fixed = step.f_detach()?.f_mul_scalar(1.0 - scale)?;
                let step = step.f_mul_scalar(scale)?.f_add(&fixed)?;
                means.f_div(&step)?.f_mean(None::<Kind>)?
            }
            _ if spike.range().0 < 0 => output.f_abs()?.f_mean(kind)?,
            _ => output.f_mean(kind)?,
        };
        self.sites.push(SiteActivity {
            site: name.to_string(),
            neurons: emission.shape.iter().product(),
            activity: mean.f_div_scalar(f64::from(spike.levels()))?,
        });
        Ok(())
    }
}
