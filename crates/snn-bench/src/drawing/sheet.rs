//! Contact sheets: pictures in rows with captions, as PNG.

use anyhow::{Context as _, Result, bail};
use embedded_graphics::Drawable as _;
use embedded_graphics::Pixel;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_6X12;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};
use embedded_graphics::prelude::{DrawTarget, OriginDimensions, Point, Size};
use embedded_graphics::text::{Baseline, Text};
use snn_data::pictures::{Filter, Picture, resize};

const MARGIN: usize = 8;
const LETTER: usize = 6;
const LINE: usize = 14;
/// A sheet is about as wide as a screen.
const WIDTH: usize = 1200;
/// Beyond this a picture is no longer looked at: 400 MB.
const MAX_PIXELS: usize = 1 << 27;

/// Pictures that belong together, side by side, with a line of text below.
pub(crate) struct Block {
    pub(crate) caption: String,
    pub(crate) tiles: Vec<Picture>,
}

/// A picture at most `side` pixels wide and high: enlarged by a whole factor, or made smaller.
pub(crate) fn tile(picture: &Picture, side: usize) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let longer = width.max(height);
    if longer > side {
        let fit = |length: usize| (length * side / longer).max(1);
        return Ok(resize(picture, fit(width), fit(height), Filter::Bilinear)?);
    }
    let factor = side / longer;
    let mut pixels = Vec::with_capacity(picture.pixels().len() * factor * factor);
    for row in picture.pixels().chunks_exact(3 * width) {
        let wide: Vec<u8> =
            row.as_chunks::<3>().0.iter().flat_map(|pixel| pixel.repeat(factor)).collect();
        pixels.extend(wide.repeat(factor));
    }
    Ok(Picture::new(width * factor, height * factor, pixels)?)
}

/// Refuses a row of tiles of this size that no sheet has room for.
pub(crate) fn row_fits(tiles: usize, width: usize, height: usize) -> Result<()> {
    let (width, height) = (tiles.saturating_mul(width + MARGIN), height + LINE + MARGIN);
    if width.saturating_mul(height) > MAX_PIXELS {
        bail!(
            "a row of {width}x{height} pixels, expected at most {MAX_PIXELS} pixels: choose fewer \
             or smaller tiles (`--tile`)"
        );
    }
    Ok(())
}

/// Draws blocks under a title, as many side by side as fit.
pub(crate) fn sheet(title: &[String], blocks: &[Block]) -> Result<Picture> {
    let block_width = |block: &Block| {
        block.tiles.iter().map(|tile| tile.width() + MARGIN).sum::<usize>().max(MARGIN) - MARGIN
    };
    let block_height =
        |block: &Block| block.tiles.iter().map(Picture::height).max().unwrap_or(0) + LINE;
    let widest = blocks.iter().map(block_width).max().unwrap_or(0);
    let highest = blocks.iter().map(block_height).max().unwrap_or(0);
    let columns = ((WIDTH - MARGIN) / (widest + MARGIN)).clamp(1, blocks.len().max(1));
    let text = title.iter().map(|line| line.chars().count() * LETTER).max().unwrap_or(0);
    let width = (columns * (widest + MARGIN)).max(text + MARGIN) + MARGIN;
    let top = MARGIN + title.len() * LINE + MARGIN / 2;
    let height = top + blocks.len().div_ceil(columns) * (highest + MARGIN);
    if width.saturating_mul(height) > MAX_PIXELS {
        bail!("a sheet of {width}x{height} pixels: choose fewer samples or smaller tiles");
    }
    let mut canvas = Canvas { width, height, pixels: vec![255; 3 * width * height] };
    for (index, line) in title.iter().enumerate() {
        canvas.write(line, MARGIN, MARGIN + index * LINE, width - MARGIN);
    }
    for (index, block) in blocks.iter().enumerate() {
        let (left, top) = (
            MARGIN + index % columns * (widest + MARGIN),
            top + index / columns * (highest + MARGIN),
        );
        let mut x = left;
        for tile in &block.tiles {
            canvas.paste(tile, x, top);
            x += tile.width() + MARGIN;
        }
        canvas.write(&block.caption, left, top + highest - LINE + 1, widest);
    }
    Ok(Picture::new(canvas.width, canvas.height, canvas.pixels)?)
}

/// A picture as the bytes of a PNG file.
pub(crate) fn png(picture: &Picture) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let side = |length: usize| u32::try_from(length).context("a picture that is too large for PNG");
    let mut encoder =
        png::Encoder::new(&mut bytes, side(picture.width())?, side(picture.height())?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(picture.pixels())?;
    Ok(bytes)
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn paste(&mut self, picture: &Picture, left: usize, top: usize) {
        for (row, pixels) in picture.pixels().chunks_exact(3 * picture.width()).enumerate() {
            let at = 3 * ((top + row) * self.width + left);
            if let Some(target) = self.pixels.get_mut(at..at + pixels.len()) {
                target.copy_from_slice(pixels);
            }
        }
    }

    /// Writes a line, cut to `room` pixels; the font knows Latin-1.
    fn write(&mut self, text: &str, left: usize, top: usize, room: usize) {
        let most = (room / LETTER).max(1);
        let cut = text.chars().count() > most;
        let mut shown: String =
            text.chars().take(if cut { most.saturating_sub(2) } else { most }).collect();
        if cut {
            shown.push_str("..");
        }
        let place = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
        let style = MonoTextStyle::new(&FONT_6X12, Rgb888::BLACK);
        // Drawing on this canvas cannot fail.
        let _ =
            Text::with_baseline(&shown, Point::new(place(left), place(top)), style, Baseline::Top)
                .draw(self);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Size::new(side(self.width), side(self.height))
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Self::Error> {
        for Pixel(point, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y)) else {
                continue;
            };
            if x < self.width && y < self.height {
                let at = 3 * (y * self.width + x);
                self.pixels[at..at + 3].copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: usize, height: usize, pixel: [u8; 3]) -> Picture {
        Picture::new(width, height, pixel.repeat(width * height)).unwrap()
    }

    #[test]
    fn small_pictures_grow_by_whole_factors_and_large_ones_shrink() {
        let picture = Picture::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let grown = tile(&picture, 5).unwrap();
        assert_eq!((grown.width(), grown.height()), (4, 2));
        assert_eq!(grown.pixels()[..12], [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]);
        assert_eq!(grown.pixels()[12..], grown.pixels()[..12]);
        let shrunk = tile(&plain(300, 100, [9; 3]), 60).unwrap();
        assert_eq!((shrunk.width(), shrunk.height()), (60, 20));
        assert_eq!(tile(&plain(1000, 1, [9; 3]), 10).unwrap().height(), 1);
    }

    #[test]
    fn a_sheet_has_every_tile_and_its_text() {
        let block = |pixel| Block {
            caption: "frog".into(),
            tiles: vec![plain(20, 20, pixel), plain(20, 10, pixel)],
        };
        let sheet = sheet(&["title".into()], &[block([255, 0, 0]), block([0, 0, 255])]).unwrap();
        let count = |wanted: [u8; 3]| {
            sheet.pixels().as_chunks::<3>().0.iter().filter(|&&pixel| pixel == wanted).count()
        };
        assert_eq!([count([255, 0, 0]), count([0, 0, 255])], [600, 600]);
        assert!(count([0; 3]) > 50, "no letters");
        let bytes = png(&sheet).unwrap();
        let back = snn_data::pictures::decode_with(
            &bytes,
            "sheet".as_ref(),
            snn_data::pictures::DecodeOptions::default(),
        )
        .unwrap();
        assert_eq!(back, sheet);
    }
}
