//! The limit of a process, each case in a process of its own.

use snn_simd::{Available, InstructionSet, Kernel, VARIABLE, check_limit, run_with_avx2};
use std::process::{Command, Output};

/// Runs the ignored test `name` of this binary with the variable set.
fn run(name: &str, value: &str) -> Output {
    let program = std::env::current_exe().expect("this test");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--ignored", "--nocapture"]).env(VARIABLE, value);
    command.output().expect("a process")
}

struct Sum<'v>(&'v [u32]);

impl Kernel for Sum<'_> {
    type Output = u32;

    #[inline]
    fn run(self) -> u32 {
        self.0.iter().sum()
    }
}

#[test]
#[ignore = "run by the tests below, with the variable set"]
fn child_within_the_limit() {
    let limit = check_limit().expect("a set of this machine");
    assert_eq!(limit.label(), std::env::var(VARIABLE).expect("the variable"));
    assert_eq!(InstructionSet::best(), limit);
    assert_eq!(Available::best().set(), limit);
    for set in InstructionSet::ALL {
        assert!(set <= limit || !set.is_available(), "{set} above {limit}");
        assert_eq!(Available::new(set).is_some(), set.is_available());
    }
    let values: Vec<u32> = (0..1000).collect();
    assert_eq!(run_with_avx2(Sum(&values)), 499_500);
    for available in Available::each() {
        assert_eq!(available.run(Sum(&values)), 499_500, "{}", available.set());
    }
}

#[test]
#[ignore = "run by the tests below, with the variable set"]
fn child_with_a_wrong_value() {
    assert!(check_limit().is_err());
    assert_eq!(InstructionSet::best(), InstructionSet::Scalar);
}

#[test]
fn every_available_instruction_set_can_be_the_limit_of_a_process() {
    for set in InstructionSet::available() {
        let output = run("child_within_the_limit", set.label());
        assert!(output.status.success(), "{set}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_wrong_value_is_an_error_and_said_once_where_none_can_be_returned() {
    let output = run("child_with_a_wrong_value", "sse9");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("unknown instruction set `sse9`").count(), 1, "{said}");
}

#[test]
fn names_are_read_as_they_are_written() {
    for set in InstructionSet::ALL {
        assert_eq!(set.to_string().parse(), Ok(set));
    }
    let error = "AVX2".parse::<InstructionSet>().expect_err("case matters").to_string();
    assert!(error.contains("`AVX2`; expected scalar, avx2, avx512, avx512vnni or amx"), "{error}");
}
