//! Operations of augmentation policies against torchvision with PIL
//! (`fixtures/golden/make_augment.py`).

use ndarray::Array3;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use snn_data::pictures::{DecodeOptions, Picture, Window, decode};
use snn_data::{
    Augment, AugmentPolicy, RandomErasing, SampleMut, SampleRng, Transform, auto_augment::Operation,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden")
}

fn fixture() -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden().join("augment.json")).unwrap()).unwrap()
}

fn picture() -> Picture {
    decode(&golden().join("images/png.JPEG"), DecodeOptions::default()).unwrap()
}

fn dull() -> Picture {
    let part = picture().crop(Window { left: 8, top: 6, width: 32, height: 32 }).unwrap();
    Picture::new(32, 32, part.pixels().iter().map(|byte| byte / 5 + 90).collect()).unwrap()
}

fn operation(name: &str, strength: f64) -> Operation {
    match name {
        "ShearX" => Operation::ShearX(strength),
        "ShearY" => Operation::ShearY(strength),
        "TranslateX" => Operation::TranslateX(strength),
        "TranslateY" => Operation::TranslateY(strength),
        "Rotate" => Operation::Rotate(strength),
        "Brightness" => Operation::Brightness(strength),
        "Color" => Operation::Color(strength),
        "Contrast" => Operation::Contrast(strength),
        "Sharpness" => Operation::Sharpness(strength),
        "Posterize" => Operation::Posterize(
            [0, 1, 2, 3, 4, 5, 6, 7, 8]
                .into_iter()
                .find(|&bits| (f64::from(bits) - strength).abs() < 0.5)
                .unwrap(),
        ),
        "Solarize" => Operation::Solarize(strength),
        "AutoContrast" => Operation::AutoContrast,
        "Equalize" => Operation::Equalize,
        "Invert" => Operation::Invert,
        "Identity" => Operation::Identity,
        other => panic!("{other}"),
    }
}

fn sha256(image: &Array3<u8>) -> String {
    Sha256::digest(image.as_slice().unwrap()).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn every_operation_gives_the_bytes_of_torchvision() {
    let fixture = fixture();
    let cases = fixture["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let (name, strength) =
            (case["operation"].as_str().unwrap(), case["strength"].as_f64().unwrap());
        let image = if case["image"] == "dull" { dull() } else { picture() };
        let mut planes = image.planes();
        operation(name, strength).apply(&mut planes.view_mut(), &[125, 123, 114]).unwrap();
        if sha256(&planes) != case["sha256"].as_str().unwrap() {
            wrong.push(format!("{name} {strength} {}", case["image"]));
        }
    }
    assert!(wrong.is_empty() && cases.len() > 80, "{} of {}: {wrong:#?}", wrong.len(), cases.len());
}

fn name_and_strength(operation: Operation) -> (String, f64) {
    let text = format!("{operation:?}");
    let (name, rest) = text.split_once('(').unwrap_or((&text, "0)"));
    (name.to_owned(), rest.trim_end_matches(')').parse().unwrap())
}

/// The strengths that a policy draws are those of torchvision's tables (up to a last bit of f32),
/// and all of them come up.
fn draws_agree(policy: AugmentPolicy, space: &Value, all: bool) {
    let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for index in 0..60_000 {
        for drawn in policy.draw([32, 48], &mut SampleRng::for_sample(0, 0, index)) {
            let (name, strength) = name_and_strength(drawn);
            let known =
                space[&name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
            assert!(
                known.clone().any(|known| (known - strength.abs()).abs() < 1e-5),
                "{name} {strength} is none of {:?}",
                known.collect::<Vec<_>>()
            );
            let strengths = seen.entry(name).or_default();
            if !strengths.contains(&strength.abs()) {
                strengths.push(strength.abs());
            }
        }
    }
    if all {
        let count = |values: &Value| {
            let mut values: Vec<_> =
                values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
            values.dedup();
            values.len()
        };
        for (name, values) in space.as_object().unwrap() {
            assert_eq!(seen[name].len(), count(values), "{name}");
        }
    }
}

#[test]
fn strengths_are_those_of_torchvision() {
    let spaces = &fixture()["spaces"];
    draws_agree(AugmentPolicy::TrivialAugment, &spaces["trivial"], true);
    for magnitude in [0, 9, 30] {
        draws_agree(
            AugmentPolicy::RandAugment { operations: 2, magnitude },
            &spaces["rand"],
            false,
        );
    }
    for policy in [
        AugmentPolicy::AutoAugmentCifar,
        AugmentPolicy::AutoAugmentImageNet,
        AugmentPolicy::AutoAugmentSvhn,
    ] {
        draws_agree(policy, &spaces["auto"], false);
    }
}

#[test]
fn learned_policies_apply_their_operations_as_often_as_they_say() {
    for (policy, name) in [
        (AugmentPolicy::AutoAugmentCifar, "cifar10"),
        (AugmentPolicy::AutoAugmentImageNet, "imagenet"),
        (AugmentPolicy::AutoAugmentSvhn, "svhn"),
    ] {
        let mut expected: BTreeMap<String, f64> = BTreeMap::new();
        let fixture = fixture();
        for pair in fixture["policies"][name].as_array().unwrap() {
            for step in pair.as_array().unwrap() {
                *expected.entry(step[0].as_str().unwrap().to_owned()).or_default() +=
                    step[1].as_f64().unwrap() / 25.0;
            }
        }
        let draws = 40_000;
        let mut found: BTreeMap<String, f64> = BTreeMap::new();
        for index in 0..draws {
            for drawn in policy.draw([32, 32], &mut SampleRng::for_sample(3, 1, index)) {
                *found.entry(name_and_strength(drawn).0).or_default() += 1.0 / draws as f64;
            }
        }
        for (kind, expected) in expected {
            let found = found.get(&kind).copied().unwrap_or(0.0);
            // Five standard deviations.
            assert!(
                (found - expected).abs() <= 5.0 * (expected / draws as f64).sqrt() + 1e-9,
                "{name}, {kind}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn transforms_are_functions_of_the_stream_and_check_their_settings() {
    let augment = Augment {
        policy: Some(AugmentPolicy::TrivialAugment),
        fill: vec![1, 2, 3],
        ..Augment::default()
    };
    let always = RandomErasing { chance: 1.0, ..RandomErasing::default() };
    let erasing = Augment { erasing: Some(always), fill: vec![0, 0, 0], ..Augment::default() };
    let apply = |transform: &dyn Transform, index| {
        let mut planes = picture().planes();
        let mut sample = SampleMut::from_image(planes.view_mut());
        transform.apply(&mut sample, &mut SampleRng::for_sample(5, 0, index)).unwrap();
        planes
    };
    for transform in [&augment as &dyn Transform, &erasing] {
        assert_eq!(apply(transform, 1), apply(transform, 1));
        assert!((0..20).any(|index| apply(transform, index) != apply(transform, 1)));
    }
    let area = picture().width() * picture().height() * 3;
    for index in 0..200 {
        let erased =
            apply(&erasing, index).iter().zip(&picture().planes()).filter(|(a, b)| a != b).count();
        assert!((1..=area * 36 / 100).contains(&erased), "{erased} of {area}");
    }
    let mut planes = picture().planes();
    let mut refused = |transform: &dyn Transform, part: &str| {
        let error = transform
            .apply(
                &mut SampleMut::from_image(planes.view_mut()),
                &mut SampleRng::for_sample(0, 0, 0),
            )
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    };
    let rand = |operations, magnitude| Augment {
        policy: Some(AugmentPolicy::RandAugment { operations, magnitude }),
        fill: vec![0; 3],
        ..Augment::default()
    };
    refused(&rand(2, 31), "magnitude: expected at most 30, found 31");
    refused(&rand(17, 1), "operations");
    refused(&Augment { fill: vec![0], ..rand(1, 1) }, "fill: expected 3 values");
    let with = |erasing| Augment { erasing: Some(erasing), ..Augment::standard(&[0; 3]) };
    refused(&with(RandomErasing { chance: 1.5, ..always }), "chance");
    refused(&with(RandomErasing { scale: [0.5, 0.2], ..always }), "scale");
    refused(&Augment { fill: vec![], ..erasing }, "fill");
}
