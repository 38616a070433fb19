//! Encoders: what each promises, on random images and batches.

use ndarray::{Array2, Array3, ArrayD, Axis, IxDyn, s};
use proptest::prelude::*;
use snn_ir::{Encoder, Error, Input};

/// A batch of images `[B, F]`.
fn images() -> impl Strategy<Value = Array2<u8>> {
    (1_usize..5, 1_usize..40).prop_flat_map(|(batch, pixels)| {
        prop::collection::vec(any::<u8>(), batch * pixels)
            .prop_map(move |bytes| Array2::from_shape_vec((batch, pixels), bytes).unwrap())
    })
}

fn encode(encoder: Encoder, images: &Array2<u8>, time_steps: usize) -> Array3<u8> {
    let frames = encoder.encode(&Input::Static(images.view().into_dyn()), time_steps, 0).unwrap();
    assert_eq!(frames.shape(), [time_steps, images.nrows(), images.ncols()]);
    frames.into_dimensionality().unwrap()
}

fn all(seed: u64) -> [Encoder; 4] {
    [
        Encoder::Direct,
        Encoder::Poisson { seed, rate: 0.7 },
        Encoder::Latency,
        Encoder::Phase { bits: 4 },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Frames do not depend on the batch, the number of macro-steps after them, or the memory
    /// layout of the images.
    #[test]
    fn a_frame_is_a_function_of_sample_and_time(
        images in images(),
        seed in any::<u64>(),
        first in any::<u64>(),
    ) {
        for encoder in all(seed) {
            let of = |images: ArrayD<u8>, first: u64| {
                encoder.encode(&Input::Static(images.view()), 8, first).unwrap()
            };
            let whole = of(images.clone().into_dyn(), first);
            for (index, image) in images.axis_iter(Axis(0)).enumerate() {
                let image = image.insert_axis(Axis(0)).to_owned().into_dyn();
                let alone = of(image, first.wrapping_add(index as u64));
                prop_assert_eq!(alone.index_axis(Axis(1), 0), whole.index_axis(Axis(1), index));
            }
            let transposed = images.t().as_standard_layout().into_owned();
            let again = Input::Static(transposed.t().into_dyn());
            let again = encoder.encode(&again, 8, first).unwrap();
            prop_assert_eq!(&again, &whole);
            if encoder != Encoder::Latency {
                let longer = Input::Static(images.view().into_dyn());
                let longer = encoder.encode(&longer, 12, first).unwrap();
                prop_assert_eq!(longer.slice(s![..8, .., ..]).into_dyn(), whole.view());
            }
        }
    }

    #[test]
    fn direct_shows_the_image_at_every_step(images in images(), steps in 1_usize..10) {
        for frame in encode(Encoder::Direct, &images, steps).outer_iter() {
            prop_assert_eq!(frame, images.view());
        }
    }

    #[test]
    fn latency_is_one_spike_the_earlier_the_brighter(images in images(), steps in 1_usize..300) {
        let frames = encode(Encoder::Latency, &images, steps);
        let mut times: Vec<(u8, usize)> = Vec::new();
        for ((sample, position), &pixel) in images.indexed_iter() {
            let train = frames.slice(s![.., sample, position]);
            prop_assert!(train.iter().all(|&value| value <= 1));
            let spikes: Vec<usize> = (0..steps).filter(|&t| train[t] == 1).collect();
            prop_assert_eq!(spikes.len(), usize::from(pixel > 0));
            times.extend(spikes.first().map(|&time| (pixel, time)));
        }
        times.sort_unstable();
        prop_assert!(times.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{times:?}");
    }

    #[test]
    fn phases_add_up_to_the_pixel(images in images(), bits in 1_u8..=8, periods in 1_usize..4) {
        let steps = usize::from(bits) * periods;
        let frames = encode(Encoder::Phase { bits }, &images, steps);
        let kept = 255_u8 << (8 - bits);
        for ((sample, position), &pixel) in images.indexed_iter() {
            let train = frames.slice(s![.., sample, position]);
            for period in 0..periods {
                let length = usize::from(bits);
                let part = train.slice(s![period * length..(period + 1) * length]);
                let sum: u32 = part.iter().map(|&value| u32::from(value)).sum();
                prop_assert_eq!(sum, u32::from(pixel & kept));
                // Through eq. 1 a spike of phase k weighs 2^−k.
                let std = Encoder::Phase { bits }.preprocessing(1).unwrap().std[0];
                for (k, &value) in (1_i32..).zip(part) {
                    let exact = (f64::from(value) / std).to_bits() == 2.0_f64.powi(-k).to_bits();
                    prop_assert!(value == 0 || exact);
                }
            }
        }
    }

    #[test]
    fn delta_has_the_sign_of_the_change(images in images(), threshold in 1_u8..=255) {
        // Samples become time: [T, 1, F].
        let frames = images.view().insert_axis(Axis(1)).into_dyn();
        let (steps, pixels) = images.dim();
        let spikes = Encoder::Delta { threshold }.encode(&Input::Frames(frames), steps, 0).unwrap();
        prop_assert_eq!(spikes.shape(), [steps, 1, 2 * pixels]);
        for t in 0..steps {
            for position in 0..pixels {
                let pixel = |t: usize| i32::from(images[[t, position]]);
                let change = if t == 0 { 0 } else { pixel(t) - pixel(t - 1) };
                let (on, off) = (spikes[[t, 0, position]], spikes[[t, 0, pixels + position]]);
                let threshold = i32::from(threshold);
                let expected = (u8::from(change >= threshold), u8::from(-change >= threshold));
                prop_assert_eq!((on, off), expected);
            }
        }
    }

    #[test]
    fn delta_of_what_does_not_change_is_silent(
        images in images(),
        threshold in 1_u8..=255,
        steps in 1_usize..6,
    ) {
        let frames = images.broadcast((steps, images.nrows(), images.ncols())).unwrap();
        let frames = Input::Frames(frames.into_dyn());
        let spikes = Encoder::Delta { threshold }.encode(&frames, steps, 0).unwrap();
        prop_assert!(spikes.iter().all(|&value| value == 0));
    }
}

/// The mean of T draws lies within five standard deviations of the rate: by chance once in
/// millions, and the seed is fixed.
#[test]
fn poisson_rates_converge_to_the_pixel() {
    const STEPS: usize = 20_000;
    let images = Array2::from_shape_vec((1, 6), vec![0_u8, 1, 64, 128, 254, 255]).unwrap();
    for rate in [1.0, 0.5, 0.01] {
        let frames = encode(Encoder::Poisson { seed: 3, rate }, &images, STEPS);
        for (position, &pixel) in images.iter().enumerate() {
            let spikes = frames
                .slice(s![.., 0, position])
                .iter()
                .map(|&value| u32::from(value))
                .sum::<u32>();
            let expected = rate * f64::from(pixel) / 255.0;
            let deviation = (expected * (1.0 - expected) / STEPS as f64).sqrt();
            let found = f64::from(spikes) / STEPS as f64;
            assert!(
                (found - expected).abs() <= 5.0 * deviation,
                "{pixel} at {rate}: {found}, expected {expected}"
            );
        }
    }
}

/// Draws of other pixels, macro-steps, samples and seeds have nothing in common.
#[test]
fn poisson_draws_are_independent() {
    let images = Array2::from_elem((2, 500), 128_u8);
    let of = |seed: u64| encode(Encoder::Poisson { seed, rate: 1.0 }, &images, 40);
    let (frames, other) = (of(1), of(2));
    assert_eq!(frames, of(1));
    let agreement = |a: ndarray::ArrayView1<'_, u8>, b: ndarray::ArrayView1<'_, u8>| {
        a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
    };
    let flat = |frames: &Array3<u8>, sample: usize| {
        frames.slice(s![.., sample, ..]).iter().copied().collect::<ndarray::Array1<u8>>()
    };
    let (first, second, elsewhere) = (flat(&frames, 0), flat(&frames, 1), flat(&other, 0));
    let later =
        first.iter().copied().cycle().skip(500).take(first.len()).collect::<ndarray::Array1<u8>>();
    let beside =
        first.iter().copied().cycle().skip(1).take(first.len()).collect::<ndarray::Array1<u8>>();
    for (what, partner) in
        [("sample", &second), ("seed", &elsewhere), ("macro-step", &later), ("pixel", &beside)]
    {
        let found = agreement(first.view(), partner.view());
        // 20,000 pairs of fair coins: five standard deviations are 0.018.
        assert!((found - 0.5).abs() < 0.018, "another {what}: {found} of the draws are equal");
    }
}

/// The draws never change silently: results would stop being reproducible.
#[test]
fn poisson_draws_are_pinned() {
    let images = Array2::from_elem((1, 16), 100_u8);
    let frames = Encoder::Poisson { seed: 42, rate: 1.0 };
    let frames = frames.encode(&Input::Static(images.view().into_dyn()), 2, 7).unwrap();
    let text: String = frames.iter().map(|value| if *value == 1 { '1' } else { '.' }).collect();
    assert_eq!(text, PINNED);
}

const PINNED: &str = "11.1..1....111.111.....111..1.1.";

#[test]
fn bad_settings_are_named() {
    let images = ArrayD::<u8>::zeros(IxDyn(&[1, 3]));
    let message = |encoder: Encoder, steps: usize| {
        let error = encoder.encode(&Input::Static(images.view()), steps, 0).unwrap_err();
        assert!(matches!(error, Error::Encoder { .. }), "{error}");
        error.to_string()
    };
    for rate in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
        let text = message(Encoder::Poisson { seed: 0, rate }, 4);
        assert!(text.starts_with("encoder poisson: rate must be in (0, 1], found"), "{text}");
    }
    for bits in [0, 9, 255] {
        assert!(
            message(Encoder::Phase { bits }, 8).contains("phase: bits must be 1 to 8"),
            "{bits}"
        );
    }
    assert!(
        message(Encoder::Phase { bits: 8 }, 12)
            .contains("a multiple of the period of 8 phases, found 12")
    );
    assert!(
        message(Encoder::Delta { threshold: 0 }, 4).contains("delta: threshold must be 1 to 255")
    );
    for steps in [0, 65_537, usize::MAX] {
        for encoder in all(0) {
            assert!(message(encoder, steps).contains("time_steps must be 1 to 65536"), "{steps}");
        }
    }
}

#[test]
fn inputs_of_the_wrong_kind_or_shape_are_named() {
    let array = ArrayD::<u8>::zeros(IxDyn(&[2, 3, 4]));
    let nothing = ArrayD::<u8>::zeros(IxDyn(&[]));
    let flat = ArrayD::<u8>::zeros(IxDyn(&[4]));
    let refused = |encoder: Encoder, input: Input<'_>, expected: &str| {
        let error = encoder.encode(&input, 4, 0).unwrap_err();
        assert!(
            matches!(error, Error::Input { .. }) && error.to_string().contains(expected),
            "{error}"
        );
    };
    let delta = Encoder::Delta { threshold: 1 };
    refused(delta, Input::Static(array.view()), "frames, one a macro-step");
    refused(delta, Input::Frames(array.view()), "frames [4, B, …shape]");
    for encoder in all(0) {
        refused(encoder, Input::Frames(array.view()), "images without time");
        for bad in [&nothing, &flat] {
            refused(encoder, Input::Static(bad.view()), "images [B, …shape]");
        }
    }
    // A batch of more frames than there is memory: one pixel, seen as 2⁴⁰ samples.
    let huge = ndarray::arr0(1_u8).into_dyn();
    let huge = huge.broadcast(IxDyn(&[1 << 40, 1 << 20])).unwrap();
    refused(Encoder::Direct, Input::Static(huge), "fit into memory");
    let empty = ArrayD::<u8>::zeros(IxDyn(&[0, 3]));
    for encoder in all(0) {
        assert_eq!(encoder.encode(&Input::Static(empty.view()), 4, 0).unwrap().shape(), [4, 0, 3]);
    }
}

#[test]
fn encoders_are_plain_data() {
    for encoder in all(u64::MAX).into_iter().chain([Encoder::Delta { threshold: 9 }]) {
        let text = serde_json::to_string(&encoder).unwrap();
        assert!(text.contains(&format!(r#""kind":"{}""#, encoder.label())), "{text}");
        assert_eq!(serde_json::from_str::<Encoder>(&text).unwrap(), encoder);
        assert_eq!(encoder.preprocessing(3).is_none(), encoder == Encoder::Direct);
    }
    assert!(serde_json::from_str::<Encoder>(r#"{"kind":"phase","bits":8,"more":1}"#).is_err());
    assert_eq!(Encoder::Delta { threshold: 1 }.frame_shape(&[3, 8, 8]), [6, 8, 8]);
    assert_eq!(Encoder::Latency.frame_shape(&[3, 8, 8]), [3, 8, 8]);
}
