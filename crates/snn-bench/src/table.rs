//! Tables on the terminal.

use std::fmt;

/// Rows of text under a header; columns are as wide as their widest cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    text_columns: usize,
}

impl Table {
    /// A table whose first `text_columns` columns hold words (aligned left), the others numbers
    /// (aligned right).
    pub(crate) fn new<S: Into<String>>(
        text_columns: usize,
        header: impl IntoIterator<Item = S>,
    ) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()], text_columns }
    }

    /// Appends a row.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            self.rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (c, cell) in row.iter().enumerate() {
                let width = widths[c];
                let pad = " ".repeat(width - cell.chars().count());
                line.extend(if c < self.text_columns {
                    [cell, pad.as_str(), "  "]
                } else {
                    [&pad, cell, "  "]
                });
            }
            writeln!(formatter, "{}", line.trim_end())?;
            if number == 0 {
                writeln!(
                    formatter,
                    "{}",
                    "─".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1))
                )?;
            }
        }
        Ok(())
    }
}

/// A count with a unit prefix: `12.3 M`.
pub(crate) fn count(value: f64) -> String {
    for (limit, prefix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= limit {
            return format!("{:.2} {prefix}", value / limit);
        }
    }
    format!("{value:.0}")
}

/// Days, hours, minutes or seconds.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 172_800.0 => format!("{:.1} days", s / 86_400.0),
        s if s >= 5_400.0 => format!("{:.1} h", s / 3_600.0),
        s if s >= 90.0 => format!("{:.1} min", s / 60.0),
        s => format!("{s:.0} s"),
    }
}

/// A number of things, in the plural unless there is one: `1 epoch`, `4 epochs`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
