//! Facts about a picture file, and whether it can be decoded.

use super::decode::{DecodeOptions, Exif, decode_with};
use super::exif;
use crate::{Error, Result};
use serde::Serialize;
use std::io::Cursor;
use std::path::Path;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_jpeg::JpegDecoder;

/// Contents of a picture file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PictureInfo {
    /// `JPEG` or `PNG`, whatever its name says.
    pub format: &'static str,
    /// Pixels in a row, as stored.
    pub width: usize,
    /// Rows, as stored.
    pub height: usize,
    /// How colours are stored: `grayscale`, `YCbCr`, `RGB`, `CMYK`, `YCCK`, `RGBA`, `palette`, ….
    pub colour: String,
    /// The orientation that EXIF notes, 1 (upright) to 8; 1 without.
    pub orientation: u8,
    /// Why it cannot be decoded; `None` if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// Reads headers, and decodes once to see whether it can be done; `path` is for messages.
///
/// # Errors
/// [`Error::Picture`] if the headers cannot be read.
pub fn picture_info(bytes: &[u8], path: &Path) -> Result<PictureInfo> {
    let info = if bytes.starts_with(b"\x89PNG") { png_info(bytes) } else { jpeg_info(bytes) };
    let mut info = info.map_err(|message| Error::Picture { path: path.to_owned(), message })?;
    let decoded = decode_with(bytes, path, DecodeOptions { exif: Exif::Ignore });
    info.damage = match decoded {
        Ok(_) => None,
        Err(Error::Picture { message, .. }) => Some(message),
        Err(error) => Some(error.to_string()),
    };
    Ok(info)
}

fn jpeg_info(bytes: &[u8]) -> Result<PictureInfo, String> {
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("no size")?;
    let colour = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => "grayscale".into(),
        Some(colour) => format!("{colour:?}"),
        None => "unknown".into(),
    };
    let orientation =
        decoder.info().and_then(|info| info.exif_data).map_or(1, |exif| exif::orientation(&exif));
    Ok(PictureInfo { format: "JPEG", width, height, colour, orientation, damage: None })
}

fn png_info(bytes: &[u8]) -> Result<PictureInfo, String> {
    let reader =
        png::Decoder::new(Cursor::new(bytes)).read_info().map_err(|error| error.to_string())?;
    let info = reader.info();
    let kind = match info.color_type {
        png::ColorType::Grayscale => "grayscale",
        png::ColorType::Rgb => "RGB",
        png::ColorType::Indexed => "palette",
        png::ColorType::GrayscaleAlpha => "grayscale with alpha",
        png::ColorType::Rgba => "RGBA",
    };
    let colour = format!("{kind}, {} bits", info.bit_depth as u8);
    let orientation = info.exif_metadata.as_deref().map_or(1, exif::orientation);
    Ok(PictureInfo {
        format: "PNG",
        width: info.width as usize,
        height: info.height as usize,
        colour,
        orientation,
        damage: None,
    })
}
