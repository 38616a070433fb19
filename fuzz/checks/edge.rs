//! Programs of small devices.

use snn_edge::{Engine, ErrorKind, Mode, Program};

/// Words of memory above which a program is not run.
const MEMORY: usize = 1 << 14;
/// Macro-steps above which a program is not run.
const STEPS: usize = 16;

/// Bytes as they are, and with the length and the checksum that they should have.
pub(crate) fn check(data: &[u8]) {
    run(data);
    let mut forged = data.to_vec();
    forge(&mut forged);
    run(&forged);
}

/// Checks bytes and runs what is a program; `true` if it is one. A program never panics, whatever
/// its buffer held before.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let program = match Program::new(bytes) {
        Ok(program) => program,
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Program);
            assert!(error.to_string().contains(": expected "), "{error}");
            return false;
        }
    };
    let affordable = Mode::ALL.iter().all(|mode| program.memory(*mode) <= MEMORY);
    if affordable && program.time_steps() <= STEPS && program.input_size() <= MEMORY {
        for mode in Mode::ALL {
            let mut buffer = vec![0x5555_5555; program.memory(mode)];
            let mut engine = Engine::new(program, mode, &mut buffer).expect("room enough");
            let frames = vec![201; program.input_size() * program.time_steps()];
            let frame = &frames[..program.input_size()];
            let scores = match mode {
                Mode::Image => engine.run(frame),
                Mode::Frames => engine.run(&frames),
                Mode::Stream => engine.step(frame),
            };
            assert_eq!(scores.expect("pixels that fit").len(), program.classes());
        }
    }
    true
}

/// Sets the length and the checksum (CRC-32, bit by bit) of damaged bytes to those that they have.
pub(crate) fn forge(bytes: &mut [u8]) {
    let Ok(length) = u32::try_from(bytes.len()) else { return };
    if bytes.len() < 16 {
        return;
    }
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    let mut crc = u32::MAX;
    for byte in bytes[..12].iter().chain(&bytes[16..]) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    bytes[12..16].copy_from_slice(&(!crc).to_le_bytes());
}
