//! The choice of steps.

use super::values::{Channel, PerChannel, Seen};

/// How the step s of a channel with D levels is chosen by what the channel yielded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepRule {
    /// `s·D` is the largest value.
    Largest,
    /// `s·D` is this quantile of the positive values (0.999: one in a thousand is clipped).
    Percentile(f64),
    /// The squared error is least, of what is clipped and what is rounded, among 64 parts of the
    /// largest value.
    LeastError,
}

/// Ranges that [`StepRule::LeastError`] tries.
const RANGES: u32 = 64;

/// What was chosen for a site.
pub(super) struct Choice {
    pub(super) levels: u8,
    pub(super) steps: PerChannel,
    /// Mean of `s·q − x` over all values of each channel.
    pub(super) mean_errors: PerChannel,
    /// √(Σ(s·q − x)² / Σx²) over all channels.
    pub(super) error: f64,
    /// Share of the positive values that are beyond the largest level.
    pub(super) clipped: f64,
    /// Channels without a positive value.
    pub(super) silent: usize,
}

pub(super) fn choose(seen: &Seen, levels: u8, rule: StepRule) -> Choice {
    let channels = &seen.channels;
    let chosen: Vec<Option<f64>> =
        channels.iter().map(|channel| step(channel, f64::from(levels), rule)).collect();
    // A channel that was silent may speak on other samples: it gets the step of most others.
    let mut known: Vec<f64> = chosen.iter().copied().flatten().collect();
    known.sort_by(f64::total_cmp);
    let usual = known.get(known.len() / 2).copied().unwrap_or(1.0);
    let steps: PerChannel = chosen.iter().map(|step| step.unwrap_or(usual)).collect();
    let errors: Vec<Errors> = channels
        .iter()
        .zip(&steps)
        .map(|(channel, &step)| Errors::of(channel, step, f64::from(levels)))
        .collect();
    let total = |part: fn(&Errors) -> f64| errors.iter().map(part).sum::<f64>();
    let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
    Choice {
        levels,
        mean_errors: errors
            .iter()
            .zip(channels)
            .map(|(errors, channel)| errors.sum / channel.count as f64)
            .collect(),
        error: share(total(|e| e.squares), total(|e| e.energy)).sqrt(),
        clipped: share(total(|e| e.clipped), total(|e| e.positive)),
        silent: channels.len() - known.len(),
        steps,
    }
}

/// The step of a channel; none where it yielded nothing.
fn step(channel: &Channel, levels: f64, rule: StepRule) -> Option<f64> {
    if channel.positive == 0 {
        return None;
    }
    let range = match rule {
        StepRule::Largest => channel.largest,
        StepRule::Percentile(share) => quantile(channel, share),
        StepRule::LeastError => {
            let candidates =
                (1..=RANGES).map(|part| channel.largest * f64::from(part) / f64::from(RANGES));
            let error = |range: f64| Errors::of(channel, range / levels, levels).squares;
            let known = candidates.map(|range| (error(range), range));
            known.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(channel.largest, |(_, range)| range)
        }
    };
    let step = range / levels;
    // A value next to the smallest of floats has no step.
    (step > f64::MIN_POSITIVE && step.is_finite()).then_some(step)
}

fn quantile(channel: &Channel, share: f64) -> f64 {
    let mut sample: Vec<f64> = channel.sample().collect();
    sample.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a sample of at most 2,048 values"
    )]
    let place = (share * sample.len() as f64).ceil() as usize;
    sample.get(place.saturating_sub(1)).copied().unwrap_or(channel.largest)
}

/// How far a channel is off with a step, over all its positive values.
struct Errors {
    sum: f64,
    squares: f64,
    energy: f64,
    clipped: f64,
    positive: f64,
}

impl Errors {
    fn of(channel: &Channel, step: f64, levels: f64) -> Self {
        let sample = channel.sample();
        // Each value that was kept stands for as many.
        let weight = channel.positive as f64 / sample.len().max(1) as f64;
        let mut errors = Self { sum: 0.0, squares: 0.0, energy: 0.0, clipped: 0.0, positive: 0.0 };
        for value in sample {
            let level = (value / step + 0.5).floor();
            let error = step * level.min(levels) - value;
            errors.sum += weight * error;
            errors.squares += weight * error * error;
            errors.energy += weight * value * value;
            errors.clipped += weight * f64::from(u8::from(level > levels));
            errors.positive += weight;
        }
        errors
    }
}
