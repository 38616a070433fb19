//! `convert`: a run into an event-driven model file.

use crate::cli::{Convert, GridName};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::{Result, bail};
use serde::Serialize;
use snn_ir::{Code, Form, Model};
use snn_reparam::{
    Action, CodeChoice, Conversion, ConversionOptions, ConvertOptions, GridOptions, Plan, to_grid,
};
use std::path::Path;

#[derive(Serialize)]
struct Converted<'a> {
    out: &'a Path,
    form: &'static str,
    bytes: u64,
    plan: &'a Plan,
}

/// Converts with the options of the command line; the plan has both steps.
pub(crate) fn convert(
    trained: &Model,
    options: &ConversionOptions,
) -> snn_reparam::Result<Conversion> {
    let codes = ConvertOptions::from(options.codes.clone());
    let events = snn_reparam::convert(trained, &codes)?;
    let Some(grid) = options.grid else { return Ok(events) };
    let on_grid = to_grid(&events.model, grid)?;
    Ok(Conversion { model: on_grid.model, plan: events.plan.then(on_grid.plan) })
}

pub(crate) fn run(arguments: &Convert, json: bool) -> Result<Outcome> {
    files::refuse_existing(&arguments.out, arguments.force)?;
    files::refuse_source(&arguments.out, &arguments.run)?;
    let trained = files::trained(&arguments.run)?;
    if trained.model.form() != Form::Trained {
        let form = trained.model.form().label();
        bail!(
            "{}: expected a trained model, found one that is converted already (form {form})",
            arguments.run.display()
        );
    }
    let mut codes = CodeChoice::from(Code::from(arguments.code));
    codes
        .sites
        .extend(arguments.site_codes.iter().map(|(site, code)| (site.clone(), Code::from(*code))));
    let with_bits = |usual: GridOptions| GridOptions {
        guard_bits: arguments.guard_bits.unwrap_or(usual.guard_bits),
        leak_bits: arguments.leak_bits.unwrap_or(usual.leak_bits),
        ..usual
    };
    let grid = match arguments.grid {
        GridName::Int8 => Some(with_bits(GridOptions::default())),
        GridName::Int16 => Some(with_bits(GridOptions::int16())),
        GridName::None if arguments.guard_bits.is_some() || arguments.leak_bits.is_some() => {
            bail!(
                "--guard-bits and --leak-bits are settings of the grid; there is none with --grid \
                 none"
            )
        }
        GridName::None => None,
    };
    let options = ConversionOptions { codes, grid };
    let conversion = convert(&trained.model, &options)?;
    files::save(&conversion.model, &arguments.out)?;
    let bytes = fs_err::metadata(&arguments.out)?.len();
    let form = conversion.model.form().label();
    if json {
        print_json(&Converted { out: &arguments.out, form, bytes, plan: &conversion.plan })?;
    } else {
        if arguments.plan {
            output::print(&conversion.plan)?;
            output::line("")?;
        }
        output::print(conversion.plan.summary())?;
        output::line(format_args!("\n{}", losses(&conversion.plan, options.grid.is_some())))?;
        output::line(format_args!(
            "wrote {} (form {form}, {bytes} bytes)",
            arguments.out.display()
        ))?;
    }
    Ok(Outcome::Holds)
}

/// Losses of the two steps of a conversion.
fn losses(plan: &Plan, on_grid: bool) -> String {
    let nothing = "Conversion to events loses nothing: every spike and level is that of the \
                   trained \
                   network, in real arithmetic.";
    if !on_grid {
        return nothing.into();
    }
    let worst = plan
        .entries
        .iter()
        .filter_map(|entry| match entry.action {
            Action::Rounded { error, .. } => Some((error, &entry.node)),
            _ => None,
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let rounding = worst.map_or(String::new(), |(error, node)| {
        format!(" (by up to {:.2} % of a channel's largest weight, in `{node}`)", 100.0 * error)
    });
    format!(
        "{nothing}\nRounding to integers is a second step{rounding}; `snn verify` measures what it \
         changes."
    )
}
