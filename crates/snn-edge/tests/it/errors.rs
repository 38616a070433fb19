//! What is refused, by what was expected and found.

use crate::network::bars;
use snn_edge::{CompileError, Engine, Error, ErrorKind, Expected, Mode, Program, Summary, compile};
use snn_ir::testing::{Numbers, trained};
use snn_ir::{Encoder, Op};

fn words_of(kind: ErrorKind, what: &'static str, expected: Expected, found: u64) -> Error {
    Error { kind, what, expected, found, stage: None }
}

#[test]
fn a_buffer_that_is_too_small_is_refused_by_both_sizes() {
    let program = compile(&bars()).unwrap();
    let program = Program::new(&program).unwrap();
    for mode in Mode::ALL {
        let needed = program.memory(mode);
        let mut buffer = vec![0; needed - 1];
        let error = Engine::new(program, mode, &mut buffer).unwrap_err();
        let (expected, found) = (Expected::AtLeast(needed as u64), needed as u64 - 1);
        assert_eq!(error, words_of(ErrorKind::Buffer, "words of 32 bits", expected, found));
        let text =
            format!("buffer: words of 32 bits: expected at least {needed}, found {}", needed - 1);
        assert_eq!(error.to_string(), text);
        buffer.push(0);
        assert_eq!(Engine::new(program, mode, &mut buffer).unwrap().mode(), mode);
    }
}

#[test]
fn inputs_of_another_size_and_calls_of_another_mode_are_refused() {
    let program = compile(&bars()).unwrap();
    let program = Program::new(&program).unwrap();
    for mode in Mode::ALL {
        let mut buffer = vec![0; program.memory(mode)];
        let mut engine = Engine::new(program, mode, &mut buffer).unwrap();
        let size = if mode == Mode::Frames { 4 * 64 } else { 64 };
        for found in [0, size - 1, size + 1] {
            let pixels = vec![0; found];
            let error = match mode {
                Mode::Image | Mode::Frames => engine.run(&pixels),
                Mode::Stream => engine.step(&pixels),
            };
            let expected = Expected::Exactly(size as u64);
            let expected = words_of(ErrorKind::Input, "bytes", expected, found as u64);
            assert_eq!(error.unwrap_err(), expected, "{mode:?}");
        }
        let error = match mode {
            Mode::Image | Mode::Frames => engine.step(&[0; 64]),
            Mode::Stream => engine.run(&[0; 64]),
        };
        let error = error.unwrap_err();
        let place = Mode::ALL.iter().position(|other| *other == mode);
        assert_eq!((error.kind, error.found), (ErrorKind::Mode, place.unwrap() as u64));
    }
}

#[test]
fn a_program_says_what_it_takes_and_needs() {
    let bytes = compile(&bars()).unwrap();
    let program = Program::new(&bytes).unwrap();
    assert_eq!((program.input_shape(), program.input_size()), ([1, 8, 8], 64));
    assert_eq!((program.classes(), program.time_steps()), (2, 4));
    assert_eq!(
        (program.flash(), program.logit_unit().to_bits()),
        (bytes.len(), 0.25_f64.to_bits())
    );
    let summary = Summary::of(&program);
    assert_eq!(summary.memory, Mode::ALL.map(|mode| 4 * program.memory(mode)));
    let text = summary.to_string();
    assert!(text.contains(&format!("flash: {} bytes", bytes.len())), "{text}");
    let stream = 4 * program.memory(Mode::Stream);
    assert!(text.ends_with(&format!("{stream} for streams")), "{text}");
}

/// The refusals of a model.
fn refusals(error: CompileError) -> Vec<(String, String)> {
    let CompileError::Refused(refusals) = error else { panic!("{error}") };
    refusals.into_iter().map(|refusal| (refusal.node, refusal.reason)).collect()
}

#[test]
fn a_model_off_the_grid_is_refused_with_the_way_out() {
    let error = compile(&trained(1, Numbers::Dyadic)).unwrap_err();
    let text = error.to_string();
    let [(node, reason)] = &refusals(error)[..] else { panic!("one refusal") };
    assert!(node.is_empty() && reason.contains("found form trained"), "{reason}");
    assert!(reason.contains("`snn convert`") && text == *reason, "{text}");
}

#[test]
fn all_that_cannot_be_said_is_refused_at_once_by_name() {
    let mut model = bars().with_encoder(Encoder::Latency);
    for node in &mut model.graph_mut().nodes {
        if let Op::Conv(conv) = &mut node.op {
            conv.stride = vec![40_000; 2];
        }
    }
    let error = compile(&model).unwrap_err();
    let text = error.to_string();
    let refused = refusals(error);
    let nodes: Vec<&str> = refused.iter().map(|(node, _)| node.as_str()).collect();
    assert_eq!(nodes, ["", "lines", "parts"]);
    assert!(refused[0].1.contains("encode samples before"), "{text}");
    assert!(refused[1].1.contains("at most 32767, found 40000"), "{text}");
    assert!(text.contains("\nnode `parts`: a side, kernel"), "{text}");
}

#[test]
fn a_model_that_is_not_valid_is_refused() {
    let mut model = bars();
    model.weights_mut().remove("spikes.threshold");
    let error = compile(&model).unwrap_err();
    assert!(matches!(error, CompileError::Model(_)), "{error}");
    assert!(error.to_string().contains("`spikes.threshold` is missing"), "{error}");
}
