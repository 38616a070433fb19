//! Networks recognised from their weights give the logits of PyTorch.

use super::files::load;
use ndarray::{Array2, ArrayD, IxDyn};
use serde::Deserialize;
use snn_exchange::pixels::Normalisation;
use snn_exchange::state_dict::{ImportOptions, Imported, NetworkOptions, import};
use snn_ir::{Evaluate, Input, Model, Naive, Op, Preprocessing, Record, Site};
use snn_test_support::golden;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct File {
    mean: Vec<u8>,
    std: Vec<f64>,
    networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
struct Network {
    input: [usize; 3],
    logits: Vec<Vec<f64>>,
}

pub(crate) fn normalisation() -> Normalisation {
    let File { mean, std, .. } = golden::json("state_dicts/expected.json");
    Normalisation::of_pixels(&Preprocessing::new(mean, std))
}

/// The images of `fixtures/golden/make_state_dicts.py`.
pub(crate) fn images(shape: &[usize], count: usize) -> ArrayD<u8> {
    let size: usize = shape.iter().product();
    let pixel = |at: usize| {
        let (image, index) = (at / size, at % size);
        let value = index * index * 7 + index * 31 + image * 97 + (index / 64) * (image + 3) * 5;
        u8::try_from(value % 256).unwrap()
    };
    let values = (0..count * size).map(pixel).collect();
    ArrayD::from_shape_vec(IxDyn(&[&[count], shape].concat()), values).unwrap()
}

pub(crate) fn logits(model: &Model, images: &ArrayD<u8>) -> Array2<f64> {
    let mut naive = Naive::new(model).unwrap();
    let evaluation = naive.evaluate(&Input::Static(images.view()), Record::Logits).unwrap();
    evaluation.logits.to_real(model.signature()).unwrap()
}

pub(crate) fn imported(name: &str, input: [usize; 3]) -> Imported {
    let network = NetworkOptions { input: Some(input), ..NetworkOptions::default() };
    let options = ImportOptions { network, ..ImportOptions::default() };
    import(&load(name, None).unwrap(), &normalisation(), &options).unwrap()
}

/// Statistics that are no integers are kept exactly, though all these networks pad their images.
#[test]
fn other_means_are_kept_until_they_are_rounded() {
    let File { networks, .. } = golden::json("state_dicts/expected.json");
    for (name, Network { input, .. }) in networks {
        let normalisation = Normalisation::imagenet();
        let network = NetworkOptions { input: Some(input), ..NetworkOptions::default() };
        let state = load(&name, None).unwrap();
        let with = |round_means| {
            let options =
                ImportOptions { network: network.clone(), round_means, ..ImportOptions::default() };
            import(&state, &normalisation, &options).unwrap()
        };
        let [kept, rounded] = [false, true].map(with);
        assert_eq!(kept.report.remainder.kept_by.as_deref(), Some("image_offset"), "{name}");
        assert!(rounded.report.remainder.at_border > 0.0, "{name}");
        // Both are one network but for the border.
        let images = images(&input, 2);
        let (a, b) = (logits(&kept.model, &images), logits(&rounded.model, &images));
        let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart > 0.0 && apart < 0.1, "{name}: {apart}");
        // The rounded one has the weights that training by this network's own graph expects.
        let plain = imported(&name, input);
        assert_eq!(rounded.model.graph(), plain.model.graph(), "{name}");
    }
}

#[test]
fn recognised_networks_give_the_logits_of_pytorch() {
    let File { networks, .. } = golden::json("state_dicts/expected.json");
    assert!(networks.len() > 8);
    for (name, Network { input, logits: expected }) in networks {
        let Imported { model, report } = imported(&name, input);
        assert!(report.is_complete(), "{report}");
        assert_eq!(report.remainder.at_border.to_bits(), 0.0_f64.to_bits(), "{name}");
        assert_eq!(model.time_steps(), 1);
        let sites = model
            .graph()
            .nodes
            .iter()
            .filter(|node| matches!(&node.op, Op::Activation { site: Site::Relu { .. }, .. }));
        assert_eq!(sites.count(), model.graph().sites().unwrap().len());
        let found = logits(&model, &images(&input, expected.len()));
        assert_eq!(found.dim(), (expected.len(), expected[0].len()), "{name}");
        for (found, expected) in found.iter().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-4, "{name}: {found}, expected {expected}");
        }
        // A file of ours, as well.
        let again = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(again, model);
    }
}
