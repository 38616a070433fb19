//! JPEG and PNG files to pictures, whatever their names say.

use super::jpeg_scans::{self, Fault};
use super::{Picture, exif};
use crate::{Error, Result};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Cursor;
use std::path::Path;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// A picture file above this is a mistake; the largest of ImageNet has 15 MB.
const MAX_BYTES: u64 = 1 << 28;
/// Pixels of a picture at most: 400 MB.
const MAX_PIXELS: usize = 1 << 27;

/// Treatment of the orientation that a camera recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exif {
    /// Nothing, as in torchvision and PIL: published accuracies are of pictures like this.
    #[default]
    Ignore,
    /// The picture is turned upright.
    Apply,
}

/// How files are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeOptions {
    /// The orientation that a camera noted.
    pub exif: Exif,
}

/// Reads and decodes a file: JPEG (grayscale, colour, CMYK, YCCK; baseline or progressive) or PNG,
/// told apart by the first bytes.
///
/// # Errors
/// [`Error::Picture`] naming the file and the place in it if it is neither, truncated, or damaged
/// so that its data do not decode to the end; [`Error::Io`].
pub fn decode(path: &Path, options: DecodeOptions) -> Result<Picture> {
    let length = fs::metadata(path)?.len();
    if length > MAX_BYTES {
        let message = format!("expected at most {MAX_BYTES} bytes, found {length}");
        return Err(Error::Picture { path: path.to_owned(), message });
    }
    decode_with(&fs::read(path)?, path, options)
}

/// Decodes the bytes of a file; `path` is for messages.
///
/// # Errors
/// [`Error::Picture`] naming the file.
pub fn decode_with(bytes: &[u8], path: &Path, options: DecodeOptions) -> Result<Picture> {
    let decoded = if bytes.starts_with(b"\xFF\xD8") {
        jpeg(bytes, options)
    } else if bytes.starts_with(b"\x89PNG") {
        let mut cursor = Cursor::new(bytes);
        png(&mut cursor, options).map_err(|error| format!("byte {}: {error}", cursor.position()))
    } else {
        let found =
            bytes.iter().take(4).fold(String::new(), |text, byte| format!("{text} {byte:02x}"));
        Err(format!(
            "byte 0: expected the first bytes of JPEG or PNG, found{}",
            if found.is_empty() { " no bytes" } else { &found }
        ))
    };
    decoded.map_err(|message| Error::Picture { path: path.to_owned(), message })
}

fn jpeg(bytes: &[u8], options: DecodeOptions) -> Result<Picture, String> {
    // The decoder shows what it can of a damaged picture, grey from the damage on.
    let whole = jpeg_scans::whole(bytes, MAX_PIXELS)
        .map_err(|Fault { at, what }| format!("byte {at}: {what}"))?;
    let bytes = &*whole;
    let settings = DecoderOptions::default().set_max_width(1 << 16).set_max_height(1 << 16);
    let damaged = |error: &dyn fmt::Display| format!("byte {}: {error}", place(bytes, settings));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), settings);
    decoder.decode_headers().map_err(|error| damaged(&error))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| damaged(&"no size"))?;
    room(width, height).map_err(|error| damaged(&error))?;
    let wanted = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        Some(ColorSpace::CMYK) => ColorSpace::CMYK,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(settings.jpeg_set_out_colorspace(wanted));
    let pixels = decoder.decode().map_err(|error| damaged(&error))?;
    let pixels = match wanted {
        ColorSpace::Luma => pixels.into_iter().flat_map(|grey| [grey; 3]).collect(),
        ColorSpace::CMYK => {
            pixels.as_chunks::<4>().0.iter().flat_map(|&cmyk| rgb_of(cmyk)).collect()
        }
        _ => pixels,
    };
    let picture = Picture::new(width, height, pixels).map_err(|error| error.to_string())?;
    let orientation = match options.exif {
        Exif::Ignore => 1,
        Exif::Apply => decoder
            .info()
            .and_then(|info| info.exif_data)
            .map_or(1, |exif| exif::orientation(&exif)),
    };
    Ok(exif::upright(picture, orientation))
}

/// Where a decoder stops in data of which it said that they are wrong, or that it was not to go on
/// with: headers are read once more, and pixels where they are few enough.
fn place(bytes: &[u8], settings: DecoderOptions) -> u64 {
    let mut cursor = Cursor::new(bytes);
    let mut decoder = JpegDecoder::new_with_options(&mut cursor, settings);
    let read = decoder.decode_headers();
    let fits = decoder.dimensions().is_some_and(|(width, height)| room(width, height).is_ok());
    if read.is_ok() && fits {
        // What is wrong was said before.
        let _ = decoder.decode();
    }
    drop(decoder);
    cursor.position()
}

/// Red, green and blue of inks as Adobe's programs store them: 255 is no ink.
fn rgb_of([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| {
        // Pillow: nk − ⌊(255 − ink) · nk / 255⌉, where nk is the brightness that black leaves.
        let product = u32::from(255 - ink) * u32::from(black) + 128;
        let covered = (product + (product >> 8)) >> 8;
        black.saturating_sub(u8::try_from(covered).unwrap_or(u8::MAX))
    })
}

fn png(cursor: &mut Cursor<&[u8]>, options: DecodeOptions) -> Result<Picture, String> {
    let limits = png::Limits { bytes: 4 * MAX_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(cursor, limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    room(width, height)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("a picture too large")?];
    let info = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    pixels.truncate(info.buffer_size());
    // All pixels are there, but a file without its end was not copied whole.
    reader.finish().map_err(|error| error.to_string())?;
    let pixels = match info.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => {
            pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect()
        }
        png::ColorType::Grayscale => pixels.into_iter().flat_map(|grey| [grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => {
            pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect()
        }
        png::ColorType::Indexed => return Err("a palette that was not expanded".into()),
    };
    let picture = Picture::new(width, height, pixels).map_err(|error| error.to_string())?;
    let orientation = match options.exif {
        Exif::Ignore => 1,
        Exif::Apply => reader.info().exif_metadata.as_deref().map_or(1, exif::orientation),
    };
    Ok(exif::upright(picture, orientation))
}

/// Refuses pictures that need too much memory, before it is made.
fn room(width: usize, height: usize) -> Result<(), String> {
    if width.checked_mul(height).is_some_and(|pixels| (1..=MAX_PIXELS).contains(&pixels)) {
        return Ok(());
    }
    Err(format!("expected 1 to {MAX_PIXELS} pixels, found {width}x{height}"))
}
