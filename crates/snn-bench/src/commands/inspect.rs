//! `inspect`: what is in a model file or run folder, as a drawing, and how a converted model is
//! deployed.

use crate::cli::Inspect;
use crate::description::Description;
use crate::layer_times::{self, NodeTime};
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::{drawing, files};
use anyhow::{Context, Result};
use serde::Serialize;
use snn_train::RunFolder;

#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    description: &'a Description<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<&'a [NodeTime]>,
}

pub(crate) fn run(arguments: &Inspect, json: bool) -> Result<Outcome> {
    if let Some(svg) = &arguments.svg {
        files::refuse_existing(svg, arguments.force)?;
    }
    let trained = files::trained(&arguments.path)?;
    let result =
        if arguments.path.is_dir() { RunFolder::open(&arguments.path)?.result()? } else { None };
    let description = Description::of(&trained.model, trained.config.as_ref(), result.as_ref())?;
    if let Some(svg) = &arguments.svg {
        let title = format!("{}: {}", arguments.path.display(), description.summary());
        files::write(svg, drawing::svg(&description.shown(), &title).as_bytes(), arguments.force)?;
        output::tell(format_args!("wrote {}", svg.display()));
    }
    let times = match arguments.times {
        Some(count) => {
            let (config, root) = (trained.config.as_ref(), arguments.data.data.as_deref());
            let samples = files::test_samples(&trained.model, config, arguments.dataset, root)?;
            let samples = samples.context("give the --dataset of the images to run")?;
            files::fits(&trained.model, &arguments.path, &samples)?;
            Some(layer_times::measure(&trained.model, &samples.limited(Some(count))?)?)
        }
        None => None,
    };
    if json {
        print_json(&Inspected { description: &description, times: times.as_deref() })?;
        return Ok(Outcome::Holds);
    }
    output::line(description.summary())?;
    if arguments.nodes {
        output::line("")?;
        output::print(drawing::text(&description.shown(), &Description::FACTS))?;
        output::line(
            "once: the same at all macro-steps, computed once. M: multiplier from the sum of a \
             synapse to its accumulator's unit.",
        )?;
        if let Some(deployment) = &description.deployment {
            output::line(
                "\nDeployed on this machine, one line for each node that has a buffer:\n",
            )?;
            output::print(deployment)?;
        }
    } else {
        output::print(description.overview())?;
        output::line(
            "\n--nodes draws the graph and lists every node; --svg FILE draws a picture.",
        )?;
    }
    if let Some(times) = &times {
        layer_times::print(times)?;
    }
    if let Some(result) = result {
        output::line(format_args!("\n{}", serde_json::to_string_pretty(&result)?))?;
    }
    Ok(Outcome::Holds)
}
