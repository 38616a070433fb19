//! PNG and JPEG files as input of a model.

use anyhow::{Result, bail};
use snn_data::SourceConfig;
use snn_data::pictures::{
    CentreCrop, DecodeOptions, Exif, Filter, Picture, Window, decode_with, resize,
};
use std::path::Path;

/// A picture file as the values of an input of this shape. Where the data of a run are pictures it
/// is decoded, resized and cropped as they were.
pub(super) fn decoded(
    bytes: &[u8],
    path: &Path,
    shape: &[usize],
    data: Option<&SourceConfig>,
) -> Result<Vec<u8>> {
    let &[channels @ (1 | 3), height, width] = shape else {
        bail!(
            "{}: a picture has 1 or 3 channels, and the model takes {shape:?}; give its values as \
             raw bytes, one each",
            path.display()
        );
    };
    let of_run = data.and_then(|data| Some((data.centre_crop()?, data.pictures.exif)));
    let picture = match of_run {
        Some((crop, _)) if [crop.size; 2] != [height, width] => bail!(
            "the run's pictures are {size}×{size} pixels, and the model takes {height}×{width}: \
             give the run that the model is from",
            size = crop.size
        ),
        Some((crop, exif)) => crop.apply(&decode_with(bytes, path, DecodeOptions { exif })?)?,
        // Upright, as every viewer shows it.
        None => {
            let options = DecodeOptions { exif: Exif::Apply };
            fit(&decode_with(bytes, path, options)?, width, height)?
        }
    };
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

    /// A PNG file whose red is its column and green its row.
    fn file(width: u8, height: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width.into(), height.into());
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(picture(width, height).pixels()).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn with_a_run_a_picture_is_made_as_those_of_the_run() {
        let (bytes, path) = (file(200, 100), Path::new("x.png"));
        let mut data = SourceConfig::new(snn_data::DatasetName::PictureFolder);
        (data.pictures.size, data.pictures.resize) = (32, 50);
        let values = |shape: [usize; 3], data| decoded(&bytes, path, &shape, data);
        let crop = CentreCrop { resize: 50, size: 32, filter: Filter::Bilinear };
        let expected = crop.apply(&picture(200, 100)).unwrap().planes();
        let of_run = values([3, 32, 32], Some(&data)).unwrap();
        assert!(of_run.iter().eq(expected.iter()));
        assert_ne!(values([3, 32, 32], None).unwrap(), of_run, "without a run all of it is shown");
        let error = values([3, 24, 24], Some(&data)).unwrap_err().to_string();
        assert!(error.contains("32×32") && error.contains("24×24"), "{error}");
        // Sets that are not made of pictures say nothing of them.
        let cifar = SourceConfig::new(snn_data::DatasetName::Cifar10);
        assert_eq!(values([3, 32, 32], Some(&cifar)).unwrap(), values([3, 32, 32], None).unwrap());
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
