//! Samples as callers have them: bytes, or arrays.

use ndarray::{ArrayBase, ArrayViewD, Data, Dimension};
use snn_ir::{Encoder, Error, Input, Result};
use std::borrow::Cow;

/// Pixels of one sample or of a batch: bytes in C, H, W order, or an array of the model's shape.
/// They are raw values of 0 to 255; a model subtracts its mean itself.
///
/// Arrays are checked against the shape that is expected, bytes against its size. Arrays in
/// standard layout are not copied.
pub trait Pixels {
    /// The bytes in C, H, W order, with their shape where it is known.
    #[doc(hidden)]
    fn bytes(&self) -> (Cow<'_, [u8]>, Option<&[usize]>);
}

impl Pixels for [u8] {
    fn bytes(&self) -> (Cow<'_, [u8]>, Option<&[usize]>) {
        (Cow::Borrowed(self), None)
    }
}

impl<const N: usize> Pixels for [u8; N] {
    fn bytes(&self) -> (Cow<'_, [u8]>, Option<&[usize]>) {
        (Cow::Borrowed(self), None)
    }
}

impl Pixels for Vec<u8> {
    fn bytes(&self) -> (Cow<'_, [u8]>, Option<&[usize]>) {
        (Cow::Borrowed(self), None)
    }
}

impl<P: Pixels + ?Sized> Pixels for &P {
    fn bytes(&self) -> (Cow<'_, [u8]>, Option<&[usize]>) {
        (**self).bytes()
    }
}

impl<S: Data<Elem = u8>, D: Dimension> Pixels for ArrayBase<S, D> {
    fn bytes(&self) -> (Cow<'_, [u8]>, Option<&[usize]>) {
        let bytes = match self.as_slice() {
            Some(bytes) => Cow::Borrowed(bytes),
            None => Cow::Owned(self.iter().copied().collect()),
        };
        (bytes, Some(self.shape()))
    }
}

/// The bytes of a sample of `shape`, behind `count` frames or samples where there are several.
///
/// # Errors
/// [`Error::Input`]: the shape, or the number of bytes, is another one.
pub(crate) fn checked<'p, P: Pixels>(
    pixels: &'p P,
    count: Option<usize>,
    shape: &[usize],
) -> Result<Cow<'p, [u8]>> {
    let (bytes, found) = pixels.bytes();
    let wanted = count.iter().chain(shape);
    let fits = match found {
        Some(found) => wanted.clone().eq(found),
        None => bytes.len() == wanted.clone().product::<usize>(),
    };
    if fits {
        return Ok(bytes);
    }
    let wanted: Vec<usize> = wanted.copied().collect();
    Err(match found {
        Some(found) => Error::Input { expected: format!("{wanted:?}"), found: found.to_vec() },
        None => Error::Input {
            expected: format!("{} pixels ({wanted:?})", wanted.iter().product::<usize>()),
            found: vec![bytes.len()],
        },
    })
}

/// The frames that an encoder makes of one image of `shape`; `None` for the image itself.
///
/// # Errors
/// As [`Encoder::encode`].
pub(crate) fn encoded(
    encoder: Encoder,
    pixels: &[u8],
    shape: &[usize],
    time_steps: usize,
) -> Result<Option<Vec<u8>>> {
    if encoder == Encoder::Direct {
        return Ok(None);
    }
    let wrong = |_| Error::Input { expected: format!("{shape:?}"), found: vec![pixels.len()] };
    let image = ArrayViewD::from_shape([&[1], shape].concat(), pixels).map_err(wrong)?;
    let frames = encoder.encode(&Input::Static(image), time_steps, 0)?;
    Ok(Some(frames.into_raw_vec_and_offset().0))
}
