//! Mixup and cutmix against naive twins, their distribution, and what they depend on.

use ndarray::Array4;
use snn_data::{Batch, Mix, Mixture, SampleRng};

const MIXUP: Mix = Mix { mixup: 1.0, cutmix: 0.0 };
const CUTMIX: Mix = Mix { mixup: 0.0, cutmix: 1.0 };

/// Image i is full of 10·i, and its label is i.
fn batch(count: usize) -> Batch {
    let images = Array4::from_shape_fn((count, 2, 6, 8), |(i, ..)| u8::try_from(10 * i).unwrap());
    Batch {
        images,
        labels: (0..i64::try_from(count).unwrap()).collect(),
        indices: (0..count).collect(),
    }
}

fn mixed(mix: Mix, epoch: u64, step: usize) -> (Batch, Mixture) {
    let mut batch = batch(8);
    let mixture = mix.apply(&mut batch, &mut SampleRng::for_batch(3, epoch, step)).unwrap();
    (batch, mixture)
}

#[test]
fn mixup_is_the_rounded_mean_of_two_images() {
    for step in 0..200 {
        let (batch, Mixture { share, others }) = mixed(MIXUP, 0, step);
        for (i, image) in batch.images.outer_iter().enumerate() {
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
        for (i, image) in batch.images.outer_iter().enumerate() {
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
        let mix = Mix { mixup: alpha, cutmix: 0.0 };
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
    let mut batch =
        Batch { images: Array4::zeros((2, 1, 1, 1)), labels: vec![0, 1], indices: vec![0, 1] };
    mix.apply(&mut batch, &mut SampleRng::for_batch(0, 0, step)).unwrap().share
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
    let both = Mix { mixup: 1.0, cutmix: 1.0 };
    let cut = (0..1_000)
        .filter(|&step| mixed(both, 0, step).0.images.iter().all(|pixel| pixel % 10 == 0))
        .count();
    assert!((420..620).contains(&cut), "{cut}");
}

#[test]
fn the_default_mixes_nothing_and_settings_are_checked() {
    let (unmixed, mixture) = mixed(Mix::default(), 0, 0);
    assert_eq!(unmixed, batch(8));
    assert_eq!((mixture.share, &mixture.others), (1.0, &batch(8).labels));
    for alpha in [-0.1, 2.5, f64::NAN, f64::INFINITY] {
        let error = Mix { mixup: 0.0, cutmix: alpha }.validate().unwrap_err().to_string();
        assert!(error.starts_with("cutmix: expected 0 to 2, found"), "{error}");
    }
    let mixture = Mixture { share: 0.4, others: vec![1] };
    assert_eq!(
        (mixture.dominant(&[7]), Mixture { share: 0.5, ..mixture.clone() }.dominant(&[7])),
        (&[1][..], &[7][..])
    );
}
