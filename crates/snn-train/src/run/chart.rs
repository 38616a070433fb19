//! Line and bar charts as SVG: text, lines and rectangles, no fonts of its own.

use std::fmt::Write;

/// A series of a chart.
#[derive(Debug, Clone)]
pub struct Series {
    /// In the key.
    pub name: &'static str,
    /// As SVG writes it.
    pub colour: &'static str,
    /// Points in the order they are joined.
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Above the chart.
    pub title: &'static str,
    /// Below the horizontal axis.
    pub x_label: &'static str,
    /// After each number of the vertical axis.
    pub unit: &'static str,
    /// The lines.
    pub series: Vec<Series>,
}

/// Horizontal bars.
#[derive(Debug, Clone)]
pub struct Bars {
    /// Above the bars.
    pub title: String,
    /// Name, colour and share (0 to 1) of each, from top to bottom.
    pub rows: Vec<(String, &'static str, f64)>,
    /// Legend of the colours.
    pub legend: Vec<(&'static str, &'static str)>,
}

const WIDTH: f64 = 960.0;
const PANEL_HEIGHT: f64 = 420.0;
const BAR: f64 = 26.0;
const INK: &str = "#222222";
const FAINT: &str = "#dddddd";
/// More points than this are drawn as a line alone.
const MOST_MARKS: usize = 40;

/// Charts side by side, so many in a row.
pub fn panels(charts: &[Lines], columns: usize) -> String {
    let columns = columns.max(1);
    let mut svg = begin(WIDTH, PANEL_HEIGHT * charts.len().div_ceil(columns) as f64);
    let width = WIDTH / columns as f64;
    for (number, chart) in charts.iter().enumerate() {
        let (row, column) = ((number / columns) as f64, (number % columns) as f64);
        let _ = write!(
            svg,
            "<g transform='translate({:.1} {:.1})'>",
            column * width,
            row * PANEL_HEIGHT
        );
        lines(&mut svg, chart, width);
        svg += "</g>";
    }
    svg + "</svg>\n"
}

/// One bar chart, as high as it needs to be.
pub fn bars(chart: &Bars) -> String {
    let rows = chart.rows.len() as f64;
    let (top, bottom) = (64.0, 56.0);
    let mut svg = begin(WIDTH, top + rows * BAR + bottom);
    text(&mut svg, (24.0, 34.0), "start", "font-size='20' font-weight='600'", &chart.title);
    let mut right = WIDTH - 24.0;
    for (name, colour) in chart.legend.iter().rev() {
        text(&mut svg, (right, 34.0), "end", "", name);
        right -= 9.0 * name.chars().count() as f64 + 24.0;
        let _ = write!(
            svg,
            "<rect x='{right:.1}' y='22' width='14' height='14' rx='2' fill='{colour}'/>"
        );
        right -= 18.0;
    }
    let longest = chart.rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let left = 40.0 + 8.2 * longest as f64;
    let largest = chart.rows.iter().map(|(.., share)| 100.0 * share).fold(0.0, f64::max);
    let ticks = ticks(0.0, largest.max(1.0));
    let end = ticks.last().copied().unwrap_or(100.0);
    let x = |percent: f64| left + percent / end * (WIDTH - 84.0 - left);
    let floor = top + rows * BAR;
    for &tick in &ticks {
        line(&mut svg, (x(tick), top - 4.0), (x(tick), floor), FAINT);
        text(
            &mut svg,
            (x(tick), floor + 22.0),
            "middle",
            "",
            &format!("{} %", number(tick, &ticks)),
        );
    }
    for (row, (name, colour, share)) in chart.rows.iter().enumerate() {
        let y = top + row as f64 * BAR;
        text(&mut svg, (left - 10.0, y + 18.0), "end", "", name);
        let length = x(100.0 * share) - left;
        let _ = write!(
            svg,
            "<rect x='{left:.1}' y='{:.1}' width='{length:.1}' height='18' rx='2' \
             fill='{colour}'/>",
            y + 4.0
        );
        let value = format!("{:.1} %", 100.0 * share);
        text(&mut svg, (left + length + 6.0, y + 18.0), "start", "font-size='13'", &value);
    }
    line(&mut svg, (left, top - 4.0), (left, floor), INK);
    svg + "</svg>\n"
}

fn lines(svg: &mut String, chart: &Lines, width: f64) {
    let (left, right) = (72.0, width - 24.0);
    let (top, bottom) = (84.0, PANEL_HEIGHT - 56.0);
    text(svg, (24.0, 34.0), "start", "font-size='20' font-weight='600'", chart.title);
    let mut key = left;
    for series in &chart.series {
        let _ = write!(
            svg,
            "<line x1='{key:.1}' y1='58' x2='{:.1}' y2='58' stroke='{}' stroke-width='3' \
             stroke-linecap='round'/>",
            key + 22.0,
            series.colour
        );
        text(svg, (key + 30.0, 63.0), "start", "", series.name);
        key += 56.0 + 8.0 * series.name.chars().count() as f64;
    }

    let points =
        || chart.series.iter().flat_map(|series| &series.points).filter(|(_, y)| y.is_finite());
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (first, last) = range(&mut points().map(|(x, _)| *x));
    let (low, high) = range(&mut points().map(|(_, y)| *y));
    if !(first.is_finite() && low.is_finite()) {
        return;
    }
    let vertical = ticks(low, high);
    let (floor, ceiling) = (vertical[0], vertical[vertical.len() - 1]);
    // A single place is the middle.
    let x = |value: f64| {
        let share = if last > first { (value - first) / (last - first) } else { 0.5 };
        left + share * (right - left)
    };
    let y = |value: f64| bottom - (value - floor) / (ceiling - floor) * (bottom - top);
    for &tick in &vertical {
        line(svg, (left, y(tick)), (right, y(tick)), FAINT);
        let label = format!("{}{}", number(tick, &vertical), chart.unit);
        text(svg, (left - 10.0, y(tick) + 5.0), "end", "", &label);
    }
    for tick in
        ticks(first, last).into_iter().filter(|t| t.fract() == 0.0 && (first..=last).contains(t))
    {
        line(svg, (x(tick), bottom), (x(tick), bottom + 5.0), INK);
        text(svg, (x(tick), bottom + 22.0), "middle", "", &tick.to_string());
    }
    line(svg, (left, bottom), (right, bottom), INK);
    text(svg, (f64::midpoint(left, right), bottom + 44.0), "middle", "", chart.x_label);
    for series in &chart.series {
        let places: Vec<(f64, f64)> = series
            .points
            .iter()
            .filter(|(_, v)| v.is_finite())
            .map(|&(u, v)| (x(u), y(v)))
            .collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(
            svg,
            "<polyline points='{}' fill='none' stroke='{}' stroke-width='2.5' \
             stroke-linejoin='round'/>",
            path.join(" "),
            series.colour
        );
        if places.len() <= MOST_MARKS {
            for (x, y) in places {
                let _ = write!(
                    svg,
                    "<circle cx='{x:.1}' cy='{y:.1}' r='3.5' fill='{}'/>",
                    series.colour
                );
            }
        }
    }
}

/// Four to ten round numbers at equal distances that enclose a range.
pub fn ticks(low: f64, high: f64) -> Vec<f64> {
    let (low, high) = if high > low {
        (low, high)
    } else {
        (low - 0.1 * low.abs(), high + 0.1 * high.abs() + 1e-3)
    };
    let range = high - low;
    let power = 10_f64.powf((range / 6.0).log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| range / step <= 7.0);
    let step = step.unwrap_or(10.0 * power);
    let (first, mut last) = ((low / step).floor(), (high / step).ceil());
    if last <= first {
        last = first + 1.0;
    }
    let mut ticks = vec![first * step];
    while ticks.len() < 20 && (first + ticks.len() as f64) <= last {
        ticks.push((first + ticks.len() as f64) * step);
    }
    ticks
}

/// A tick with as many decimals as its neighbours need.
pub fn number(value: f64, ticks: &[f64]) -> String {
    let step = ticks.get(1).map_or(1.0, |second| second - ticks[0]);
    let whole = |decimals: &usize| {
        let scaled = step * 10_f64.powi(i32::try_from(*decimals).unwrap_or(0));
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    let decimals = (0..6).find(whole).unwrap_or(6);
    format!("{value:.decimals$}")
}

fn begin(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' \
         height='{height}' \
         font-family='Helvetica, Arial, sans-serif' font-size='15' fill='{INK}'>\
         <rect width='{width}' height='{height}' fill='white'/>"
    )
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    let _ = write!(
        svg,
        "<line x1='{x1:.1}' y1='{y1:.1}' x2='{x2:.1}' y2='{y2:.1}' stroke='{colour}'/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, style: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(svg, "<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}' {style}>{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::{Lines, Series, number, panels, ticks};

    #[test]
    fn panels_fill_rows_from_left_to_right() {
        let line = || Series { name: "a", colour: "#000", points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let chart = || Lines { title: "t", x_label: "x", unit: "", series: vec![line()] };
        let svg = panels(&[chart(), chart(), chart()], 2);
        assert!(
            svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("height='840'"),
            "{svg}"
        );
        for place in ["translate(0.0 0.0)", "translate(480.0 0.0)", "translate(0.0 420.0)"] {
            assert_eq!(svg.matches(place).count(), 1, "{place}: {svg}");
        }
        assert_eq!(svg.matches("<polyline").count(), 3);
    }

    #[test]
    fn ticks_are_round_enclose_the_range_and_are_few() {
        for (low, high) in [
            (0.0, 1.0),
            (0.03, 2.4),
            (97.2, 98.9),
            (5.0, 5.0),
            (0.0, 1e-9),
            (1.0, 200.0),
            (-3.0, 7.0),
        ] {
            let ticks = ticks(low, high);
            assert!((2..=10).contains(&ticks.len()), "{low} {high}: {ticks:?}");
            assert!(ticks[0] <= low && ticks[ticks.len() - 1] >= high, "{low} {high}: {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
        }
        let labels: Vec<String> =
            ticks(97.2, 98.9).iter().map(|&tick| number(tick, &ticks(97.2, 98.9))).collect();
        assert_eq!(labels, ["97.0", "97.5", "98.0", "98.5", "99.0"]);
    }
}
