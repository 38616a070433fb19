//! The kernels on the host: `site.cu` by the C++ compiler, and tests that it computes what the
//! kernels of the CPU do.

use super::machine::{Launch, Machine};
use super::specialisation::Specialisation;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Runs kernels on the host, and keeps a log of their starts.
#[derive(Debug, Default)]
pub(crate) struct Host {
    loaded: Mutex<HashMap<Specialisation, libloading::Library>>,
    log: Mutex<Vec<Launch>>,
}

type Start = unsafe extern "C" fn(*const c_char, *const u32, *const u32, *mut *mut c_void) -> c_int;

impl Host {
    /// What was started since the last time.
    pub(crate) fn take_log(&self) -> Vec<Launch> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Torch(format!("a kernel on the host: {error}"))
}

/// Compiles the text for a kind of site.
fn compile(of: &Specialisation) -> Result<libloading::Library> {
    let folder = tempfile::tempdir().map_err(failed)?;
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [
        ("site.cu", include_str!("site.cu")),
        ("host.h", include_str!("host.h")),
        ("host.cpp", include_str!("host.cpp")),
    ] {
        std::fs::write(at(name), text).map_err(failed)?;
    }
    let library: PathBuf = at("host.so");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let mut command = Command::new(compiler);
    command.args([
        "-std=c++17",
        "-O1",
        "-fPIC",
        "-shared",
        "-ffp-contract=off",
        "-Wall",
        "-Werror",
    ]);
    // Macros leave some arguments without use.
    command.args(["-Wno-unknown-pragmas", "-Wno-unused-but-set-variable", "-Wno-unused-variable"]);
    command.args(of.macros().map(|(name, value)| format!("-D{name}={value}")));
    let output = command.arg(at("host.cpp")).arg("-o").arg(&library).output().map_err(failed)?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr)));
    }
    // SAFETY: a library without constructors.
    unsafe { libloading::Library::new(library) }.map_err(failed)
}

impl Machine for Host {
    unsafe fn launch(
        &self,
        of: &Specialisation,
        launch: &Launch,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(launch.clone());
        // The coroutines of a library are those of one launch at a time.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if !loaded.contains_key(of) {
            loaded.insert(*of, compile(of)?);
        }
        let library = &loaded[of];
        let name = CString::new(launch.kernel).map_err(failed)?;
        // SAFETY: the functions of `host.cpp`; the arguments are the caller's.
        let unknown = unsafe {
            let size = library.get::<unsafe extern "C" fn() -> u64>(b"host_size_of_site");
            let size = size.map_err(failed)?();
            assert_eq!(size, size_of::<super::site::RawSite>() as u64, "both lay it out alike");
            let start = library.get::<Start>(b"host_launch").map_err(failed)?;
            start(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.block.as_ptr(),
                arguments.as_mut_ptr(),
            )
        };
        if unknown == 0 { Ok(()) } else { Err(failed(format!("no kernel {}", launch.kernel))) }
    }
}

mod tests {
    use super::*;
    use crate::device::{self, Neuron, Statistics};
    use crate::fused::{self, BatchNorm, BatchStatistics};
    use crate::neuron::lif::LifParameters;
    use crate::tensor::int;
    use snn_ir::{
        FirstMembrane, Leak, Lif, Reset, ResetGradient, Share, Spike, Surrogate, Threshold,
    };
    use std::sync::Arc;
    use tch::{Device, Kind, Tensor};

    /// A generator of small numbers (`SplitMix64`).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }

        fn below(&mut self, limit: usize) -> usize {
            usize::try_from(self.next() % limit as u64).unwrap()
        }

        fn one_of<V: Clone>(&mut self, all: &[V]) -> V {
            all[self.below(all.len())].clone()
        }

        fn tensor(&mut self, size: &[i64], kind: Kind) -> Tensor {
            let count = size.iter().product::<i64>();
            let values: Vec<f64> =
                (0..count).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).collect();
            (Tensor::from_slice(&values) * 3.0 - 1.2).view(size).to_kind(kind)
        }
    }

    enum NeuronOf {
        Relu,
        Quant { step: Tensor, levels: u8 },
        Lif { lif: Lif, leak: Option<Tensor>, threshold: Option<Tensor> },
    }

    /// Weight, if there is one, and bias.
    type NormOf = (Option<Tensor>, Tensor);

    struct Case {
        size: Vec<i64>,
        steps: usize,
        neuron: NeuronOf,
        /// Data, macro-steps, and a norm.
        terms: Vec<(Tensor, usize, Option<NormOf>)>,
    }

    fn leaf(x: &Tensor) -> Tensor {
        x.detach().copy().set_requires_grad(true)
    }

    fn case(random: &mut Random, number: usize, kind: Kind) -> Case {
        let channels = random.one_of(&[1, 3, 6, 8, 16, 20, 64]);
        let batch = random.one_of(&[2, 3, 5]);
        let mut size = vec![batch, channels];
        if random.below(4) > 0 {
            size.extend([random.one_of(&[2, 5, 7]), random.one_of(&[3, 4])]);
        }
        let steps = random.one_of(&[1, 2, 3, 4]);
        let count = 1 + random.below(3);
        let terms = (0..count).map(|term| {
            let own = if steps > 1 && random.below(3) == 0 { 1 } else { steps };
            let mut whole = size.clone();
            whole[0] *= int(own);
            let mut data = random.tensor(&whole, kind);
            if whole.len() == 4 && random.below(2) == 0 {
                // As convolutions give it: channels last.
                data = data.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
            }
            let norm = (random.below(3) > 0 || term == 0).then(|| {
                let weight = random.tensor(&[channels], Kind::Float) + 1.5;
                let weight = (random.below(3) > 0).then(|| leaf(&weight));
                (weight, leaf(&random.tensor(&[channels], Kind::Float)))
            });
            (leaf(&data), own, norm)
        });
        let terms = terms.collect();
        let per_channel = |random: &mut Random, least: f64| {
            let length = if random.below(2) == 0 { 1 } else { channels };
            leaf(&(random.tensor(&[length], Kind::Float).abs() + least))
        };
        let neuron = match number % 5 {
            0 => NeuronOf::Relu,
            1 => NeuronOf::Quant {
                step: per_channel(random, 0.2),
                levels: random.one_of(&[1, 3, 7]),
            },
            _ => {
                let learns_threshold = random.below(2) == 0;
                let learns_leak = random.below(2) == 0;
                let lif = Lif {
                    leak: if learns_leak {
                        Leak::Learned { initial: 0.7 }
                    } else {
                        Leak::Factor { factor: random.one_of(&[0.5, 0.9, 1.0]) }
                    },
                    threshold: if learns_threshold {
                        Threshold::Learned { initial: 0.9, share: Share::Layer }
                    } else {
                        Threshold::Fixed(0.8)
                    },
                    reset: random.one_of(&[
                        Reset::Hard { potential: 0.0 },
                        Reset::Soft,
                        Reset::None,
                    ]),
                    spike: random.one_of(&[
                        Spike::Binary,
                        Spike::Binary,
                        Spike::Ternary,
                        Spike::Integer { levels: 4 },
                    ]),
                    reset_gradient: random
                        .one_of(&[ResetGradient::Flowing, ResetGradient::Detached]),
                    initial: random.one_of(&[
                        FirstMembrane::Rest,
                        FirstMembrane::Potential(0.3),
                        FirstMembrane::Threshold { share: 0.4 },
                    ]),
                    surrogate: Surrogate::ALL[number % Surrogate::ALL.len()].clone(),
                    ..Lif::default()
                };
                NeuronOf::Lif {
                    leak: learns_leak.then(|| leaf(&Tensor::from_slice(&[0.9_f32]))),
                    threshold: learns_threshold.then(|| per_channel(random, 0.5)),
                    lif,
                }
            }
        };
        Case { size, steps, neuron, terms }
    }

    const EPS: f64 = 1e-5;

    /// Every tensor of a case that has a gradient, in one order.
    fn leaves(case: &Case) -> Vec<&Tensor> {
        let mut all: Vec<&Tensor> = case.terms.iter().map(|(data, ..)| data).collect();
        for (weight, bias) in case.terms.iter().filter_map(|(_, _, norm)| norm.as_ref()) {
            all.extend(weight.iter().chain([bias]));
        }
        match &case.neuron {
            NeuronOf::Relu => {}
            NeuronOf::Quant { step, .. } => all.push(step),
            NeuronOf::Lif { leak, threshold, .. } => all.extend(leak.iter().chain(threshold)),
        }
        all
    }

    fn gradients(case: &Case, levels: &Tensor, upstream: &Tensor) -> Vec<Tensor> {
        for leaf in leaves(case) {
            leaf.shallow_clone().zero_grad();
        }
        (levels * upstream).sum(Kind::Float).backward();
        leaves(case).iter().map(|leaf| leaf.grad().copy()).collect()
    }

    fn on_the_cpu(case: &Case) -> (Tensor, Vec<[Tensor; 2]>) {
        let statistics: Vec<BatchStatistics> = case
            .terms
            .iter()
            .map(|(data, ..)| BatchStatistics::of(data).unwrap().unwrap())
            .collect();
        let terms: Vec<fused::Term<'_>> = case
            .terms
            .iter()
            .zip(&statistics)
            .map(|((data, steps, norm), statistics)| fused::Term {
                data,
                steps: *steps,
                norm: norm.as_ref().map(|(weight, bias)| BatchNorm {
                    weight: weight.as_ref(),
                    bias,
                    eps: EPS,
                    statistics,
                    ranks: None,
                }),
            })
            .collect();
        let levels = match &case.neuron {
            NeuronOf::Relu => fused::relu(&terms),
            NeuronOf::Quant { step, levels } => fused::quant_relu(step, *levels, &terms),
            NeuronOf::Lif { lif, leak, threshold } => {
                let parameters = LifParameters {
                    leak: leak.as_ref(),
                    threshold: threshold.as_ref(),
                    registry: None,
                };
                fused::lif(lif, parameters, &terms, case.steps)
            }
        };
        let running = statistics.iter().map(|statistics| {
            let count = statistics.count as f64;
            let stepped = |from: f32, to: &[f64], factor: f64| {
                let to: Vec<f64> = to.iter().map(|v| v * factor).collect();
                let from =
                    Tensor::full([int(to.len())], f64::from(from), (Kind::Float, Device::Cpu));
                from.lerp(&Tensor::from_slice(&to).to_kind(Kind::Float), 0.1)
            };
            [
                stepped(0.25, &statistics.mean, 1.0),
                stepped(1.5, &statistics.variance, count / (count - 1.0)),
            ]
        });
        (levels.unwrap().unwrap(), running.collect())
    }

    fn on_a_machine(case: &Case, machine: &Arc<dyn Machine>) -> (Tensor, Vec<[Tensor; 2]>) {
        let running: Vec<[Tensor; 2]> = case
            .terms
            .iter()
            .map(|_| {
                let device = case.terms[0].0.device();
                let full = |value: f64| Tensor::full([case.size[1]], value, (Kind::Float, device));
                [full(0.25), full(1.5)]
            })
            .collect();
        let terms: Vec<device::Term<'_>> = case
            .terms
            .iter()
            .zip(&running)
            .map(|((data, steps, norm), [mean, variance])| device::Term {
                data,
                steps: *steps,
                norm: norm.as_ref().map(|(weight, bias)| device::Norm {
                    weight: weight.as_ref(),
                    bias,
                    running_mean: mean,
                    running_variance: variance,
                    eps: EPS,
                    momentum: 0.1,
                }),
            })
            .collect();
        let neuron = match &case.neuron {
            NeuronOf::Relu => Neuron::Relu,
            NeuronOf::Quant { step, levels } => Neuron::QuantRelu { step, levels: *levels },
            NeuronOf::Lif { lif, leak, threshold } => {
                Neuron::Lif { lif, leak: leak.as_ref(), threshold: threshold.as_ref() }
            }
        };
        let steps = match &case.neuron {
            NeuronOf::Lif { .. } => case.steps,
            _ => case.terms.iter().map(|(_, steps, _)| *steps).max().unwrap(),
        };
        let statistics = Statistics::Batch { updates: true };
        let levels = device::run(machine, neuron, &terms, steps, statistics).unwrap().unwrap();
        (levels, running)
    }

    fn near(what: &str, found: &Tensor, expected: &Tensor, allowed: f64) {
        assert_eq!(found.size(), expected.size(), "{what}");
        let (found, expected) = (found.to_device(Device::Cpu), expected.to_kind(Kind::Double));
        let found = found.to_kind(Kind::Double);
        let size = expected.abs().max().double_value(&[]).max(1e-6);
        let error = (found - expected).abs().max().double_value(&[]) / size;
        assert!(error <= allowed, "{what}: relative error {error:e}");
    }

    /// The same on a device.
    fn on(device: Device, case: &Case) -> Case {
        let there = |x: &Tensor| leaf(&x.detach().to_device(device));
        let neuron = match &case.neuron {
            NeuronOf::Relu => NeuronOf::Relu,
            NeuronOf::Quant { step, levels } => {
                NeuronOf::Quant { step: there(step), levels: *levels }
            }
            NeuronOf::Lif { lif, leak, threshold } => NeuronOf::Lif {
                lif: lif.clone(),
                leak: leak.as_ref().map(there),
                threshold: threshold.as_ref().map(there),
            },
        };
        let norm = |(weight, bias): &NormOf| (weight.as_ref().map(there), there(bias));
        let term = |(data, steps, of): &(Tensor, usize, Option<NormOf>)| {
            (there(data), *steps, of.as_ref().map(norm))
        };
        let terms = case.terms.iter().map(term).collect();
        Case { size: case.size.clone(), steps: case.steps, neuron, terms }
    }

    /// Compares so many random sites on a machine with those of the CPU; `check` sees each name,
    /// and whether the site has a norm, when it was computed.
    fn compare(
        machine: &Arc<dyn Machine>,
        device: Device,
        count: usize,
        check: impl Fn(&str, bool),
    ) {
        let mut random = Random(7);
        for number in 0..count {
            let kind = if number % 3 == 2 { Kind::BFloat16 } else { Kind::Float };
            let case = case(&mut random, number, kind);
            let there = on(device, &case);
            let what = format!("case {number}, {kind:?}, {:?}, T = {}", case.size, case.steps);
            let (expected, running) = on_the_cpu(&case);
            let (found, running_found) = on_a_machine(&there, machine);
            assert!(found.to_device(Device::Cpu).equal(&expected), "{what}: levels differ");
            for (term, (found, expected)) in running_found.iter().zip(&running).enumerate() {
                if case.terms[term].2.is_some() {
                    near(&format!("{what}: running mean"), &found[0], &expected[0], 1e-6);
                    near(&format!("{what}: running variance"), &found[1], &expected[1], 1e-6);
                }
            }
            let upstream = random.tensor(&expected.size(), kind);
            let expected = gradients(&case, &expected, &upstream);
            let found = gradients(&there, &found, &upstream.to_device(device));
            let allowed = if kind == Kind::BFloat16 { 2e-2 } else { 1e-5 };
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                near(&format!("{what}: gradient {place}"), found, expected, allowed);
            }
            check(&what, case.terms.iter().any(|(_, _, norm)| norm.is_some()));
        }
    }

    #[test]
    fn the_kernels_of_a_device_compute_what_those_of_the_cpu_do() {
        let host = Arc::new(Host::default());
        let machine = Arc::clone(&host) as Arc<dyn Machine>;
        compare(&machine, Device::Cpu, 40, |what, normed| {
            let launches = host.take_log().len();
            assert!(launches <= if normed { 6 } else { 3 }, "{what}: {launches} launches");
        });
    }

    #[test]
    #[ignore = "needs a GPU: bash benches/gpu.sh"]
    fn a_gpu_computes_what_the_cpu_does() {
        let gpu = Device::Cuda(0);
        let machine = device::of(gpu).unwrap();
        compare(&machine, gpu, 40, |_, _| {});
    }

    /// A small residual network, its sites LIF and quantised ReLUs, some behind a sum.
    fn model() -> snn_ir::Model {
        use snn_ir::{
            Form, Model, Op, Preprocessing, QuantRelu, Signature, Site, networks::ResNet,
        };
        let resnet = ResNet { width: 8, blocks: vec![1, 1], input: [3, 8, 8], ..ResNet::default() };
        let mut graph = resnet.build();
        let lif = Lif { leak: Leak::Learned { initial: 0.7 }, ..Lif::default() };
        let mut number = 0;
        for node in &mut graph.nodes {
            if let Op::Activation { site, .. } = &mut node.op {
                *site = if number % 3 == 2 {
                    Site::QuantRelu(QuantRelu::default())
                } else {
                    Site::Lif(lif.clone())
                };
                number += 1;
            }
        }
        let weights = graph.initial_weights(3).unwrap();
        let preprocessing = Preprocessing::new(vec![120; 3], vec![60.0; 3]);
        Model::new(Signature::new(Form::Trained, graph, 4, preprocessing), weights)
    }

    #[test]
    fn a_network_learns_the_same_by_the_kernels_of_a_device() {
        use crate::{Mode, Network, NetworkOptions, Pixels, Precision, TrainingOptions};
        let model = model();
        let images = ndarray::ArrayD::from_shape_fn(vec![6, 3, 8, 8], |at| {
            u8::try_from((at[0] * 53 + at[1] * 31 + at[2] * 17 + at[3] * 7) % 256).unwrap()
        });
        let pixels = Pixels::new(&snn_ir::Input::Static(images.view()), Device::Cpu).unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            let host = Arc::new(Host::default());
            let run = |machine: Option<Arc<dyn Machine>>| {
                let training = TrainingOptions { precision, ..TrainingOptions::default() };
                let options = NetworkOptions { training, ..NetworkOptions::new(Device::Cpu) };
                let mut network = Network::with_options(&model, &options).unwrap();
                if let Some(machine) = machine {
                    network.set_machine(machine);
                }
                let logits = network.forward(&pixels, Mode::Train).unwrap().logits;
                (&logits * &logits).sum(Kind::Float).backward();
                let trained = host.take_log();
                let evaluated = network.forward(&pixels, Mode::EvaluateFast).unwrap().logits;
                (network, logits.detach(), evaluated, trained)
            };
            let (cpu, expected, evaluated, none) = run(None);
            let (device, found, evaluated_by_it, log) = run(Some(Arc::clone(&host) as Arc<_>));
            assert!(none.is_empty());
            assert!(found.equal(&expected) && evaluated_by_it.equal(&evaluated), "{precision}");
            let allowed = if precision == Precision::Bf16 { 5e-2 } else { 1e-4 };
            for (found, expected) in device.parameters().iter().zip(cpu.parameters()) {
                if found.learned {
                    let (a, b) = (found.tensor.grad(), expected.tensor.grad());
                    near(&format!("{precision}: gradient of {}", found.name), &a, &b, allowed);
                } else {
                    near(&found.name, &found.tensor, &expected.tensor, 1e-6);
                }
            }
            // Six launches a site, forward and backward, each of which has a norm before it.
            let sites = model.graph().sites().unwrap();
            assert_eq!(log.len(), 6 * sites.len());
            // Bytes of a neuron in a macro-step: 18 in bf16, 22 with a second term; the first site
            // reads what does not vary over time.
            let size = if precision == Precision::Bf16 { 2 } else { 4 };
            let bytes: usize = log.iter().map(|launch| launch.bytes).sum();
            let values = |site: &snn_ir::SiteInfo| site.neurons() * 6 * 4 * size;
            let least: usize = sites[1..].iter().map(|site| 9 * values(site)).sum();
            let most: usize = sites.iter().map(|site| 13 * values(site)).sum();
            assert!((least..=most).contains(&bytes), "{bytes} not in {least}..={most}");
        }
    }

    #[test]
    fn what_the_kernels_do_not_know_is_left_to_the_plain_form() {
        let machine: Arc<dyn Machine> = Arc::new(Host::default());
        let double = Tensor::zeros([2, 3], (Kind::Double, Device::Cpu));
        let term = device::Term { data: &double, steps: 1, norm: None };
        let run = |neuron, terms: &[device::Term<'_>], steps| {
            device::run(&machine, neuron, terms, steps, Statistics::Running)
        };
        assert!(run(Neuron::Relu, &[term], 1).unwrap().is_none());
        let single = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let term = device::Term { data: &single, steps: 1, norm: None };
        assert!(run(Neuron::Relu, &[term; 5], 1).unwrap().is_none());
        let current = Lif { synapse: snn_ir::Synapse::Current { alpha: 0.5 }, ..Lif::default() };
        let neuron = Neuron::Lif { lif: &current, leak: None, threshold: None };
        assert!(run(neuron, &[term], 2).unwrap().is_none());
        let other = Tensor::zeros([2, 4], (Kind::Float, Device::Cpu));
        let other = device::Term { data: &other, steps: 1, norm: None };
        let error = run(Neuron::Relu, &[term, other], 1).unwrap_err().to_string();
        assert!(error.contains("as the first term"), "{error}");
    }
}
