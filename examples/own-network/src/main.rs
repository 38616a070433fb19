//! `own-network FOLDER [STEPS]`: a network, a data source and a neuron of one's own, trained in a
//! folder (or for so many steps; the next call goes on there), converted, verified, deployed.

use snn_core::tch::{Device, Kind, Tensor};
use snn_core::{Libtorch, NetworkOptions, Registry, TensorNeuron, TensorParameters, surrogate};
use snn_data::{Result as DataResult, SampleMut, SampleRng, SampleShape, Source};
use snn_ir::{Code, Conv, Custom, Evaluate, Form, GraphBuilder, Leak, Lif, Model, Neuron, Neurons};
use snn_ir::{GridOptions, Op, PoolKind, Preprocessing, Record, Reset, Signature, Site, Surrogate};
use snn_reparam::{ConvertOptions, convert, proof::Comparison, proof::Strictness, to_grid};
use snn_runtime::{Counting, Deployment};
use snn_train::{Options, Outcome, Recipe, Start, Trainer, evaluate, evaluation_batches, input};
use std::{error::Error, path::PathBuf, sync::Arc};

/// A neuron that sums its currents and fires while the sum is at least 1.
#[derive(Debug, Clone)]
struct Sum;
type Step = snn_core::Result<(Tensor, Vec<Tensor>)>;

/// How it trains: on tensors, with a surrogate gradient.
impl TensorNeuron for Sum {
    fn step(&self, _: &TensorParameters<'_>, x: &Tensor, state: Option<Vec<Tensor>>) -> Step {
        let sum = state.map_or(Ok(x.shallow_clone()), |state| state[0].f_add(x))?;
        Ok((surrogate::spike(&sum.f_sub_scalar(1.0)?, &Surrogate::default())?, vec![sum]))
    }
}

/// How it runs on events: one neuron, one time step.
impl Neuron for Sum {
    fn rest(&self) -> Vec<f64> {
        vec![0.0]
    }
    fn step(&self, state: &mut [f64], current: f64) -> i16 {
        state[0] += current;
        i16::from(state[0] - 1.0 >= 0.0)
    }
}

/// Images of a bar in one of three colours, whose height is the class.
#[derive(Debug)]
struct Bars(usize);
impl Source for Bars {
    fn len(&self) -> usize {
        self.0
    }
    fn shape(&self) -> SampleShape {
        SampleShape::Static([3, 16, 16])
    }
    fn load(&self, i: usize, sample: &mut SampleMut<'_>, _: &mut SampleRng) -> DataResult<u16> {
        let (label, colour, mut image) = (i % 10, i / 10 % 3, sample.image()?);
        (0..80).for_each(|pixel| image[[colour, label + pixel / 16, pixel % 16]] = 255);
        Ok(label as u16)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("which folder?")?);
    let step_limit = std::env::args().nth(2).map(|steps| steps.parse()).transpose()?;
    let start = if folder.exists() { Start::Resume } else { Start::New };
    let mut net = GraphBuilder::new([3, 16, 16]);
    net.conv_site("conv1", Conv::square(8, 3, 1)).pool("pool", PoolKind::Average, 2);
    net.conv_norm("conv2", Conv::square(16, 3, 2)).site_of("sum", Site::Custom(Custom::new("sum")));
    let graph = net.flatten("flat").linear("fc", 10).build()?;
    let (init, pixels) = (graph.initial_weights(1)?, Preprocessing::new(vec![0; 3], vec![99.0; 3]));
    let model = Model::new(Signature::new(Form::Trained, graph, 4, pixels), init);
    let registry = Registry::default().with_neuron("sum", Sum);
    let recipe = Recipe { epochs: 6, batch: 20, threads: 1, ..Recipe::default() };
    let test: Arc<dyn Source> = Arc::new(Bars(60));
    let trainer = Trainer::new(model, Arc::new(Bars(600)), recipe).with_registry(registry.clone());
    let options = Options { start, step_limit, ..Options::default() };
    let outcome = trainer.with_test(test.clone()).fit(&folder, &options, &mut |_| {})?;
    matches!(outcome, Outcome::Finished(_)).then_some(()).ok_or("stopped; call again to go on")?;
    let mut trained = Model::load(folder.join("model.safetensors"))?;
    // Every spike on events, in real numbers, is that of the trained network.
    let own = Neurons::default().with("sum", Sum);
    let codes = ConvertOptions { codes: Code::Unary.into(), neurons: own.clone() };
    let mut events = Counting::with_neurons(&convert(&trained, &codes)?.model, &own)?;
    let f64 = NetworkOptions { kind: Kind::Double, registry, ..NetworkOptions::new(Device::Cpu) };
    let mut dense = Libtorch::with_options(&trained, &f64)?;
    let mut proof = Comparison::new(Strictness::ZeroFlips, "trained", "events");
    let images = evaluation_batches(&test, test.len())?.next().ok_or("no image")??.samples;
    let run = |engine: &mut dyn Evaluate| engine.evaluate(&input(&images), Record::Sites);
    proof.add(&run(&mut dense)?, &run(&mut events)?)?;
    println!("{} of {} spikes differ", proof.flips, proof.decisions);
    // The fast engine knows the neurons of the grid; one that neither leaks nor resets is the same.
    let lif = Lif { leak: Leak::Factor { factor: 1.0 }, reset: Reset::None, ..Lif::default() };
    let op = Op::Activation { site: Site::Lif(lif), code: None };
    trained.graph_mut().node_mut("sum").ok_or("no site")?.op = op;
    let grid = to_grid(&convert(&trained, &codes)?.model, GridOptions::default())?.model;
    grid.save(folder.join("deployed.safetensors"))?;
    let mut deployed = Deployment::load(folder.join("deployed.safetensors"))?;
    let right = 100.0 * evaluate(&test, &mut deployed, 20)?.share();
    println!("{right:.0} % right, deployed");
    Ok(())
}
