//! A stream through a converted model on the grid, frame by frame, with the class so far: `cargo run -p snn-runtime --example stream_events -- MODEL [FRAMES]`. The frames
//! are of a dot that moves, as a sensor of events would see it.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use snn_runtime::deploy::{Deploy, Options};
use snn_runtime::{Error, Model, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or_else(|| Error::Bytes("expected a model file as first argument".into()))?;
    let frames: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(8);
    let model = Model::load(path)?;
    let size: usize = model.validate()?.nodes[0].shape.iter().product();
    let positions = size / model.preprocessing.mean.len();
    let mut session = model.session(&Options::default())?;
    let mut state = session.rest();
    for t in 0..frames {
        // Pixels without an event have the mean of their channel, and cost nothing.
        let mut frame: Vec<u8> =
            model.preprocessing.mean.iter().flat_map(|&mean| std::iter::repeat_n(mean, positions)).collect();
        frame[t * 37 % size] = u8::MAX;
        let class = session.push(&mut state, &frame)?.argmax();
        println!("frame {t}: class {class} {}", model.classes.get(class).map_or("", String::as_str));
    }
    println!("{} KiB of state, {} KiB of buffers", state.bytes() / 1024, session.bytes() / 1024);
    Ok(())
}
