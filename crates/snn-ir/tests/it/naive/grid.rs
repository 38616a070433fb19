//! The grid (eqs. 12 and 13).

use crate::tiny::{byte, chain, coded, grid, int, levels, run, run_frames, sums};
use rand::{RngExt, SeedableRng};
use snn_ir::{Code, Conv, GridLif, GridReset, MEMBRANE_LIMIT, Op, Site, Tensor};

// === Eqs. 12 and 13 ===

/// Levels of one site on the grid whose current is `multiplier·(pixel − 128)`.
fn grid_site<const N: usize>(
    op: Site,
    code: Code,
    multiplier: i32,
    pixels: &[u8],
    weights: [(&str, Tensor); N],
) -> Vec<i16> {
    let synapse = Op::Linear { features: 1, bias: false };
    let graph =
        chain(&[1], vec![("in", synapse.clone()), ("site", coded(op, code)), ("out", synapse)]);
    let mut model = grid(graph, pixels.len(), weights);
    model.weights_mut().insert("in.weight".into(), byte(&[1, 1], &[1]));
    model.weights_mut().insert("in.multiplier".into(), int(&[1], &[multiplier]));
    model.weights_mut().insert("out.weight".into(), byte(&[1, 1], &[2]));
    model.weights_mut().insert("out.multiplier".into(), int(&[1], &[3]));
    model.signature_mut().preprocessing.mean = vec![128];
    let result = run_frames(&model, pixels);
    let found = levels(&result, "site");
    assert_eq!(sums(&result), [found.iter().map(|level| 6 * i64::from(*level)).sum::<i64>()]);
    found
}

#[test]
fn grid_quant_relu_counts_thresholds() {
    let found = grid_site(
        Site::GridQuantRelu { levels: 4 },
        Code::Unary,
        1,
        &[126, 127, 129, 130, 132, 133, 255],
        [("site.thresholds", int(&[4, 1], &[-1, 2, 2, 5]))],
    );
    assert_eq!(found, [0, 1, 1, 3, 3, 4, 4]);
}

fn grid_lif(
    leak: (u32, u8),
    guard_bits: u8,
    reset: GridReset,
    threshold: i32,
    multiplier: i32,
    pixels: &[u8],
) -> Vec<i16> {
    let lif = GridLif::new(leak.0, leak.1, guard_bits, reset);
    grid_site(
        Site::GridLif(lif),
        Code::Binary,
        multiplier,
        pixels,
        [("site.threshold", int(&[1], &[threshold]))],
    )
}

#[test]
fn the_leak_on_the_grid_is_a_floor_also_of_negative_membranes() {
    // J = −1, −1, −1, 4: without guard bits u = −1, ⌊−½⌋ − 1 = −2, −2, −1 + 4 = 3; towards zero it
    // would be −1, −1, −1, 4.
    let pixels = [127, 127, 127, 132];
    assert_eq!(grid_lif((1, 1), 0, GridReset::Hard, 3, 1, &pixels), [0, 0, 0, 1]);
    assert_eq!(grid_lif((1, 1), 0, GridReset::Hard, 4, 1, &pixels), [0, 0, 0, 0]);
}

#[test]
fn guard_bits_keep_fractions() {
    // Leak ¾, J = 1 each, θ = 2: without guard bits u = 1, ⌊¾⌋ + 1 = 1, 1; with two, in quarters:
    // 4, 3 + 4 = 7, ⌊5¼⌋ + 4 = 9 ≥ 8.
    assert_eq!(grid_lif((3, 2), 0, GridReset::Hard, 2, 1, &[129, 129, 129]), [0, 0, 0]);
    assert_eq!(grid_lif((3, 2), 2, GridReset::Hard, 2, 1, &[129, 129, 129]), [0, 0, 1]);
}

#[test]
fn resets_on_the_grid() {
    // J = 5 each, no leak, θ = 3: hard 5, 5, 5; soft 5, 7, 9, … and, without current afterwards,
    // one spike for each 3 left.
    let pixels = [133, 133, 128, 128, 128];
    assert_eq!(grid_lif((1, 0), 3, GridReset::Hard, 3, 1, &pixels), [1, 1, 0, 0, 0]);
    assert_eq!(grid_lif((1, 0), 3, GridReset::Soft, 3, 1, &pixels), [1, 1, 1, 0, 0]);
    // A leak of 0 forgets everything.
    assert_eq!(grid_lif((0, 0), 3, GridReset::Soft, 3, 1, &[140, 128, 130, 131]), [1, 0, 0, 1]);
}

#[test]
fn membranes_saturate() {
    // J·2^f = 127·2^23·2^8 is far above 2³⁰; θ·2^f = 2²⁹ is then spent twice and no more.
    let (multiplier, threshold) = (1 << 23, 1 << 21);
    let found = grid_lif((1, 0), 8, GridReset::Soft, threshold, multiplier, &[255, 128, 128, 128]);
    assert_eq!(found, [1, 1, 0, 0]);
    // From −2³⁰ one step of 2³¹ leads to 2³⁰.
    let found = grid_lif((1, 0), 8, GridReset::Soft, threshold, multiplier, &[0, 129, 128, 128]);
    assert_eq!(found, [0, 1, 1, 0]);
    // A threshold beyond the limit is never met.
    assert_eq!(grid_lif((1, 0), 8, GridReset::Soft, 1 << 23, multiplier, &[255; 3]), [0; 3]);
    assert_eq!(MEMBRANE_LIMIT, 1 << 30);
}

/// Eq. 13 in 128 bits with Euclid's division.
#[test]
fn grid_lif_equals_a_second_formulation() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    for _ in 0..300 {
        let shift = random.random_range(0..=16_u8);
        let leak = (random.random_range(0..=1_u32 << shift), shift);
        let guard_bits = random.random_range(0..=16);
        let reset = [GridReset::Hard, GridReset::Soft, GridReset::None][random.random_range(0..3)];
        let multiplier = 1 << random.random_range(0..=23);
        let threshold = random.random_range(1..=100 * multiplier.min(1 << 20));
        let pixels: Vec<u8> = (0..random.random_range(1..=10)).map(|_| random.random()).collect();
        let found = grid_lif(leak, guard_bits, reset, threshold, multiplier, &pixels);

        let (one, limit) = (1_i128 << guard_bits, 1_i128 << 30);
        let mut u = 0_i128;
        let expected: Vec<i16> = pixels
            .iter()
            .map(|pixel| {
                let current = i128::from(multiplier) * (i128::from(*pixel) - 128);
                u = ((u * i128::from(leak.0)).div_euclid(1 << leak.1) + current * one)
                    .max(-limit)
                    .min(limit);
                let fires = u >= i128::from(threshold) * one;
                u = match (fires, reset) {
                    (false, _) | (true, GridReset::None) => u,
                    (true, GridReset::Hard) => 0,
                    (true, GridReset::Soft) => u - i128::from(threshold) * one,
                };
                i16::from(fires)
            })
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_convolution_on_the_grid_multiplies_its_sum_and_adds_its_bias_once() {
    let graph = chain(
        &[2, 1, 1],
        vec![
            ("conv", Op::Conv(Conv { bias: true, ..Conv::square(2, 1, 1) })),
            ("flat", Op::Flatten),
        ],
    );
    let weights = [
        ("conv.weight", byte(&[2, 2, 1, 1], &[1, -2, 127, -127])),
        ("conv.bias", int(&[2], &[-1, 1000])),
        ("conv.multiplier", int(&[2], &[7, 100])),
    ];
    let found = sums(&run(&grid(graph, 1, weights), &[10, 3]));
    assert_eq!(found, [7 * (10 - 6) - 1, 100 * 127 * 7 + 1000]);
}
