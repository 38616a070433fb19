//! `tune`: how long the forms of layers take on this machine.

use crate::cli::Tune;
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::Table;
use crate::tuning;
use anyhow::Result;
use serde::Serialize;
use snn_runtime::InstructionSet;
use snn_runtime::deploy::{ModelLayer, Options, SHARES, Tuning};
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Tuned<'a> {
    /// Where the times are kept.
    file: PathBuf,
    instruction_set: &'static str,
    /// Layers that were measured now.
    measured: usize,
    models: Vec<TunedModel<'a>>,
}

#[derive(Serialize)]
struct TunedModel<'a> {
    model: &'a Path,
    layers: Vec<TunedLayer>,
}

#[derive(Serialize)]
struct TunedLayer {
    /// Inputs whose weights are added, of a thousand, from which on the dense product is faster.
    break_even: usize,
    #[serde(flatten)]
    layer: ModelLayer,
}

pub(crate) fn run(arguments: &Tune, json: bool) -> Result<Outcome> {
    // A place to keep them is there before anything is measured.
    let file = tuning::file()?;
    // A file that cannot be read is what --force replaces.
    let kept = if arguments.force { tuning::load().unwrap_or_default() } else { tuning::load()? };
    let mut tuning = if arguments.force { Tuning::default() } else { kept.clone() };
    let (set, mut measured, mut models) = (InstructionSet::best(), 0, Vec::new());
    for path in &arguments.models {
        let model = files::converted(path)?;
        measured += tuning.measure(&model, &Options::default())?;
        let layers = tuning.of_model(&model, set)?.into_iter();
        let layers = layers.map(|layer| TunedLayer { break_even: layer.times.break_even(), layer });
        models.push(TunedModel { model: path, layers: layers.collect() });
        let mut all = kept.clone();
        all.merge(tuning.clone());
        tuning::save(all)?;
    }
    let tuned = Tuned { file, instruction_set: set.label(), measured, models };
    if json {
        print_json(&tuned)?;
    } else {
        print(&tuned)?;
    }
    Ok(Outcome::Holds)
}

fn print(tuned: &Tuned<'_>) -> Result<()> {
    /// Places of [`SHARES`] that are shown: a tenth of the inputs, all of them.
    const SHOWN: [usize; 2] = [3, SHARES.len() - 1];
    let shares = SHOWN.map(|place| format!("events at {} %, µs", SHARES[place] / 10));
    for TunedModel { model, layers } in &tuned.models {
        let header = ["layer", "T"].map(str::to_owned).into_iter().chain(shares.clone());
        let header = header.chain(["dense, µs".into(), "dense from, of 1000".into()]);
        let mut table = Table::new(1, header);
        for TunedLayer { break_even, layer } in layers {
            let times = &layer.times;
            let micros = |nanoseconds: u64| format!("{:.1}", nanoseconds as f64 / 1e3);
            let events = SHOWN.map(|place| micros(times.events[place]));
            let cells = [layer.node.clone(), layer.time_steps.to_string()].into_iter();
            let dense = [micros(times.dense[SHOWN[0]]), break_even.to_string()];
            table.row(cells.chain(events).chain(dense));
        }
        output::line(format_args!("{}, {}:\n\n{table}", model.display(), tuned.instruction_set))?;
    }
    let Tuned { measured, file, .. } = tuned;
    output::line(format_args!(
        "{measured} layers measured now; times are kept in {}, for `snn infer` and all commands \
         that deploy. Layers of one form are not listed.",
        file.display()
    ))
}
