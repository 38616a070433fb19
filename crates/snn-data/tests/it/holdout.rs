//! Holding out training images.

use proptest::prelude::*;
use snn_data::split_holdout;

proptest! {
    #[test]
    fn parts_are_sorted_disjoint_and_complete(
        n in 1_usize..500,
        share in 0.0_f64..1.0,
        seed in any::<u64>(),
    ) {
        let below = |&count: &usize| (count as f64) < share * n as f64;
        let held_out = (0..n).take_while(below).count().min(n - 1);
        let parts = split_holdout(n, held_out, seed).unwrap();
        prop_assert_eq!(parts.validation.len(), held_out);
        prop_assert!(parts.train.is_sorted() && parts.validation.is_sorted());
        let mut all = [parts.train.clone(), parts.validation.clone()].concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..n).collect::<Vec<_>>());
        prop_assert_eq!(split_holdout(n, held_out, seed).unwrap(), parts);
    }
}

/// Pinned: validation accuracies of different versions must be on the same images.
#[test]
fn the_choice_is_pinned_and_depends_on_the_seed() {
    let parts = split_holdout(50_000, 5_000, 0).unwrap();
    assert_eq!(parts.validation[..6], [11, 14, 59, 69, 76, 77]);
    assert_ne!(parts, split_holdout(50_000, 5_000, 1).unwrap());
}

#[test]
fn something_must_be_left_to_train_on() {
    for (n, held_out) in [(0, 0), (10, 10), (10, 11)] {
        let error = split_holdout(n, held_out, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("held_out: expected fewer than the {n} images there are, found {held_out}")
        );
    }
}
