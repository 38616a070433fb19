//! Custom neurons and surrogates: what is refused, and that the gradient is theirs.

use crate::common::{Random, trained};
use snn_core::tch::{Device, Kind, Tensor};
use snn_core::{
    Libtorch, LifParameters, Mode, Monitor, Network, NetworkOptions, Pixels, Registry, Result,
    SurrogateDerivative, SurrogateGradient, TensorNeuron, TensorParameters, lif,
};
use snn_ir::Custom;
use snn_ir::networks::SmallNet;
use snn_ir::{Evaluate, Input, Lif, Model, Op, Record, Site, Surrogate};
use std::collections::BTreeMap;

/// `height·e^(−|x|)`.
#[derive(Debug)]
struct Exponential;

impl SurrogateDerivative for Exponential {
    fn derivative(&self, params: &BTreeMap<String, f64>, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_abs()?.f_neg()?.f_exp()?.f_mul_scalar(params["height"])?)
    }
}

/// Forgets the shape of what it was given.
#[derive(Debug)]
struct Scalar;

impl SurrogateDerivative for Scalar {
    fn derivative(&self, _params: &BTreeMap<String, f64>, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_sum(Kind::Double)?)
    }
}

fn surrogate(name: &str) -> Surrogate {
    Surrogate::Custom { name: name.into(), params: BTreeMap::from([("height".to_string(), 0.25)]) }
}

fn options(registry: &Registry, kind: Kind) -> NetworkOptions {
    NetworkOptions { kind, registry: registry.clone(), ..NetworkOptions::new(Device::Cpu) }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

#[test]
fn a_surrogate_of_a_users_own_is_the_gradient() {
    let registry = Registry::default()
        .with_surrogate("exponential", Exponential)
        .with_surrogate("scalar", Scalar);
    let x = Tensor::from_slice(&[-1.0, 0.0, 0.5]).set_requires_grad(true);
    let spikes =
        SurrogateGradient::new(&surrogate("exponential"), &registry).unwrap().spike(&x).unwrap();
    assert_eq!(values(&spikes), [0.0, 1.0, 1.0]);
    spikes.sum(Kind::Double).backward();
    for (found, x) in values(&x.grad()).into_iter().zip([1.0_f64, 0.0, 0.5]) {
        assert!((found - 0.25 * (-x).exp()).abs() < 1e-15);
    }
    let neuron = Lif { surrogate: surrogate("exponential"), ..Lif::default() };
    let current = Tensor::from_slice(&[0.7]).set_requires_grad(true);
    let parameters = LifParameters { registry: Some(&registry), ..LifParameters::default() };
    let (spikes, _) = lif::step(&neuron, parameters, &current, None).unwrap();
    spikes.sum(Kind::Double).backward();
    assert!((values(&current.grad())[0] - 0.25 * (-0.3_f64).exp()).abs() < 1e-15);

    let error =
        lif::step(&neuron, LifParameters::default(), &current, None).unwrap_err().to_string();
    assert!(error.contains("`exponential`"), "{error}");
    let scalar = SurrogateGradient::new(&surrogate("scalar"), &registry).unwrap();
    assert!(
        scalar
            .derivative(&x)
            .unwrap_err()
            .to_string()
            .contains("custom surrogate: expected shape [3]")
    );
    let error = SurrogateGradient::new(&surrogate("other"), &registry).unwrap_err().to_string();
    assert!(error.contains("`exponential`, `scalar`") && error.contains("`other`"), "{error}");
}

/// A small network with one kind of site.
fn model(site: &Site) -> Model {
    let mut graph = SmallNet { width: 4, input: [3, 8, 8], ..SmallNet::default() }.build();
    for node in &mut graph.nodes {
        if let Op::Activation { site: old, .. } = &mut node.op {
            *old = site.clone();
        }
    }
    let weights = Random::new(41).weights(&graph);
    trained(graph, weights, 2)
}

#[test]
fn a_network_names_the_node_whose_surrogate_is_unknown() {
    let model = model(&Site::Lif(Lif { surrogate: surrogate("exponential"), ..Lif::default() }));
    let error = Network::new(&model, Device::Cpu, Kind::Float).unwrap_err().to_string();
    assert!(error.contains("node `stem.act`") && error.contains("`exponential`"), "{error}");
    let registry = Registry::default().with_surrogate("exponential", Exponential);
    let network = Network::with_options(&model, &options(&registry, Kind::Float)).unwrap();
    let images = Random::new(42).images(&[3, 3, 8, 8]);
    let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
    network.forward(&pixels, Mode::Train).unwrap().logits.square().sum(Kind::Float).backward();
    assert!(network.parameters()[0].tensor.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
}

/// Emits `level` everywhere, in the shape of the current or in another one.
#[derive(Debug)]
struct Constant {
    level: f64,
    flat: bool,
}

impl TensorNeuron for Constant {
    fn step(
        &self,
        _parameters: &TensorParameters<'_>,
        current: &Tensor,
        _state: Option<Vec<Tensor>>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let levels = current.f_zeros_like()?.f_add_scalar(self.level)?;
        Ok((if self.flat { levels.f_reshape([-1])? } else { levels }, Vec::new()))
    }
}

/// Asks for what the graph does not have.
#[derive(Debug)]
struct Asking;

impl TensorNeuron for Asking {
    fn step(
        &self,
        parameters: &TensorParameters<'_>,
        _current: &Tensor,
        _state: Option<Vec<Tensor>>,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        Ok((parameters.learned("threshold")?.shallow_clone(), Vec::new()))
    }
}

#[test]
fn neurons_that_break_their_word_are_named() {
    let model = model(&Site::Custom(Custom::new("mine")));
    let images = Random::new(43).images(&[2, 3, 8, 8]);
    let run = |registry: &Registry| {
        Libtorch::with_options(&model, &options(registry, Kind::Double)).and_then(|mut libtorch| {
            Ok(libtorch.evaluate(&Input::Static(images.view()), Record::Sites)?)
        })
    };
    let good = Registry::default().with_neuron("mine", Constant { level: 1.0, flat: false });
    assert!(
        run(&good)
            .unwrap()
            .sites
            .iter()
            .all(|site| site.output.active() == site.output.len() as u64)
    );
    for (registry, messages) in [
        (Registry::default(), &["node `stem.act`", "no neuron `mine`"][..]),
        (
            Registry::default().with_neuron("mine", Constant { level: 2.0, flat: false }),
            &["node `stem.act`", "levels of 0 to 1"],
        ),
        (
            Registry::default().with_neuron("mine", Constant { level: 1.0, flat: true }),
            &["node `stem.act`", "gave shape [512]"],
        ),
        (
            Registry::default().with_neuron("mine", Asking),
            &["node `stem.act`", "neuron `mine`", "`threshold`"],
        ),
    ] {
        let error = run(&registry).unwrap_err().to_string();
        assert!(messages.iter().all(|message| error.contains(message)), "{error}");
    }
}

/// Without state there is no membrane to show.
#[test]
fn monitors_of_neurons_without_state() {
    let model = model(&Site::Custom(Custom::new("mine")));
    let registry = Registry::default().with_neuron("mine", Constant { level: 1.0, flat: false });
    let network = Network::with_options(&model, &options(&registry, Kind::Float)).unwrap();
    let images = Random::new(44).images(&[2, 3, 8, 8]);
    let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu).unwrap();
    let monitor = Monitor { membranes: true, ..Monitor::default() };
    let (_, sites) = network.forward_monitored(&pixels, Mode::Evaluate, monitor).unwrap();
    assert!(
        sites
            .iter()
            .all(|site| site.membranes.is_none()
                && site.warning == Some(snn_core::Warning::Saturated))
    );
}
