//! The graph as SVG, in layers: every node below all that it reads, every value in a lane of its
//! own.

use super::{Lanes, Role, Shown};
use std::fmt::Write as _;

const CHARACTER: usize = 7; // width of the 11 px monospace font, rounded up
const LINE: usize = 14; // from one line of text to the next
const PADDING: usize = 8;
const COLUMN_GAP: usize = 28;
const TRACK: usize = 7; // between horizontal wires of one gap
const RADIUS: usize = 6; // of their corners
const MARGIN: usize = 20;
const FACT_WIDTH: usize = 34; // characters, after which facts go to the next line

/// Where everything stands, in pixels.
struct Layout {
    lanes: Lanes,
    layers: Vec<usize>,
    lines: Vec<Vec<String>>,
    /// Top of each layer's boxes.
    tops: Vec<usize>,
    box_width: usize,
    width: usize,
    height: usize,
}

/// Draws nodes in topological order under a title.
pub(crate) fn svg(nodes: &[Shown], title: &str) -> String {
    let layout = Layout::of(nodes, title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} \
         {1}\" \
         font-family=\"ui-monospace, Menlo, Consolas, monospace\" \
         font-size=\"11\">\n<title>{2}</title>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"6\" \
         markerHeight=\"6\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{3}\" y=\"{4}\" \
         font-weight=\"bold\">{2}</text>\n",
        layout.width,
        layout.height,
        escape(title),
        MARGIN,
        MARGIN + LINE
    );
    legend(&mut svg, nodes);
    svg += "<g fill=\"none\" stroke=\"#555\" stroke-width=\"1.5\">\n";
    for (reader, node) in nodes.iter().enumerate() {
        for &input in &node.inputs {
            let _ = writeln!(
                svg,
                "<path d=\"{}\" marker-end=\"url(#arrow)\"/>",
                layout.wire(input, reader)
            );
        }
    }
    svg += "</g>\n";
    for (index, node) in nodes.iter().enumerate() {
        layout.node(&mut svg, index, node);
    }
    svg + "</svg>\n"
}

impl Layout {
    fn of(nodes: &[Shown], title: &str) -> Self {
        let lanes = Lanes::of(nodes);
        let layers = layers(nodes, &lanes);
        let lines: Vec<Vec<String>> = nodes.iter().map(lines).collect();
        let longest = lines.iter().flatten().map(|line| line.chars().count()).max().unwrap_or(0);
        let box_width = longest * CHARACTER + 2 * PADDING;
        let count = layers.iter().max().map_or(0, |last| last + 1);
        let mut heights = vec![0; count];
        for (layer, lines) in layers.iter().zip(&lines) {
            heights[*layer] = heights[*layer].max(box_height(lines));
        }
        let gap = (lanes.width + 2) * TRACK + 2 * RADIUS;
        let mut tops = Vec::with_capacity(count);
        let mut y = 2 * MARGIN + 3 * LINE;
        for height in heights {
            tops.push(y);
            y += height + gap;
        }
        let drawing = lanes.width * (box_width + COLUMN_GAP);
        let heading = CHARACTER * title.chars().count().max(LEGEND_CHARACTERS);
        Self {
            width: 2 * MARGIN + drawing.max(heading),
            height: y,
            lanes,
            layers,
            lines,
            tops,
            box_width,
        }
    }

    fn centre(&self, node: usize) -> usize {
        MARGIN + self.lanes.columns[node] * (self.box_width + COLUMN_GAP) + self.box_width / 2
    }

    fn top(&self, node: usize) -> usize {
        self.tops[self.layers[node]]
    }

    /// Down the input's lane into the gap above the reader, across on the track of the reader's
    /// column, down into the reader.
    fn wire(&self, input: usize, reader: usize) -> String {
        let (from, to) = (self.centre(input), self.centre(reader));
        let (start, end) = (self.top(input) + box_height(&self.lines[input]), self.top(reader));
        if from == to {
            return format!("M{from} {start}V{end}");
        }
        let track = end - RADIUS - TRACK * (self.lanes.columns[reader] + 1);
        let (before, after) =
            if from < to { (from + RADIUS, to - RADIUS) } else { (from - RADIUS, to + RADIUS) };
        format!(
            "M{from} {start}V{}Q{from} {track} {before} {track}H{after}Q{to} {track} {to} {}V{end}",
            track - RADIUS,
            track + RADIUS
        )
    }

    fn node(&self, svg: &mut String, index: usize, node: &Shown) {
        let (fill, stroke) = colours(node.role);
        let (centre, top, lines) = (self.centre(index), self.top(index), &self.lines[index]);
        let _ = writeln!(
            svg,
            "<g><title>{}</title><rect x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{}\" rx=\"6\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>",
            escape(&node.name),
            centre - self.box_width / 2,
            self.box_width,
            box_height(lines)
        );
        for (number, line) in lines.iter().enumerate() {
            let weight = if number == 0 { " font-weight=\"bold\"" } else { "" };
            let y = top + PADDING + LINE * (number + 1) - 4;
            let _ = writeln!(
                svg,
                "<text x=\"{centre}\" y=\"{y}\" text-anchor=\"middle\"{weight}>{}</text>",
                escape(line)
            );
        }
        *svg += "</g>\n";
    }
}

/// The layer of each node: below all that it reads, and in its column below every box and wire of
/// before.
fn layers(nodes: &[Shown], lanes: &Lanes) -> Vec<usize> {
    let mut layers: Vec<usize> = Vec::with_capacity(nodes.len());
    // The first layer of each column that is free.
    let mut free = vec![0_usize; lanes.width];
    for (index, node) in nodes.iter().enumerate() {
        let column = lanes.columns[index];
        let below_inputs = node.inputs.iter().map(|&input| layers[input] + 1).max().unwrap_or(0);
        // Straight under its only input, wires of that value alone can be in the way, and those may
        // end in the gap above.
        let straight = !node.inputs.is_empty()
            && node.inputs.iter().all(|&input| lanes.columns[input] == column);
        let layer =
            below_inputs.max(if straight { free[column].saturating_sub(1) } else { free[column] });
        free[column] = layer + 1;
        for &input in &node.inputs {
            let lane = lanes.columns[input];
            free[lane] = free[lane].max(layer + 1);
        }
        layers.push(layer);
    }
    layers
}

/// The name, and the facts in lines of bearable width.
fn lines(node: &Shown) -> Vec<String> {
    let mut lines = vec![node.name.clone()];
    let mut line = String::new();
    for fact in node.facts.iter().filter(|fact| !fact.is_empty()) {
        if !line.is_empty() && line.chars().count() + 3 + fact.chars().count() > FACT_WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line += " · ";
        }
        line += fact;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn box_height(lines: &[String]) -> usize {
    lines.len() * LINE + 2 * PADDING
}

const LEGEND_CHARACTERS: usize = 80;

fn legend(svg: &mut String, nodes: &[Shown]) {
    let (mut x, y) = (MARGIN, MARGIN + LINE + 10);
    // Few networks have delays.
    let has_delay = nodes.iter().any(|node| node.role == Role::Delay);
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Delay || has_delay) {
        let (fill, stroke) = colours(role);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" rx=\"3\" fill=\"{fill}\" \
             stroke=\"{stroke}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            x + 17,
            y + 10,
            role.label()
        );
        x += 17 + CHARACTER * role.label().chars().count() + 14;
    }
}

fn colours(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::End => ("#eceff1", "#607d8b"),
        Role::Synapse => ("#e3f2fd", "#1e88e5"),
        Role::Spiking => ("#fff3e0", "#fb8c00"),
        Role::Relu => ("#e8f5e9", "#43a047"),
        Role::Join => ("#f3e5f5", "#8e24aa"),
        Role::Delay => ("#fffde7", "#f9a825"),
        Role::Other => ("#fafafa", "#9e9e9e"),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            // XML 1.0 has no other control characters.
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph in which every node but the first reads one to three nodes before it, from a linear
    /// congruential generator.
    fn random(seed: u64) -> Vec<Shown> {
        let mut state = seed;
        let mut below = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        let mut nodes = Vec::new();
        for index in 0..20_usize {
            let mut inputs: Vec<usize> =
                (0..if index == 0 { 0 } else { 1 + below(3) }).map(|_| below(index)).collect();
            inputs.sort_unstable();
            inputs.dedup();
            nodes.push(Shown {
                inputs,
                role: Role::Other,
                name: index.to_string(),
                facts: vec!["x".into(); below(30)],
            });
        }
        nodes
    }

    /// The straight parts of a wire as `((x, y), (x, y))`, corners cut square.
    fn segments(layout: &Layout, input: usize, reader: usize) -> Vec<[(usize, usize); 2]> {
        let (from, to) = (layout.centre(input), layout.centre(reader));
        let (start, end) =
            (layout.top(input) + box_height(&layout.lines[input]), layout.top(reader));
        if from == to {
            return vec![[(from, start), (to, end)]];
        }
        let track = end - RADIUS - TRACK * (layout.lanes.columns[reader] + 1);
        assert!(start + RADIUS <= track, "a wire has room to turn");
        vec![
            [(from, start), (from, track)],
            [(from.min(to), track), (from.max(to), track)],
            [(to, track), (to, end)],
        ]
    }

    #[test]
    fn wires_go_through_no_box_and_lie_on_no_other() {
        for seed in 0..300 {
            let nodes = random(seed);
            let layout = Layout::of(&nodes, "");
            let wires: Vec<(usize, usize)> = (0..nodes.len())
                .flat_map(|reader| nodes[reader].inputs.iter().map(move |&input| (input, reader)))
                .collect();
            for &(input, reader) in &wires {
                assert!(layout.layers[input] < layout.layers[reader]);
                for [(x0, y0), (x1, y1)] in segments(&layout, input, reader) {
                    for node in 0..nodes.len() {
                        let (centre, top) = (layout.centre(node), layout.top(node));
                        let (left, right) =
                            (centre - layout.box_width / 2, centre + layout.box_width / 2);
                        let bottom = top + box_height(&layout.lines[node]);
                        let apart = x1 < left || x0 > right || y1 <= top || y0 >= bottom;
                        assert!(apart, "seed {seed}: wire {input} to {reader} goes through {node}");
                    }
                    for &(other, its_reader) in
                        wires.iter().filter(|wire| wire.0 != input && wire.1 != reader)
                    {
                        for [(a0, b0), (a1, b1)] in segments(&layout, other, its_reader) {
                            let upright =
                                x0 == x1 && a0 == a1 && x0 == a0 && y0.max(b0) < y1.min(b1);
                            let level = y0 == y1 && b0 == b1 && y0 == b0 && x0.max(a0) < x1.min(a1);
                            assert!(
                                !upright && !level,
                                "seed {seed}: {input} to {reader} on {other} to {its_reader}"
                            );
                        }
                    }
                }
            }
            for a in 0..nodes.len() {
                for b in 0..a {
                    assert!(
                        (layout.centre(a), layout.top(a)) != (layout.centre(b), layout.top(b)),
                        "seed {seed}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_markup() {
        let node = Shown {
            inputs: vec![],
            role: Role::End,
            name: "<a href=\"x\">&\u{1}".into(),
            facts: vec![],
        };
        let svg = svg(&[node], "t");
        assert!(
            svg.contains("&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}") && !svg.contains("<a "),
            "{svg}"
        );
    }
}
