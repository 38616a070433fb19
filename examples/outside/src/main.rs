//! `outside [MODEL [IMAGE]]`

use std::path::PathBuf;
use std::process::ExitCode;

/// The model that ships with the project.
const SHIPPED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/resnet20-cifar100-int8.safetensors");

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let model = arguments.next().unwrap_or_else(|| SHIPPED.into());
    let image = arguments.next();
    let texts = outside::classify(&model, image.as_deref())
        .and_then(|class| Ok(class + &outside::count(&model, image.as_deref())?));
    match texts {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
