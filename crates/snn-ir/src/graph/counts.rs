//! Sizes of a network, as papers count them.

use super::resolve::chw;
use super::{Graph, Op};
use crate::error::Result;
use crate::model::{Form, weight_specs};

/// Sizes of a network for one sample, as papers count them.
///
/// ```
/// use snn_ir::networks::BuiltIn;
/// use snn_ir::Lif;
/// let resnet18 = BuiltIn::named("resnet18").unwrap();
/// let counts = resnet18.graph([3, 224, 224], 1000, &Lif::default()).counts()?;
/// assert_eq!((counts.parameters, counts.multiply_adds), (11_689_512, 1_814_073_344));
/// # Ok::<(), snn_ir::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Weights, frozen ones included, running statistics not: what `PyTorch`'s `parameters()`
    /// yields.
    pub parameters: usize,
    /// Those of them that training leaves as they begin.
    pub frozen: usize,
    /// Multiply-adds of convolutions and linear layers for one time step, computed densely; see
    /// [`Graph::multiply_adds`].
    pub multiply_adds: u64,
    /// Activation sites.
    pub sites: usize,
    /// Neurons of all sites.
    pub neurons: usize,
}

impl Graph {
    /// Sizes of the network before conversion.
    ///
    /// # Errors
    /// The graph is invalid or not in the trained form.
    pub fn counts(&self) -> Result<Counts> {
        let resolved = self.resolve()?;
        let (mut parameters, mut frozen) = (0, 0);
        for spec in weight_specs(self, &resolved, Form::Trained)? {
            let size = spec.part.shape.iter().product::<usize>();
            let is_frozen = self.nodes[spec.node].frozen && spec.part.part == "weight";
            parameters += if spec.part.learned || is_frozen { size } else { 0 };
            frozen += if is_frozen { size } else { 0 };
        }
        let sites = self.sites()?;
        Ok(Counts {
            parameters,
            frozen,
            multiply_adds: self.multiply_adds()?.iter().sum(),
            sites: sites.len(),
            neurons: sites.iter().map(crate::SiteInfo::neurons).sum(),
        })
    }

    /// Multiply-adds of every node for one sample and one time step, computed densely: of a
    /// convolution `positions · outputs · inputs/groups · taps` (border taps count), of a linear
    /// layer `outputs · inputs`, of everything else 0.
    ///
    /// # Errors
    /// The graph is invalid.
    pub fn multiply_adds(&self) -> Result<Vec<u64>> {
        let resolved = self.resolve()?;
        let product = |sizes: &[usize]| sizes.iter().map(|&size| size as u64).product::<u64>();
        let counts = self.nodes.iter().zip(&resolved.nodes).map(|(node, info)| {
            let inputs = info.inputs.first().map_or(0, |&input| resolved.nodes[input].shape[0]);
            match &node.op {
                Op::Conv(conv) => {
                    let each = product(&chw(&info.shape)) * (inputs / conv.groups) as u64;
                    each * product(&conv.kernel)
                }
                Op::Linear { features, .. } => product(&[*features, inputs]),
                _ => 0,
            }
        });
        Ok(counts.collect())
    }
}
