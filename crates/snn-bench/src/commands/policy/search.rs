//! `policy search`: the sites whose spikes cost least, measured on a trained twin.

use super::greedy::{Found, Limit, search};
use super::measure::{Bench, Choice};
use crate::cli::PolicySearch;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use crate::table::{Table, count};
use anyhow::{Context, Result};
use serde::Serialize;
use snn_hybrid::{Policy, Replacement};
use snn_train::{Options, RunConfig};

#[derive(Serialize)]
struct Searched<'a> {
    limit: Limit,
    policy: &'a Policy,
    /// The ReLUs, where levels were searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<&'a Replacement>,
    /// As `--set` of `snn train` takes them.
    sets: Vec<String>,
    #[serde(flatten)]
    found: &'a Found,
}

#[derive(Serialize)]
struct PolicyFile<'a> {
    policy: &'a Policy,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<&'a Replacement>,
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
    let mut levels: Vec<u8> = arguments.levels.iter().map(|levels| levels.get()).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    levels.dedup();
    let most = levels.first().copied();
    let mut bench = Bench::new(&config, twin, out, arguments.code, numbers, most, options)?;
    if let Some(count) = arguments.candidates {
        bench.keep_best_fits(count.get())?;
    }
    let sites = bench.sites.clone();
    // Fewer levels bring no LIF neuron.
    let fewer = levels.iter().skip(1).filter(|_| !matches!(limit, Limit::LifShare(_)));
    let fewer = fewer.map(|&levels| Choice::Levels(levels));
    let choices: Vec<Choice> = [Choice::Lif].into_iter().chain(fewer).collect();
    let found = search(&sites, &choices, limit, &mut |choices| {
        let names: Vec<String> =
            choices.iter().map(|(site, choice)| format!("{site} {choice}")).collect();
        let measured = bench.measure(choices)?;
        output::tell(format_args!(
            "{}: loss {:.4}, {:.2} % right, {} additions",
            if names.is_empty() { "ReLUs alone".into() } else { names.join(", ") },
            measured.loss,
            measured.accuracy,
            count(measured.additions)
        ));
        Ok(measured)
    })?;
    let policy = bench.policy(&found.network.lif);
    let replacement = most.map(|_| bench.replacement(&found.network.levels));
    let replacement = replacement.as_ref();
    let text = toml::to_string(&PolicyFile { policy: &policy, replacement })?;
    snn_ir::write_atomically(&out.join("policy.toml"), text.as_bytes())?;
    let mut sets = vec![format!("policy={}", toml::Value::try_from(&policy)?)];
    if let Some(replacement) = replacement {
        sets.push(format!("replacement={}", toml::Value::try_from(replacement)?));
        // The twin keeps its own: a table of it takes every key that it has not from the run's.
        if let Some(twin) = config.twin_config()? {
            let mut own = toml::Table::try_from(&twin.replacement)?;
            if matches!(twin.replacement, Replacement::QuantRelu { .. }) {
                own.entry("sites").or_insert_with(|| toml::Value::Array(Vec::new()));
            }
            sets.push(format!("twin.replacement={}", toml::Value::Table(own)));
        }
    }
    let searched = Searched { limit, policy: &policy, replacement, sets, found: &found };
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
    let headings = ["site", "as", "loss", "accuracy", "additions", "gain", "chosen"];
    let mut table = Table::new(2, headings);
    for site in sites {
        let is_chosen = match site.choice {
            Choice::Lif => network.lif.contains(&site.site),
            Choice::Levels(levels) => network.levels.get(&site.site) == Some(&levels),
        };
        table.row([
            site.site.clone(),
            site.choice.to_string(),
            format!("{:+.4}", site.loss),
            format!("{:+.2}", site.accuracy),
            format!("{:+.0}", site.additions),
            format!("{:+.3e}", site.gain),
            if is_chosen { "yes" } else { "" }.to_string(),
        ]);
    }
    output::line(format_args!(
        "Each site as the only one that changes, against ReLUs alone, in the order of what it \
         costs for what it brings:\n\n{table}"
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
    output::line(format_args!("limit, {}: {verdict}", searched.limit))?;
    searched.sets.iter().try_for_each(|set| output::line(format_args!("--set '{set}'")))
}
