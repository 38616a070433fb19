//! `inspect`: what is in a model file or run folder.

use crate::Outcome;
use crate::cli::Inspect;
use crate::commands::print_json;
use crate::files;
use crate::table::Table;
use anyhow::Result;
use serde::Serialize;
use snn_ir::{Code, Form, Model, Op, Preprocessing, Resolved, Site, streams::Streams};
use snn_train::{RunConfig, RunFolder, RunResult};

#[derive(Serialize)]
struct Description<'a> {
    form: Form,
    time_steps: usize,
    micro_steps: u32,
    parameters: usize,
    neurons: usize,
    lif_neurons: usize,
    preprocessing: &'a Preprocessing,
    classes: &'a [String],
    nodes: Vec<NodeDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a RunConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RunResult>,
}

#[derive(Serialize)]
struct NodeDescription {
    name: String,
    op: &'static str,
    inputs: Vec<String>,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    weights: usize,
    detail: String,
}

pub(crate) fn run(arguments: &Inspect, json: bool) -> Result<Outcome> {
    let trained = files::trained(&arguments.path)?;
    let result = if arguments.path.is_dir() { RunFolder::open(&arguments.path)?.result()? } else { None };
    let description = describe(&trained.model, trained.config.as_ref(), result.as_ref())?;
    if json {
        print_json(&description)?;
        return Ok(Outcome::Holds);
    }
    println!(
        "form {}, T = {} macro-steps of {} micro-steps, {} weights, {} neurons ({:.1} % LIF), {} classes\n",
        trained.model.form.label(),
        description.time_steps,
        description.micro_steps,
        description.parameters,
        description.neurons,
        100.0 * description.lif_neurons as f64 / description.neurons.max(1) as f64,
        description.nodes.last().and_then(|node| node.shape.first()).copied().unwrap_or(0),
    );
    let mut table = Table::new(4, ["node", "op", "inputs", "code", "shape", "weights", "detail"]);
    for node in description.nodes {
        table.row([
            node.name,
            node.op.to_string(),
            node.inputs.join(", "),
            node.code.map_or(String::new(), |code| code.label().to_string()),
            format!("{:?}", node.shape),
            node.weights.to_string(),
            node.detail,
        ]);
    }
    print!("{table}");
    if let Some(result) = result {
        println!("\n{}", serde_json::to_string_pretty(&result)?);
    }
    Ok(Outcome::Holds)
}

fn describe<'a>(
    model: &'a Model,
    config: Option<&'a RunConfig>,
    result: Option<&'a RunResult>,
) -> Result<Description<'a>> {
    let resolved = model.validate()?;
    let streams = if model.form == Form::Trained { None } else { Some(Streams::of(model, &resolved)?) };
    let mut description = Description {
        form: model.form,
        time_steps: model.time_steps,
        micro_steps: 1,
        parameters: model.weights.values().map(snn_ir::Tensor::len).sum(),
        neurons: 0,
        lif_neurons: 0,
        preprocessing: &model.preprocessing,
        classes: &model.classes,
        nodes: Vec::new(),
        config,
        result,
    };
    for (index, node) in model.graph.nodes.iter().enumerate() {
        let shape = resolved.nodes[index].shape.clone();
        let mut code = None;
        if let Op::Activation { site, code: site_code } = &node.op {
            code = *site_code;
            let neurons: usize = shape.iter().product();
            description.neurons += neurons;
            description.lif_neurons += if matches!(site, Site::Lif(_) | Site::GridLif(_)) { neurons } else { 0 };
            if let (Some(code), Some(levels)) = (code, site.levels()) {
                description.micro_steps = description.micro_steps.max(code.micro_steps(u32::from(levels)));
            }
        }
        let prefix = format!("{}.", node.name);
        let own =
            model.weights.iter().filter(|(name, _)| name.strip_prefix(&prefix).is_some_and(|part| !part.contains('.')));
        description.nodes.push(NodeDescription {
            name: node.name.clone(),
            op: node.op.label(),
            inputs: node.inputs.clone(),
            code,
            weights: own.map(|(_, tensor)| tensor.len()).sum(),
            detail: detail(&node.op, streams.as_ref(), index, &resolved),
            shape,
        });
    }
    Ok(description)
}

/// What else is worth a look: attributes of the operation, and on the grid how large its values can grow.
fn detail(op: &Op, streams: Option<&Streams>, index: usize, resolved: &Resolved) -> String {
    let mut parts = Vec::new();
    match op {
        Op::Conv(conv) => {
            parts.push(format!("kernel {:?} stride {:?} groups {}", conv.kernel, conv.stride, conv.groups));
        }
        Op::Activation { site: Site::QuantRelu(q), .. } => parts.push(format!("D = {}", q.levels)),
        Op::Activation { site: Site::GridQuantRelu { levels }, .. } => parts.push(format!("D = {levels}")),
        Op::Activation { site: Site::GridLif(lif), .. } => {
            parts.push(format!("leak {}/2^{}, {} guard bits", lif.leak_multiplier, lif.leak_shift, lif.guard_bits));
        }
        _ => {}
    }
    if let Some(bound) = streams.map(|s| s.bounds[index].iter().copied().fold(0.0, f64::max)).filter(|b| b.is_finite())
    {
        parts.push(format!("|value| ≤ {bound}"));
    }
    if !resolved.nodes[index].varies && !matches!(op, Op::TimeMean) {
        parts.push("once for all macro-steps".into());
    }
    parts.join(", ")
}
