//! `data show`: a contact sheet for people to look at.

use super::samples::{Choice, Content, Sample, Samples};
use crate::cli::data::{AugmentName, Show, SlicingName};
use crate::drawing::{Block, png, row_fits, sheet, tile};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::{Context as _, Result, bail};
use ndarray::{Array3, Array4, Axis, stack};
use serde::Serialize;
use snn_data::pictures::{Exif, Picture, RandomResizedCrop};
use snn_data::recordings::augment::{EventAugment, Nda};
use snn_data::recordings::events::{Events, SensorSize};
use snn_data::recordings::frames::{Framing, Slicing};
use snn_data::{
    Augment, AugmentPolicy, Batch, Flip, Mix, RandomErasing, SampleMut, SampleRng, Split, Targets,
    Transform as _,
};
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
/// α of `mixup` and of `cutmix`.
const MIXUP_ALPHA: f64 = 0.5;
const CUTMIX_ALPHA: f64 = 1.0;

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
        exif: if arguments.exif { Exif::Apply } else { Exif::Ignore },
    };
    let samples = Samples::open(&arguments.what, &arguments.data.folder(), &choice)?;
    let (mut blocks, mut images, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    for index in chosen(arguments, samples.len())? {
        let Sample { index, name, class, content } = samples.read(index)?;
        let caption =
            class.as_ref().map_or_else(|| name.clone(), |class| format!("{class} {name}"));
        let (tiles, events) = match content {
            Content::Image(image) => {
                images.push(Shot { index, caption, image });
                (1 + views(arguments), None)
            }
            Content::Recording(events) => {
                let found = recording(arguments, index, &caption, &events)?;
                blocks.extend(found);
                ((1 + views(arguments)) * arguments.frames.get(), Some(events.len()))
            }
        };
        shown.push(ShownSample { index, name, class, tiles, events });
    }
    blocks.extend(image_blocks(arguments, &samples.fill, &images)?);
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

/// The samples to show: those requested, or as many as the limit says, at random by the seed.
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
        lines.push(format!(
            "as stored, then {views} views by seed {}: {}",
            arguments.seed,
            names.join(", ")
        ));
    }
    lines
}

/// Augmented views of each sample.
fn views(arguments: &Show) -> usize {
    if arguments.augment.is_empty() { 0 } else { arguments.views.into() }
}

/// A recording as it is and each of its views, in blocks of their frames.
fn recording(arguments: &Show, index: usize, caption: &str, events: &Events) -> Result<Vec<Block>> {
    let side = arguments.tile.into();
    // What no sheet has room for is refused before it is made.
    let frame = fitting(events.size(), side)?.unwrap_or(events.size());
    let enlarged = (side / usize::from(frame.width.max(frame.height)).max(1)).max(1);
    let [width, height] = [frame.width, frame.height].map(|length| usize::from(length) * enlarged);
    row_fits(arguments.frames.get(), width, height)
        .with_context(|| format!("--frames {}", arguments.frames))?;
    let block = |events: &Events, caption: &str| -> Result<Block> {
        let frames = frames(arguments, events, side)?;
        let tiles = frames.iter().map(|frame| tile(frame, side)).collect::<Result<_>>()?;
        Ok(Block { caption: format!("{caption} ({} events)", events.len()), tiles })
    };
    let mut blocks = vec![block(events, caption)?];
    for view in 1..=views(arguments) {
        let mut rng = SampleRng::for_sample(arguments.seed, view as u64 - 1, index);
        let mut seen = events.clone();
        for &augment in &arguments.augment {
            seen = event_augment(augment, seen.size())?.apply(seen, &mut rng)?;
        }
        blocks.push(block(&seen, &format!("view {view}"))?);
    }
    Ok(blocks)
}

/// The operation on recordings of this name.
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

/// An image of the sheet.
struct Shot {
    index: usize,
    caption: String,
    image: Array3<u8>,
}

/// Images as they are, each with its views in one block.
fn image_blocks(arguments: &Show, fill: &[u8], shots: &[Shot]) -> Result<Vec<Block>> {
    let side = arguments.tile.into();
    let drawn = |image: &Array3<u8>| tile(&picture_of(image)?, side);
    let as_stored =
        |shot: &Shot| Ok(Block { caption: shot.caption.clone(), tiles: vec![drawn(&shot.image)?] });
    let mut blocks: Vec<Block> = shots.iter().map(as_stored).collect::<Result<_>>()?;
    for epoch in 0..views(arguments) {
        for (block, view) in blocks.iter_mut().zip(epoch_of(arguments, epoch as u64, fill, shots)?)
        {
            block.tiles.push(drawn(&view)?);
        }
    }
    Ok(blocks)
}

/// The images as an epoch of training sees them; they are a batch: a function of seed, epoch and
/// index.
fn epoch_of(arguments: &Show, epoch: u64, fill: &[u8], shots: &[Shot]) -> Result<Vec<Array3<u8>>> {
    let stream = |shot: &Shot| SampleRng::for_sample(arguments.seed, epoch, shot.index);
    let mut streams: Vec<_> = shots.iter().map(stream).collect();
    let mut images: Vec<_> = shots.iter().map(|shot| shot.image.clone()).collect();
    for &name in &arguments.augment {
        let mix = match name {
            AugmentName::Mixup => Mix { mixup: MIXUP_ALPHA, ..Mix::default() },
            AugmentName::Cutmix => Mix { cutmix: CUTMIX_ALPHA, ..Mix::default() },
            _ => {
                for ((shot, image), rng) in shots.iter().zip(&mut images).zip(&mut streams) {
                    *image =
                        augmented(name, std::mem::take(image), fill, rng).with_context(|| {
                            format!("sample {}, --augment {}", shot.index, name.as_str())
                        })?;
                }
                continue;
            }
        };
        let mut rng = SampleRng::for_batch(arguments.seed, epoch, 0);
        images = mixed(mix, &images, &mut rng)
            .with_context(|| format!("--augment {}", name.as_str()))?;
    }
    Ok(images)
}

/// Each image mixed with another of them.
fn mixed(mix: Mix, images: &[Array3<u8>], rng: &mut SampleRng) -> Result<Vec<Array3<u8>>> {
    if let Some(pair) = images.windows(2).find(|pair| pair[0].dim() != pair[1].dim()) {
        let (first, second) = (pair[0].dim(), pair[1].dim());
        bail!(
            "images must have one size, found {first:?} and {second:?}; random-resized-crop before \
             it makes them so"
        );
    }
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let count = images.len();
    let labels = (0..).take(count).collect();
    let samples = snn_data::Samples::Static(stack(Axis(0), &views)?);
    let mut batch = Batch { samples, targets: Targets::new(labels), indices: (0..count).collect() };
    mix.apply(&mut batch, rng)?;
    let images = batch.samples.images().into_iter().flat_map(|images| images.outer_iter());
    Ok(images.map(|image| image.to_owned()).collect())
}

fn augmented(
    name: AugmentName,
    mut image: Array3<u8>,
    mean: &[u8],
    rng: &mut SampleRng,
) -> Result<Array3<u8>> {
    let (channels, height, width) = image.dim();
    let fill = match mean {
        mean if mean.len() == channels => mean.to_vec(),
        _ => vec![128; channels],
    };
    let side = height.min(width);
    let policy = |policy| Augment { policy: Some(policy), ..Augment::default() };
    let mut augment = match name {
        AugmentName::RandomResizedCrop => {
            let size = if side < CROP_SIDE { side } else { CROP_SIDE };
            let crop = RandomResizedCrop { size, ..RandomResizedCrop::default() };
            return Ok(crop.apply(&picture_of(&image)?, rng)?.planes().slice_move(ndarray::s![
                ..channels,
                ..,
                ..
            ]));
        }
        AugmentName::Crop => {
            Augment { crop_padding: (side / PADDING_SHARE).max(1), ..Augment::default() }
        }
        AugmentName::Flip => Augment { flip: Flip::Horizontal, ..Augment::default() },
        AugmentName::Cutout => {
            Augment { cutout: (side / CUTOUT_SHARE).max(1), ..Augment::default() }
        }
        AugmentName::Erasing => {
            Augment { erasing: Some(RandomErasing::default()), ..Augment::default() }
        }
        AugmentName::AutoAugmentCifar => policy(AugmentPolicy::AutoAugmentCifar),
        AugmentName::AutoAugmentImagenet => policy(AugmentPolicy::AutoAugmentImageNet),
        AugmentName::AutoAugmentSvhn => policy(AugmentPolicy::AutoAugmentSvhn),
        AugmentName::RandAugment => {
            policy(AugmentPolicy::RandAugment { operations: 2, magnitude: 9 })
        }
        AugmentName::TrivialAugment => policy(AugmentPolicy::TrivialAugment),
        other => bail!("`{}` is for recordings, and these are images", other.as_str()),
    };
    augment.fill = fill;
    let mut sample = SampleMut::from_image(image.view_mut());
    augment.apply(&mut sample, rng).map_err(|error| anyhow::anyhow!(error))?;
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
                pixels.extend(blended(ink(frame[[0, y, x]]), ink(frame[[1, y, x]])));
            }
        }
        Ok(Picture::new(width, height, pixels)?)
    };
    frames.outer_iter().map(frame).collect()
}

/// The size of frames where the sensor is larger than a tile; counts add up, so that single events
/// are still seen.
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
fn blended(off: f64, on: f64) -> [u8; 3] {
    let strongest = off.max(on);
    let share = if strongest > 0.0 { on / (on + off) } else { 0.0 };
    std::array::from_fn(|channel| {
        let ink = f64::from(ON[channel]) * share + f64::from(OFF[channel]) * (1.0 - share);
        (255.0 - strongest * (255.0 - ink)).round() as u8
    })
}
