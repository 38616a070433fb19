//! `data show`: a contact sheet for people to look at.

use super::samples::{Choice, Content, Sample, Samples};
use crate::cli::{AugmentName, Show, SlicingName};
use crate::drawing::{Block, png, sheet, tile};
use crate::output::{self, print_json};
use crate::{Outcome, files};
use anyhow::{Context as _, Result, bail};
use ndarray::{Array3, Array4};
use serde::Serialize;
use snn_data::event_augment::{EventAugment, Nda};
use snn_data::events::{Events, SensorSize};
use snn_data::frames::{Framing, Slicing};
use snn_data::image::{Picture, RandomResizedCrop};
use snn_data::policy::{Policy, PolicyAugment, RandomErasing};
use snn_data::{Augment, Flip, SampleRng, Split, Transform};
use std::path::Path;

/// Colours of ON and OFF, which people who see no red can tell apart as well.
const ON: [u8; 3] = [200, 30, 40];
const OFF: [u8; 3] = [0, 60, 200];
/// A single event is this dark; the frame's usual counts are darkest.
const FAINTEST: f64 = 0.35;
/// Side of what `random-resized-crop` makes of picture files.
const CROP_SIDE: usize = 224;
/// Side of the square of `cutout`, as a share of the image: CIFAR's usual 16 of 32.
const CUTOUT_SHARE: usize = 2;
/// Padding of `crop`, as a share of the image: CIFAR's usual 4 of 32.
const PADDING_SHARE: usize = 8;

#[derive(Serialize)]
struct Shown<'a> {
    out: &'a Path,
    width: usize,
    height: usize,
    source: &'a str,
    available: usize,
    seed: u64,
    augment: Vec<&'static str>,
    samples: Vec<ShownSample>,
}

#[derive(Serialize)]
struct ShownSample {
    index: usize,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    tiles: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<usize>,
}

pub(crate) fn run(arguments: &Show, json: bool) -> Result<Outcome> {
    files::refuse_existing(&arguments.out, arguments.force)?;
    if arguments.out.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("png")) {
        bail!("{}: expected a file name that ends with .png", arguments.out.display());
    }
    let choice = Choice {
        split: arguments.split.map(Split::from),
        split_file: arguments.split_file.as_deref(),
        options: arguments.recording.options(),
    };
    let samples = Samples::open(&arguments.what, &super::root(&arguments.data), &choice)?;
    let (mut blocks, mut shown) = (Vec::new(), Vec::new());
    for index in chosen(arguments, samples.len())? {
        let sample = samples.read(index)?;
        let found = blocks_of(arguments, &samples, &sample)?;
        let events = match &sample.content {
            Content::Recording(events) => Some(events.len()),
            Content::Image(_) => None,
        };
        let tiles = found.iter().map(|block| block.tiles.len()).sum();
        shown.push(ShownSample { index: sample.index, name: sample.name, class: sample.class, tiles, events });
        blocks.extend(found);
    }
    let picture = sheet(&title(arguments, &samples, &shown), &blocks)?;
    files::write(&arguments.out, &png(&picture)?, arguments.force)?;
    if json {
        print_json(&Shown {
            out: &arguments.out,
            width: picture.width(),
            height: picture.height(),
            source: &samples.title,
            available: samples.len(),
            seed: arguments.seed,
            augment: arguments.augment.iter().map(|name| name.as_str()).collect(),
            samples: shown,
        })?;
    } else {
        let size = format!("{}x{}", picture.width(), picture.height());
        output::line(format_args!(
            "{}: {} samples of {}, {size}",
            arguments.out.display(),
            shown.len(),
            samples.title
        ))?;
    }
    Ok(Outcome::Holds)
}

/// The samples to show: those asked for, or as many as the limit says, at random by the seed.
fn chosen(arguments: &Show, count: usize) -> Result<Vec<usize>> {
    if let Some(index) = arguments.index.iter().find(|&&index| index >= count) {
        bail!("--index {index}: there are {count} samples");
    }
    if !arguments.index.is_empty() {
        return Ok(arguments.index.clone());
    }
    let limit = arguments.limit.get().min(count);
    let mut indices: Vec<usize> = (0..count).collect();
    let mut rng = SampleRng::for_sample(arguments.seed, 0, count);
    for place in 0..limit {
        let other = place + rng.below(u32::try_from(count - place)?) as usize;
        indices.swap(place, other);
    }
    indices.truncate(limit);
    indices.sort_unstable();
    Ok(indices)
}

fn title(arguments: &Show, samples: &Samples, shown: &[ShownSample]) -> Vec<String> {
    let mut lines = vec![format!("{}: {} of {}", samples.title, shown.len(), samples.len())];
    let recordings = shown.iter().any(|sample| sample.events.is_some());
    if recordings {
        let by = match arguments.slicing {
            SlicingName::Time => "duration",
            SlicingName::Number => "number of events",
        };
        lines.push(format!("{} frames of equal {by}; ON red, OFF blue", arguments.frames));
    }
    if !arguments.augment.is_empty() {
        let names: Vec<_> = arguments.augment.iter().map(|name| name.as_str()).collect();
        let views = arguments.views;
        lines.push(format!("as stored, then {views} views by seed {}: {}", arguments.seed, names.join(", ")));
    }
    lines
}

/// Tiles of a sample: an image with its views in one block, a recording with each of its views in one of its own.
fn blocks_of(arguments: &Show, samples: &Samples, sample: &Sample) -> Result<Vec<Block>> {
    let class = sample.class.as_ref().map_or(String::new(), |class| format!("{class} "));
    let side = arguments.tile.into();
    let block = |caption: String, pictures: Vec<Picture>| -> Result<Block> {
        let tiles = pictures.iter().map(|picture| tile(picture, side)).collect::<Result<_>>()?;
        Ok(Block { caption, tiles })
    };
    let events = match &sample.content {
        Content::Image(image) => {
            let pictures = views(arguments, samples, sample.index, image)?;
            return Ok(vec![block(format!("{class}{}", sample.name), pictures)?]);
        }
        Content::Recording(events) => events,
    };
    let mut blocks = Vec::new();
    for view in 0..=if arguments.augment.is_empty() { 0 } else { arguments.views } {
        let (mut seen, mut name) = (events.clone(), format!("{class}{}", sample.name));
        if let Some(epoch) = view.checked_sub(1) {
            let mut rng = SampleRng::for_sample(arguments.seed, epoch.into(), sample.index);
            for &augment in &arguments.augment {
                seen = event_augment(augment, seen.size())?.apply(seen, &mut rng)?;
            }
            name = format!("view {view}");
        }
        let pictures = frames(arguments, &seen, side).with_context(|| sample.name.clone())?;
        blocks.push(block(format!("{name} ({} events)", seen.len()), pictures)?);
    }
    Ok(blocks)
}

/// What a name means for recordings.
fn event_augment(name: AugmentName, sensor: SensorSize) -> Result<EventAugment> {
    Ok(match name {
        AugmentName::Flip => EventAugment::FlipColumns,
        AugmentName::FlipRows => EventAugment::FlipRows,
        AugmentName::Roll => EventAugment::Roll { pixels: sensor.width.max(sensor.height) / 8 },
        AugmentName::Rotate => EventAugment::Rotate { degrees: 15.0 },
        AugmentName::Shear => EventAugment::Shear { factor: 0.2 },
        AugmentName::DropEvents => EventAugment::DropEvents { share: [0.0, 0.5] },
        AugmentName::DropTime => EventAugment::DropTime { share: [0.0, 0.5] },
        AugmentName::DropArea => EventAugment::DropArea { share: [0.0, 0.5] },
        AugmentName::JitterTimes => EventAugment::JitterTimes { micros: 1000.0 },
        AugmentName::Nda => EventAugment::Nda(Nda::default()),
        other => bail!("--augment: `{}` is for images, and these are recordings", other.as_str()),
    })
}

/// The image as it is, and its augmented views.
fn views(arguments: &Show, samples: &Samples, index: usize, image: &Array3<u8>) -> Result<Vec<Picture>> {
    let mut pictures = vec![picture_of(image)?];
    if arguments.augment.is_empty() {
        return Ok(pictures);
    }
    for epoch in 0..arguments.views {
        // One stream a view, as in training: what a view is depends on seed, epoch and index.
        let mut rng = SampleRng::for_sample(arguments.seed, epoch.into(), index);
        let mut view = image.clone();
        for &name in &arguments.augment {
            view = augmented(name, view, &samples.fill, &mut rng)
                .with_context(|| format!("sample {index}, --augment {}", name.as_str()))?;
        }
        pictures.push(picture_of(&view)?);
    }
    Ok(pictures)
}

fn augmented(name: AugmentName, mut image: Array3<u8>, mean: &[u8], rng: &mut SampleRng) -> Result<Array3<u8>> {
    let (channels, height, width) = image.dim();
    let fill = match mean {
        mean if mean.len() == channels => mean.to_vec(),
        _ => vec![128; channels],
    };
    let side = height.min(width);
    let policy = |policy: Policy| PolicyAugment { policy, fill: fill.clone() };
    let transform: Box<dyn Transform> = match name {
        AugmentName::RandomResizedCrop => {
            let size = if side < CROP_SIDE { side } else { CROP_SIDE };
            let crop = RandomResizedCrop { size, ..RandomResizedCrop::default() };
            return Ok(crop.apply(&picture_of(&image)?, rng)?.planes().slice_move(ndarray::s![..channels, .., ..]));
        }
        AugmentName::Crop => {
            Box::new(Augment { crop_padding: (side / PADDING_SHARE).max(1), fill, ..Augment::default() })
        }
        AugmentName::Flip => Box::new(Augment { flip: Flip::Horizontal, ..Augment::default() }),
        AugmentName::Cutout => Box::new(Augment { cutout: (side / CUTOUT_SHARE).max(1), fill, ..Augment::default() }),
        AugmentName::Erasing => Box::new(RandomErasing::standard(&fill)),
        AugmentName::AutoAugmentCifar => Box::new(policy(Policy::AutoAugmentCifar)),
        AugmentName::AutoAugmentImagenet => Box::new(policy(Policy::AutoAugmentImageNet)),
        AugmentName::AutoAugmentSvhn => Box::new(policy(Policy::AutoAugmentSvhn)),
        AugmentName::RandAugment => Box::new(policy(Policy::RandAugment { operations: 2, magnitude: 9 })),
        AugmentName::TrivialAugment => Box::new(policy(Policy::TrivialAugment)),
        other => bail!("`{}` is for recordings, and these are images", other.as_str()),
    };
    transform.apply(image.view_mut(), rng).map_err(|error| anyhow::anyhow!(error))?;
    Ok(image)
}

/// `[1, H, W]` or `[3, H, W]` in colours; of other numbers of channels the first alone, in grey.
fn picture_of(image: &Array3<u8>) -> Result<Picture> {
    let (channels, height, width) = image.dim();
    let channel = |colour| if channels == 3 { colour } else { 0 };
    let mut pixels = Vec::with_capacity(3 * height * width);
    for y in 0..height {
        for x in 0..width {
            pixels.extend([0, 1, 2].map(|colour| image[[channel(colour), y, x]]));
        }
    }
    Ok(Picture::new(width, height, pixels)?)
}

/// The frames of a recording, ON and OFF in two colours on white.
fn frames(arguments: &Show, events: &Events, side: usize) -> Result<Vec<Picture>> {
    let slices = arguments.frames.get();
    let slicing = match arguments.slicing {
        SlicingName::Time => Slicing::Time { slices },
        SlicingName::Number => Slicing::Number { slices },
    };
    let frames = Framing { slicing, size: fitting(events.size(), side)? }.frames(events)?;
    let darkest = usual(&frames);
    let ink = |count: u16| match count {
        0 => 0.0,
        count => FAINTEST + (1.0 - FAINTEST) * (f64::from(count) / darkest).min(1.0),
    };
    let (_, _, height, width) = frames.dim();
    let frame = |frame: ndarray::ArrayView3<'_, u16>| {
        let mut pixels = Vec::with_capacity(3 * height * width);
        for y in 0..height {
            for x in 0..width {
                pixels.extend(mixed(ink(frame[[0, y, x]]), ink(frame[[1, y, x]])));
            }
        }
        Ok(Picture::new(width, height, pixels)?)
    };
    frames.outer_iter().map(frame).collect()
}

/// The size of frames where the sensor is larger than a tile; counts add up, so that single events are still seen.
fn fitting(sensor: SensorSize, side: usize) -> Result<Option<SensorSize>> {
    let longer = usize::from(sensor.width.max(sensor.height));
    if longer <= side {
        return Ok(None);
    }
    let fit = |length: u16| u16::try_from((usize::from(length) * side / longer).max(1));
    Ok(Some(SensorSize { width: fit(sensor.width)?, height: fit(sensor.height)? }))
}

/// A count that one of twenty pixels with events has or exceeds.
fn usual(frames: &Array4<u16>) -> f64 {
    let mut counts: Vec<u16> = frames.iter().copied().filter(|&count| count > 0).collect();
    counts.sort_unstable();
    counts.get(counts.len() * 19 / 20).copied().map_or(1.0, f64::from)
}

/// White with so much (0 to 1) of the inks for OFF and ON.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn mixed(off: f64, on: f64) -> [u8; 3] {
    let strongest = off.max(on);
    let share = if strongest > 0.0 { on / (on + off) } else { 0.0 };
    std::array::from_fn(|channel| {
        let ink = f64::from(ON[channel]) * share + f64::from(OFF[channel]) * (1.0 - share);
        (255.0 - strongest * (255.0 - ink)).round() as u8
    })
}
