//! Trains a config without the command line of the project: `cargo run -p snn-train --example train
//! -- CONFIG FOLDER [KEY=VALUE …]`.
#![expect(clippy::print_stdout, reason = "an example reports what it does")]

use snn_train::{Options, Outcome, Progress, RunConfig, Start, train};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, folder, sets @ ..] = arguments.as_slice() else {
        return Err("usage: train CONFIG FOLDER [KEY=VALUE …]".into());
    };
    let config = RunConfig::load(Path::new(config), sets)?;
    let folder = Path::new(folder);
    let start = if folder.join("config.toml").exists() { Start::Resume } else { Start::New };
    let outcome = train(&config, folder, &Options { start, ..Options::default() }, &mut report)?;
    if let Outcome::Finished(result) = outcome {
        println!(
            "test accuracy {:.2} % in {:.0} s",
            100.0 * result.test_accuracy,
            result.wall_seconds
        );
    }
    Ok(())
}

fn report(progress: Progress<'_>) {
    match progress {
        Progress::Begun { placement, parameters, epochs, steps, .. } => {
            println!("{placement}\n{parameters} parameters, {epochs} epochs of {steps} steps");
        }
        Progress::Step { epoch, step, loss, images_per_second, .. } if step % 50 == 0 => {
            println!("epoch {epoch}, step {step}: loss {loss:.3}, {images_per_second:.0} images/s");
        }
        Progress::Epoch(metrics) => println!("{metrics:?}"),
        _ => {}
    }
}
