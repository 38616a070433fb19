//! Parts of the documentation that are made from definitions: commands from clap's, keys of a
//! config from serde's, policies and networks from their own.

use crate::cli::Cli;
use anyhow::{Context as _, Result, bail};
use clap::{Arg, Command, CommandFactory as _};
use snn_ir::networks::{BuiltIn, NETWORKS, Row};
use snn_ir::{Code, Form, Lif, Model, Node, Op, Preprocessing, Signature};
use snn_train::RunConfig;
use std::fmt::Write as _;

/// Arguments that every command has.
const COMMON: [&str; 3] = ["help", "version", "json"];

/// A part by its name, as Markdown.
///
/// # Errors
/// Nothing that is generated has the name, or the config cannot be written.
pub(crate) fn block(name: &str) -> Result<String> {
    Ok(match name {
        "commands" => table(&program()),
        "command reference" => reference(&program()),
        "policies" => policies(),
        "networks" => networks().context("the built-in networks")?,
        "config" => config().context("the config with its defaults")?,
        _ => bail!("nothing that is generated is called `{name}`"),
    })
}

/// The least config with all its defaults.
fn config() -> Result<String> {
    let least = RunConfig::from_toml("epochs = 4\n[data]\ndataset = \"cifar-100\"")?;
    Ok(format!("```toml\n{}```\n", least.to_toml()?))
}

/// The commands and what they do, a line each, for a terminal.
pub(crate) fn overview() -> String {
    let lines: Vec<(String, String)> = program()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| (synopsis(command), first_sentence(command)))
        .collect();
    let width = lines.iter().map(|(synopsis, _)| synopsis.chars().count()).max().unwrap_or(0);
    lines.iter().fold(String::new(), |mut text, (synopsis, about)| {
        let _ = writeln!(text, "  {synopsis:width$}  {about}");
        text
    })
}

/// The definition, with the full names of subcommands.
fn program() -> Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

/// All commands that do something, in the order of their definition.
fn leaves(command: &Command) -> Vec<&Command> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    let below: Vec<_> = visible.flat_map(leaves).collect();
    if below.is_empty() { vec![command] } else { below }
}

/// The command as it is usually typed: its name with what it cannot do without.
fn synopsis(command: &Command) -> String {
    let mut text = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_string();
    let below: Vec<&str> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(Command::get_name)
        .collect();
    if !below.is_empty() {
        let _ = write!(text, " {}", below.join("|"));
        return text;
    }
    for argument in command.get_arguments().filter(|argument| argument.is_required_set()) {
        let _ = write!(text, " {}", written(argument));
    }
    for group in command.get_groups().filter(|group| group.is_required_set()) {
        let first = group.get_args().next();
        let named = |argument: &&Arg| Some(argument.get_id()) == first;
        if let Some(argument) = command.get_arguments().find(named) {
            let _ = write!(text, " {}", written(argument));
        }
    }
    text
}

/// An argument as it is typed: `FILE`, `--limit N`, `--json`.
fn written(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let values = if argument.get_action().takes_values() { values } else { &[] };
    let values: Vec<&str> = values.iter().map(clap::builder::Str::as_str).collect();
    match argument.get_long() {
        Some(long) if values.is_empty() => format!("--{long}"),
        Some(long) => format!("--{long} {}", values.join(" ")),
        None => values.join(" "),
    }
}

/// Description of a command, up to the first full stop or colon.
fn first_sentence(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let end = about.find(['.', ':', ';']).unwrap_or(about.len());
    about[..end].to_string()
}

fn table(program: &Command) -> String {
    let mut text = String::from("| command | does |\n|---|---|\n");
    for command in leaves(program) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| {} | {} |", code(&synopsis(command)), cell(&about));
    }
    text
}

fn reference(program: &Command) -> String {
    let mut text = String::new();
    for command in leaves(program) {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        let about = command.get_long_about().or_else(|| command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "### {name}\n\n{}\n", wrapped(&about));
        let shown = |argument: &&Arg| {
            !argument.is_hide_set() && !COMMON.contains(&argument.get_id().as_str())
        };
        let arguments: Vec<&Arg> = command.get_arguments().filter(shown).collect();
        if !arguments.is_empty() {
            text.push_str("| argument | default | |\n|---|---|---|\n");
            for argument in arguments {
                text.push_str(&row(argument));
            }
            text.push('\n');
        }
        if let Some(json) = command.get_after_help() {
            let _ = writeln!(text, "{}\n", wrapped(&json.to_string()));
        }
    }
    format!("{}\n", text.trim_end())
}

/// The line of an argument in the table of its command.
fn row(argument: &Arg) -> String {
    let default: Vec<String> =
        argument.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    let default = if default.is_empty() || !argument.get_action().takes_values() {
        String::new()
    } else {
        code(&default.join(","))
    };
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut help = help.map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| code(value.get_name()))
        .collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        help.push_str(if help.ends_with('.') { " One of " } else { "; one of " });
        help.push_str(&values.join(", "));
        help.push('.');
    }
    let required = if argument.is_required_set() { "required" } else { &default };
    format!("| {} | {required} | {} |\n", code(&written(argument)), cell(&help))
}

/// Policies of `snn-hybrid`, each with its keys.
fn policies() -> String {
    let mut text = String::from("| policy | keys | sites that become ReLU |\n|---|---|---|\n");
    for (name, keys, chooses) in snn_hybrid::Policy::kinds() {
        let keys: Vec<String> = keys.iter().map(|key| code(key)).collect();
        let _ = writeln!(text, "| `{name}` | {} | {} |", keys.join(", "), cell(chooses));
    }
    text
}

/// The built-in networks with their sizes and what conversion does to them.
fn networks() -> Result<String> {
    let mut text = String::from(
        "| `kind` | what | for | parameters | multiply-adds | sites | conversion | source |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in NETWORKS {
        let graph = BuiltIn::of(row).graph(row.input, row.classes, &Lif::default());
        let counts = graph.counts()?;
        let [channels, height, width] = row.input;
        let frozen = match counts.frozen {
            0 => String::new(),
            frozen => format!(", {} of them frozen", grouped(frozen as u64)),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {channels}×{height}×{width}, {} classes | {}{frozen} | {} | \
             {} | {} | {} |",
            row.kind,
            cell(row.about),
            row.classes,
            grouped(counts.parameters as u64),
            grouped(counts.multiply_adds),
            counts.sites,
            cell(&conversion(row)?),
            cell(row.source),
        );
    }
    Ok(text)
}

/// What conversion does to a network, found on a narrow one of the same structure.
fn conversion(row: &Row) -> Result<String> {
    let network = BuiltIn::with_keys(row.kind, serde_json::from_str(row.narrow)?)?;
    let graph = network.graph(row.small, row.classes.min(10), &Lif::default());
    let weights = graph.initial_weights(0)?;
    let preprocessing = Preprocessing::new(vec![128; row.small[0]], vec![64.0; row.small[0]]);
    let model = Model::new(Signature::new(Form::Trained, graph, 1, preprocessing), weights);
    let layers = |model: &Model| {
        let layer = |node: &&Node| matches!(node.op, Op::Conv(_) | Op::Linear { .. });
        model.graph().nodes.iter().filter(layer).count()
    };
    match snn_reparam::convert(&model, &Code::Unary.into()) {
        Ok(events) => {
            let (before, after) = (layers(&model), layers(&events.model));
            if before == after {
                return Ok("converts".into());
            }
            Ok(format!(
                "converts; {before} layers become {after}, one for each of the streams that are \
                 added"
            ))
        }
        Err(error) => {
            let reason = error.to_string();
            Ok(format!("refused: {}", reason.lines().next().unwrap_or_default()))
        }
    }
}

/// A number with a comma after each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text as code in a table.
fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

/// A text as the cell of a table.
pub(crate) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Paragraphs in lines of at most 100 columns.
pub(crate) fn wrapped(text: &str) -> String {
    const COLUMNS: usize = 100;
    let mut paragraphs = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut lines = vec![String::new()];
        for word in paragraph.split_whitespace() {
            let line = lines.last_mut().map_or(0, |line| line.chars().count());
            if line > 0 && line + 1 + word.chars().count() > COLUMNS {
                lines.push(word.to_string());
            } else if let Some(last) = lines.last_mut() {
                if line > 0 {
                    last.push(' ');
                }
                last.push_str(word);
            }
        }
        paragraphs.push(lines.join("\n"));
    }
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synopsis_has_what_a_command_cannot_do_without() {
        let program = program();
        let found: Vec<String> = leaves(&program).into_iter().map(synopsis).collect();
        for expected in [
            "snn train --config CONFIG --out OUT",
            "snn infer MODEL --dataset NAME",
            #[cfg(feature = "data")]
            "snn data show SET|FILE|FOLDER --out FILE",
            "snn man",
        ] {
            assert!(found.iter().any(|found| found == expected), "{expected}: {found:#?}");
        }
        assert!(!found.iter().any(|found| found.contains("docs")), "{found:#?}");
    }

    #[test]
    fn lines_are_at_most_100_columns_wide_and_paragraphs_stay() {
        let text = wrapped(&format!("{}\n\nshort\nline", "word ".repeat(50)));
        assert!(text.lines().all(|line| line.chars().count() <= 100));
        assert!(text.ends_with("\n\nshort line") && text.lines().count() == 5, "{text}");
    }
}
