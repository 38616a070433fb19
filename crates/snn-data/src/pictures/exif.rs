//! The orientation that cameras note in JPEG files.

use super::Picture;

/// The orientation (1 to 8) in the TIFF data of an EXIF segment, without the `Exif\0\0` before it;
/// 1 if there is none.
pub(super) fn orientation(exif: &[u8]) -> u8 {
    read(exif).unwrap_or(1)
}

fn read(exif: &[u8]) -> Option<u8> {
    let big = match exif.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let u16 = |at: usize| {
        let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(usize::from(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }))
    };
    let u32 = |at: usize| {
        let bytes = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
            .ok()
    };
    let directory = u32(4)?;
    let entry = (0..u16(directory)?)
        .map(|index| directory + 2 + 12 * index)
        .find(|&entry| u16(entry) == Some(0x0112))?;
    u8::try_from(u16(entry + 8)?).ok().filter(|orientation| (1..=8).contains(orientation))
}

/// Turns a picture upright.
pub(super) fn upright(picture: Picture, orientation: u8) -> Picture {
    if orientation <= 1 {
        return picture;
    }
    let (width, height) = (picture.width, picture.height);
    let turned = orientation >= 5;
    let (new_width, new_height) = if turned { (height, width) } else { (width, height) };
    let mut pixels = Vec::with_capacity(picture.pixels.len());
    for y in 0..new_height {
        for x in 0..new_width {
            let (from_x, from_y) = match orientation {
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                _ => (width - 1 - y, x),
            };
            let at = 3 * (from_y * width + from_x);
            pixels.extend_from_slice(&picture.pixels[at..at + 3]);
        }
    }
    Picture { width: new_width, height: new_height, pixels }
}
