//! Rate coding comes near the network as macro-steps pass, and far later than codes.

use crate::quantise::{images, network, values};
use ndarray::Array2;
use snn_ir::{Code, Evaluate, FirstMembrane, Input, Model, Naive, Record};
use snn_reparam::{Levels, QuantiseOptions, StepRule, convert, quantise, rate_coded};

fn logits(model: &Model) -> Array2<f64> {
    let images = images(77);
    let input = Input::Static(images.view());
    let evaluation = Naive::new(model).unwrap().evaluate(&input, Record::Logits).unwrap();
    evaluation.logits.to_real(model.signature()).unwrap()
}

fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().map(|d| d * d).sum::<f64>().sqrt() / b.iter().map(|d| d * d).sum::<f64>().sqrt()
}

#[test]
fn rates_come_near_as_steps_pass() {
    let trained = network(None);
    let truth = logits(&trained);
    let with = |levels| {
        let rule = StepRule::Largest;
        let options = QuantiseOptions { rule, ..QuantiseOptions::new(Levels::Of(levels)) };
        let quantised = quantise(&trained, &values(&trained), &options).unwrap().model;
        convert(&quantised, &Code::Unary.into()).unwrap().model
    };
    let fine = with(255);
    for first in [FirstMembrane::Rest, FirstMembrane::Threshold { share: 0.5 }] {
        let rates = |steps| {
            let model = rate_coded(&fine, steps, first).unwrap();
            distance(&logits(&model), &truth)
        };
        let found = [4, 16, 64, 256].map(rates);
        assert!(found.windows(2).all(|pair| pair[1] < pair[0]), "{first:?} {found:?}");
        assert!(found[3] < 0.02, "{first:?} {found:?}");
        // As many micro-steps of a unary code are nearer.
        let coded = distance(&logits(&with(15)), &truth);
        assert!(coded < found[1], "{coded} {found:?}");
    }
}

#[test]
fn what_has_no_levels_is_refused() {
    let trained = network(None);
    let error = rate_coded(&trained, 4, FirstMembrane::Rest).unwrap_err().to_string();
    assert!(error.contains("form events"), "{error}");
    let graded = convert(&trained, &Code::Graded.into()).unwrap().model;
    let error = rate_coded(&graded, 4, FirstMembrane::Rest).unwrap_err().to_string();
    assert!(error.contains("first") && error.contains("quant_relu"), "{error}");
}
