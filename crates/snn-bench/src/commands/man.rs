//! `man`: manual pages, made from the definition of the command line.

use crate::cli::{Cli, Man};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::Result;
use clap::{Command, CommandFactory as _};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Serialize)]
struct Page {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    text: String,
}

pub(crate) fn run(arguments: &Man, json: bool) -> Result<Outcome> {
    let mut root = Cli::command().disable_help_subcommand(true);
    // Names of subcommands become `snn-train`.
    root.build();
    let mut pages = Vec::new();
    collect(&root, &mut pages)?;
    match &arguments.out {
        None => pages.truncate(1),
        Some(folder) => {
            for page in &mut pages {
                page.file = Some(folder.join(&page.name));
            }
            let all = || {
                pages.iter().filter_map(|page| page.file.as_ref().map(|file| (file, &page.text)))
            };
            // All of them or none.
            all().try_for_each(|(file, _)| files::refuse_existing(file, arguments.force))?;
            all().try_for_each(|(file, text)| {
                files::write(file, text.as_bytes(), arguments.force)
            })?;
        }
    }
    if json {
        print_json(&pages)?;
        return Ok(Outcome::Holds);
    }
    for page in &pages {
        match &page.file {
            Some(file) => output::line(file.display())?,
            None => output::print(&page.text)?,
        }
    }
    Ok(Outcome::Holds)
}

/// The page of a command, then those of its subcommands.
fn collect(command: &Command, pages: &mut Vec<Page>) -> Result<()> {
    let man = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)?;
    pages.push(Page { name: man.get_filename(), file: None, text: String::from_utf8(text)? });
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .try_for_each(|sub| collect(sub, pages))
}
