//! Classifies one image with a converted model: `cargo run -p snn-runtime --example classify --
//! MODEL [PIXELS]`, where PIXELS is a file of one byte a value in C, H, W order; without it a
//! picture is made up.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use snn_runtime::{Deployment, Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || Error::Bytes("expected a model file as first argument".into());
    let deployment = Deployment::load(arguments.next().ok_or_else(usage)?)?;
    let size: usize = deployment.input_shape().iter().product();
    let image = match arguments.next() {
        Some(file) => std::fs::read(file)?,
        None => (0..=u8::MAX).cycle().take(size).collect(),
    };
    for class in deployment.session().run(&image)?.best(5) {
        println!("{class}");
    }
    Ok(())
}
