//! One side of a comparison: a program that says when it is ready, and then measures when it is
//! asked to.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A program in waiting. It answers every line with a line of JSON.
#[derive(Debug)]
pub(crate) struct Side {
    name: String,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Side {
    /// Starts a program; returns it with what it says once it is ready.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<(Self, Value)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let requests = child.stdin.take();
        let answers = child.stdout.take().context("a program without output")?;
        let mut side =
            Self { name: name.to_owned(), child, requests, answers: BufReader::new(answers) };
        let ready = side.answer()?;
        Ok((side, ready))
    }

    /// What it answers to a request.
    pub(crate) fn ask(&mut self, request: &str) -> Result<Value> {
        let requests = self.requests.as_mut().context("a program without input")?;
        writeln!(requests, "{request}")
            .and_then(|()| requests.flush())
            .with_context(|| format!("{}: ended before it was asked `{request}`", self.name))?;
        self.answer()
    }

    /// The next line of JSON; libraries print other lines as they like.
    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                let status = self.child.wait()?;
                bail!("{}: ended without an answer: {status}", self.name);
            }
            if line.starts_with('{') {
                return serde_json::from_str(&line)
                    .with_context(|| format!("{}: no JSON: {line}", self.name));
            }
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // The end of its input ends a program; it is waited for so that it is gone before the next
        // measurement.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_side_answers_in_turn_and_its_other_lines_are_passed_over() -> Result<()> {
        let script = "echo hello; echo '{\"ready\": 1}'; while read line; do echo noise; echo \
                      \"{\\\"said\\\": \\\"$line\\\"}\"; done";
        let (mut side, ready) = Side::start("echo", &mut shell(script))?;
        assert_eq!(ready["ready"], 1);
        assert_eq!(side.ask("batch 2")?["said"], "batch 2");
        assert_eq!(side.ask("single 1")?["said"], "single 1");
        Ok(())
    }

    #[test]
    fn a_side_that_ends_is_an_error_with_its_name() -> Result<()> {
        let error =
            Side::start("mute", &mut shell("exit 3")).expect_err("it said nothing").to_string();
        assert!(
            error.starts_with("mute: ended without an answer") && error.contains('3'),
            "{error}"
        );
        let (mut side, _) = Side::start("short", &mut shell("echo '{}'; exit 4"))?;
        let error = side.ask("batch 1").expect_err("it has ended").to_string();
        assert!(error.starts_with("short: ended"), "{error}");
        Ok(())
    }
}
