//! Classifies one image with a converted model on the grid: `cargo run -p snn-runtime --example
//! classify -- MODEL [PIXELS]`, where PIXELS is a file of one byte a value in C, H, W order;
//! without it a picture is made up.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use snn_runtime::deploy::{Deployment, Options};
use snn_runtime::{Error, Model, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or_else(|| Error::Bytes("expected a model file as first argument".into()))?;
    let model = Model::load(path)?;
    let deployment = Deployment::new(&model, &Options { statistics: true, ..Options::default() })?;
    let size: usize = deployment.input_shape().iter().product();
    let pixels = match arguments.next() {
        Some(file) => std::fs::read(file)?,
        None => (0..=u8::MAX).cycle().take(size).collect(),
    };
    let mut session = deployment.session();
    let class = session.run(&pixels)?.argmax();
    println!("class {class} {}", model.classes().get(class).map_or("", String::as_str));
    for node in session.statistics() {
        if let Some(density) = node.density() {
            println!(
                "{:24} {:7.1} µs, {:4.1} % active",
                node.node,
                node.nanoseconds as f64 / 1e3,
                100.0 * density
            );
        }
    }
    Ok(())
}
