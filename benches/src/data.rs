//! The work of the benchmarks of data, which `benches/data.rs` measures a change by and `data-side`
//! shows beside other libraries.
//!
//! Files of one's own: `SNN_RECORDINGS`, a folder with `dvs/moving-dark-box.aedat` and
//! `imagenet-sample/val/`; without it made ones.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ndarray::{Array3, Array4};
use snn_data::{
    Augment, AugmentPolicy, Images, SampleMut, SampleRng, Source, Transform,
    pictures::{DecodeOptions, RandomResizedCrop, decode},
    recordings::events::{EventReader, ReadOptions},
    recordings::frames::{Framing, Slicing},
};

/// Images of CIFAR's size.
pub const IMAGES: usize = 2_048;
/// The channel means that augmentation fills with.
const MEAN: [u8; 3] = [125, 123, 114];

fn own(name: &str) -> Option<PathBuf> {
    std::env::var_os("SNN_RECORDINGS").map(|folder| Path::new(&folder).join(name))
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden")
}

/// An AEDAT 2.0 recording of a DVS128.
pub fn recording() -> PathBuf {
    let path = own("dvs/moving-dark-box.aedat").filter(|path| path.is_file());
    path.unwrap_or_else(|| fixtures().join("events/dvs128.aedat"))
}

/// Ten frames of as many events each.
pub const FRAMING: Framing = Framing { slicing: Slicing::Number { slices: 10 }, size: None };

/// Reads a recording into ten frames.
///
/// # Errors
/// What reading reports.
pub fn frames(path: &Path) -> Result<Array4<u16>> {
    Ok(FRAMING.read(&mut EventReader::open(path, ReadOptions::default())?)?)
}

/// JPEG files, in order.
pub fn pictures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for class in own("imagenet-sample/val")
        .and_then(|root| std::fs::read_dir(root).ok())
        .into_iter()
        .flatten()
        .flatten()
    {
        found.extend(
            std::fs::read_dir(class.path())
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
    }
    if found.is_empty() {
        found.push(fixtures().join("images/420.JPEG"));
    }
    found.sort();
    found
}

/// Decodes a picture and cuts a random part to 224 pixels, planes `[3, 224, 224]`.
///
/// # Errors
/// What decoding reports.
pub fn crop(path: &Path, index: usize) -> Result<Array3<u8>> {
    let picture = decode(path, DecodeOptions::default())?;
    let mut rng = SampleRng::for_sample(0, 0, index);
    Ok(RandomResizedCrop::default().apply(&picture, &mut rng)?.planes())
}

/// [`IMAGES`] images of CIFAR's size, of random bytes.
///
/// # Errors
/// None; the crate's constructor can fail on other shapes.
pub fn images() -> Result<Images> {
    let mut rng = SampleRng::for_sample(0, 0, 0);
    let pixels = Array4::from_shape_simple_fn((IMAGES, 3, 32, 32), || {
        u8::try_from(rng.below(256)).unwrap_or_default()
    });
    Ok(Images::new(pixels, vec![0; IMAGES], 1)?)
}

/// Loads images and augments them: crop, flip, `AutoAugment`, cutout.
#[derive(Debug)]
pub struct Augmentation {
    images: Images,
    augment: Augment,
}

impl Augmentation {
    /// On [`images`].
    ///
    /// # Errors
    /// As [`images`].
    pub fn new() -> Result<Self> {
        let policy = Some(AugmentPolicy::AutoAugmentCifar);
        let augment = Augment { policy, cutout: 16, ..Augment::standard(&MEAN) };
        Ok(Self { images: images()?, augment })
    }

    /// Makes image `index` in an epoch.
    ///
    /// # Errors
    /// What a transform reports.
    pub fn make(&self, index: usize, image: &mut Array3<u8>) -> Result<()> {
        let mut rng = SampleRng::for_sample(0, 0, index);
        let mut sample = SampleMut::from_image(image.view_mut());
        self.images.load(index, &mut sample, &mut rng)?;
        let changed = self.augment.apply(&mut sample, &mut rng);
        changed.map_err(|error| anyhow::anyhow!("{error}")).context("augmentation")
    }
}

/// Copies all samples of a source into a batch.
///
/// # Errors
/// What the source reports.
pub fn fill(source: &dyn Source, batch: &mut Array4<u8>) -> Result<()> {
    for (index, image) in batch.outer_iter_mut().enumerate() {
        let mut sample = SampleMut::from_image(image);
        source.load(index, &mut sample, &mut SampleRng::for_sample(0, 0, index))?;
    }
    Ok(())
}
