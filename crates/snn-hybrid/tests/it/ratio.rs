//! Shares of the sites and how they are spread.

use snn_hybrid::{Policy, Replacement, Spread, apply};
use snn_ir::networks::{ResNet, SmallNet};

const SPREADS: [Spread; 5] = [
    Spread::Uniform,
    Spread::Random { seed: 0 },
    Spread::Random { seed: 7 },
    Spread::Early,
    Spread::Late,
];

/// Positions of the sites of ResNet-20 that a share chooses.
fn positions(share: f64, spread: Spread) -> Vec<usize> {
    let graph = ResNet::default().build();
    let (_, placement) =
        apply(&graph, &Policy::Ratio { share, spread }, &Replacement::default()).unwrap();
    (0..placement.sites.len()).filter(|position| !placement.sites[*position].spiking).collect()
}

#[test]
fn every_spread_has_the_number_of_sites_nearest_to_the_share() {
    // 19 sites; 0.5 is 9.5 of them, and ties go up.
    for (share, count) in
        [(0.0, 0), (0.026, 0), (0.027, 1), (0.25, 5), (0.5, 10), (0.75, 14), (0.99, 19), (1.0, 19)]
    {
        for spread in SPREADS {
            assert_eq!(positions(share, spread).len(), count, "{share} {spread}");
        }
    }
}

#[test]
fn uniform_is_evenly_spaced() {
    assert_eq!(positions(1.0 / 19.0, Spread::Uniform), [9]);
    assert_eq!(positions(3.0 / 19.0, Spread::Uniform), [3, 9, 15]);
    for count in 1..=19 {
        let chosen = positions(f64::from(count) / 19.0, Spread::Uniform);
        let gaps: Vec<usize> = chosen.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (least, most) = (gaps.iter().min().unwrap_or(&0), gaps.iter().max().unwrap_or(&0));
        assert!(most - least <= 1, "{chosen:?}");
    }
}

#[test]
fn early_and_late_lean_to_their_side_and_mirror_each_other() {
    // Quantiles of the density 2(1 − x): 1 − √(1 − (i + ½)/5) of 19 sites is 0.97, 3.10, 5.56,
    // 8.59, 12.99.
    assert_eq!(positions(5.0 / 19.0, Spread::Early), [0, 3, 5, 8, 12]);
    for count in 1..19 {
        let share = f64::from(count) / 19.0;
        let early = positions(share, Spread::Early);
        let mirrored: Vec<usize> =
            positions(share, Spread::Late).into_iter().rev().map(|p| 18 - p).collect();
        assert_eq!(early, mirrored);
        let (sum, centre) = (early.iter().sum::<usize>(), 9 * early.len());
        assert!(sum < centre, "{early:?}");
    }
}

#[test]
fn random_depends_on_its_seed_alone() {
    let random = |share, seed| positions(share, Spread::Random { seed });
    // From ChaCha8's definition, computed apart from this program: a later version must draw the
    // same.
    for (seed, expected) in [(0, [2, 3, 4, 5, 6]), (1, [1, 5, 11, 14, 17]), (7, [2, 7, 13, 17, 18])]
    {
        assert_eq!(random(5.0 / 19.0, seed), expected);
    }
    assert_eq!(random(0.5, 3), random(0.5, 3));
    assert_ne!(random(0.5, 3), random(0.5, 4));
    // A smaller share is part of a larger one.
    for count in 1..19 {
        let (small, large) =
            (random(f64::from(count) / 19.0, 3), random(f64::from(count + 1) / 19.0, 3));
        assert!(small.iter().all(|position| large.contains(position)), "{small:?} {large:?}");
    }
    // Every site has its chance: the mean over seeds is the share.
    let mut chosen = [0; 19];
    for seed in 0..400 {
        for position in random(10.0 / 19.0, seed) {
            chosen[position] += 1;
        }
    }
    assert!(chosen.iter().all(|count| (150..270).contains(count)), "{chosen:?}");
}

#[test]
fn shares_outside_zero_to_one_are_refused() {
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let policy = Policy::Ratio { share, spread: Spread::Uniform };
        let error = apply(&SmallNet::default().build(), &policy, &Replacement::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("must be 0 to 1"), "{error}");
    }
}
