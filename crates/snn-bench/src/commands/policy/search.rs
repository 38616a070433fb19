//! `policy search`: the sites whose spikes cost least, measured on a trained twin.

use super::greedy::{Found, Limit, search};
use super::measure::Bench;
use crate::cli::PolicySearch;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, count};
use anyhow::{Context, Result};
use serde::Serialize;
use snn_hybrid::Policy;
use snn_train::{Options, RunConfig};
use std::collections::BTreeSet;

#[derive(Serialize)]
struct Searched<'a> {
    limit: Limit,
    policy: &'a Policy,
    /// As `--set` of `snn train` takes it.
    set: String,
    #[serde(flatten)]
    found: &'a Found,
}

#[derive(Serialize)]
struct PolicyFile<'a> {
    policy: &'a Policy,
}

pub(super) fn run(arguments: &PolicySearch, json: bool) -> Result<Outcome> {
    let config = RunConfig::load(&arguments.config, &arguments.sets)?;
    let limit = limit(arguments).context("give one limit")?;
    let options = Options {
        data_root: arguments.data.data.clone(),
        device: arguments.device,
        ..Options::default()
    };
    let numbers = [arguments.samples.get(), arguments.counted.get()];
    let (twin, out) = (&arguments.twin, &arguments.out);
    let mut bench = Bench::new(&config, twin, out, arguments.code, numbers, options)?;
    let sites = bench.sites.clone();
    let found = search(&sites, limit, &mut |lif| {
        let names: Vec<&str> = lif.iter().map(String::as_str).collect();
        let measured = bench.measure(lif)?;
        output::tell(format_args!(
            "LIF: {}: loss {:.4}, {:.2} % right, {} additions",
            if names.is_empty() { "none".into() } else { names.join(", ") },
            measured.loss,
            measured.accuracy,
            count(measured.additions)
        ));
        Ok(measured)
    })?;
    let lif: BTreeSet<String> = found.network.lif.iter().cloned().collect();
    let policy = bench.policy(&lif);
    let text = toml::to_string(&PolicyFile { policy: &policy })?;
    snn_ir::write_atomically(&out.join("policy.toml"), text.as_bytes())?;
    let table = toml::Value::try_from(&policy)?;
    let searched =
        Searched { limit, policy: &policy, set: format!("policy={table}"), found: &found };
    let text = serde_json::to_string_pretty(&searched)? + "\n";
    snn_ir::write_atomically(&out.join("search.json"), text.as_bytes())?;
    if json {
        print_json(&searched)?;
    } else {
        print(&searched)?;
        output::line(format_args!("wrote {} and search.json", out.join("policy.toml").display()))?;
    }
    Ok(if found.holds { Outcome::Holds } else { Outcome::Failed })
}

fn limit(arguments: &PolicySearch) -> Option<Limit> {
    arguments
        .additions
        .map(Limit::Additions)
        .or(arguments.microjoules.map(Limit::Microjoules))
        .or(arguments.milliseconds.map(Limit::Milliseconds))
        .or(arguments.lif_share.map(Limit::LifShare))
}

fn print(searched: &Searched<'_>) -> Result<()> {
    let Found { holds, relus, sites, network } = searched.found;
    let mut table = Table::new(1, ["site", "loss", "accuracy", "additions", "gain", "chosen"]);
    for site in sites {
        table.row([
            site.site.clone(),
            format!("{:+.4}", site.loss),
            format!("{:+.2}", site.accuracy),
            format!("{:+.0}", site.additions),
            format!("{:+.3e}", site.gain),
            if network.lif.contains(&site.site) { "LIF" } else { "ReLU" }.to_string(),
        ]);
    }
    output::line(format_args!(
        "Each site as the only LIF site, against ReLUs alone, in the order of what it costs for \
         what it brings:\n\n{table}"
    ))?;
    for (name, of) in [("ReLUs alone", relus), ("found", network)] {
        output::line(format_args!(
            "{name}: loss {:.4}, {:.2} % right, {} additions, {:.3} µJ, {:.2} ms, {:.1} % LIF",
            of.loss,
            of.accuracy,
            count(of.additions),
            of.microjoules,
            of.milliseconds,
            100.0 * of.lif_share
        ))?;
    }
    let verdict = if *holds { "holds" } else { "does not hold: the nearest that was measured" };
    output::line(format_args!("limit, {}: {verdict}\n--set '{}'", searched.limit, searched.set))
}
