//! Bytes that are no program: an error, never a panic.

#[path = "../../../../fuzz/checks/edge.rs"]
mod edge;

use crate::network::bars;
use edge::{forge, run};
use snn_edge::{Error, ErrorKind, Expected, Program, compile};
use snn_test_support::corpus::{mutate, replay};
use std::cell::Cell;

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
    let (refused, accepted) = (Cell::new(0), Cell::new(0));
    replay("edge", |program| {
        let mut checked = program.to_vec();
        forge(&mut checked);
        assert!(checked == program, "the checksum is CRC-32");
        for at in (0..program.len()).step_by(4) {
            let word = u32::from_le_bytes(program[at..at + 4].try_into().unwrap());
            let near = [word.wrapping_add(1), word.wrapping_sub(1)];
            for value in VALUES.into_iter().chain(near) {
                let mut forged = program.to_vec();
                forged[at..at + 4].copy_from_slice(&value.to_le_bytes());
                forge(&mut forged);
                let count = if run(&forged) { &accepted } else { &refused };
                count.set(count.get() + 1);
            }
        }
    });
    let (refused, accepted) = (refused.get(), accepted.get());
    assert!(refused > 10_000 && accepted > 1_000, "{refused} refused, {accepted} accepted");
}

#[test]
fn edge_corpus() {
    replay("edge", edge::check);
}

#[test]
fn damaged_edge_corpus() {
    mutate("edge", edge::check);
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

/// The error of the program of bars with this word of its parameters, counted from the last.
fn with_parameter(from_end: usize, value: i32) -> String {
    let mut program = compile(&bars()).unwrap();
    let at = program.len() - 4 * from_end;
    program[at..at + 4].copy_from_slice(&value.to_le_bytes());
    forge(&mut program);
    Program::new(&program).unwrap_err().to_string()
}

#[test]
fn parameters_of_sites_are_checked() {
    // The last layer has a word of weights, two multipliers and two biases. Before it stand the two
    // thresholds of the LIF site; its layer has 5 words of weights, 2 multipliers and 2 biases.
    // Before that stand the 6 thresholds of the levels.
    let text = "program, stage 1: channel of a neuron: expected one whose threshold is at least 1, \
                found 1";
    assert_eq!(with_parameter(6, 0), text);
    assert_eq!(with_parameter(6, i32::MIN), text);
    let text = "program, stage 0: place of a threshold: expected one that is not below the one \
                before, found 5";
    assert_eq!(with_parameter(5 + 2 + 9 + 1, 699), text);
}
