//! Events to frames: how a recording becomes the input of a network, `[T, 2, H, W]`.

mod accumulate;
mod slicing;
mod stream;
mod surface;
mod windows;

pub use slicing::Slicing;
pub use surface::TimeSurface;
pub use windows::{Frame, FrameStream, Window};

use crate::recordings::events::{EventReader, Events, SensorSize};
use crate::{Error, Result, SampleMut, SampleShape};
use ndarray::Array4;
use serde::{Deserialize, Serialize};
use slicing::MAX_VALUES;
use stream::Trace;

/// Counts events per slice, polarity and pixel.
///
/// `frames[i, p, y, x]` is the number of events of slice i with polarity p (0: OFF, 1: ON) at pixel
/// (x, y).
///
/// ```
/// use snn_data::recordings::events::{Event, Events, SensorSize};
/// use snn_data::recordings::frames::{Framing, Slicing};
/// let mut events = Events::new(SensorSize { width: 4, height: 2 });
/// for t in 0..10 {
///     events.push(Event { t, x: 3, y: 1, polarity: t >= 5 })?;
/// }
/// let frames = Framing { slicing: Slicing::Time { slices: 2 }, size: None }.frames(&events)?;
/// assert_eq!(frames.dim(), (2, 2, 2, 4));
/// assert_eq!((frames[[0, 0, 1, 3]], frames[[1, 0, 1, 3]], frames[[1, 1, 1, 3]]), (4, 1, 5));
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// How the recording is cut into slices.
    pub slicing: Slicing,
    /// Size of the frames, at most that of the sensor, which is the default. Column x becomes ⌊x ·
    /// width / sensor width⌋, rows alike.
    #[serde(default)]
    pub size: Option<SensorSize>,
}

impl Framing {
    /// The frames of a recording, `[T, 2, H, W]`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the slices or the size make no sense for this recording;
    /// [`Error::InvalidEvents`] without events, or with more than 65,535 of them in one value.
    pub fn frames(&self, events: &Events) -> Result<Array4<u16>> {
        let size = target(self.size, events.size())?;
        let slices = self.slicing.slices(events)?;
        let mut frames = zeros(slices.count(), size, 0_u16)?;
        let values = frames.as_slice_mut().unwrap_or_default();
        let mut each: Vec<_> = values.chunks_exact_mut(2 * size.pixels()).collect();
        accumulate::count(events, &slices, size, &mut each)?;
        Ok(frames)
    }

    /// The frames of the rest of a recording, `[T, 2, H, W]`: as [`frames`](Self::frames) of all
    /// its events, but in less memory and sooner where slices are so many events.
    ///
    /// ```
    /// use snn_data::recordings::events::{EventReader, ReadOptions};
    /// use snn_data::recordings::frames::{Framing, Slicing};
    /// # let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/events");
    /// # let path = format!("{golden}/dvs128.aedat");
    /// let framing = Framing { slicing: Slicing::Number { slices: 10 }, size: None };
    /// let frames = framing.read(&mut EventReader::open(path.as_ref(), ReadOptions::default())?)?;
    /// assert_eq!(frames.dim(), (10, 2, 128, 128));
    /// # Ok::<(), snn_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`frames`](Self::frames) and [`EventReader::read_all`].
    pub fn read(&self, reader: &mut EventReader) -> Result<Array4<u16>> {
        self.slicing.validate()?;
        match self.slicing {
            Slicing::Number { .. } | Slicing::Count { .. } => {
                let size = target(self.size, reader.size())?;
                let trace = Trace::read(size, reader)?;
                let ranges = self.slicing.ranges(trace.len())?.unwrap_or_default();
                let mut frames = zeros(ranges.len(), size, 0_u16)?;
                trace.count(&ranges, frames.as_slice_mut().unwrap_or_default())?;
                Ok(frames)
            }
            Slicing::Time { .. } | Slicing::Duration { .. } => self.frames(&reader.read_all()?),
        }
    }

    /// Counts the events of a recording into a sample of zeros, frames `[T, 2, H, W]`; counts above
    /// 255 are 255.
    ///
    /// # Errors
    /// As [`frames`](Self::frames), [`Error::InvalidImages`] if the sample has another shape.
    pub fn write(&self, events: &Events, sample: &mut SampleMut<'_>) -> Result<()> {
        let size = target(self.size, events.size())?;
        let slices = self.slicing.slices(events)?;
        let [height, width] = [size.height, size.width].map(usize::from);
        let (expected, found) =
            (SampleShape::Frames([slices.count(), 2, height, width]), sample.shape());
        let other = || Error::InvalidImages {
            expected: format!("contiguous {expected}"),
            found: found.to_string(),
        };
        if expected != found {
            return Err(other());
        }
        let mut frames = sample.frames();
        let each = frames.outer_iter_mut().map(ndarray::ArrayViewMut::into_slice);
        let mut each = each.collect::<Option<Vec<_>>>().ok_or_else(other)?;
        accumulate::count(events, &slices, size, &mut each)
    }
}

/// The size of frames, checked.
pub(crate) fn target(size: Option<SensorSize>, sensor: SensorSize) -> Result<SensorSize> {
    let size = size.unwrap_or(sensor);
    if size.pixels() > 0 && size.width <= sensor.width && size.height <= sensor.height {
        return Ok(size);
    }
    let expected = format!("1x1 to {sensor}, the size of the sensor");
    Err(Error::InvalidConfig { field: "size", expected, found: size.to_string() })
}

/// Room for `count` frames.
fn zeros<T: Clone>(count: usize, size: SensorSize, zero: T) -> Result<Array4<T>> {
    let values = count.checked_mul(2 * size.pixels()).filter(|&values| values <= MAX_VALUES);
    if values.is_none() {
        let expected = format!("at most {MAX_VALUES} values");
        let found = format!("{count} slices of 2 x {size}");
        return Err(Error::InvalidConfig { field: "slicing", expected, found });
    }
    Ok(Array4::from_elem((count, 2, usize::from(size.height), usize::from(size.width)), zero))
}
