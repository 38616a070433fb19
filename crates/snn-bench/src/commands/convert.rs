//! `convert`: a run into an event-driven model file.

use crate::cli::{Convert, GridName};
use crate::files;
use crate::outcome::Outcome;
use crate::output::{self, print_json};
use anyhow::{Result, bail};
use serde::Serialize;
use snn_ir::{Code, Form, Model};
use snn_reparam::{CodeChoice, Conversion, Error, GridOptions, Plan};
use std::path::Path;

#[derive(Serialize)]
struct Converted<'a> {
    out: &'a Path,
    form: &'static str,
    bytes: u64,
    plan: &'a Plan,
}

/// Converts with the options of the command line.
pub(crate) fn convert(
    trained: &Model,
    codes: &CodeChoice,
    grid: Option<GridOptions>,
) -> snn_reparam::Result<Conversion> {
    let events = snn_reparam::convert(trained, codes)?;
    match grid {
        Some(options) => snn_reparam::to_grid(&events, options),
        None => Ok(events),
    }
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
    let grid = match arguments.grid {
        GridName::Int8 => {
            Some(GridOptions { guard_bits: arguments.guard_bits, ..GridOptions::default() })
        }
        GridName::None => None,
    };
    let conversion = match convert(&trained.model, &codes, grid) {
        Ok(conversion) => conversion,
        Err(Error::Refused(plan)) => {
            output::tell(&plan);
            bail!("{}", Error::Refused(plan));
        }
        Err(error) => return Err(error.into()),
    };
    files::save(&conversion.model, &arguments.out)?;
    let bytes = fs_err::metadata(&arguments.out)?.len();
    let form = conversion.model.form().label();
    if json {
        print_json(&Converted { out: &arguments.out, form, bytes, plan: &conversion.plan })?;
    } else {
        output::print(&conversion.plan)?;
        output::line(format_args!(
            "\nwrote {} (form {form}, {bytes} bytes)",
            arguments.out.display()
        ))?;
    }
    Ok(Outcome::Holds)
}
