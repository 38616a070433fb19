//! `cargo xtask`: everything in this repository that is more than one cargo command.
//!
//! Exit codes: 0 it worked, 1 the demo or a test failed, 2 wrong usage or libtorch could not be set
//! up.

#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command-line program that reports its progress and prints its results"
)]

mod cache;
mod checks;
mod layout;
mod libtorch;
mod nvrtc;
mod own;
mod pip;
mod pytorch;
mod wheel;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use libtorch::{Libtorch, Reuse};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup [--force]   put libtorch in the cache and link it at .libtorch; --force makes it anew
  demo [ARGS]       setup, then `snn demo ARGS`, built without what reads files of data
  test [ARGS]       setup, then `cargo test --workspace ARGS`, or of the packages in ARGS
  docs [--check]    setup, then writes the generated parts of the documentation, or checks them
  nvrtc             puts CUDA's run-time compiler in the cache and prints its folder, for tests of
                    the kernels of GPUs: SNN_NVRTC=$(cargo xtask nvrtc) cargo xtask test
  instruction-sets  the instruction sets of this machine that SNN_INSTRUCTION_SET can name
  check [widths] [paths] [circles]
                    lines of more than 100 columns; paths that prose names and that are not there;
                    circles of more than two files of a crate
  bench-peers train|infer|data [ARGS]
                    benchmarks beside other libraries; without arguments it prints its own usage
  help              this text

environment
  LIBTORCH          use this libtorch instead (a folder with lib/ and include/)
  LIBTORCH_USE_PYTORCH
                    use that of the PyTorch in your Python (the active virtual environment's)
  SNN_CACHE_DIR     the cache; otherwise $XDG_CACHE_HOME/snn, otherwise ~/.cache/snn
";

const EXIT_CHILD_FAILED: u8 = 1;
const EXIT_USAGE_OR_SETUP: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", described(&error));
            ExitCode::from(EXIT_USAGE_OR_SETUP)
        }
    }
}

/// The error and what caused it, a line each.
fn described(error: &anyhow::Error) -> String {
    let lines: Vec<String> = error.chain().map(ToString::to_string).collect();
    lines.join("\n  because: ")
}

fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.to_str(), rest),
        None => (Some("help"), arguments),
    };
    match (command, rest) {
        (Some("help" | "--help" | "-h"), _) => {
            eprint!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        (Some("setup"), []) => setup(Reuse::IfSound),
        (Some("setup"), [flag]) if flag == "--force" => setup(Reuse::Never),
        // Without the readers of pictures and recordings, which the demo has no use for.
        (Some("demo"), rest) => {
            cargo(&["run", "-p", "snn-bench", "--no-default-features", "--", "demo"], rest)
        }
        (Some("test"), rest) if names_packages(rest) => cargo(&["test"], rest),
        (Some("test"), rest) => cargo(&["test", "--workspace"], rest),
        (Some("docs"), rest) => cargo(&["run", "-p", "snn-bench", "--", "docs"], rest),
        (Some("check"), what) => check(what),
        (Some("nvrtc"), []) => {
            println!("{}", nvrtc::ensure()?.display());
            Ok(ExitCode::SUCCESS)
        }
        (Some("instruction-sets"), []) => {
            snn_simd::InstructionSet::available().for_each(|set| println!("{set}"));
            Ok(ExitCode::SUCCESS)
        }
        (Some("bench-peers"), rest) => bench_peers(rest),
        _ => Ok(wrong_usage()),
    }
}

/// Checks of the tree: those that are named, or all.
fn check(names: &[OsString]) -> Result<ExitCode> {
    let root = workspace_root()?;
    let known = ["widths", "paths", "circles"];
    let names: Vec<&str> = if names.is_empty() {
        known.to_vec()
    } else {
        names.iter().filter_map(|name| name.to_str()).collect()
    };
    let mut sound = true;
    for name in names {
        sound &= match name {
            "widths" => checks::widths::run(&root)?,
            "paths" => checks::paths::run(&root)?,
            "circles" => checks::circles::run(&root, &checks::circles::crates(&root)?)?,
            _ => return Ok(wrong_usage()),
        };
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CHILD_FAILED) })
}

/// `true` if arguments of cargo say which packages; with `--workspace` it would not look at them.
fn names_packages(arguments: &[OsString]) -> bool {
    let ours = arguments.iter().take_while(|argument| *argument != "--");
    ours.filter_map(|argument| argument.to_str())
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

fn wrong_usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(EXIT_USAGE_OR_SETUP)
}

fn setup(reuse: Reuse) -> Result<ExitCode> {
    let root = workspace_root()?;
    match libtorch::ensure(&root, reuse)? {
        Libtorch::Linked(folder) => {
            eprintln!("libtorch is ready: .libtorch -> {}", folder.display());
        }
        Libtorch::Own(folder) => {
            eprintln!("using your own libtorch: LIBTORCH={}", folder.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sets libtorch up, then runs cargo in the workspace.
fn cargo(arguments: &[&str], rest: &[OsString]) -> Result<ExitCode> {
    let mut child = cargo_command()?;
    let status = child
        .args(arguments)
        .args(rest)
        .status()
        .with_context(|| format!("cannot start {child:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CHILD_FAILED) })
}

/// Runs the benchmarks of `benches/peers`, which set libtorch up themselves where they need it.
fn bench_peers(rest: &[OsString]) -> Result<ExitCode> {
    let mut child = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    child
        .args(["run", "--quiet", "--package", "snn-bench-peers", "--"])
        .args(rest)
        .env("SNN_CACHE_DIR", cache::folder(|name| env::var_os(name))?)
        .current_dir(workspace_root()?);
    let status = child.status().with_context(|| format!("cannot start {child:?}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(EXIT_CHILD_FAILED)))
}

/// Sets libtorch up; cargo in the workspace, with it.
fn cargo_command() -> Result<Command> {
    let root = workspace_root()?;
    let libtorch = libtorch::ensure(&root, Reuse::IfSound)?;
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(&program);
    child.current_dir(&root);
    match libtorch {
        // `.cargo/config.toml` has put LIBTORCH into our environment and will do so again: the
        // child then sees what it would see without us, so that torch-sys is not built twice.
        Libtorch::Linked(_) => child.env_remove("LIBTORCH").env_remove(pytorch::VARIABLE),
        Libtorch::Own(folder) => {
            child.env("LD_LIBRARY_PATH", library_path(&folder)?).env("LIBTORCH", folder)
        }
    };
    Ok(child)
}

/// `LD_LIBRARY_PATH` with the libraries of `libtorch` first. The runner in `.cargo/config.toml`
/// does the same for programs that cargo starts; this is for those who replaced the runner by their
/// own.
fn library_path(libtorch: &Path) -> Result<OsString> {
    let lib = libtorch.join("lib");
    let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others = env::split_paths(&before)
        .filter(|path| !path.as_os_str().is_empty() && *path != lib)
        .collect::<Vec<PathBuf>>();
    env::join_paths(std::iter::once(lib.clone()).chain(others))
        .with_context(|| format!("{} cannot stand in a search path", lib.display()))
}

fn workspace_root() -> Result<PathBuf> {
    env::var_os("CARGO_MANIFEST_DIR")
        .as_deref()
        .map(Path::new)
        .and_then(Path::parent)
        .filter(|root| root.as_os_str() != OsStr::new(""))
        .map(Path::to_owned)
        .context("start this as `cargo xtask`, so that cargo says where the workspace is")
}
