//! Names of nodes as names of Python.

use std::collections::HashSet;

/// What a program calls otherwise: its own functions and values, and words of Python.
const TAKEN: &str = "F T MEAN SHAPE CLASSES EXACT LOGIT_UNIT FRAMES_ONLY Path torch sys load_file \
                     numpy main run pixels conv linear scale sum_pool max_pool mask quant_relu lif \
                     saturated leaked channel w t frames states history scores batch False None \
                     True and as assert async await break class continue def del elif else except \
                     finally for from global if import in is lambda nonlocal not or pass raise \
                     return try while with yield match case type sum max min range len int print \
                     zip enumerate dict list";

/// A name of Python for each of some nodes, in their order; no two are equal.
pub(super) fn identifiers<'n>(nodes: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut taken: HashSet<String> = TAKEN.split_whitespace().map(ToString::to_string).collect();
    nodes
        .map(|node| {
            let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let mut name: String = node.chars().map(fits).collect();
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                name.insert(0, '_');
            }
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            name
        })
        .collect()
}

/// A text as a literal of Python.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_graphic() || c == ' ' => quoted.push(c),
            c => quoted.extend(format!("\\U{:08x}", u32::from(c)).chars()),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{identifiers, literal};

    #[test]
    fn names_are_pythons_and_differ() {
        let nodes = ["layer1.0.conv1", "layer1_0.conv1", "lif", "0", "größe", "for"];
        let expected = ["layer1_0_conv1", "layer1_0_conv1_", "lif_", "_0", "gr__e", "for_"];
        assert_eq!(identifiers(nodes.into_iter()), expected);
        assert_eq!(literal("a\"b\\c\nü"), "\"a\\\"b\\\\c\\U0000000a\\U000000fc\"");
    }
}
