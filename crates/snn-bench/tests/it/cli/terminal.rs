//! Help, manual pages, completions, colour, and streams that are closed.

use super::{has, json, run, shared, snn, stderr, stdout};
use std::io::Write as _;
use std::process::{Command, Stdio};

const COMMANDS: [&str; 12] = [
    "demo",
    "data",
    "train",
    "convert",
    "finetune",
    "verify",
    "infer",
    "inspect",
    "table",
    "policy",
    "completions",
    "man",
];

#[test]
fn without_arguments_it_says_what_it_does() {
    let text = stdout(&run::<&str>([]).success());
    for command in COMMANDS {
        assert!(text.contains(&format!("snn {command}")), "{command}: {text}");
    }
    has(&json(&run(["--json"]).success()), &["tables"]);
}

#[test]
fn every_command_has_help() {
    let help = stdout(&run(["--help"]).success());
    assert!(
        help.contains(
            "Exit codes: 0 holds, 1 a check failed, 2 usage, input or I/O, 130 training \
                       stopped by Ctrl-C"
        ),
        "{help}"
    );
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
        let own = stdout(&run([command, "--help"]).success());
        assert!(own.contains(&format!("Usage: snn {command}")) && own.contains("--json"), "{own}");
    }
    assert!(stdout(&run(["--version"]).success()).starts_with("snn 0."));
}

#[test]
fn manual_pages_cover_every_command() {
    let page = stdout(&run(["man"]).success());
    assert!(page.contains(".TH snn 1") && page.contains("snn\\-train(1)"), "{page}");
    let folder = super::folder("man");
    let pages = json(&snn().args(["man", "--json", "--out"]).arg(&folder).assert().success());
    let names: Vec<&str> =
        pages.as_array().unwrap().iter().map(|page| page["name"].as_str().unwrap()).collect();
    for name in COMMANDS.map(|command| format!("snn-{command}.1")) {
        assert!(
            names.contains(&name.as_str()) && folder.join(&name).is_file(),
            "{name} of {names:?}"
        );
    }
    assert!(names.contains(&"snn-policy-show.1") && names.contains(&"snn-data-check.1"));
}

#[test]
fn generated_pages_are_what_the_definitions_say() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    run(["docs", "--check", "--root", root]).success();
    // The control: a page that is not.
    let folder = super::folder("docs");
    std::fs::create_dir_all(folder.join("crates/a")).unwrap();
    std::fs::create_dir_all(folder.join("docs/book/src")).unwrap();
    let page = folder.join("crates/a/README.md");
    std::fs::write(&page, "<!-- generated: policies --><!-- end -->\n").unwrap();
    let docs = |check: &[&str]| {
        snn().args(["docs", "--root"]).arg(&folder).args(check).assert().get_output().status.code()
    };
    assert_eq!(docs(&["--check"]), Some(1));
    assert_eq!((docs(&[]), docs(&["--check"])), (Some(0), Some(0)));
    assert!(std::fs::read_to_string(&page).unwrap().contains("| `outer` |"));
}

#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&run(["completions", shell]).success());
        assert!(script.contains("finetune") && script.contains("naive-samples"), "{shell}");
        let parsed = json(&run(["completions", shell, "--json"]).success());
        assert_eq!((&parsed["shell"], &parsed["script"]), (&shell.into(), &script.into()));
    }
    // The shell that is everywhere reads it.
    let script = stdout(&run(["completions", "bash"]).success());
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn there_is_no_colour_outside_a_terminal_or_with_no_color() {
    let escapes = |command: &mut assert_cmd::Command| {
        let assert = command.assert();
        stdout(&assert).contains('\u{1b}') || stderr(&assert).contains('\u{1b}')
    };
    for arguments in [&["--help"][..], &["--nonsense"], &[], &["inspect", "no/such"]] {
        assert!(!escapes(snn().args(arguments)), "{arguments:?}");
        assert!(
            !escapes(snn().env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").args(arguments)),
            "{arguments:?}"
        );
    }
    // The control: there is colour to be switched off.
    assert!(escapes(snn().env("CLICOLOR_FORCE", "1").arg("--help")));
    let run = snn()
        .args(["infer", "--dataset", "shapes10", "--limit", "1"])
        .arg(&shared().model)
        .assert()
        .success();
    assert!(!stderr(&run).contains('\u{1b}') && !stderr(&shared().trained).contains('\u{1b}'));
}

/// A pipe that nobody reads from.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_snn"))
}

#[test]
fn a_closed_stdout_is_an_error_in_one_line() {
    let model = shared().model.to_str().unwrap();
    for arguments in [
        &[][..],
        &["--json"],
        &["man"],
        &["completions", "zsh"],
        &["data", "check", "shapes10"],
        &["data", "list"],
        &["policy", "show", shared().config.to_str().unwrap()],
        &["inspect", model],
        &["inspect", model, "--json"],
        &["infer", model, "--dataset", "shapes10", "--limit", "1"],
    ] {
        let output = program().args(arguments).stdout(closed()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        let last = message.lines().last().unwrap();
        assert!(
            last.starts_with("error: cannot write the result to stdout: Broken pipe"),
            "{message}"
        );
        assert!(!message.contains("panicked"), "{message}");
    }
    assert!(
        program()
            .arg("--help")
            .stdout(closed())
            .status()
            .unwrap()
            .code()
            .is_some_and(|code| code != 101)
    );
}

#[test]
fn a_closed_stderr_stops_nothing() {
    let infer =
        ["infer", shared().model.to_str().unwrap(), "--dataset", "shapes10", "--limit", "1"];
    let output = program().args(infer).stderr(closed()).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
    assert_eq!(
        program().args(["inspect", "no/such"]).stderr(closed()).status().unwrap().code(),
        Some(2)
    );
}
