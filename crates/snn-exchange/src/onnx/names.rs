//! Names of nodes: of a module's path as exporters write it, a path name.

use std::collections::HashMap;

/// Names that were given so far, and the last number that was put behind each.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashMap<String, usize>,
}

impl Names {
    /// A name that no node has, from the name of a node of ONNX. `weight` is the name of its
    /// weight, which exporters take from the module: `layer1.0.conv1` of `layer1.0.conv1.weight`.
    pub(super) fn give(&mut self, node: &str, operator: &str, weight: Option<&str>) -> String {
        let module = weight.and_then(|weight| weight.strip_suffix(".weight"));
        let wanted = legal(&module.map_or_else(|| path_name(node, operator), ToString::to_string));
        let mut number = self.taken.get(&wanted).map_or(1, |last| last + 1);
        let mut name = wanted.clone();
        while number > 1 {
            name = format!("{wanted}_{number}");
            if !self.taken.contains_key(&name) {
                break;
            }
            number += 1;
        }
        self.taken.insert(wanted, number);
        self.taken.entry(name.clone()).or_insert(1);
        name
    }
}

/// `layer1.0.conv1` of `/layer1/layer1.0/conv1/Conv`: parts that repeat the path before them, and
/// the operator behind the module that it is all of, are left out.
fn path_name(node: &str, operator: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in node.split('/').filter(|part| !part.is_empty()) {
        if parts.last().is_some_and(|last| part.starts_with(&format!("{last}."))) {
            parts.pop();
        }
        parts.push(part);
    }
    // A module that is this operator: it has weights, or its name says so; a block has a number.
    let module = |part: &str| {
        let part = part.rsplit('.').next().unwrap_or(part);
        let is_numbered = part.bytes().all(|byte| byte.is_ascii_digit());
        match operator {
            "Conv" | "Gemm" | "MatMul" | "BatchNormalization" => true,
            "Relu" | "Clip" | "Dropout" => !is_numbered,
            operator => part.to_lowercase().starts_with(&operator.to_lowercase()),
        }
    };
    if let [.., before, last] = parts.as_slice()
        && *last == operator
        && module(before)
    {
        parts.pop();
    }
    parts.join(".")
}

/// Letters, digits and `_ . -`; other characters become `_`.
fn legal(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let name: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if name.is_empty() { "node".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_follow_modules() {
        let mut names = Names::default();
        let mut give = |node: &str, operator: &str, weight| names.give(node, operator, weight);
        assert_eq!(give("/layer1/layer1.0/conv1/Conv", "Conv", None), "layer1.0.conv1");
        assert_eq!(give("x", "Conv", Some("layer1.0.conv1.weight")), "layer1.0.conv1_2");
        assert_eq!(give("/layer1/layer1.0/relu_1/Relu", "Relu", None), "layer1.0.relu_1");
        assert_eq!(give("/layer1/layer1.0/Add", "Add", None), "layer1.0.Add");
        assert_eq!(
            give("/avgpool/GlobalAveragePool", "GlobalAveragePool", None),
            "avgpool.GlobalAveragePool"
        );
        assert_eq!(give("x_2", "Add", None), "x_2");
        assert_eq!(give("x", "Add", None), "x");
        assert_eq!(give("x", "Add", None), "x_3");
        assert_eq!(give("x_2", "Add", None), "x_2_2");
        assert_eq!(give("a b:0", "Add", None), "a_b_0");
        assert_eq!(give("", "Add", None), "node");
    }
}
