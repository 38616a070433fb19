//! Identities between what sites emitted and what synapses counted.

use crate::draw::{Numbers, model, pixels, recoded};
use snn_ir::Code;
use snn_ir::{Conv, Op};
use snn_ir::{Input, Record, SiteOutput};
use snn_runtime::Counting;
use snn_runtime::counting::Tally;
use std::collections::HashMap;

/// Fan-out of position `(i, j)` of channel `c` by the definition of eq. 2, without any of the
/// runtime's tables.
fn fan_out(conv: &Conv, [i, j]: [usize; 2], [height, width]: [usize; 2]) -> u64 {
    let snn_ir::Geometry { kernel, stride, padding, padding_after, dilation } = conv.as_2d();
    let along = |axis: usize, at: usize, size: usize| {
        let reads = |output: usize, tap: usize| {
            output * stride[axis] + tap * dilation[axis] == at + padding[axis]
        };
        let padded = size + padding[axis] + padding_after[axis];
        let outputs = (padded - (kernel[axis] - 1) * dilation[axis] - 1) / stride[axis] + 1;
        (0..outputs)
            .flat_map(|o| (0..kernel[axis]).map(move |t| (o, t)))
            .filter(|&(o, t)| reads(o, t))
            .count() as u64
    };
    along(0, i, height) * along(1, j, width) * (conv.channels / conv.groups) as u64
}

/// In random models, for every synapse that reads a site: unary and ternary additions are Σ
/// |q|·fan-out, bit-plane ones Σ popcount(q)·fan-out, graded multiplications Σ [q ≠ 0]·fan-out.
#[test]
fn identities_between_levels_and_counts_hold_in_random_models() {
    let (mut seen, mut negative) = (0, 0);
    for seed in 0..200 {
        let drawn = model(seed, 8, Numbers::Integer);
        for code in [Code::Unary, Code::BitPlane, Code::Graded] {
            let model = recoded(&drawn, code);
            let runtime = Counting::new(&model).unwrap();
            let images = pixels(&model, &[3], seed);
            let sites = runtime.run(&Input::Static(images.view()), Record::Sites).unwrap().sites;
            let (counts, resolved) = (runtime.counts(), model.graph().resolve().unwrap());
            let traces: HashMap<_, _> =
                sites.iter().map(|trace| (trace.site.as_str(), &trace.output)).collect();
            for (node, info) in model.graph().nodes.iter().zip(&resolved.nodes) {
                let conv = match &node.op {
                    Op::Conv(conv) => conv.clone(),
                    Op::Linear { features, .. } => Conv {
                        kernel: vec![1],
                        stride: vec![1],
                        padding: vec![0],
                        dilation: vec![1],
                        ..Conv::square(*features, 1, 1)
                    },
                    _ => continue,
                };
                let source = &model.graph().nodes[info.inputs[0]];
                let (Op::Activation { code: Some(code), .. }, Some(SiteOutput::Levels(levels))) =
                    (&source.op, traces.get(source.name.as_str()))
                else {
                    continue;
                };
                let [_, height, width] = resolved.nodes[info.inputs[0]].chw();
                let mut expected = Tally::default();
                for (index, &q) in levels.iter().enumerate() {
                    let position = index % (height * width);
                    let fan_out =
                        fan_out(&conv, [position / width, position % width], [height, width]);
                    match code {
                        Code::Unary | Code::Binary | Code::Ternary => {
                            expected.additions += u64::from(q.unsigned_abs()) * fan_out;
                        }
                        Code::BitPlane => expected.additions += u64::from(q.count_ones()) * fan_out,
                        Code::Graded => expected.multiplications += u64::from(q != 0) * fan_out,
                    }
                }
                let found = counts.node(&node.name).unwrap().tally;
                assert_eq!(
                    (found.additions, found.multiplications),
                    (expected.additions, expected.multiplications),
                    "seed {seed}, {}",
                    node.name
                );
                seen += u64::from(expected.additions + expected.multiplications > 0);
                negative += u64::from(levels.iter().any(|q| *q < 0));
                let events: u64 = levels
                    .iter()
                    .map(|&q| match code {
                        Code::Unary | Code::Binary | Code::Ternary => u64::from(q.unsigned_abs()),
                        Code::BitPlane => u64::from(q.count_ones()),
                        Code::Graded => u64::from(q != 0),
                    })
                    .sum();
                assert_eq!(
                    counts.node(&source.name).unwrap().tally.events,
                    events,
                    "seed {seed}, {}",
                    source.name
                );
            }
        }
    }
    assert!(seen > 500, "only {seen} synapses had events");
    assert!(negative > 50, "only {negative} synapses read spikes of −1");
}
