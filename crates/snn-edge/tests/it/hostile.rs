//! Bytes that are no program: an error, never a panic.

use crate::draw::{Numbers, model};
use crate::network::bars;
use snn_edge::{Engine, Error, ErrorKind, Expected, Mode, Program, compile};
use snn_test_support::corpus::damaged;

/// Words of memory above which a forged program is not run.
const MEMORY: usize = 1 << 14;
/// Macro-steps above which a forged program is not run.
const STEPS: usize = 16;

/// Sets the length and the checksum (CRC-32, bit by bit) of damaged bytes to those that they have.
fn forge(bytes: &mut [u8]) {
    if bytes.len() < 16 {
        return;
    }
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    bytes[8..12].copy_from_slice(&length);
    let mut crc = u32::MAX;
    for byte in bytes[..12].iter().chain(&bytes[16..]) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    bytes[12..16].copy_from_slice(&(!crc).to_le_bytes());
}

/// Checks bytes and runs what is a program; `true` if it is one.
fn run(bytes: &[u8]) -> bool {
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
            let mut engine = Engine::new(program, mode, &mut buffer).unwrap();
            let frames = vec![201; program.input_size() * program.time_steps()];
            let frame = &frames[..program.input_size()];
            let scores = match mode {
                Mode::Image => engine.run(frame),
                Mode::Frames => engine.run(&frames),
                Mode::Stream => engine.step(frame),
            };
            assert_eq!(scores.unwrap().len(), program.classes());
        }
    }
    true
}

#[test]
fn every_byte_counts() {
    let program = compile(&bars()).unwrap();
    assert!(run(&program));
    for at in 0..program.len() {
        for flip in [1, 0x80, 0xFF] {
            let mut damaged = program.clone();
            damaged[at] ^= flip;
            assert!(!run(&damaged), "byte {at}");
        }
    }
    for length in 0..program.len() {
        assert!(!run(&program[..length]), "{length} bytes");
    }
    let longer = [program.as_slice(), &[0]].concat();
    let (found, expected) = (longer.len() as u64, Expected::Exactly(program.len() as u64));
    let error = Program::new(&longer).unwrap_err();
    let kind = ErrorKind::Program;
    assert_eq!(error, Error { kind, what: "bytes", expected, found, stage: None });
}

#[test]
fn forged_programs_of_every_word_never_panic() {
    const VALUES: [u32; 8] = [0, 1, 7, 0x7FFF, 0x1000_0000, 0x3FFF_FFFF, 0x8000_0000, u32::MAX];
    let (mut refused, mut accepted) = (0, 0);
    for seed in 0..6 {
        let program = if seed == 0 { bars() } else { model(seed, 3, Numbers::Integer) };
        let program = compile(&program).unwrap();
        let mut checked = program.clone();
        forge(&mut checked);
        assert!(checked == program, "the checksum is CRC-32");
        for at in (0..program.len()).step_by(4) {
            let word = u32::from_le_bytes(program[at..at + 4].try_into().unwrap());
            let near = [word.wrapping_add(1), word.wrapping_sub(1)];
            for value in VALUES.into_iter().chain(near) {
                let mut forged = program.clone();
                forged[at..at + 4].copy_from_slice(&value.to_le_bytes());
                forge(&mut forged);
                if run(&forged) {
                    accepted += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 10_000 && accepted > 1_000, "{refused} refused, {accepted} accepted");
}

#[test]
fn forged_programs_of_random_damage_never_panic() {
    let (mut refused, mut accepted) = (0, 0);
    for seed in 0..40 {
        let program = compile(&model(seed, 5, Numbers::Integer)).unwrap();
        for damage in 0..100 {
            let mut forged = damaged(&program, 100 * seed + damage);
            forge(&mut forged);
            if run(&forged) {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(refused > 1_000 && accepted > 100, "{refused} refused, {accepted} accepted");
}

#[test]
fn an_error_names_the_stage_and_the_quantity() {
    let mut program = compile(&bars()).unwrap();
    // Channels of stage 1, behind 12 words, 4 bytes of means and the 38 words of stage 0.
    let at = 4 * 12 + 4 + 4 * 38;
    program[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    forge(&mut program);
    let error = Program::new(&program).unwrap_err();
    let text = "program, stage 1: channels: expected at most 268435456, found 4294967295";
    assert_eq!(error.to_string(), text);
}
