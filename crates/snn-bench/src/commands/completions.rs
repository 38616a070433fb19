//! `completions`: a script that completes commands and options.

use crate::cli::{Cli, Completions};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::Result;
use clap::CommandFactory as _;
use serde::Serialize;

#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

pub(crate) fn run(arguments: &Completions, json: bool) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "snn", &mut script);
    let script = String::from_utf8(script)?;
    if json {
        print_json(&Script { shell: arguments.shell.to_string(), script })?;
    } else {
        output::print(script)?;
    }
    Ok(Outcome::Holds)
}
