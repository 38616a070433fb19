//! Statistics of sessions agree with the naive evaluator.

use crate::draw::{Numbers, model, pixels};
use ndarray::Axis;
use snn_ir::Naive;
use snn_ir::{Evaluate, Input, Record, SiteOutput};
use snn_runtime::deploy::{Deployment, Options};

#[test]
fn densities_are_those_of_the_naive_evaluator() {
    let mut sites = 0;
    for seed in 0..60 {
        let model = model(seed, 8, Numbers::Integer);
        let images = pixels(&model, &[3], seed);
        let expected = Naive::new(&model)
            .unwrap()
            .evaluate(&Input::Static(images.view()), Record::Sites)
            .unwrap();
        let has_delays =
            model.graph().nodes.iter().any(|node| matches!(node.op, snn_ir::Op::Delay { .. }));
        for threads in [1, 2] {
            let options = Options { statistics: true, threads, ..Options::default() };
            let mut session = Deployment::new(&model, &options).unwrap().session();
            for image in images.axis_iter(Axis(0)) {
                session.run(image.as_slice().unwrap()).unwrap();
            }
            assert_eq!(session.statistics().len(), model.graph().nodes.len());
            for trace in &expected.sites {
                let found =
                    session.statistics().iter().find(|node| node.node == trace.site).unwrap();
                let (active, values) = (trace.output.active(), trace.output.len() as u64);
                // With delays macro-steps run one by one.
                let SiteOutput::Levels(levels) = &trace.output else { panic!("levels") };
                let each = if has_delays { levels.shape()[0] as u64 } else { 1 };
                assert_eq!(
                    (found.runs, found.active, found.values),
                    (3 * each, active, values),
                    "seed {seed}, {}",
                    trace.site
                );
                assert_eq!(found.density(), Some(active as f64 / values as f64));
                assert!(found.nanoseconds > 0);
                sites += 1;
            }
            session.reset_statistics();
            assert!(session.statistics().iter().zip(&model.graph().nodes).all(|(found, node)| {
                found.node == node.name
                    && (found.runs, found.nanoseconds, found.values) == (0, 0, 0)
            }));
        }
    }
    assert!(sites > 200, "{sites} sites were compared");
}

#[test]
fn nothing_is_measured_unless_asked_for() {
    let model = model(1, 6, Numbers::Integer);
    let mut session = Deployment::new(&model, &Options::default()).unwrap().session();
    session.run(pixels(&model, &[], 0).as_slice().unwrap()).unwrap();
    assert!(session.statistics().is_empty());
}
