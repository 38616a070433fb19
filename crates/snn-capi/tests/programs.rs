//! The examples in C and Python, on the shipped network: the results of the Rust interface.

use snn_runtime::Model;
use snn_runtime::deploy::{Deploy, Options};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The folder that cargo has put the libraries into: `examples/` beside `deps/`, in which this test
/// is.
fn libraries() -> PathBuf {
    let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples");
    for name in [shared_name(), "libsnn.a"] {
        assert!(folder.join(name).is_file(), "{name} is not in {}", folder.display());
    }
    folder
}

fn shared_name() -> &'static str {
    if cfg!(target_os = "macos") { "libsnn.dylib" } else { "libsnn.so" }
}

/// The line that the examples print for a run, by the Rust interface.
fn expected() -> String {
    let model = Model::load(root().join("fixtures/resnet20-cifar100-int8.safetensors")).unwrap();
    let pixels: Vec<u8> = (0..=u8::MAX).cycle().take(3 * 32 * 32).collect();
    let mut session = model.session(&Options::default()).unwrap();
    let scores = session.run(&pixels).unwrap();
    let class = scores.argmax();
    let snn_runtime::Scores::Integer(sums) = scores else { panic!("integers") };
    let logit = model.logit_scale(model.time_steps() as u64).unwrap() * sums[class] as f64;
    format!("class {class} {}, sum {}, logit {logit:.4}", model.classes()[class], sums[class])
}

/// Whether a program is here; says so where it is not.
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

#[test]
#[cfg(unix)]
fn the_example_in_c_runs_with_either_library() {
    if !is_here("cc") {
        return;
    }
    let (root, libraries, folder) = (root(), libraries(), tempfile::tempdir().unwrap());
    let model = root.join("fixtures/resnet20-cifar100-int8.safetensors");
    for library in [shared_name(), "libsnn.a"] {
        let program = folder.path().join(library);
        let mut compile = Command::new("cc");
        compile.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I"]);
        compile.arg(root.join("crates/snn-capi/include")).arg(root.join("examples/c/classify.c"));
        compile.arg(libraries.join(library)).args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program);
        output(&mut compile);
        let run = |arguments: &[&Path]| {
            let mut command = Command::new(&program);
            command
                .args(arguments)
                .env("LD_LIBRARY_PATH", &libraries)
                .env("DYLD_LIBRARY_PATH", &libraries);
            command
        };
        let printed = output(&mut run(&[&model]));
        let lines: Vec<&str> = printed.lines().collect();
        assert!(
            lines[0].starts_with(concat!("snn ", env!("CARGO_PKG_VERSION"), ", ")),
            "{printed}"
        );
        assert_eq!(
            lines[1..3],
            [format!("image: {}", expected()), format!("stream: {}", expected())],
            "{printed}"
        );
        let batch = lines[3].rsplit_once(' ').unwrap();
        assert!(batch.0.ends_with(batch.1), "both images of the batch are the same: {printed}");
        // What is wrong is said.
        let wrong = run(&[Path::new("absent")]).output().unwrap();
        assert_eq!(wrong.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&wrong.stderr).starts_with("load: absent"), "{wrong:?}");
    }
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

#[test]
#[cfg(unix)]
fn the_example_in_python_runs() {
    if !is_here("python3") {
        return;
    }
    let (root, libraries) = (root(), libraries());
    let mut command = Command::new("python3");
    command.arg(root.join("examples/python/classify.py")).arg(libraries.join(shared_name()));
    let printed = output(command.arg(root.join("fixtures/resnet20-cifar100-int8.safetensors")));
    assert_eq!(printed, format!("image: {0}\nstream: {0}\n", expected()));
}
