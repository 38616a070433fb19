//! The program that PyTorch runs, as text.

use snn_exchange::{Error, torch};
use snn_ir::testing::{Numbers, trained};

use crate::peers::on_grid;

#[test]
fn a_line_for_each_node() {
    for seed in 0..30 {
        let Some(model) = on_grid(seed) else { continue };
        let program = torch::program(&model).expect("a program");
        let nodes = model.graph().nodes.len();
        let run = program.split("\ndef run").nth(1).expect("the function");
        let lines = run.split("return scores").next().expect("its body").lines();
        let assigned = lines.filter(|line| line.starts_with("        ") && line.contains(" = "));
        assert_eq!(assigned.count(), nodes, "seed {seed}\n{program}");
        assert!(program.lines().all(|line| line.len() < 200));
    }
}

#[test]
fn a_network_off_the_grid_is_refused_by_name() {
    let error = torch::program(&trained(1, Numbers::Real)).expect_err("it has no integers");
    assert!(matches!(error, Error::Refused(_)));
    assert!(error.to_string().contains("`head` (time_"), "{error}");
    assert!(error.to_string().contains("in the form trained; convert it"), "{error}");
}
