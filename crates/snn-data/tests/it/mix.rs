//! Mixup and cutmix against naive twins, their distribution, and what they depend on.

use ndarray::Array4;
use snn_data::{Batch, LoaderConfig, Mix, Mixture, SampleRng, Samples, Targets};

const MIXUP: Mix = Mix { mixup: 1.0, ..Mix::NONE };
const CUTMIX: Mix = Mix { cutmix: 1.0, ..Mix::NONE };

/// Image i is full of 10·i, and its label is i.
fn batch(count: usize) -> Batch {
    let images = Array4::from_shape_fn((count, 2, 6, 8), |(i, ..)| u8::try_from(10 * i).unwrap());
    Batch {
        samples: Samples::Static(images),
        targets: Targets::new((0..i64::try_from(count).unwrap()).collect()),
        indices: (0..count).collect(),
    }
}

fn mixed(mix: Mix, epoch: u64, step: usize) -> (Batch, Mixture) {
    let mut batch = batch(8);
    mix.apply(&mut batch, &mut SampleRng::for_batch(3, epoch, step)).unwrap();
    let mixture = batch.targets.mixture.clone().unwrap();
    (batch, mixture)
}

#[test]
fn mixup_is_the_rounded_mean_of_two_images() {
    for step in 0..200 {
        let (batch, Mixture { share, others }) = mixed(MIXUP, 0, step);
        for (i, image) in batch.samples.images().unwrap().outer_iter().enumerate() {
            let expected = share * 10.0 * i as f64 + (1.0 - share) * 10.0 * others[i] as f64;
            assert!(
                image.iter().all(|&pixel| (f64::from(pixel) - expected).abs() <= 0.5 + 1e-9),
                "{expected}: {image}"
            );
        }
    }
}

#[test]
fn cutmix_replaces_a_box_of_the_area_it_says() {
    let mut shares = Vec::new();
    for step in 0..500 {
        let (batch, Mixture { share, others }) = mixed(CUTMIX, 0, step);
        for (i, image) in batch.samples.images().unwrap().outer_iter().enumerate() {
            let own = u8::try_from(10 * i).unwrap();
            let other = u8::try_from(10 * others[i]).unwrap();
            assert!(image.iter().all(|&pixel| pixel == own || pixel == other));
            if own == other {
                continue;
            }
            let places: Vec<(usize, usize)> = image
                .indexed_iter()
                .filter(|(_, pixel)| **pixel == other)
                .map(|((_, y, x), _)| (y, x))
                .collect();
            assert!((places.len() as f64 / 96.0 - (1.0 - share)).abs() < 1e-12);
            let extent = |of: &dyn Fn(&(usize, usize)) -> usize| {
                let (low, high) = (places.iter().map(of).min(), places.iter().map(of).max());
                low.zip(high).map_or(0, |(low, high)| high - low + 1)
            };
            assert_eq!(
                2 * extent(&|place| place.0) * extent(&|place| place.1),
                places.len(),
                "a box in both channels"
            );
        }
        shares.push(share);
    }
    assert!(shares.iter().any(|&share| share < 0.3) && shares.iter().any(|&share| share > 0.9));
}

/// Mean ½ and variance 1/(4(2α + 1)) of Beta(α, α).
#[test]
fn shares_have_the_moments_of_their_distribution() {
    for alpha in [0.1, 0.2, 0.5, 1.0, 2.0] {
        let mix = Mix { mixup: alpha, ..Mix::NONE };
        let shares: Vec<f64> = (0..20_000).map(|step| mixed_share(mix, step)).collect();
        let mean = shares.iter().sum::<f64>() / 20_000.0;
        let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 20_000.0;
        let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
        assert!((mean - 0.5).abs() < 0.015, "α = {alpha}: mean {mean}");
        assert!(
            (variance - expected).abs() < 0.03 * expected + 0.002,
            "α = {alpha}: {variance}, expected {expected}"
        );
    }
}

fn mixed_share(mix: Mix, step: usize) -> f64 {
    let samples = Samples::Static(Array4::zeros((2, 1, 1, 1)));
    let mut batch = Batch { samples, targets: Targets::new(vec![0, 1]), indices: vec![0, 1] };
    mix.apply(&mut batch, &mut SampleRng::for_batch(0, 0, step)).unwrap();
    batch.targets.mixture.unwrap().share
}

#[test]
fn a_mixture_is_a_function_of_seed_epoch_and_step() {
    for mix in [MIXUP, CUTMIX] {
        assert_eq!(mixed(mix, 1, 2), mixed(mix, 1, 2));
        assert_ne!(mixed(mix, 1, 2), mixed(mix, 1, 3));
        assert_ne!(mixed(mix, 1, 2), mixed(mix, 2, 2));
    }
    // With both on, each is used for about half of the batches; only cutmix keeps every pixel
    // value.
    let both = Mix { cutmix: 1.0, ..MIXUP };
    let cut = (0..1_000)
        .filter(|&step| mixed(both, 0, step).0.samples.bytes().iter().all(|pixel| pixel % 10 == 0))
        .count();
    assert!((420..620).contains(&cut), "{cut}");
}

#[test]
fn the_default_mixes_nothing_and_settings_are_checked() {
    let mut unmixed = batch(8);
    Mix::default().apply(&mut unmixed, &mut SampleRng::for_batch(3, 0, 0)).unwrap();
    assert_eq!(unmixed, batch(8));
    assert_eq!(unmixed.targets.mixture, None);
    for alpha in [-0.1, 2.5, f64::NAN, f64::INFINITY] {
        let error = Mix { cutmix: alpha, ..Mix::NONE }.validate().unwrap_err().to_string();
        assert!(error.starts_with("cutmix: expected 0 to 2, found"), "{error}");
    }
    let error = Mix { event_mix: 0.5, ..MIXUP }.validate().unwrap_err().to_string();
    assert_eq!(error, "event_mix: expected 0 where mixup or cutmix is on, found 0.5");
    let dominant = |share| {
        let mixture = Some(Mixture { share, others: vec![1] });
        Targets { mixture, ..Targets::new(vec![7]) }.dominant()[0]
    };
    assert_eq!((dominant(0.4), dominant(0.5)), (1, 7));
}

/// The loader's threads mix as a caller would with the stream of the batch, until the epoch that is
/// set; frames are mixed in all steps as images are.
#[test]
fn loaders_mix_with_the_stream_of_the_batch_up_to_an_epoch() {
    let images = snn_data::Images::new(
        Array4::from_shape_fn((40, 2, 6, 8), |(i, ..)| u8::try_from(i).unwrap()),
        vec![3; 40],
        4,
    )
    .unwrap();
    let mix = Mix { mixup: 0.5, cutmix: 1.0, epochs: Some(2), ..Mix::NONE };
    for threads in [0, 2] {
        let config = LoaderConfig { batch_size: 8, seed: 3, threads, ..LoaderConfig::default() };
        let plain = config.clone().init(&images, None).unwrap();
        let mixing = LoaderConfig { mix, ..config }.init(&images, None).unwrap();
        for epoch in 0..3 {
            let batches = mixing.epoch(epoch).unwrap().zip(plain.epoch(epoch).unwrap());
            for (number, (mixed, plain)) in batches.enumerate() {
                let mut expected = plain.unwrap();
                if epoch < 2 {
                    mix.apply(&mut expected, &mut SampleRng::for_batch(3, epoch, number)).unwrap();
                    assert!(expected.targets.mixture.is_some());
                }
                assert_eq!(mixed.unwrap(), expected);
            }
        }
        let unmixed = mixing.without_mixing().epoch(0).unwrap().next().unwrap().unwrap();
        assert_eq!(unmixed.targets.mixture, None);
    }
}

#[test]
fn frames_are_mixed_in_every_step_as_images_are() {
    for mix in [MIXUP, CUTMIX] {
        for step in 0..20 {
            let (image, mixture) = mixed(mix, 0, step);
            let images = batch(8).samples.images().unwrap().clone();
            let views = [images.view(), images.view(), images.view()];
            let frames = Samples::Frames(ndarray::stack(ndarray::Axis(0), &views).unwrap());
            let mut framed = Batch { samples: frames, ..batch(8) };
            mix.apply(&mut framed, &mut SampleRng::for_batch(3, 0, step)).unwrap();
            assert_eq!(framed.targets.mixture, Some(mixture));
            for frame in framed.samples.frames().outer_iter() {
                assert_eq!(frame, image.samples.images().unwrap());
            }
        }
    }
}

/// The share of batches that are mixed, and by what, is what the chances say; with the usual ones
/// every draw is what it was before there were any.
#[test]
fn chances_decide_how_many_batches_are_mixed_and_by_what() {
    let both = Mix { cutmix: 1.0, ..MIXUP };
    let drawn = |mix: Mix| {
        let (mut mixed, mut cut) = (0, 0);
        for number in 0..400 {
            let mut batch = batch(8);
            let before = batch.samples.clone();
            mix.apply(&mut batch, &mut SampleRng::for_batch(3, 0, number)).unwrap();
            if batch.targets.mixture.is_none() {
                assert_eq!(batch.samples, before);
                continue;
            }
            mixed += 1;
            // Cutmix invents no values.
            let known = |v: &u8| before.bytes().contains(v);
            cut += usize::from(batch.samples.bytes().iter().all(known));
        }
        (mixed, cut)
    };
    let (mixed, _) = drawn(Mix { chance: 0.25, ..both });
    assert!((70..130).contains(&mixed), "{mixed} of 400");
    assert_eq!(drawn(Mix { chance: 0.0, ..both }).0, 0);
    let (mixed, often) = drawn(Mix { switch: 0.9, ..both });
    let (_, rarely) = drawn(Mix { switch: 0.1, ..both });
    assert_eq!(mixed, 400);
    assert!(often > 300 && rarely < 150, "{often} and {rarely} by cutmix");
    for (mix, field) in [
        (Mix { chance: 1.5, ..both }, "mix_probability"),
        (Mix { switch: -0.1, ..both }, "mix_switch"),
        (Mix { chance: 0.5, ..Mix::NONE }, "mix_probability"),
        (Mix { switch: 0.4, ..MIXUP }, "mix_switch"),
        (Mix { chance: f64::NAN, ..both }, "mix_probability"),
    ] {
        let error = mix.validate().unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}
