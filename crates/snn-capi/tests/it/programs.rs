//! The examples in C and Python, on the shipped network: the results of the Rust interface.

use snn_runtime::Deployment;
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
    let run = |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(root().join("examples/python/classify.py")).args(arguments);
        command.env("SNN_LIBRARY", libraries().join(shared_name())).current_dir(root());
        command
    };
    assert_eq!(output(&mut run(&[MODEL])), expected(5).join("\n") + "\n");
    let wrong = run(&["absent"]).output().unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("SnnError: absent"), "{wrong:?}");

    // The module, used as a library: every result, and wrong input.
    let mut module = Command::new("python3");
    module.arg(root().join("examples/python/test_snn.py")).arg(root().join(MODEL));
    module.env("SNN_LIBRARY", libraries().join(shared_name()));
    output(&mut module);
}
