//! Recordings computed from pictures: a stated model of a camera, and of the motion of the picture
//! before it.
//!
//! **Light.** A picture is resized to the sensor (bicubic), and its brightness Y (ITU-R BT.601, 0
//! to 255) becomes light as a display with exponent γ and some stray light d shows it:
//!
//! ```text
//! L = ln(d + (1 − d)·(Y/255)^γ)                                                          (S1)
//! ```
//!
//! **Motion.** At time t the picture is displaced by `(x(t), y(t))` pixels; the level of a pixel is
//! L at its place in the picture, interpolated bilinearly between pixels, and that of the nearest
//! edge outside of the picture. Levels are computed on a grid of times and run straight from one to
//! the next.
//!
//! **Pixels.** Every pixel remembers a level R, at first that of the beginning. As soon as
//!
//! ```text
//! L(t) + θ·ℓ·t − R ≥ θ_on   or   L(t) + θ·ℓ·t − R ≤ −θ_off                               (S2)
//! ```
//!
//! it sends an event, ON or OFF, at this time, interpolated between the times of the grid. For the
//! refractory period ρ it is held in reset; then R is the level of that moment. Without one R
//! becomes `R + θ_on` or `R − θ_off`, so that a step of contrast c gives `⌊|ln c|/θ⌋` events. ℓ is
//! the rate of the ON events by which a pixel in constant light leaks (θ the mean threshold).
//! Thresholds differ between pixels, normally distributed about the mean (at least a third of it):
//! they belong to the camera, and are the same for all recordings of a seed.
//!
//! **Noise.** Events of random pixels, times and polarities, as many as a Poisson process of the
//! rate ν a pixel gives; they leave R alone.
//!
//! The pixel follows ESIM (Rebecq, Gehrig, Scaramuzza 2018) and v2e (Hu, Liu, Delbruck 2021); the
//! reset after an event is that of the circuit (Lichtsteiner, Posch, Delbruck 2008). What the model
//! leaves out: the bandwidth of the photoreceptor, the refresh of a display, the bus on which
//! events wait for each other.

mod kernel;
mod motion;
mod number;
mod pixels;
mod sensor;
mod set;

pub use motion::Motion;
pub use pixels::PixelArray;
pub use sensor::SENSOR;
pub use set::{SIMULATED, SimulatedParts, SimulatedSet, Summary, is_simulated};

use crate::loader::Purpose;
use crate::pictures::{Filter, Picture, resize};
use crate::recordings::events::{Event, Events};
use crate::{Error, Result, SampleRng};
use number::{check, single};
use sensor::SIDE;
use serde::{Deserialize, Serialize};

/// A camera that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Camera {
    /// Mean threshold of ON events, a difference of logarithms of light.
    pub threshold_on: f64,
    /// Mean threshold of OFF events.
    pub threshold_off: f64,
    /// Standard deviation of the thresholds of the pixels, as a share of the mean.
    pub threshold_spread: f64,
    /// Refractory period of a pixel in µs.
    pub refractory_us: f64,
    /// ON events a second that a pixel in constant light leaks.
    pub leak_hz: f64,
    /// Events a second and pixel that are noise, half of them ON.
    pub noise_hz: f64,
    /// Exponent γ of the display, eq. S1.
    pub gamma: f64,
    /// Stray light d as a share of white, eq. S1.
    pub stray_light: f64,
}

impl Default for Camera {
    /// Thresholds of 0.3 that differ by 3 %, 500 µs of refractory period, a leak and noise of 0.1
    /// events a second and pixel, a display of γ = 2.2 with 5 % of stray light.
    fn default() -> Self {
        Self {
            threshold_on: 0.3,
            threshold_off: 0.3,
            threshold_spread: 0.03,
            refractory_us: 500.0,
            leak_hz: 0.1,
            noise_hz: 0.1,
            gamma: 2.2,
            stray_light: 0.05,
        }
    }
}

impl Camera {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(&self) -> Result<()> {
        check("threshold_on", self.threshold_on, 0.01, 10.0)?;
        check("threshold_off", self.threshold_off, 0.01, 10.0)?;
        check("threshold_spread", self.threshold_spread, 0.0, 0.3)?;
        check("refractory_us", self.refractory_us, 0.0, 1e6)?;
        check("leak_hz", self.leak_hz, 0.0, 1e3)?;
        check("noise_hz", self.noise_hz, 0.0, 1e3)?;
        check("gamma", self.gamma, 0.1, 10.0)?;
        check("stray_light", self.stray_light, 1e-4, 1.0)
    }

    /// The level of each brightness, eq. S1.
    pub fn levels(&self) -> [f32; 256] {
        let Self { gamma, stray_light, .. } = *self;
        std::array::from_fn(|brightness| {
            let light = (brightness as f64 / 255.0).powf(gamma);
            // On a grid of 2⁻²⁰, so that libraries whose last bits differ give the same level.
            let level = (stray_light + (1.0 - stray_light) * light).ln();
            single((level * 1_048_576.0).round() / 1_048_576.0)
        })
    }
}

/// A simulation: camera, motion, and the seed of all that is random.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simulation {
    /// The camera.
    pub camera: Camera,
    /// Motion of the picture before it.
    pub motion: Motion,
    /// Seed of thresholds and noise.
    pub seed: u64,
}

impl Simulation {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] naming the field.
    pub fn validate(&self) -> Result<()> {
        self.camera.validate()?;
        self.motion.validate()
    }

    /// The recorder of this simulation.
    ///
    /// ```
    /// use snn_data::pictures::Picture;
    /// use snn_data::recordings::simulate::Simulation;
    /// let stripes = (0..16 * 16).flat_map(|at| [if at % 8 < 4 { 40 } else { 220 }; 3]).collect();
    /// let picture = Picture::new(16, 16, stripes)?;
    /// let recorder = Simulation::default().recorder()?;
    /// let events = recorder.record(&picture, 0)?;
    /// assert!(events.len() > 10_000 && events.is_sorted());
    /// assert_eq!(events, recorder.record(&picture, 0)?);
    /// # Ok::<(), snn_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn recorder(self) -> Result<Recorder> {
        self.validate()?;
        Ok(Recorder {
            simulation: self,
            levels: self.camera.levels(),
            path: self.motion.path(),
            pixels: PixelArray::new(&self.camera, SENSOR, self.seed)?,
        })
    }
}

/// A camera before a moving picture: makes recordings.
#[derive(Debug, Clone)]
pub struct Recorder {
    simulation: Simulation,
    /// Level of each brightness.
    levels: [f32; 256],
    path: motion::Path,
    /// The pixels at rest.
    pixels: PixelArray,
}

impl Recorder {
    /// What is simulated.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Duration of a recording in µs.
    pub fn duration_us(&self) -> i64 {
        self.path.duration_us()
    }

    /// The recording of a picture, in the order of time from 0 on: a function of the simulation,
    /// the picture and `number`, which draws the noise.
    ///
    /// # Errors
    /// What resizing the picture reports.
    pub fn record(&self, picture: &Picture, number: u64) -> Result<Events> {
        let map = kernel::Map::new(&self.levels_of(picture)?, self.path.reach());
        let mut pixels = self.pixels.clone();
        let mut frame = vec![0.0; SENSOR.pixels()];
        let mut events = Events::new(SENSOR);
        let noise = self.noise(number)?;
        let mut rest = noise.as_slice();
        for (at, step) in self.path.steps().enumerate() {
            map.shifted(step.shift, &mut frame);
            if at == 0 {
                pixels.start(&frame, step.time_us)?;
                continue;
            }
            let count = rest.partition_point(|event| event.t < step.time_us);
            let (now, later) = rest.split_at(count);
            pixels.advance_with(&frame, step.time_us, now, &mut events)?;
            rest = later;
        }
        Ok(events)
    }

    /// The level of each pixel of the sensor where the picture is not displaced.
    fn levels_of(&self, picture: &Picture) -> Result<Vec<f32>> {
        let picture = resize(picture, SIDE, SIDE, Filter::Bicubic)?;
        let brightness = picture.pixels().as_chunks::<3>().0.iter().copied().map(luma);
        Ok(brightness.map(|brightness| self.levels[usize::from(brightness)]).collect())
    }

    /// The events that are noise, in the order of time.
    fn noise(&self, number: u64) -> Result<Vec<Event>> {
        let Simulation { camera, seed, .. } = self.simulation;
        let mut rng = SampleRng::new(seed, Purpose::SimulatedNoise, number, 0);
        let duration = self.duration_us();
        let expected = camera.noise_hz * SENSOR.pixels() as f64 * duration as f64 / 1e6;
        if expected > 1e7 {
            return Err(Error::InvalidConfig {
                field: "noise_hz",
                expected: "at most ten million events of noise in a recording".into(),
                found: format!("{} for {expected:.0} of them", camera.noise_hz),
            });
        }
        let mut events = Vec::new();
        for _ in 0..poisson(expected, &mut rng) {
            let t = i64::from(rng.below(u32::try_from(duration).unwrap_or(u32::MAX)));
            let side = u32::from(SENSOR.width);
            let [x, y] = [rng.below(side), rng.below(side)];
            let [x, y] = [x, y].map(|at| u16::try_from(at).unwrap_or_default());
            events.push(Event { t, x, y, polarity: rng.below(2) == 1 });
        }
        events.sort_by_key(|event| event.t);
        Ok(events)
    }
}

/// A number of a Poisson distribution (Knuth), in pieces whose products of uniform numbers do not
/// vanish.
fn poisson(mean: f64, rng: &mut SampleRng) -> u64 {
    const PIECE: f64 = 16.0;
    let (mut left, mut count) = (mean, 0);
    while left > 0.0 {
        let limit = (-left.min(PIECE)).exp();
        left -= PIECE;
        let mut product = rng.uniform(0.0, 1.0);
        while product > limit {
            count += 1;
            product *= rng.uniform(0.0, 1.0);
        }
    }
    count
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

    /// Mean and variance of a Poisson number are its parameter.
    #[test]
    fn poisson_numbers_have_their_mean_and_variance() {
        for mean in [0.3, 7.0, 40.0] {
            let mut rng = SampleRng::for_sample(5, 0, 0);
            let count = 4_000;
            let drawn: Vec<f64> = (0..count).map(|_| poisson(mean, &mut rng) as f64).collect();
            let average = drawn.iter().sum::<f64>() / f64::from(count);
            let variance =
                drawn.iter().map(|n| (n - average) * (n - average)).sum::<f64>() / f64::from(count);
            // Four standard errors of the mean; about as much of the variance.
            assert!((average - mean).abs() < 4.0 * (mean / f64::from(count)).sqrt(), "{average}");
            assert!((variance / mean - 1.0).abs() < 0.15, "{mean}: variance {variance}");
        }
        assert_eq!(poisson(0.0, &mut SampleRng::for_sample(0, 0, 0)), 0);
    }

    #[test]
    fn light_is_that_of_the_equation() {
        let camera = Camera { gamma: 2.0, stray_light: 0.1, ..Camera::default() };
        let levels = camera.levels();
        let expected = |y: f64| (0.1 + 0.9 * (y / 255.0) * (y / 255.0)).ln();
        for y in [0, 51, 128, 255] {
            assert!((f64::from(levels[y]) - expected(y as f64)).abs() < 1e-6, "{y}");
        }
    }
}
