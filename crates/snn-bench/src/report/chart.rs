//! Charts as SVG inside the page, in its colours.

use maud::{Markup, html};
use snn_train::chart::{number, ticks};

/// Colours of the page.
pub(super) const COLOURS: usize = 5;

/// A named line.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What the axes say.
#[derive(Clone, Copy)]
pub(super) struct Axes {
    pub(super) x: &'static str,
    pub(super) y: &'static str,
}

/// A named point.
pub(super) struct Point {
    pub(super) name: String,
    pub(super) x: f64,
    pub(super) y: f64,
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// The place of values between the ticks that enclose them.
struct Scale {
    ticks: Vec<f64>,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let (low, high) = { finite.iter().copied() }
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let mut ticks = ticks(low, high);
        // Epochs and macro-steps are whole numbers.
        let is_whole = |value: &f64| value.fract() == 0.0;
        if finite.iter().all(is_whole) && ticks.iter().filter(|tick| is_whole(tick)).count() > 1 {
            ticks.retain(is_whole);
        }
        Self { ticks, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let (first, last) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        self.from + (value - first) / (last - first) * (self.to - self.from)
    }
}

fn f(value: f64) -> String {
    format!("{value:.1}")
}

/// Axes with their ticks.
fn frame(x: &Scale, y: &Scale, axes: Axes) -> Markup {
    let floor = HEIGHT - BOTTOM;
    html! {
        @for &tick in &y.ticks {
            line.rule x1=(f(LEFT)) x2=(f(WIDTH - RIGHT)) y1=(f(y.at(tick))) y2=(f(y.at(tick))) {}
            text.muted x=(f(LEFT - 6.0)) y=(f(y.at(tick) + 4.0)) text-anchor="end" font-size="11" {
                (number(tick, &y.ticks))
            }
        }
        @for &tick in &x.ticks {
            line.axis x1=(f(x.at(tick))) x2=(f(x.at(tick))) y1=(f(floor)) y2=(f(floor + 4.0)) {}
            text.muted x=(f(x.at(tick))) y=(f(floor + 17.0)) text-anchor="middle" font-size="11" {
                (number(tick, &x.ticks))
            }
        }
        line.axis x1=(f(LEFT)) x2=(f(WIDTH - RIGHT)) y1=(f(floor)) y2=(f(floor)) {}
        text.muted x=(f(f64::midpoint(LEFT, WIDTH - RIGHT))) y=(f(HEIGHT - 8.0))
            text-anchor="middle" font-size="12" { (axes.x) }
        text.muted x="14" y=(f(f64::midpoint(TOP, floor))) text-anchor="middle" font-size="12"
            transform=(format!("rotate(-90 14 {})", f(f64::midpoint(TOP, floor)))) { (axes.y) }
    }
}

/// Lines in one chart.
pub(super) fn lines(title: &str, axes: Axes, lines: &[Line]) -> Markup {
    let points = || lines.iter().flat_map(|line| &line.points);
    let x = Scale::new(points().map(|p| p.0), LEFT, WIDTH - RIGHT);
    let y = Scale::new(points().map(|p| p.1), HEIGHT - BOTTOM, TOP);
    html! {
        figure {
            figcaption { (title) }
            @if lines.len() > 1 { (key(lines.iter().map(|line| line.name.as_str()))) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) role="img"
                aria-label=(title) {
                (frame(&x, &y, axes))
                @for (place, line) in lines.iter().enumerate() {
                    polyline class=(format!("s{}", place % COLOURS)) fill="none" stroke-width="2"
                        stroke-linejoin="round" points=(path(&line.points, &x, &y)) {}
                    @for &(a, b) in line.points.iter().filter(|p| p.1.is_finite()) {
                        circle class=(format!("f{}", place % COLOURS)) cx=(f(x.at(a)))
                            cy=(f(y.at(b))) r="3" {
                            title { (line.name) ": " (a) ", " (format!("{b:.4}")) }
                        }
                    }
                }
            }
        }
    }
}

fn path(points: &[(f64, f64)], x: &Scale, y: &Scale) -> String {
    let finite = points.iter().filter(|point| point.1.is_finite());
    let places: Vec<_> = finite.map(|&(a, b)| format!("{},{}", f(x.at(a)), f(y.at(b)))).collect();
    places.join(" ")
}

/// Names beside their colours.
fn key<'n>(names: impl Iterator<Item = &'n str>) -> Markup {
    html! {
        ul.key {
            @for (place, name) in names.enumerate() {
                li {
                    svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" {
                        rect class=(format!("f{}", place % COLOURS)) width="14" height="14"
                            rx="3" {}
                    }
                    (name)
                }
            }
        }
    }
}

/// Points with their names, each explained below the chart by its table.
pub(super) fn scatter(title: &str, axes: Axes, points: &[Point]) -> Markup {
    let x = Scale::new(points.iter().map(|p| p.x), LEFT, WIDTH - RIGHT);
    let y = Scale::new(points.iter().map(|p| p.y), HEIGHT - BOTTOM, TOP);
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) role="img"
                aria-label=(title) {
                (frame(&x, &y, axes))
                @for point in points {
                    @let (a, b) = (x.at(point.x), y.at(point.y));
                    // Names stand on the side where there is room.
                    @let is_right = a > f64::midpoint(LEFT, WIDTH);
                    circle.f0 cx=(f(a)) cy=(f(b)) r="5" {
                        title {
                            (point.name) ": " (axes.x) " " (point.x) ", " (axes.y) " " (point.y)
                        }
                    }
                    text x=(f(if is_right { a - 9.0 } else { a + 9.0 })) y=(f(b + 4.0))
                        font-size="11"
                        text-anchor=(if is_right { "end" } else { "start" }) { (point.name) }
                }
            }
        }
    }
}

/// Horizontal bars: name, value, colour.
pub(super) fn bars(title: &str, unit: &str, rows: &[(String, f64, usize)]) -> Markup {
    const BAR: f64 = 22.0;
    let longest = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0) as f64;
    let left = (7.0 * longest + 12.0).min(WIDTH / 2.0);
    let x = Scale::new(rows.iter().map(|row| row.1).chain([0.0]), left, WIDTH - 70.0);
    let height = BAR * rows.len() as f64 + 8.0;
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img"
                aria-label=(title) {
                @for (place, (name, value, colour)) in rows.iter().enumerate() {
                    @let top = BAR * place as f64 + 4.0;
                    text x=(f(left - 6.0)) y=(f(top + 14.0)) text-anchor="end" font-size="12" {
                        (name)
                    }
                    rect class=(format!("f{}", colour % COLOURS)) x=(f(left)) y=(f(top + 2.0))
                        width=(f((x.at(*value) - left).max(0.0))) height=(f(BAR - 6.0)) rx="2" {
                        title { (name) ": " (value) (unit) }
                    }
                    text.muted x=(f(x.at(*value) + 5.0)) y=(f(top + 14.0)) font-size="11" {
                        (short(*value)) (unit)
                    }
                }
            }
        }
    }
}

/// Three figures of a number.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 1e9 => format!("{:.2} G", value / 1e9),
        _ if size >= 1e6 => format!("{:.2} M", value / 1e6),
        _ if size >= 1e4 => format!("{:.1} k", value / 1e3),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 0.1 || size <= 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// What neurons emit over time: a row a neuron, a column a macro-step, as dark as the share of the
/// largest level.
pub(super) fn raster(title: &str, rows: &[Vec<f64>]) -> Markup {
    let steps = rows.first().map_or(0, Vec::len).max(1);
    let (wide, high) = ((160.0 / steps as f64).clamp(6.0, 22.0), 4.0);
    let (width, height) = (wide * steps as f64 + 2.0, high * rows.len() as f64 + 2.0);
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {width:.1} {height:.1}")) width=(f(width)) height=(f(height))
                role="img" aria-label=(format!("{title}: what {} neurons emit", rows.len())) {
                rect.rule x="0.5" y="0.5" width=(f(width - 1.0)) height=(f(height - 1.0))
                    fill="none" {}
                @for (neuron, row) in rows.iter().enumerate() {
                    @for (step, &share) in row.iter().enumerate().filter(|(_, s)| s.abs() > 0.0) {
                        rect class=(if share > 0.0 { "f0" } else { "f1" })
                            x=(f(1.0 + wide * step as f64)) y=(f(1.0 + high * neuron as f64))
                            width=(f(wide - 1.0)) height=(f(high - 0.5))
                            fill-opacity=(format!("{:.2}", share.abs())) {}
                    }
                }
            }
        }
    }
}

/// Counts by true class (rows) and predicted class (columns), as dark as their share of the row.
pub(super) fn matrix(title: &str, names: &[String], counts: &[Vec<usize>]) -> Markup {
    let classes = counts.len().max(1);
    let cell = (560.0 / classes as f64).clamp(5.0, 40.0);
    let shows_names = cell >= 14.0;
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let left = if shows_names { 7.0 * longest + 10.0 } else { 20.0 };
    let (width, height) = (left + cell * classes as f64 + 2.0, cell * classes as f64 + 24.0);
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {width:.1} {height:.1}")) width=(f(width)) height=(f(height))
                role="img" aria-label=(title) {
                @for (label, row) in counts.iter().enumerate() {
                    @let total = row.iter().sum::<usize>().max(1) as f64;
                    @let top = cell * label as f64;
                    @if shows_names {
                        text x=(f(left - 6.0)) y=(f(top + cell / 2.0 + 4.0)) text-anchor="end"
                            font-size="11" { (names[label]) }
                    }
                    @for (class, &count) in row.iter().enumerate().filter(|(_, n)| **n > 0) {
                        @let share = count as f64 / total;
                        @let x = left + cell * class as f64;
                        rect class=(if class == label { "f2" } else { "f1" }) x=(f(x)) y=(f(top))
                            width=(f(cell - 1.0)) height=(f(cell - 1.0))
                            fill-opacity=(format!("{:.2}", 0.12 + 0.88 * share)) {
                            title { (names[label]) " as " (names[class]) ": " (count) }
                        }
                        @if cell >= 24.0 {
                            text x=(f(x + cell / 2.0 - 0.5)) y=(f(top + cell / 2.0 + 4.0))
                                text-anchor="middle" font-size="10" { (count) }
                        }
                    }
                }
                rect.rule x=(f(left)) y="0" width=(f(cell * classes as f64))
                    height=(f(cell * classes as f64)) fill="none" {}
                text.muted x=(f(left)) y=(f(height - 6.0)) font-size="11" { "predicted class →" }
            }
        }
    }
}
