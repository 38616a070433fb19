//! Training speed of ResNet-20 on random images: `cargo run --release -p snn-core --example speed -- [T] [batch] [threads] [policies]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use snn_core::tch::{Device, Kind, Tensor, no_grad, set_num_threads};
use snn_core::{Mode, Network, Pixels};
use snn_ir::models::ResNet;
use snn_ir::{Form, Input, Model, Op, Preprocessing, QuantRelu, Site};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let get = |position: usize, default| arguments.get(position).copied().unwrap_or(default);
    let (time_steps, batch, threads) = (get(0, 2), get(1, 100), get(2, 2));
    set_num_threads(i32::try_from(threads)?);
    snn_core::keep_memory();
    let images = ndarray::ArrayD::from_shape_fn(vec![batch, 3, 32, 32], |i| {
        u8::try_from((i[0] * 31 + i[2] * 7 + i[3] * i[1]) % 256).unwrap_or_default()
    });
    let labels = Tensor::from_slice(&(0_i64..).take(batch).map(|i| i % 10).collect::<Vec<_>>());
    let policies =
        [("lif", None), ("quant_relu", Some(Site::QuantRelu(QuantRelu::default()))), ("relu", Some(Site::Relu))];
    for (policy, site) in policies.into_iter().take(get(3, 3)) {
        let mut graph = ResNet::default().build();
        if let Some(replacement) = site {
            for node in &mut graph.nodes {
                if let Op::Activation { site, .. } = &mut node.op {
                    *site = replacement.clone();
                }
            }
        }
        let weights = graph.initial_weights(1)?;
        let preprocessing = Preprocessing::new(vec![125, 123, 114], vec![63.0, 62.1, 66.7]);
        let model = Model { form: Form::Trained, graph, weights, time_steps, preprocessing, classes: Vec::new() };
        let network = Network::new(&model, Device::Cpu, Kind::Float)?;
        let (mut forward_time, mut backward_time) = (Duration::MAX, Duration::MAX);
        for _ in 0..6 {
            let start = Instant::now();
            let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu)?;
            let loss = network.forward(&pixels, Mode::Train)?.logits.cross_entropy_for_logits(&labels);
            let middle = Instant::now();
            loss.f_backward()?;
            backward_time = backward_time.min(middle.elapsed());
            forward_time = forward_time.min(middle - start);
            no_grad(|| {
                network
                    .parameters()
                    .iter()
                    .filter(|p| p.learned)
                    .try_for_each(|p| p.tensor.f_grad()?.f_zero_().map(drop))
            })?;
        }
        let start = Instant::now();
        let pixels = Pixels::new(&Input::Static(images.view()), Device::Cpu)?;
        network.forward(&pixels, Mode::Evaluate)?;
        let evaluation = start.elapsed();
        let rate = |time: Duration| batch as f64 / time.as_secs_f64();
        println!(
            "{policy:>10}: forward {forward_time:.0?}, backward {backward_time:.0?}: {:.0} img/s; evaluation {:.0} img/s",
            rate(forward_time + backward_time),
            rate(evaluation)
        );
    }
    Ok(())
}
