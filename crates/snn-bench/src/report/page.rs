//! The page around the sections of a report.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A part of the page with a heading that the contents link to.
pub(super) struct Section {
    /// Anchor, of lower-case letters and hyphens.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Markup,
}

/// The whole page.
pub(super) fn page(title: &str, sections: &[Section]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(format!("snn {version}"));
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    h1 { (title) }
                    nav aria-label="Contents" {
                        ul {
                            @for section in sections {
                                li { a href={ "#" (section.id) } { (section.title) } }
                            }
                        }
                    }
                }
                main #content {
                    @for section in sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.body)
                        }
                    }
                }
                footer { "Written by snn " (version) "." }
            }
        }
    };
    markup.into_string()
}

/// Figures in a table that scrolls by itself where it is wider than the page.
pub(super) fn table(caption: &str, headings: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (place, cell) in row.iter().enumerate() {
                                @if place == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table that is folded away until it is asked for.
pub(super) fn folded(summary: &str, body: &Markup) -> Markup {
    html! { details { summary { (summary) } (body) } }
}

/// Names with their values.
pub(super) fn facts(facts: &[(&str, String)]) -> Markup {
    html! {
        dl {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

const STYLE: &str = "
:root {
  --paper: #ffffff; --ink: #1d2530; --muted: #5a6675; --rule: #d8dee6; --panel: #f5f7fa;
  --c0: #1f6fb4; --c1: #c2560a; --c2: #177a5e; --c3: #8a4fbf; --c4: #a8842c; --link: #0b57a4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --ink: #e6ebf1; --muted: #9fabba; --rule: #323b47; --panel: #1a2029;
    --c0: #6cb2f0; --c1: #f0a060; --c2: #5cc9a7; --c3: #c39be8; --c4: #dfc06a; --link: #8cc2f5;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .5rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
h4 { font-size: .9rem; margin: 1rem 0 .25rem; color: var(--muted); font-weight: 600; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--c0); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .5rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: .5rem 0;
  list-style: none; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .75rem;
  margin: 0; }
dl div { background: var(--panel); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--muted); font-size: .85rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
p { max-width: 46rem; }
.note { color: var(--muted); font-size: .9rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1.25rem; }
.rasters { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-end; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; color: var(--muted); margin-bottom: .35rem; }
svg { max-width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font-family: inherit; }
svg .muted { fill: var(--muted); }
svg .rule { stroke: var(--rule); }
svg .axis { stroke: var(--muted); }
.f0 { fill: var(--c0); } .f1 { fill: var(--c1); } .f2 { fill: var(--c2); } .f3 { fill: var(--c3); }
.f4 { fill: var(--c4); }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); }
.s3 { stroke: var(--c3); } .s4 { stroke: var(--c4); }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .85rem; padding: 0; margin: 0;
  list-style: none; }
.key svg { display: inline-block; vertical-align: middle; margin-right: .35rem; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: .35rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--muted); font-weight: 600; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--link); }
.sample { background: var(--panel); border-radius: .5rem; padding: .25rem 1rem 1rem;
  margin: 1rem 0; }
.sample img { image-rendering: pixelated; width: 8rem; max-width: 100%; height: auto;
  border-radius: .25rem; }
.row { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: flex-start; }
footer { color: var(--muted); font-size: .85rem; padding-bottom: 2rem; margin-top: 3rem; }
@media print { nav, .skip { display: none; } details { display: block; } }
";
