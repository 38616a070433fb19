//! A converted network of a row, for others to use: the model with its config, its record and a
//! card that says what it is.

use super::definition::Definition;
use super::entry::{Entry, Folders};
use super::make::converted_path;
use super::record::{self, Conversion, Finetuning, Record, checksum};
use crate::names::{BudgetName, TargetName};
use crate::reference::wrapped;
use crate::table::{count, counted, duration};
use anyhow::{Context, Result, ensure};
use snn_train::FinetuningConfig;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Name of the model in its folder.
const MODEL: &str = "model.safetensors";

/// Writes the conversion of a row with one seed into a folder; returns the card.
pub(crate) fn export(
    table: &Definition,
    budget: BudgetName,
    entry: &Entry<'_>,
    folders: &Folders,
    (target, out): (TargetName, &Path),
) -> Result<PathBuf> {
    let record = entry.record(table, folders);
    let record = record.with_context(|| format!("{}: there is no record", entry.id))?;
    let mut found = record.conversions.iter();
    let conversion = found.find(|found| found.code == target && entry.is_tuned_as_asked(found));
    let conversion = conversion.with_context(|| {
        let codes: Vec<String> = record.conversions.iter().map(|c| c.code.to_string()).collect();
        format!("{}: not converted to {target}; there are: {}", entry.id, codes.join(", "))
    })?;
    let file = converted_path(&folders.runs.join(&table.name).join(&entry.id), target);
    let model = fs_err::read(&file)?;
    ensure!(
        conversion.file.as_deref() == Some(&checksum(&model)),
        "{} is not the file that was verified for the record; --force makes the row anew",
        file.display()
    );
    fs_err::create_dir_all(out)?;
    // With what it was fine-tuned by, which the config of the record leaves out.
    let config = entry.config.to_toml()?;
    snn_ir::write_atomically(&out.join(record::CONFIG), config.as_bytes())?;
    record.save(out)?;
    snn_ir::write_atomically(&out.join(MODEL), &model)?;
    let path = out.join("README.md");
    let text = card(table, budget, entry, (&record, conversion, model.len()), out)?;
    snn_ir::write_atomically(&path, text.as_bytes())?;
    Ok(path)
}

/// The card, every figure of the record.
fn card(
    table: &Definition,
    budget: BudgetName,
    entry: &Entry<'_>,
    (record, conversion, bytes): (&Record, &Conversion, usize),
    out: &Path,
) -> Result<String> {
    let (training, config) = (&record.training, &entry.config);
    let network = toml::Value::try_from(&config.network)?;
    let network = network.get("kind").and_then(toml::Value::as_str).unwrap_or("network");
    let held_out = training.held_out_accuracy;
    let held_out = held_out.map_or(String::new(), |a| format!(", {a:.2} % of the held-out ones"));
    let twin = training
        .twin
        .as_ref()
        .map_or(String::new(), |twin| format!("; its twin of ReLUs {:.2} %", twin.accuracy));
    let Conversion { code, agreement, accuracy, samples, .. } = conversion;
    let machine = |machine: &super::machine::Machine| {
        let commit = machine.commit.as_deref().unwrap_or("unknown");
        format!(
            "{} ({}), {} cores, commit {commit}, {}",
            machine.processor, machine.instruction_set, machine.cores, machine.day
        )
    };
    let mut rows = vec![
        (
            "network",
            format!(
                "{network}, T = {}, {} learned values; policy {}: {:.1} % of the neurons are LIF",
                training.time_steps,
                training.parameters,
                training.policy,
                100.0 * training.lif_share
            ),
        ),
        ("file", format!("`{MODEL}`, code {code}, {bytes} bytes")),
        (
            "data",
            format!("{}; its licence and where to get it: `datasets/README.md`", training.dataset),
        ),
        (
            "accuracy, trained",
            format!(
                "{:.2} % of {} test samples{held_out}, after the last epoch{twin}",
                training.accuracy, training.test_samples
            ),
        ),
        (
            "accuracy of this file",
            format!("{accuracy:.2} % of {samples} test samples; {agreement:.2} % keep their class"),
        ),
        ("proof", format!("{} on {samples} test samples", conversion.verdict)),
        (
            "a sample",
            format!(
                "{} additions, {} multiplications, {} events, {} micro-steps a macro-step, {:.2} \
                 µJ by counting",
                count(conversion.additions),
                count(conversion.multiplications),
                count(conversion.events),
                conversion.micro_steps,
                conversion.energy_microjoules
            ),
        ),
        (
            "speed",
            format!(
                "{:.2} ms a sample, in batches; {}",
                1e3 / conversion.samples_per_second,
                machine(&conversion.machine)
            ),
        ),
        (
            "training",
            format!(
                "seed {}, {}; {}",
                record.seed,
                duration(training.seconds),
                machine(&record.machine)
            ),
        ),
    ];
    rows.extend(conversion.finetuning.as_ref().map(fine_tuning));
    let mut text = format!("# {}: {}\n\n| | |\n|---|---|\n", table.title, entry.row.name);
    for (name, value) in rows {
        writeln!(text, "| {name} | {value} |")?;
    }
    let command = format!(
        "snn table {} --budget {budget} --row {} --seed {} --code {code} --export {}",
        table.name,
        entry.row.name,
        record.seed,
        out.display()
    );
    let about = wrapped(
        "Every figure is of `record.json`, which the command above wrote with this page. Nothing \
         was chosen by the test samples. The network knows its data set alone: of other pictures \
         its class scores say little.",
    );
    write!(
        text,
        "\n```console\n$ snn infer {} --image photo.jpg\n$ {command}\n```\n\n{about}\n",
        out.join(MODEL).display()
    )?;
    Ok(text)
}

/// The line of a card for a network that was fine-tuned.
fn fine_tuning(tuned: &Finetuning) -> (&'static str, String) {
    let FinetuningConfig { epochs, learning_rate } = tuned.config;
    let text = format!(
        "{}, learning rate {learning_rate}, {}: {:.2} % of all test samples",
        counted(epochs, "epoch"),
        duration(tuned.seconds),
        tuned.accuracy
    );
    ("fine-tuning on the grid", text)
}
