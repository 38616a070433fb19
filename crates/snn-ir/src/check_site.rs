//! Ranges of the attributes of sites.

use crate::site::{
    Adaptation, Custom, GridAdaptation, GridLif, GridSynapse, Leak, Lif, Reset, Site, Spike,
    Synapse, Threshold,
};

/// Attribute, its range, its value.
type Fault = (&'static str, &'static str, String);

/// The first attribute of a site that is outside its range.
pub(crate) fn check_site(site: &Site) -> Option<Fault> {
    match site {
        Site::Lif(lif) => check_lif(lif),
        Site::QuantRelu(q) if q.levels == 0 => Some(("levels", "1 to 255", "0".into())),
        Site::QuantRelu(q) if !positive(q.step) => Some(("step", "positive", q.step.to_string())),
        Site::Custom(custom) => check_custom(custom),
        Site::GridLif(lif) => check_grid_lif(lif),
        Site::GridQuantRelu { levels: 0 } => Some(("levels", "1 to 255", "0".into())),
        Site::Relu | Site::QuantRelu(_) | Site::GridQuantRelu { .. } => None,
    }
}

fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn check_lif(lif: &Lif) -> Option<Fault> {
    match lif.leak {
        Leak::Factor { factor } if !(0.0..=1.0).contains(&factor) => {
            return Some(("leak.factor", "in [0, 1]", factor.to_string()));
        }
        Leak::Learned { initial } if !(initial > 0.0 && initial < 1.0) => {
            return Some(("leak.initial", "in (0, 1)", initial.to_string()));
        }
        Leak::Factor { .. } | Leak::Learned { .. } => {}
    }
    let rest = lif.rest();
    if !rest.is_finite() {
        return Some(("reset.potential", "finite", rest.to_string()));
    }
    match lif.threshold {
        Threshold::Fixed(threshold) if !(threshold.is_finite() && threshold > rest) => {
            return Some((
                "threshold",
                "finite and above the reset potential",
                threshold.to_string(),
            ));
        }
        Threshold::Learned { initial, .. } if !(positive(initial) && initial > rest) => {
            return Some((
                "threshold.initial",
                "positive and above the reset potential",
                initial.to_string(),
            ));
        }
        Threshold::Fixed(_) | Threshold::Learned { .. } => {}
    }
    if let Some(fault) = check_spike(lif.spike) {
        return Some(fault);
    }
    // Both are defined symmetrically, or in multiples of the threshold, from 0.
    if lif.spike != Spike::Binary {
        if matches!(lif.reset, Reset::Hard { potential } if potential != 0.0) {
            return Some(("reset.potential", "0 for ternary and integer spikes", rest.to_string()));
        }
        if lif.threshold.initial() <= 0.0 {
            return Some((
                "threshold",
                "positive for ternary and integer spikes",
                lif.threshold.initial().to_string(),
            ));
        }
    }
    if let Synapse::Current { alpha } = lif.synapse
        && !(0.0..=1.0).contains(&alpha)
    {
        return Some(("synapse.alpha", "in [0, 1]", alpha.to_string()));
    }
    if let Adaptation::Threshold { decay, strength } = lif.adaptation {
        if !(0.0..=1.0).contains(&decay) {
            return Some(("adaptation.decay", "in [0, 1]", decay.to_string()));
        }
        if !(strength.is_finite() && strength >= 0.0) {
            return Some(("adaptation.strength", "finite and at least 0", strength.to_string()));
        }
        if matches!(lif.spike, Spike::Integer { .. }) {
            return Some(("adaptation", NO_ADAPTATION, format!("{:?}", lif.adaptation)));
        }
    }
    lif.surrogate.fault().map(|(expected, found)| ("surrogate", expected, found))
}

const NO_ADAPTATION: &str = "none for integer spikes, whose levels are multiples of one threshold";

fn check_spike(spike: Spike) -> Option<Fault> {
    (spike == Spike::Integer { levels: 0 }).then(|| ("spike.levels", "1 to 255", "0".into()))
}

/// Parts whose values have a range whatever their node.
const RESERVED: [&str; 3] = ["step", "thresholds", "running_var"];

fn check_custom(custom: &Custom) -> Option<Fault> {
    let finite = |(name, value): (&String, f64)| {
        (!value.is_finite()).then(|| ("params", "finite", format!("{name} = {value}")))
    };
    if custom.name.is_empty() {
        return Some(("name", "a name", "nothing".into()));
    }
    if let Some(part) = custom.learned.keys().find(|part| part.is_empty() || part.contains('.')) {
        return Some(("learned", "of names without a dot", format!("`{part}`")));
    }
    if let Some(part) = custom.learned.keys().find(|part| RESERVED.contains(&part.as_str())) {
        return Some((
            "learned",
            "of names that other sites have no rules for (`step`, `thresholds`, `running_var`)",
            part.clone(),
        ));
    }
    if let Some(part) = custom.learned.keys().find(|part| custom.params.contains_key(*part)) {
        return Some(("learned", "of names that are not among the constants", format!("`{part}`")));
    }
    let constants = custom.params.iter().map(|(name, value)| (name, *value));
    let learned = custom.learned.iter().map(|(name, learned)| (name, learned.initial));
    constants.chain(learned).find_map(finite).or_else(|| check_spike(custom.spike))
}

fn check_grid_lif(lif: &GridLif) -> Option<Fault> {
    const RANGE: &str = "k/2^m with m ≤ 16 and k ≤ 2^m";
    let fits = |multiplier: u32, shift: u8| shift <= 16 && multiplier <= 1 << shift;
    if !fits(lif.leak_multiplier, lif.leak_shift) {
        return Some(("leak", RANGE, format!("{lif:?}")));
    }
    if lif.guard_bits > 16 {
        return Some(("guard_bits", "at most 16", lif.guard_bits.to_string()));
    }
    if let GridSynapse::Current { multiplier, shift } = lif.synapse
        && !fits(multiplier, shift)
    {
        return Some(("synapse", RANGE, format!("{:?}", lif.synapse)));
    }
    if let GridAdaptation::Threshold { multiplier, shift } = lif.adaptation {
        if !fits(multiplier, shift) {
            return Some(("adaptation", RANGE, format!("{:?}", lif.adaptation)));
        }
        if matches!(lif.spike, Spike::Integer { .. }) {
            return Some(("adaptation", NO_ADAPTATION, format!("{:?}", lif.adaptation)));
        }
    }
    check_spike(lif.spike)
}
