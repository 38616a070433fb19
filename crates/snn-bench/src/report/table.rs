//! The report of a table.

use super::chart::{Axes, Point, bars, scatter, short};
use super::page::{Section, page, table as figures};
use crate::commands::table::{HEADINGS, cells};
use crate::names::BudgetName;
use crate::tables::{self, Definition, Made, Summary};
use maud::{Markup, html};

/// The page of a table at one budget, made of its records alone.
pub(crate) fn table(table: &Definition, budget: BudgetName, made: &Made) -> String {
    let mut sections =
        vec![Section { id: "summary", title: "Summary", body: summary(table, budget, made) }];
    if !made.rows.is_empty() {
        sections.push(Section { id: "accuracy", title: "Accuracy", body: accuracy(table, made) });
        let body = conversions(&made.rows);
        sections.push(Section { id: "converted", title: "As events", body });
    }
    if !table.published.is_empty() {
        let body = published(table);
        sections.push(Section { id: "published", title: "Published elsewhere", body });
    }
    page(&format!("{}, budget {budget}", table.title), &sections)
}

fn summary(table: &Definition, budget: BudgetName, made: &Made) -> Markup {
    let rows: Vec<Vec<String>> = made.rows.iter().map(|row| cells(row).to_vec()).collect();
    let is_whole = |name: &str| made.rows.iter().any(|r| r.row == name && r.missing.is_empty());
    let missing: Vec<_> = table.rows_at(budget).filter(|row| !is_whole(&row.name)).collect();
    html! {
        p { (table.about) }
        @if !rows.is_empty() { (figures("Rows", &HEADINGS, &rows)) }
        p.note {
            "Test accuracy after the last epoch, mean ± standard deviation over the seeds; nothing \
             was chosen by the test set."
        }
        @if !missing.is_empty() {
            h3 { "Still to be made" }
            ul {
                @for row in missing {
                    li { code { (tables::command(&table.name, budget, &row.name)) } }
                }
            }
        }
    }
}

fn accuracy(table: &Definition, made: &Made) -> Markup {
    let mut rows = Vec::new();
    for row in &made.rows {
        rows.push((row.row.clone(), row.accuracy.mean, 0));
        if let Some(twin) = &row.twin {
            rows.push((format!("{}: its twin", row.row), twin.mean, 3));
        }
    }
    rows.extend(table.published.iter().map(|other| (other.method.clone(), other.accuracy, 4)));
    let points = |x: &dyn Fn(&Summary) -> Option<f64>| -> Vec<Point> {
        let point =
            |row: &Summary| Some(Point { name: row.row.clone(), x: x(row)?, y: row.accuracy.mean });
        made.rows.iter().filter_map(point).collect()
    };
    let shares = points(&|row| Some(100.0 * row.lif_share));
    let additions = points(&|row| row.codes.first().map(|code| code.additions.mean * 1e-6));
    html! {
        p.note { "Blue is measured here, violet are twins, yellow is published by others." }
        div.charts {
            (bars("Test accuracy", " %", &rows))
            @if shares.len() > 1 {
                (scatter("Accuracy against the share of LIF neurons",
                    Axes { x: "LIF neurons, %", y: "test accuracy, %" }, &shares))
            }
            @if additions.len() > 1 {
                (scatter("Accuracy against additions, in the first code of each row",
                    Axes { x: "additions of a sample, millions", y: "test accuracy, %" },
                    &additions))
            }
        }
    }
}

fn conversions(rows: &[Summary]) -> Markup {
    let headings = [
        "row",
        "code",
        "proof",
        "samples",
        "accuracy",
        "lost",
        "same class",
        "micro-steps",
        "firing rate",
        "additions",
        "energy",
        "samples/s",
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .flat_map(|row| row.codes.iter().map(move |code| (row, code)))
        .map(|(row, code)| {
            vec![
                row.row.clone(),
                code.code.to_string(),
                code.proof(),
                code.samples.to_string(),
                tables::spread(&code.accuracy, 2) + " %",
                tables::spread(&code.lost, 2),
                tables::spread(&code.agreement, 2) + " %",
                code.micro_steps.to_string(),
                format!("{:.3}", code.firing_rate.mean),
                short(code.additions.mean),
                format!("{:.3} µJ", code.energy.mean),
                format!("{:.0}", code.samples_per_second.mean),
            ]
        })
        .collect();
    figures("Conversions to integers and events", &headings, &lines)
}

fn published(table: &Definition) -> Markup {
    let rows: Vec<Vec<String>> = table
        .published
        .iter()
        .map(|other| {
            vec![
                other.method.clone(),
                other.time_steps.map_or(String::new(), |steps| steps.to_string()),
                format!("{:.2} %", other.accuracy),
                tables::epoch(other).to_string(),
                other.source.clone(),
            ]
        })
        .collect();
    figures("Figures of others", &["method", "T", "accuracy", "how", "source"], &rows)
}
