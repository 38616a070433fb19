//! Tells horizontal from vertical bars, with the program in the executable, as it would be in the
//! flash of a device: `cargo run -p snn-edge --example bars`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use snn_edge::{Engine, Mode, Program, Result};

static PROGRAM: &[u8] = include_bytes!("../fixtures/bars.snne");

fn main() -> Result<()> {
    let program = Program::new(PROGRAM)?;
    let mut buffer = [0; 64];
    let mut engine = Engine::new(program, Mode::Image, &mut buffer)?;
    for (name, step) in [("horizontal", 1), ("vertical", 8)] {
        let mut image = [0; 64];
        // Pixel (y, x) is byte 8·y + x.
        let first = if step == 1 { 3 * 8 } else { 3 };
        image.iter_mut().skip(first).step_by(step).take(8).for_each(|pixel| *pixel = 255);
        let scores = engine.run(&image)?;
        let [horizontal, vertical] = [0, 1].map(|class| scores.get(class).unwrap_or(0));
        println!("{name} bar: class {}, scores {horizontal} {vertical}", scores.class());
    }
    Ok(())
}
