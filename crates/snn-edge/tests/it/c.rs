//! The C interface: the example in C, without Rust's standard library and without allocation.

use crate::network::bars;
use ndarray::{Array1, Array4};
use snn_edge::{Mode, Program, compile};
use snn_ir::{Evaluate, Input, Logits, Naive, Record};
use snn_test_support::workspace;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Allocators that end the program, in place of those of the C library.
const NO_ALLOCATION: &str = r#"
#include <stddef.h>
#include <unistd.h>
static void *refused(void) {
    static const char text[] = "it allocates\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(77);
}
void *__wrap_malloc(size_t size) { (void)size; return refused(); }
void *__wrap_calloc(size_t count, size_t size) { (void)count, (void)size; return refused(); }
void *__wrap_realloc(void *old, size_t size) { (void)old, (void)size; return refused(); }
"#;

/// A program that allocates, to show that this is found.
const ALLOCATES: &str = "#include <stdlib.h>\nint main(void) { return malloc(1) == NULL; }\n";

/// Every function of the header, and its errors, as numbers in the lines that it prints.
const INTERFACE: &str = r#"
#include <snn_edge.h>
#include <stdio.h>
#include "bars.h"

static SnnEdge engine;
static int32_t buffer[64];
static uint8_t frame[64];
static int64_t scores[2];
static SnnEdgeError error;

static void print(int32_t status) {
    printf("%d %d %.*s %d %lu %.*s\n", (int)status, (int)error.stage, (int)error.what_length,
           error.what, (int)error.relation, (unsigned long)error.expected, (int)error.text_length,
           error.text);
}

int main(void) {
    SnnEdgeInfo info;
    uint8_t damaged[sizeof bars];
    size_t i;
    if (snn_edge_info(bars, sizeof bars, &info, NULL)) return 1;
    printf("%lu %lu %lu %lu %lu %lu %lu %g\n", (unsigned long)info.input_shape[1],
           (unsigned long)info.input_size, (unsigned long)info.classes,
           (unsigned long)info.time_steps, (unsigned long)info.flash,
           (unsigned long)info.memory[0], (unsigned long)info.memory[2], info.logit_unit);
    print(snn_edge_step(&engine, frame, 64, scores, 2, &error));
    print(snn_edge_info(NULL, 64, &info, &error));
    for (i = 0; i < sizeof bars; i++) damaged[i] = bars[i];
    damaged[4] = 9;
    print(snn_edge_info(damaged, sizeof bars, &info, &error));
    print(snn_edge_init(&engine, bars, sizeof bars, SNN_EDGE_STREAM, buffer, 5, &error));
    print(snn_edge_init(&engine, bars, sizeof bars, 3, buffer, 64, &error));
    print(snn_edge_init(&engine, bars, sizeof bars, SNN_EDGE_STREAM,
                        (int32_t *)((char *)buffer + 1), 63, &error));
    if (snn_edge_init(&engine, bars, sizeof bars, SNN_EDGE_STREAM, buffer, 64, NULL)) return 2;
    print(snn_edge_run(&engine, frame, 64, scores, 2, &error));
    print(snn_edge_step(&engine, frame, 63, scores, 2, &error));
    print(snn_edge_step(&engine, frame, 64, scores, 3, &error));
    for (i = 0; i < 64; i++) frame[i] = i % 8 == 3 ? 255 : 0;
    for (i = 0; i < 8; i++) {
        if (i == 4 && snn_edge_reset(&engine, NULL)) return 3;
        if (snn_edge_step(&engine, frame, 64, scores, 2, NULL)) return 4;
        printf("%ld %ld\n", (long)scores[0], (long)scores[1]);
    }
    return 0;
}
"#;

/// `true` if a program is here; says so where it is not.
#[expect(clippy::print_stderr, reason = "a test that cannot run says why")]
fn is_here(program: &str) -> bool {
    let silent = Stdio::null;
    let found = Command::new(program).arg("--version").stdout(silent()).stderr(silent()).status();
    let here = found.is_ok_and(|status| status.success());
    if !here {
        eprintln!("skipped: {program} is not installed");
    }
    here
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn folder() -> PathBuf {
    workspace().join("crates/snn-edge")
}

/// The static library, built without the standard library as the README says. That it has a panic
/// handler of its own makes any use of the standard library an error of the compiler.
fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        // The test is at TARGET/PROFILE/deps/NAME.
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["rustc", "--quiet", "--release", "--package", "snn-edge"]);
        build.args(["--features", "panic-handler", "--crate-type", "staticlib"]);
        build.args(["--config", "profile.release.panic='abort'"]);
        build.args(["--config", "profile.release.lto=true", "--target-dir"]);
        output(build.arg(target).current_dir(workspace()));
        target.join("release/libsnn_edge.a")
    };
    BUILT.get_or_init(build).clone()
}

/// Compiles a program of C against the library, with allocators that end it.
fn compiled(source: &Path, folder_of_output: &Path) -> Command {
    let wrapped = folder_of_output.join("no_allocation.c");
    std::fs::write(&wrapped, NO_ALLOCATION).unwrap();
    let program = folder_of_output.join(source.file_stem().unwrap());
    let mut compile = Command::new("cc");
    compile.args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror"]);
    compile.arg("-I").arg(folder().join("include")).arg("-I").arg(folder().join("examples/c"));
    compile.arg(source).arg(wrapped).arg(library());
    compile.arg("-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc").arg("-o").arg(&program);
    output(&mut compile);
    Command::new(program)
}

/// Scores of a bar by the naive evaluator.
fn scores(vertical: bool) -> Vec<i64> {
    let on = |y: usize, x: usize| if vertical { x == 3 } else { y == 3 };
    let image = Array4::from_shape_fn([1, 1, 8, 8], |(_, _, y, x)| 255 * u8::from(on(y, x)));
    let model = bars();
    let input = Input::Static(image.view().into_dyn());
    let found = Naive::new(&model).unwrap().evaluate(&input, Record::Logits).unwrap();
    let Logits::Integer(sums) = found.logits else { panic!("a model on the grid has integers") };
    sums.row(0).to_vec()
}

#[test]
fn the_example_in_c_runs_and_allocates_nothing() {
    if !is_here("cc") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let allocates = temporary.path().join("allocates.c");
    std::fs::write(&allocates, ALLOCATES).unwrap();
    let found = compiled(&allocates, temporary.path()).output().unwrap();
    assert_eq!((found.status.code(), found.stderr.as_slice()), (Some(77), &b"it allocates\n"[..]));

    let printed = output(&mut compiled(&folder().join("examples/c/main.c"), temporary.path()));
    let program = compile(&bars()).unwrap();
    let program = Program::new(&program).unwrap();
    let (flash, memory) = (program.flash(), 4 * program.memory(Mode::Image));
    let [horizontal, vertical] = [scores(false), scores(true)];
    assert!(horizontal[0] > horizontal[1] && vertical[0] < vertical[1]);
    let expected = format!(
        "flash {flash} bytes, RAM {memory} bytes\nhorizontal bar: scores {} {}\n\
         vertical bar: scores {} {}\n",
        horizontal[0], horizontal[1], vertical[0], vertical[1]
    );
    assert_eq!(printed, expected);
}

#[test]
fn every_function_of_the_header_does_what_it_says() {
    if !is_here("cc") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let source = temporary.path().join("interface.c");
    std::fs::write(&source, INTERFACE).unwrap();
    let printed = output(&mut compiled(&source, temporary.path()));
    let program = compile(&bars()).unwrap();
    let program = Program::new(&program).unwrap();
    let [image, _, stream] = Mode::ALL.map(|mode| program.memory(mode));
    let pointer = "3 0 a pointer that is aligned and not null";
    let mut expected = vec![
        format!("8 64 2 4 {} {image} {stream} 0.25", program.flash()),
        "1 -1 engine 3 0 an engine that snn_edge_init has made".into(),
        format!("1 -1 program {pointer}"),
        "2 -1 version 0 1 ".into(),
        format!("3 -1 words of 32 bits 2 {stream} "),
        "5 -1 mode 3 0 an SNN_EDGE_ mode".into(),
        format!("1 -1 buffer {pointer}"),
        "5 -1 run 3 0 the mode of images or of frames".into(),
        "4 -1 bytes 0 64 ".into(),
        "3 -1 scores 0 2 ".into(),
    ];
    // The scores of a stream after four frames are those of the image; the reset begins anew.
    let lines: Vec<&str> = printed.lines().collect();
    let steps = &lines[expected.len()..];
    let last = Array1::from(scores(true)).iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!((steps.len(), steps[3], steps[7]), (8, last.as_str(), last.as_str()));
    assert_eq!(steps[..4], steps[4..], "{printed}");
    expected.extend(steps.iter().map(ToString::to_string));
    assert_eq!(lines, expected);
}
