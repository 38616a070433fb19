//! Events of a camera through a converted model on the grid, window by window, with the class so
//! far:
//!
//! `cargo run -p snn-runtime --example stream_events -- MODEL [EVENTS [MICROS]]`
//!
//! EVENTS is a text of lines `t x y polarity` (µs, from the left, from the top, 0 or 1); without it
//! a dot that moves is made up. MICROS is the duration of a window, 20 ms by default. A model with
//! an input of `[2, height, width]` takes the counts of OFF and ON events; for any other one, an
//! event is a bright pixel in its first channel.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use snn_runtime::deploy::{Deployment, Event, Options, windows};
use snn_runtime::{Error, Model, Result};
use std::num::NonZeroU64;

/// Duration of a window where none is given.
const MICROS: NonZeroU64 = NonZeroU64::new(20_000).unwrap();

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or_else(|| wrong("expected a model file as first argument"))?;
    let model = Model::load(path)?;
    let deployment = Deployment::new(&model, &Options::default())?;
    let shape = deployment.input_shape().to_vec();
    let &[channels, height, width] = shape.as_slice() else {
        return Err(wrong(&format!(
            "expected a model with an input of [C, H, W], found {shape:?}"
        )));
    };
    let events = match arguments.next() {
        Some(file) => read(&std::fs::read_to_string(file)?)?,
        None => dot(height, width),
    };
    let micros = match arguments.next() {
        Some(text) => text
            .parse()
            .map_err(|_| wrong(&format!("expected a duration in µs above 0, found {text}")))?,
        None => MICROS,
    };

    let mut session = deployment.session();
    let mut state = session.rest();
    // What the made-up frames of a model of pictures show: the mean of each channel, which is zero
    // and costs nothing.
    let grey = model
        .preprocessing()
        .mean
        .iter()
        .flat_map(|&mean| std::iter::repeat_n(mean, height * width));
    let (grey, mut frame) = (grey.collect::<Vec<u8>>(), vec![0; channels * height * width]);
    for (window, events) in windows(&events, micros)?.enumerate() {
        let scores = if channels == 2 {
            session.push_events(&mut state, events)?
        } else {
            frame.copy_from_slice(&grey);
            for event in events {
                let (x, y) = (usize::from(event.x), usize::from(event.y));
                let outside =
                    || wrong(&format!("event ({x}, {y}) lies outside {width} × {height}"));
                *frame[..height * width]
                    .get_mut(y * width + x)
                    .filter(|_| x < width)
                    .ok_or_else(outside)? = u8::MAX;
            }
            session.push(&mut state, &frame)?
        };
        let class = scores.argmax();
        let name = model.classes().get(class).map_or("", String::as_str);
        println!("window {window:3}: {:4} events, class {class} {name}", events.len());
    }
    println!("{} KiB of state, {} KiB of buffers", state.bytes() / 1024, session.bytes() / 1024);
    Ok(())
}

/// A dot that goes to and fro: ON where it arrives, OFF where it leaves, a pixel a millisecond.
fn dot(height: usize, width: usize) -> Vec<Event> {
    let bounce =
        |t: usize, size: usize| (size - 1).abs_diff(t % (2 * size - 1).max(1)).min(size - 1);
    let event = |t: usize, place: usize, polarity| {
        let at = |size: usize| u16::try_from(bounce(place, size)).unwrap_or(0);
        Event { t: 1_000 * i64::try_from(t).unwrap_or(0), x: at(width), y: at(height), polarity }
    };
    (1..160).flat_map(|t| [event(t, t - 1, false), event(t, t, true)]).collect()
}

fn read(text: &str) -> Result<Vec<Event>> {
    text.lines()
        .enumerate()
        .map(|(number, line)| parse(line).ok_or_else(|| bad_line(number, line)))
        .collect()
}

fn parse(line: &str) -> Option<Event> {
    let mut fields = line.split_whitespace();
    let (t, x, y) =
        (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let polarity = match fields.next()? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    fields.next().is_none().then_some(Event { t, x, y, polarity })
}

fn bad_line(number: usize, line: &str) -> Error {
    wrong(&format!("line {}: expected `t x y polarity`, found `{line}`", number + 1))
}

fn wrong(message: &str) -> Error {
    Error::Bytes(message.into())
}
