//! Crop and flip against naive twins, and what an augmentation depends on.

use ndarray::{Array3, Array4, ArrayViewMut3, Axis};
use proptest::prelude::*;
use snn_data::{
    Augment, AugmentPolicy, Border, Flip, RandomErasing, SampleMut, SampleRng, SampleShape,
    Transform as _, crop, crop_reflected, cut_out, flip_horizontal,
};

/// Changes an image in place.
fn apply(augment: &Augment, image: ArrayViewMut3<'_, u8>, mut rng: SampleRng) {
    augment.apply(&mut SampleMut::from_image(image), &mut rng).unwrap();
}

fn shape(channels: usize) -> SampleShape {
    SampleShape::Static([channels, 8, 8])
}

fn image() -> impl Strategy<Value = Array3<u8>> {
    (1_usize..4, 1_usize..9, 1_usize..9).prop_flat_map(|(channels, height, width)| {
        proptest::collection::vec(any::<u8>(), channels * height * width).prop_map(move |bytes| {
            Array3::from_shape_vec((channels, height, width), bytes).unwrap()
        })
    })
}

/// The pixel at a place that may lie outside.
fn pixel(image: &Array3<u8>, channel: usize, y: isize, x: isize, fill: &[u8]) -> u8 {
    let place = (usize::try_from(y), usize::try_from(x));
    let (Ok(y), Ok(x)) = place else { return fill[channel] };
    image.get([channel, y, x]).copied().unwrap_or(fill[channel])
}

fn signed(value: usize) -> isize {
    isize::try_from(value).unwrap()
}

proptest! {
    #[test]
    fn crop_is_its_naive_twin(
        image in image(),
        down in -12_isize..=12,
        right in -12_isize..=12,
        fill in any::<[u8; 4]>(),
    ) {
        let naive = Array3::from_shape_fn(image.dim(), |(channel, y, x)| {
            pixel(&image, channel, signed(y) + down, signed(x) + right, &fill)
        });
        prop_assert_eq!(crop(&image.view(), [down, right], &fill), naive);
    }

    #[test]
    fn flip_is_its_naive_twin_and_undoes_itself(image in image()) {
        let width = image.dim().2;
        let naive =
            Array3::from_shape_fn(image.dim(), |(c, y, x)| image[[c, y, width - 1 - x]]);
        let mut flipped = image.clone();
        flip_horizontal(flipped.view_mut());
        prop_assert_eq!(&flipped, &naive);
        flip_horizontal(flipped.view_mut());
        prop_assert_eq!(flipped, image);
    }

    #[test]
    fn cut_out_is_its_naive_twin(
        image in image(),
        y in 0_usize..9,
        x in 0_usize..9,
        side in 0_usize..20,
        fill in any::<[u8; 4]>(),
    ) {
        let (_, height, width) = image.dim();
        let (y, x) = (y % height, x % width);
        let inside = |place: usize, centre: usize| {
            let first = signed(centre) - signed(side / 2);
            (first..first + signed(side)).contains(&signed(place))
        };
        let naive = Array3::from_shape_fn(image.dim(), |(channel, row, column)| {
            let cut = inside(row, y) && inside(column, x);
            if cut { fill[channel] } else { image[[channel, row, column]] }
        });
        let mut cut = image;
        cut_out(cut.view_mut(), [y, x], side, &fill);
        prop_assert_eq!(cut, naive);
    }

    #[test]
    fn augment_is_a_crop_then_perhaps_a_flip(
        image in image(),
        padding in 0_usize..5,
        sample in 0_usize..1000,
    ) {
        let channels = image.dim().0;
        let fill = vec![9; channels];
        let augment =
            Augment { crop_padding: padding, flip: Flip::Horizontal, fill, ..Augment::default() };
        let mut changed = image.clone();
        apply(&augment, changed.view_mut(), SampleRng::for_sample(3, 1, sample));
        let range = -signed(padding)..=signed(padding);
        let shifts = range.clone().flat_map(|down| range.clone().map(move |right| [down, right]));
        let found = shifts.clone().any(|shift| {
            let mut expected = crop(&image.view(), shift, &augment.fill);
            let plain = expected == changed;
            flip_horizontal(expected.view_mut());
            plain || expected == changed
        });
        prop_assert!(found);
        let mut again = image;
        apply(&augment, again.view_mut(), SampleRng::for_sample(3, 1, sample));
        prop_assert_eq!(again, changed);
    }
}

#[test]
fn every_shift_and_both_flips_occur_equally_often() {
    let augment =
        Augment { crop_padding: 1, flip: Flip::Horizontal, fill: vec![0], ..Augment::default() };
    let original = Array3::from_shape_vec((1, 3, 3), (1..=9).collect()).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for sample in 0..18_000 {
        let mut changed = original.clone();
        apply(&augment, changed.view_mut(), SampleRng::for_sample(0, 0, sample));
        *counts.entry(changed.into_raw_vec_and_offset().0).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.len(), 18, "nine shifts, mirrored or not");
    assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
}

#[test]
fn every_centre_of_a_cutout_occurs_equally_often_and_nothing_else_changes() {
    let augment = Augment { cutout: 1, fill: vec![0], ..Augment::default() };
    let original = Array3::from_elem((1, 3, 4), 9);
    let mut counts = [0_u32; 12];
    for sample in 0..12_000 {
        let mut changed = original.clone();
        apply(&augment, changed.view_mut(), SampleRng::for_sample(0, 0, sample));
        let blank: Vec<usize> =
            changed.iter().enumerate().filter(|(_, pixel)| **pixel == 0).map(|(i, _)| i).collect();
        assert_eq!(blank.len(), 1);
        counts[blank[0]] += 1;
    }
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");

    // Crop and flip are the same with and without: cutout draws after them.
    let before =
        Augment { crop_padding: 1, flip: Flip::Horizontal, fill: vec![0], ..Augment::default() };
    let numbered = Array3::from_shape_vec((1, 3, 3), (1..=9).collect()).unwrap();
    let (mut plain, mut cut) = (numbered.clone(), numbered);
    apply(&before, plain.view_mut(), SampleRng::for_sample(0, 0, 5));
    apply(&Augment { cutout: 1, ..before }, cut.view_mut(), SampleRng::for_sample(0, 0, 5));
    assert!(plain.iter().zip(&cut).filter(|(a, b)| a != b).count() <= 1, "{plain} {cut}");
}

#[test]
fn the_default_changes_nothing_and_settings_are_checked() {
    let original =
        Array3::from_shape_fn((3, 4, 5), |(c, y, x)| u8::try_from(c * 20 + y * 5 + x).unwrap());
    let mut changed = original.clone();
    apply(&Augment::default(), changed.view_mut(), SampleRng::for_sample(0, 0, 0));
    assert_eq!(changed, original);
    assert!(Augment::standard(&[125, 123, 114]).validate(shape(3)).is_ok());
    let missing_fill =
        Augment { crop_padding: 4, ..Augment::default() }.validate(shape(3)).unwrap_err();
    assert_eq!(missing_fill.to_string(), "fill: expected 3 values, one a channel, found 0 values");
    assert!(
        Augment { crop_padding: usize::MAX, fill: vec![0], ..Augment::default() }
            .validate(shape(1))
            .is_err()
    );
    let absurd = Augment { cutout: usize::MAX, fill: vec![0], ..Augment::default() }
        .validate(shape(1))
        .unwrap_err();
    assert!(absurd.to_string().starts_with("cutout: expected at most"), "{absurd}");
    assert!(
        Augment { cutout: 4, ..Augment::default() }.validate(shape(3)).is_err(),
        "a cutout needs a fill"
    );
}

#[test]
fn a_reflected_crop_repeats_no_border() {
    let image = Array3::from_shape_vec((1, 1, 4), vec![1, 2, 3, 4]).unwrap();
    let cropped = |right| crop_reflected(&image.view(), [0, right]).into_raw_vec_and_offset().0;
    assert_eq!(cropped(-3), [4, 3, 2, 1]);
    assert_eq!(cropped(-1), [2, 1, 2, 3]);
    assert_eq!(cropped(0), [1, 2, 3, 4]);
    assert_eq!(cropped(2), [3, 4, 3, 2]);
    let border = Border::Reflect;
    let reflected =
        |crop_padding| Augment { crop_padding, crop_border: border, ..Augment::default() };
    assert!(reflected(7).validate(shape(3)).is_ok(), "nothing is filled");
    let error = reflected(8).validate(shape(3)).unwrap_err().to_string();
    assert!(error.starts_with("crop_padding: expected less than 8"), "{error}");
}

#[test]
fn an_alternating_flip_mirrors_each_image_in_every_other_epoch() {
    let augment = Augment { flip: Flip::Alternating, ..Augment::default() };
    let flipped = |sample, epoch| {
        let mut image = Array3::from_shape_vec((1, 1, 2), vec![1, 2]).unwrap();
        apply(&augment, image.view_mut(), SampleRng::for_sample(4, epoch, sample));
        image[[0, 0, 0]] == 2
    };
    let at_first = (0..1000).filter(|&sample| flipped(sample, 0)).count();
    assert!((420..580).contains(&at_first), "{at_first} of 1000");
    for sample in 0..100 {
        for epoch in 0..5 {
            assert_eq!(flipped(sample, epoch), flipped(sample, 0) == (epoch % 2 == 0));
        }
    }
}

/// Crop, flip, cutout and erasing of frames are those of each frame on its own.
#[test]
fn all_frames_of_a_sample_change_alike() {
    let original = Array4::from_shape_fn((3, 2, 8, 8), |(t, c, y, x)| {
        u8::try_from((100 * t + 50 * c + 8 * y + x) % 251).unwrap()
    });
    let erasing = Some(RandomErasing { chance: 1.0, ..RandomErasing::default() });
    let augment = Augment {
        crop_padding: 2,
        flip: Flip::Horizontal,
        cutout: 3,
        erasing,
        fill: vec![0, 0],
        ..Augment::default()
    };
    for sample in 0..50 {
        let rng = || SampleRng::for_sample(1, 2, sample);
        let mut frames = original.clone();
        augment.apply(&mut SampleMut::from_frames(frames.view_mut()), &mut rng()).unwrap();
        for (time, frame) in frames.outer_iter().enumerate() {
            let mut image = original.index_axis(Axis(0), time).to_owned();
            apply(&augment, image.view_mut(), rng());
            assert_eq!(frame, image, "sample {sample}, step {time}");
        }
    }
    let policy = Augment {
        policy: Some(AugmentPolicy::TrivialAugment),
        fill: vec![0, 0],
        ..Augment::default()
    };
    let error = policy.validate(SampleShape::Frames([3, 2, 8, 8])).unwrap_err().to_string();
    assert!(error.contains("policies are for static images"), "{error}");
}

#[test]
fn settings_are_plain_data() {
    let augment: Augment =
        toml::from_str("crop_padding = 4\nflip = 'horizontal'\nfill = [125, 123, 114]").unwrap();
    assert_eq!(augment, Augment::standard(&[125, 123, 114]));
    let text = "policy = 'auto-augment-imagenet'\nerasing = { chance = 0.25 }\nfill = [0]";
    let augment: Augment = toml::from_str(text).unwrap();
    assert_eq!(augment.policy, Some(AugmentPolicy::AutoAugmentImageNet));
    assert_eq!(toml::from_str::<Augment>(&toml::to_string(&augment).unwrap()).unwrap(), augment);
    assert!(toml::from_str::<Augment>("crop = 4").is_err(), "an unknown key is an error");
}
