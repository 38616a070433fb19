//! The examples in C, on the shipped network: the results of the Rust interface.

use snn_runtime::Deployment;
use snn_runtime::deploy::{Event, windows};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The folder of the libraries, built as this test was.
fn libraries() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        // The test is at TARGET/PROFILE/deps/NAME.
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap().to_path_buf();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "snn-capi", "--target-dir"]);
        build.arg(folder.parent().unwrap()).current_dir(root());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        output(&mut build);
        for name in [shared_name(), "libsnn.a"] {
            assert!(folder.join(name).is_file(), "{name} is not in {}", folder.display());
        }
        folder
    };
    BUILT.get_or_init(build).clone()
}

fn shared_name() -> &'static str {
    if cfg!(target_os = "macos") { "libsnn.dylib" } else { "libsnn.so" }
}

const MODEL: &str = "fixtures/resnet20-cifar100-int8.safetensors";

/// The lines that the examples print, by the Rust interface: the best classes of a made-up picture.
fn expected(count: usize) -> Vec<String> {
    let pixels: Vec<u8> = (0..=u8::MAX).cycle().take(3 * 32 * 32).collect();
    let deployment = Deployment::load(root().join(MODEL)).unwrap();
    let best = deployment.session().run(&pixels).unwrap().best(count);
    best.iter()
        .map(|class| format!("{:5.1} % {}", 100.0 * class.probability, class.label()))
        .collect()
}

/// `true` if a program is here; says so where it is not.
#[expect(clippy::print_stderr, reason = "a test that cannot run says why")]
fn is_here(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
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

/// Compiles an example and returns the command that runs it with a library.
fn compiled(example: &str, library: &str, folder: &Path) -> Command {
    let (root, libraries) = (root(), libraries());
    let program = folder.join(format!("{example}-{library}"));
    let mut compile = Command::new("cc");
    compile.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I"]);
    compile.arg(root.join("crates/snn-capi/include"));
    compile.arg(root.join("examples/c").join(example).with_extension("c"));
    compile.arg(libraries.join(library)).args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program);
    output(&mut compile);
    let mut command = Command::new(&program);
    command.env("LD_LIBRARY_PATH", &libraries).env("DYLD_LIBRARY_PATH", &libraries);
    command
}

#[test]
#[cfg(unix)]
fn the_examples_in_c_run_with_either_library() {
    if !is_here("cc") {
        return;
    }
    let (folder, best) = (tempfile::tempdir().unwrap(), expected(3));
    for library in [shared_name(), "libsnn.a"] {
        let mut classify = compiled("classify", library, folder.path());
        let printed = output(classify.arg(root().join(MODEL)));
        assert_eq!(printed, format!("{}\n", best[0]));
        let mut wrong = compiled("classify", library, folder.path());
        let wrong = wrong.arg("absent").output().unwrap();
        assert_eq!(wrong.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&wrong.stderr).starts_with("load: absent"), "{wrong:?}");

        let mut sessions = compiled("sessions", library, folder.path());
        let printed = output(sessions.arg(root().join(MODEL)));
        let lines: Vec<&str> = printed.lines().collect();
        let version = concat!("snn ", env!("CARGO_PKG_VERSION"), ", ");
        assert!(lines[0].starts_with(version), "{printed}");
        assert_eq!((lines[1], lines[5]), ("image", "stream"), "{printed}");
        for (line, best) in lines[2..5].iter().zip(&best) {
            assert!(line.starts_with(&format!("{best}, sum ")), "{printed}");
        }
        assert_eq!(lines[2..5], lines[6..9], "a stream of T frames is the image: {printed}");
        let batch = lines[9].rsplit_once(' ').unwrap();
        assert!(batch.0.ends_with(batch.1), "both images of the batch are the same: {printed}");
    }
}

/// A recording in windows, by the Rust interface: a line each, as the examples print them.
fn windows_of(model: &Path, events: &[Event], micros: u64) -> String {
    let mut session = Deployment::load(model).unwrap().session();
    let (mut state, mut until) = (session.rest(), events[0].t);
    let lines = windows(events, micros.try_into().unwrap()).unwrap().map(|window| {
        until += i64::try_from(micros).unwrap();
        let best = session.push_events(&mut state, window).unwrap().prediction();
        let (count, name) = (window.len(), best.label());
        format!("{until} us, {count} events: {:5.1} % {name}\n", 100.0 * best.probability)
    });
    lines.collect()
}

#[test]
#[cfg(unix)]
fn the_example_runs_a_recording_as_its_events_arrive() {
    if !is_here("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    super::interface::model().save(&model).unwrap();
    // 300 events on the sensor of 4x3, with a pause of several windows.
    let event = |i: u16| {
        let t = 20 * i64::from(i) + if i < 100 { 7 } else { 3_000 };
        Event { t, x: i * 7 % 4, y: i * 5 % 3, polarity: i % 5 < 2 }
    };
    let events: Vec<Event> = (0..300).map(event).collect();
    let record = |event: &Event| {
        let [.., high, middle, low] = event.t.to_be_bytes();
        let [x, y] = [event.x, event.y].map(|at| u8::try_from(at).unwrap());
        [x, y, high | u8::from(event.polarity) << 7, middle, low]
    };
    let bytes: Vec<u8> = events.iter().flat_map(record).collect();
    let recording = folder.path().join("recording.bin");
    let mut program = compiled("events", shared_name(), folder.path());
    program.arg(&model).arg("500");
    let mut run = |bytes: &[u8]| {
        std::fs::write(&recording, bytes).unwrap();
        program.stdin(std::fs::File::open(&recording).unwrap()).output().unwrap()
    };
    let expected = windows_of(&model, &events, 500);
    assert!(expected.lines().count() > 15 && expected.contains(" 0 events"), "{expected}");
    // The first event once more, after those of later windows.
    let late = run(&[&bytes, &bytes[..5]].concat());
    let message = String::from_utf8(late.stderr).unwrap();
    assert_eq!(late.status.code(), Some(1));
    assert!(message.starts_with("an event at 7 us, after the window"), "{message}");
    let whole = run(&bytes);
    assert!(whole.status.success(), "{whole:?}");
    assert_eq!(String::from_utf8(whole.stdout).unwrap(), expected);
}

#[test]
#[cfg(unix)]
fn the_header_is_c_plus_plus_too() {
    if !is_here("c++") {
        return;
    }
    let (root, folder) = (root(), tempfile::tempdir().unwrap());
    let source = folder.path().join("header.cpp");
    std::fs::write(&source, "#include <snn.h>\nint main() { return *snn_last_error(); }\n")
        .unwrap();
    let mut compile = Command::new("c++");
    compile.args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]);
    output(compile.arg(root.join("crates/snn-capi/include")).arg(source));
}

/// A process that has used a model on so many threads and for batches forks, as Python's
/// `multiprocessing` does, and the child uses the same model and session; it has ten seconds.
const FORK: &str = r#"
#define _POSIX_C_SOURCE 200809L
#include <snn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t sums[3][400];
static uint8_t images[4 * 3 * 32 * 32];

static void check(snn_status status) {
    if (status != SNN_OK) {
        fprintf(stderr, "%s\n", snn_last_error());
        _exit(2);
    }
}

static void work(SnnModel *model, SnnSession *session, int64_t *into) {
    size_t size = snn_model_input_size(model), classes = snn_model_classes(model);
    check(snn_session_run(session, images, size));
    check(snn_session_sums(session, into, classes));
    check(snn_model_run_batch(model, images, 2 * size, 2, into + classes, NULL, 2 * classes));
}

int main(int count, char **arguments) {
    SnnOptions options = {0, 0};
    SnnModel *model;
    SnnSession *session;
    int ended;
    if (count != 3) return 1;
    options.threads = (uint32_t)atoi(arguments[2]);
    for (size_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)(i * 7);
    check(snn_model_load(arguments[1], &options, &model));
    check(snn_session_new(model, &session));
    work(model, session, sums[0]);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        work(model, session, sums[1]);
        work(model, session, sums[2]);
        int same = !memcmp(sums[0], sums[1], sizeof sums[0]) &&
                   !memcmp(sums[0], sums[2], sizeof sums[0]);
        /* A child of the child, and the end of what was inherited. */
        pid_t next = fork();
        if (next == 0) {
            alarm(10);
            work(model, session, sums[1]);
            _exit(memcmp(sums[0], sums[1], sizeof sums[0]) ? 3 : 0);
        }
        waitpid(next, &ended, 0);
        if (!WIFEXITED(ended) || WEXITSTATUS(ended)) _exit(4);
        snn_session_free(session);
        snn_model_free(model);
        _exit(same ? 0 : 5);
    }
    waitpid(child, &ended, 0);
    if (!WIFEXITED(ended)) return printf("the child hung\n"), 1;
    if (WEXITSTATUS(ended)) return printf("the child found %d\n", WEXITSTATUS(ended)), 1;
    work(model, session, sums[1]);
    printf("%s\n", memcmp(sums[0], sums[1], sizeof sums[0]) ? "others" : "the same");
    return 0;
}
"#;

#[test]
#[cfg(unix)]
fn a_child_of_fork_uses_the_models_of_its_parent() {
    if !is_here("cc") {
        return;
    }
    let (root, folder) = (root(), tempfile::tempdir().unwrap());
    let (source, program) = (folder.path().join("fork.c"), folder.path().join("fork"));
    std::fs::write(&source, FORK).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"]);
    compile.arg(root.join("crates/snn-capi/include")).arg(&source);
    compile.arg(libraries().join(shared_name())).arg("-o").arg(&program);
    output(&mut compile);
    for threads in ["1", "2", "8"] {
        let mut run = Command::new(&program);
        run.env("LD_LIBRARY_PATH", libraries()).env("DYLD_LIBRARY_PATH", libraries());
        assert_eq!(output(run.arg(root.join(MODEL)).arg(threads)), "the same\n", "{threads}");
    }
}
