//! The regulariser of firing rates.

use crate::config::activity::ActivityConfig;
use crate::error::{Error, Result};
use snn_core::SiteActivity;
use snn_ir::{Model, Op};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// What activity above the targets of its sites adds to the loss ([`ActivityConfig`]).
#[derive(Debug)]
pub(crate) struct ActivityPenalty {
    weight: f64,
    targets: BTreeMap<String, f64>,
}

impl ActivityPenalty {
    /// The penalty of a config for a model; `None` where it has none.
    ///
    /// # Errors
    /// The model has no site with an activity, or an entry matches none.
    pub(crate) fn new(config: &ActivityConfig, model: &Model) -> Result<Option<Self>> {
        if !config.is_on() {
            return Ok(None);
        }
        let has_activity =
            |op: &Op| matches!(op, Op::Activation { site, .. } if site.levels().is_some());
        let nodes = model.graph().nodes.iter().filter(|node| has_activity(&node.op));
        let sites: Vec<&str> = nodes.map(|node| node.name.as_str()).collect();
        if sites.is_empty() {
            return Err(Error::Mismatch {
                what: "`activity.weight`",
                expected: "0, as no site of this network has levels: ReLUs have no bound".into(),
                found: config.weight.to_string(),
            });
        }
        let targets = config.targets(&sites)?;
        let targets = sites.into_iter().map(String::from).zip(targets).collect();
        Ok(Some(Self { weight: config.weight, targets }))
    }

    /// `λ·Σ_s n_s/N·max(0, a_s − target_s)`.
    pub(crate) fn of(&self, sites: &[SiteActivity]) -> Result<Tensor> {
        let neurons: usize = sites.iter().map(|site| site.neurons).sum();
        let excess = |site: &SiteActivity| -> Result<Tensor> {
            let target = self.targets.get(&site.site).copied().unwrap_or(1.0);
            let share = site.neurons as f64 / neurons.max(1) as f64;
            Ok(site.activity.f_sub_scalar(target)?.f_relu()?.f_mul_scalar(self.weight * share)?)
        };
        let excesses = sites.iter().map(excess).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_stack(&excesses, 0)?.f_sum(None::<Kind>)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::activity::ActivityTarget;
    use snn_ir::networks::SmallNet;
    use snn_ir::{Form, Preprocessing, Signature};
    use tch::Device;

    fn penalty(target: f64, sites: Vec<ActivityTarget>) -> Result<ActivityPenalty> {
        let graph = SmallNet { width: 2, ..SmallNet::default() }.build();
        let weights = graph.initial_weights(0).unwrap();
        let preprocessing = Preprocessing::new(vec![113; 3], vec![69.0; 3]);
        let model = Model::new(Signature::new(Form::Trained, graph, 1, preprocessing), weights);
        let config = ActivityConfig { weight: 2.0, target, sites };
        ActivityPenalty::new(&config, &model).map(Option::unwrap)
    }

    #[test]
    fn sites_above_their_target_are_charged_by_their_neurons() {
        let own = ActivityTarget { names: "block*.act1".into(), target: 0.5 };
        let penalty = penalty(0.1, vec![own]).unwrap();
        let activity = |value: f64| {
            Tensor::scalar_tensor(value, (Kind::Double, Device::Cpu)).set_requires_grad(true)
        };
        let site = |site: &str, neurons: usize, value: f64| SiteActivity {
            site: site.into(),
            neurons,
            activity: activity(value),
        };
        let sites = [
            site("stem.act", 30, 0.3),
            site("block1.act1", 50, 0.4),
            site("block1.act2", 10, 0.05),
            site("block2.act1", 10, 0.9),
        ];
        let loss = penalty.of(&sites).unwrap();
        let expected = 2.0 * (0.3 * (0.3 - 0.1) + 0.1 * (0.9 - 0.5));
        assert!((loss.double_value(&[]) - expected).abs() < 1e-12, "{loss:?}");
        loss.backward();
        let gradients: Vec<f64> =
            sites.iter().map(|site| site.activity.grad().double_value(&[])).collect();
        let expected = [0.6, 0.0, 0.0, 0.2];
        let near = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-12;
        assert!(gradients.iter().zip(&expected).all(near), "{gradients:?}");
    }

    #[test]
    fn a_pattern_that_matches_no_site_names_those_that_there_are() {
        let own = ActivityTarget { names: "stage*".into(), target: 0.5 };
        let error = penalty(0.1, vec![own]).unwrap_err().to_string();
        assert!(error.contains("`activity.sites (names = \"stage*\")` matches no site"), "{error}");
        assert!(error.contains("`stem.act`"), "{error}");
    }
}
