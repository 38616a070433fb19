//! PNG and JPEG files as input of a model.

use anyhow::{Result, bail};
use snn_data::pictures::{
    CentreCrop, DecodeOptions, Exif, Filter, Picture, Window, decode_with, resize,
};
use std::path::Path;

/// A picture file as the values of an input of this shape.
pub(super) fn decoded(bytes: &[u8], path: &Path, shape: &[usize]) -> Result<Vec<u8>> {
    let &[channels @ (1 | 3), height, width] = shape else {
        bail!(
            "{}: a picture has 1 or 3 channels, and the model takes {shape:?}; give its values as \
             raw bytes, one each",
            path.display()
        );
    };
    // Upright, as every viewer shows it.
    let options = DecodeOptions { exif: Exif::Apply };
    let picture = fit(&decode_with(bytes, path, options)?, width, height)?;
    Ok(if channels == 3 {
        picture.planes().into_iter().collect()
    } else {
        picture.pixels().as_chunks().0.iter().copied().map(luma).collect()
    })
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
    fn white_is_white_and_green_is_brighter_than_blue() {
        assert_eq!([[255; 3], [0; 3], [0, 255, 0], [0, 0, 255]].map(luma), [255, 0, 150, 29]);
    }
}
