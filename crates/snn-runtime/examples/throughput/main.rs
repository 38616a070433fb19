//! Images a second of a ResNet-20-shaped random model on the grid, about 15 % of whose neurons are
//! active: `cargo run --release -p snn-runtime --example throughput -- [unary|bitplane|graded|lif]
//! [images]`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

mod resnet20;

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use snn_ir::Result;
use snn_runtime::Counting;
use snn_runtime::deploy::{Deployment, Options};
use std::time::Instant;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let sites = arguments.next().unwrap_or_else(|| "unary".into());
    let images: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(200);
    let model = resnet20::model(&sites)?;
    let runtime = Counting::new(&model)?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let batch = ArrayD::from_shape_simple_fn(IxDyn(&[images, 3, 32, 32]), || random.random::<u8>());

    let deployment = Deployment::new(&model, &Options::default())?;
    let mut session = deployment.session();
    session.run(batch.index_axis(ndarray::Axis(0), 0).as_slice().unwrap_or_default())?;
    let started = Instant::now();
    for image in batch.outer_iter() {
        session.run(image.as_slice().unwrap_or_default())?;
    }
    let rate = images as f64 / started.elapsed().as_secs_f64();
    println!(
        "{sites}, deployed, {}, one thread: {rate:.0} images/s",
        deployment.instruction_set().label()
    );
    println!("{} KiB a session", session.bytes() / 1024);
    println!("{}", deployment.summary());
    let mut session = runtime.session();
    let started = Instant::now();
    for image in batch.outer_iter() {
        session.run(&image)?;
    }
    drop(session);
    println!(
        "{sites}, one thread: {:.0} images/s",
        images as f64 / started.elapsed().as_secs_f64()
    );
    let started = Instant::now();
    runtime.logits_batch(batch.view())?;
    let threads = rayon::current_num_threads();
    println!(
        "{sites}, {threads} threads: {:.0} images/s",
        images as f64 / started.elapsed().as_secs_f64()
    );

    let counts = runtime.counts();
    let (total, samples) = (counts.total(), counts.samples as f64);
    let rates: Vec<f64> =
        counts.nodes.iter().filter_map(snn_runtime::counting::NodeCounts::firing_rate).collect();
    println!(
        "a sample: {:.2} M additions, {:.2} M multiplications, {:.0} k events; {:.3} events a \
         neuron and macro-step",
        total.additions as f64 / samples / 1e6,
        total.multiplications as f64 / samples / 1e6,
        total.events as f64 / samples / 1e3,
        rates.iter().sum::<f64>() / rates.len() as f64
    );
    println!("rates: {}", rates.iter().map(|r| format!("{r:.2}")).collect::<Vec<_>>().join(" "));
    Ok(())
}
