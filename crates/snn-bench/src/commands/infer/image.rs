//! One image: read, brought to the size that a model takes, classified.

use super::Engines;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, count};
use anyhow::{Context, Result, bail};
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use snn_data::pictures::{
    CentreCrop, DecodeOptions, Exif, Filter, Picture, Window, decode_with, resize,
};
use snn_ir::{Input, Model, Op};
use snn_runtime::counting::Counts;
use std::path::Path;

/// Classes that are printed, the most probable first.
const BEST: usize = 5;

#[derive(Serialize)]
struct Classified<'a> {
    image: &'a Path,
    class: usize,
    name: Option<&'a String>,
    /// The most probable classes.
    best: Vec<Ranked<'a>>,
    logits: Vec<f64>,
    engine: String,
    seconds: f64,
    events: u64,
    additions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

#[derive(Serialize)]
struct Ranked<'a> {
    class: usize,
    name: Option<&'a String>,
    /// Softmax of the logits, 0 to 1.
    share: f64,
}

/// Classifies one image. Operations are counted by a second run, which is not timed.
pub(crate) fn classify(model: &Model, path: &Path, counts: bool, json: bool) -> Result<Outcome> {
    let Some(Op::Input { shape }) = model.graph().nodes.first().map(|node| &node.op) else {
        bail!("the model has no input");
    };
    let mut batch = vec![1];
    batch.extend(shape);
    let image = ArrayD::from_shape_vec(IxDyn(&batch), read(path, shape)?)?;
    let input = Input::Static(image.view());
    let mut timed = Engines::new(model, false)?;
    // Buffers come with the first run.
    timed.run(&input)?;
    let (logits, seconds) = timed.run(&input)?;
    let mut counting = Engines::new(model, true)?;
    counting.run(&input)?;
    let counted = counting.counts().context("operations were counted")?;
    let class = logits.argmax()[0];
    let logits: Vec<f64> = logits.to_real(model.signature())?.iter().copied().collect();
    let total = counted.total();
    let classified = Classified {
        image: path,
        class,
        name: model.classes().get(class),
        best: best(&logits, model.classes()),
        logits,
        engine: timed.name(),
        seconds,
        events: total.events,
        additions: total.additions,
        counts: counts.then_some(counted),
    };
    if json {
        print_json(&classified)?;
    } else {
        print(&classified)?;
    }
    Ok(Outcome::Holds)
}

/// The most probable classes; the first of equals.
fn best<'a>(logits: &[f64], names: &'a [String]) -> Vec<Ranked<'a>> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let mut classes: Vec<Ranked<'a>> = logits
        .iter()
        .enumerate()
        .map(|(class, logit)| Ranked {
            class,
            name: names.get(class),
            share: (logit - largest).exp() / sum,
        })
        .collect();
    classes.sort_by(|a, b| b.share.total_cmp(&a.share));
    classes.truncate(BEST);
    classes
}

fn print(classified: &Classified<'_>) -> Result<()> {
    if let Some(counts) = &classified.counts {
        super::print_counts(counts)?;
    }
    let mut table = Table::new(2, ["class", "name", "share"]);
    for Ranked { class, name, share } in &classified.best {
        table.row([
            class.to_string(),
            name.map_or(String::new(), String::clone),
            format!("{:.1} %", 100.0 * share),
        ]);
    }
    output::line(&table)?;
    let Classified { engine, seconds, events, additions, .. } = classified;
    output::line(format_args!("time       {:.2} ms ({engine})", 1e3 * seconds))?;
    output::line(format_args!("events     {}", count(*events as f64)))?;
    output::line(format_args!("additions  {}", count(*additions as f64)))
}

/// The values of an image for an input of this shape: a PNG or JPEG file, or raw bytes.
fn read(path: &Path, shape: &[usize]) -> Result<Vec<u8>> {
    let bytes = fs_err::read(path)?;
    if bytes.starts_with(b"\xFF\xD8\xFF") || bytes.starts_with(b"\x89PNG\r\n\x1A\n") {
        let &[channels @ (1 | 3), height, width] = shape else {
            bail!(
                "{}: a picture has 1 or 3 channels, and the model takes {shape:?}; give its values \
                 as raw bytes, one each",
                path.display()
            );
        };
        // Upright, as every viewer shows it.
        let options = DecodeOptions { exif: Exif::Apply };
        let picture = fit(&decode_with(&bytes, path, options)?, width, height)?;
        return Ok(if channels == 3 {
            picture.planes().into_iter().collect()
        } else {
            picture.pixels().as_chunks().0.iter().copied().map(luma).collect()
        });
    }
    let expected: usize = shape.iter().product();
    if bytes.len() != expected {
        bail!(
            "{}: expected a PNG or JPEG file, or {expected} bytes (shape {shape:?}, one byte a \
             value), found {} bytes",
            path.display(),
            bytes.len()
        );
    }
    Ok(bytes)
}

/// The middle of a picture in the size of a model's input, as test images of the usual data sets
/// are made: for 224×224 pixels the shorter side becomes 256 first (ImageNet), otherwise the
/// picture becomes as small as it may be to cover the input. A picture of the right size stays as
/// it is.
fn fit(picture: &Picture, width: usize, height: usize) -> snn_data::Result<Picture> {
    let imagenet = CentreCrop::default();
    if (width, height) == (imagenet.size, imagenet.size) {
        return imagenet.apply(picture);
    }
    let (from_width, from_height) = (picture.width(), picture.height());
    // Which side the picture has too much of, by products so that nothing is rounded.
    let (to_width, to_height) = if from_width * height > width * from_height {
        ((from_width * height / from_height).max(width), height)
    } else {
        (width, (from_height * width / from_width).max(height))
    };
    let resized = if (to_width, to_height) == (from_width, from_height) {
        picture.clone()
    } else {
        resize(picture, to_width, to_height, Filter::Bilinear)?
    };
    resized.crop(Window {
        left: (to_width - width) / 2,
        top: (to_height - height) / 2,
        width,
        height,
    })
}

/// Brightness of a colour (ITU-R BT.601, in 16-bit integers as Pillow has it).
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    let sum = 19_595 * red + 38_470 * green + 7_471 * blue + 0x8000;
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose red is its column and green its row.
    fn picture(width: u8, height: u8) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x, y, 7])).collect();
        Picture::new(width.into(), height.into(), pixels).unwrap()
    }

    #[test]
    fn a_picture_of_the_right_size_stays_and_a_longer_one_loses_its_ends() {
        assert_eq!(fit(&picture(6, 4), 6, 4).unwrap(), picture(6, 4));
        let wide = fit(&picture(10, 4), 4, 4).unwrap();
        assert_eq!((&wide.pixels()[..3], wide.pixels().len()), (&[3, 0, 7][..], 48));
        let high = fit(&picture(4, 9), 4, 4).unwrap();
        assert_eq!(&high.pixels()[..3], [0, 2, 7]);
    }

    #[test]
    fn every_size_fits() {
        for (width, height) in [(1, 1), (1, 200), (37, 5), (200, 199)] {
            for (to_width, to_height) in [(32, 32), (28, 14), (224, 224), (3, 50)] {
                let fitted = fit(&picture(width, height), to_width, to_height).unwrap();
                assert_eq!((fitted.width(), fitted.height()), (to_width, to_height));
            }
        }
    }

    #[test]
    fn shares_add_up_to_one_and_come_in_order() {
        let best = best(&[0.0, 3.0_f64.ln(), -1000.0, 3.0_f64.ln()], &[]);
        let found: Vec<(usize, f64)> =
            best.iter().map(|class| (class.class, (1e9 * class.share).round() / 1e9)).collect();
        let seventh = |n: f64| (1e9 * n / 7.0).round() / 1e9;
        let expected = [(1, seventh(3.0)), (3, seventh(3.0)), (0, seventh(1.0)), (2, 0.0)];
        assert_eq!(found, expected);
    }

    #[test]
    fn white_is_white_and_green_is_brighter_than_blue() {
        assert_eq!([[255; 3], [0; 3], [0, 255, 0], [0, 0, 255]].map(luma), [255, 0, 150, 29]);
    }
}
