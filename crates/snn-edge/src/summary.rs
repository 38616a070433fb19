//! What a program needs of a device.

use crate::mode::Mode;
use crate::program::Program;
use core::fmt;

/// What a program needs of a device, and what goes in and out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of the program, which is read in place.
    pub flash: usize,
    /// Bytes of the caller's buffer, for each of [`Mode::ALL`].
    pub memory: [usize; 3],
    /// Shape `[C, H, W]` of an image or frame.
    pub input_shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Macro-steps T.
    pub time_steps: usize,
}

impl Summary {
    /// The summary of a program.
    pub fn of(program: &Program<'_>) -> Self {
        Self {
            flash: program.flash(),
            memory: Mode::ALL.map(|mode| 4 * program.memory(mode)),
            input_shape: program.input_shape(),
            classes: program.classes(),
            time_steps: program.time_steps(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [channels, height, width] = self.input_shape;
        let (classes, steps) = (self.classes, self.time_steps);
        let [image, frames, stream] = self.memory;
        writeln!(f, "input: {channels}×{height}×{width} bytes, T = {steps}; {classes} classes")?;
        writeln!(f, "flash: {} bytes", self.flash)?;
        write!(f, "RAM: {image} bytes for images, {frames} for frames, {stream} for streams")
    }
}
