//! The pixels of a camera, eq. S2.
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

use super::Camera;
use super::number::single;
use crate::loader::Purpose;
use crate::recordings::events::{Event, Events, SensorSize};
use crate::{Error, Result, SampleRng};
use snn_simd::{Kernel, run_with_avx2};

/// Pixels that are asked together whether any of them sends an event; most often none does.
const BLOCK: usize = 16;

/// The pixels of an event camera: levels of light in, events out.
///
/// ```
/// use snn_data::recordings::events::{Events, SensorSize};
/// use snn_data::recordings::simulate::{Camera, PixelArray};
/// let camera = Camera {
///     threshold_on: 0.2,
///     threshold_spread: 0.0,
///     refractory_us: 0.0,
///     leak_hz: 0.0,
///     ..Camera::default()
/// };
/// let size = SensorSize { width: 1, height: 1 };
/// let mut pixel = PixelArray::new(&camera, size, 0)?;
/// let mut events = Events::new(size);
/// pixel.start(&[0.0], 0)?;
/// // Light three times as bright: ⌊ln 3 / 0.2⌋ = 5 events.
/// pixel.advance(&[3.0_f32.ln()], 1_000, &mut events)?;
/// assert_eq!((events.len(), events.t()[0]), (5, 182));
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PixelArray {
    size: SensorSize,
    on: Vec<f32>,
    off: Vec<f32>,
    /// Refractory period in µs.
    refractory: f32,
    /// Rise of all levels by the leak, a µs.
    leak: f64,
    /// The level that each pixel remembers; NaN while it is held in reset.
    reference: Vec<f32>,
    /// Time until the end of the reset in µs, from the last time on, of pixels that are held.
    held: Vec<f32>,
    /// The levels of the last time.
    levels: Vec<f32>,
    time_us: i64,
    /// Events of a step, to be put into the order of time: time, pixel and polarity in one number.
    keys: Vec<u64>,
}

impl PixelArray {
    /// Pixels at rest, with thresholds that are a function of `seed`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn new(camera: &Camera, size: SensorSize, seed: u64) -> Result<Self> {
        camera.validate()?;
        let mut rng = SampleRng::new(seed, Purpose::SimulatedPixels, 0, 0);
        let mut draw = |mean: f64| {
            // Irwin and Hall: the sum of twelve uniform numbers, which no library computes
            // otherwise.
            let normal = (0..12).map(|_| rng.uniform(0.0, 1.0)).sum::<f64>() - 6.0;
            single(mean * (1.0 + camera.threshold_spread * normal).max(1.0 / 3.0))
        };
        let count = size.pixels();
        let on = (0..count).map(|_| draw(camera.threshold_on)).collect();
        let off = (0..count).map(|_| draw(camera.threshold_off)).collect();
        Ok(Self {
            size,
            on,
            off,
            refractory: single(camera.refractory_us),
            leak: camera.threshold_on * camera.leak_hz / 1e6,
            reference: vec![0.0; count],
            held: vec![0.0; count],
            levels: vec![0.0; count],
            time_us: 0,
            keys: Vec::new(),
        })
    }

    /// The thresholds of ON and OFF events, pixel by pixel.
    pub fn thresholds(&self) -> [&[f32]; 2] {
        [&self.on, &self.off]
    }

    /// Begins with these levels, row by row, to which all pixels are used.
    ///
    /// # Errors
    /// [`Error::InvalidEvents`] for another number of levels than of pixels.
    pub fn start(&mut self, levels: &[f32], time_us: i64) -> Result<()> {
        self.check(levels)?;
        self.levels.copy_from_slice(levels);
        self.reference.copy_from_slice(levels);
        self.held.fill(0.0);
        self.time_us = time_us;
        Ok(())
    }

    /// The levels go straight to these until `time_us`; what events they cause is added in the
    /// order of time.
    ///
    /// # Errors
    /// [`Error::InvalidEvents`] for another number of levels than of pixels, another sensor, or a
    /// time that is not later, by at most a second, than the last one.
    pub fn advance(&mut self, levels: &[f32], time_us: i64, events: &mut Events) -> Result<()> {
        self.advance_with(levels, time_us, &[], events)
    }

    /// The same with events of other causes, which belong to this step.
    pub(super) fn advance_with(
        &mut self,
        levels: &[f32],
        time_us: i64,
        others: &[Event],
        events: &mut Events,
    ) -> Result<()> {
        self.check(levels)?;
        if events.size() != self.size {
            let expected = format!("events of a sensor of {}", self.size);
            return Err(Error::InvalidEvents { expected, found: events.size().to_string() });
        }
        let step = time_us.checked_sub(self.time_us).filter(|step| (1..=1_000_000).contains(step));
        let Some(step) = step else {
            let expected = format!("1 to 1000000 µs after the last time, {}", self.time_us);
            return Err(Error::InvalidEvents { expected, found: format!("{time_us} µs") });
        };
        self.keys.clear();
        run_with_avx2(Advance { pixels: self, levels, step: single(step as f64) });
        let width = u64::from(self.size.width);
        self.keys.extend(others.iter().map(|event| {
            let after = u64::try_from(event.t - self.time_us).unwrap_or(0);
            let pixel = u64::from(event.y) * width + u64::from(event.x);
            after << 33 | pixel << 1 | u64::from(event.polarity)
        }));
        self.keys.sort_unstable();
        events.reserve(self.keys.len());
        for &key in &self.keys {
            let (t, pixel) = (key >> 33, key >> 1 & 0xFFFF_FFFF);
            let side = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
            events.push(Event {
                t: self.time_us + i64::try_from(t).unwrap_or(i64::MAX),
                x: side(pixel % width),
                y: side(pixel / width),
                polarity: key & 1 == 1,
            })?;
        }
        self.time_us = time_us;
        Ok(())
    }

    fn check(&self, levels: &[f32]) -> Result<()> {
        if levels.len() == self.reference.len() {
            return Ok(());
        }
        let expected = format!("{} levels, one a pixel", self.reference.len());
        Err(Error::InvalidEvents { expected, found: levels.len().to_string() })
    }
}

/// One step of all pixels.
struct Advance<'a> {
    pixels: &'a mut PixelArray,
    /// The levels at the end of the step, without the leak.
    levels: &'a [f32],
    /// Duration of the step in µs.
    step: f32,
}

impl Kernel for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { pixels, levels, step } = self;
        // What leaks away from what is remembered, so that levels stay those of the light.
        let leak = single(pixels.leak * f64::from(step));
        let whole = levels.len() / BLOCK * BLOCK;
        for start in (0..whole).step_by(BLOCK) {
            if !pixels.is_quiet(levels, start, leak) {
                for (pixel, level) in levels.iter().enumerate().skip(start).take(BLOCK) {
                    pixels.advance_one(pixel, level + leak, step);
                }
            }
        }
        for (pixel, level) in levels.iter().enumerate().skip(whole) {
            pixels.advance_one(pixel, level + leak, step);
        }
        // The leak moves on: what is remembered falls by what the levels did not rise.
        for reference in &mut pixels.reference {
            *reference -= leak;
        }
        pixels.levels.copy_from_slice(levels);
    }
}

impl PixelArray {
    /// `true` if no pixel of the block that begins at `start` sends an event, or is in reset.
    #[expect(clippy::needless_bitwise_bool, reason = "a block is asked at once: without branches")]
    #[inline(always)]
    fn is_quiet(&self, levels: &[f32], start: usize, leak: f32) -> bool {
        let block = |values: &[f32]| values[start..].first_chunk::<BLOCK>().copied();
        let all = (block(levels), block(&self.reference), block(&self.on), block(&self.off));
        let (Some(levels), Some(reference), Some(on), Some(off)) = all else { return false };
        let mut quiet = true;
        for at in 0..BLOCK {
            // Written so that a pixel in reset, whose reference is NaN, counts as one that sends.
            let change = levels[at] + leak - reference[at];
            quiet &= (change < on[at]) & (change > -off[at]);
        }
        quiet
    }

    /// One step of one pixel: its level goes straight to `to`.
    fn advance_one(&mut self, pixel: usize, to: f32, step: f32) {
        let (from, on, off) = (self.levels[pixel], self.on[pixel], self.off[pixel]);
        let slope = to - from;
        let mut reference = self.reference[pixel];
        // Share of the step that is behind the pixel.
        let mut behind = 0.0_f32;
        if reference.is_nan() {
            let held = self.held[pixel];
            if held >= step {
                self.held[pixel] = held - step;
                return;
            }
            behind = held / step;
            reference = from + behind * slope;
        }
        loop {
            let (goal, rises) =
                if slope > 0.0 { (reference + on, true) } else { (reference - off, false) };
            let reaches = if rises { to >= goal } else { to <= goal };
            if !reaches || slope == 0.0 {
                break;
            }
            let share = ((goal - from) / slope).clamp(behind, 1.0);
            self.send(pixel, share * step, rises);
            if self.refractory > 0.0 {
                behind = share + self.refractory / step;
                if behind >= 1.0 {
                    self.held[pixel] = (behind - 1.0) * step;
                    reference = f32::NAN;
                    break;
                }
                reference = from + behind * slope;
            } else {
                behind = share;
                reference = goal;
            }
        }
        self.reference[pixel] = reference;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to a million µs"
    )]
    fn send(&mut self, pixel: usize, after: f32, on: bool) {
        self.keys.push(u64::from(after as u32) << 33 | (pixel as u64) << 1 | u64::from(on));
    }
}
