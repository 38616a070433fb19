//! Optimisers with a state that can be saved (that of tch's optimisers cannot), and the learning
//! rate over a run.

pub mod adamw;
pub(crate) mod ema;
pub(crate) mod groups;
pub mod lookahead;
pub mod muon;
mod named;
mod rule;
pub mod schedule;
pub mod sgd;
mod slot;
pub(crate) mod warm_up;

use crate::config::kind::DefaultKind;
use crate::error::{Error, Result};
use crate::optim::adamw::AdamWConfig;
use crate::optim::groups::GroupConfig;
use crate::optim::muon::{MuonConfig, OthersConfig};
use crate::optim::rule::Rule;
use crate::optim::sgd::SgdConfig;
use crate::optim::slot::Slot;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use snn_core::{Parameter, arrays, lists};
use snn_ir::Weights;
use tch::{Kind, Tensor};

/// Added to the norm before it divides (`PyTorch`'s `clip_grad_norm_`).
const CLIP_EPS: f64 = 1e-6;
/// Name of the number of steps in a saved state.
const STEPS: &str = "steps";

/// Which optimiser, and its settings; a table without `kind` is that of [`SgdConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "lowercase")]
pub enum OptimiserConfig {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdConfig),
    /// Adam with decoupled weight decay.
    AdamW(AdamWConfig),
    /// Muon for the weights of hidden layers, one of the two above for all others.
    Muon(MuonConfig),
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self::Sgd(SgdConfig::default())
    }
}

impl From<SgdConfig> for OptimiserConfig {
    fn from(sgd: SgdConfig) -> Self {
        Self::Sgd(sgd)
    }
}

impl From<AdamWConfig> for OptimiserConfig {
    fn from(adamw: AdamWConfig) -> Self {
        Self::AdamW(adamw)
    }
}

impl From<MuonConfig> for OptimiserConfig {
    fn from(muon: MuonConfig) -> Self {
        Self::Muon(muon)
    }
}

impl Serialize for OptimiserConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for OptimiserConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(DefaultKind { deserializer, kind: "sgd" })
    }
}

impl OptimiserConfig {
    /// The largest learning rate of the schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.learning_rate,
            Self::AdamW(adamw) => adamw.learning_rate,
            Self::Muon(muon) => muon.learning_rate,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.validate(),
            Self::AdamW(adamw) => adamw.validate(),
            Self::Muon(muon) => muon.validate(),
        }
    }

    /// An optimiser of the learned parameters that has done no step.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn init(&self, parameters: &[Parameter]) -> Result<Optimiser> {
        self.init_groups(parameters, &[])
    }

    /// An optimiser of the learned parameters that has done no step, with groups that it treats in
    /// their own way.
    ///
    /// # Errors
    /// A group matches no parameter, or is for an optimiser that this one is not; libtorch cannot
    /// allocate.
    pub fn init_groups(
        &self,
        parameters: &[Parameter],
        groups: &[GroupConfig],
    ) -> Result<Optimiser> {
        let learned: Vec<&Parameter> = parameters.iter().filter(|p| p.learned).collect();
        let names: Vec<&str> = learned.iter().map(|p| p.name.as_str()).collect();
        let of_parameter = groups::assign(groups, &names)?;
        if let Some(group) = groups.iter().find(|group| group.others)
            && !matches!(self, Self::Muon(_))
        {
            return Err(Error::Toml(format!(
                "`groups (names = \"{}\").others` is for `optimiser.kind = \"muon\"`, which alone \
                 leaves weights to another optimiser",
                group.names
            )));
        }
        let classifier = learned.iter().rposition(|p| p.decays);
        let slots = learned.iter().zip(of_parameter).enumerate().map(|(position, (p, group))| {
            let group = group.and_then(|group| groups.get(group)).cloned();
            let hidden = p.decays && p.tensor.dim() >= 2 && Some(position) != classifier;
            let rule = self.rule(hidden && !group.as_ref().is_some_and(|group| group.others));
            let tensor = p.tensor.shallow_clone();
            let zeros = |_| tensor.f_detach()?.f_zeros_like();
            let moments = rule.moments().iter().map(zeros).collect::<Result<_, tch::TchError>>()?;
            let factor = group.as_ref().map_or(1.0, |group| group.learning_rate);
            let decays = group.as_ref().and_then(|group| group.weight_decay);
            let slot = Slot {
                name: p.name.clone(),
                rate: factor * (rule.learning_rate() / self.learning_rate()),
                decay: rule.weight_decay() * decays.unwrap_or(f64::from(u8::from(p.decays))),
                frozen: group.as_ref().is_some_and(|group| !group.learns(0)),
                skipped: 0,
                group,
                synapse: p.decays,
                size: 1.0,
                tensor,
                moments,
            };
            Ok((rule, slot))
        });
        Ok(Optimiser { slots: slots.collect::<Result<_>>()?, steps: 0 })
    }

    /// How a parameter moves; `hidden` if it is the weight of a layer before the classifier.
    fn rule(&self, hidden: bool) -> Rule {
        let others = match *self {
            Self::Sgd(sgd) => OthersConfig::Sgd(sgd),
            Self::AdamW(adamw) => OthersConfig::AdamW(adamw),
            Self::Muon(muon) if hidden => return Rule::Muon(muon),
            Self::Muon(muon) => muon.others,
        };
        match others {
            OthersConfig::Sgd(sgd) => Rule::Sgd(sgd),
            OthersConfig::AdamW(adamw) => Rule::AdamW(adamw),
        }
    }
}

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimiser {
    /// How each parameter moves, and what is kept of it.
    slots: Vec<(Rule, Slot)>,
    /// Steps done.
    steps: u32,
}

impl Optimiser {
    /// Freezes and thaws groups as they say for an epoch (from 0) of `steps` steps. Weights that
    /// are frozen need no gradients, so that none are computed where nothing before them needs any.
    ///
    /// # Errors
    /// libtorch fails, or no weight would learn in the epoch.
    pub fn begin_epoch(&mut self, epoch: usize, steps: usize) -> Result<()> {
        for (_, slot) in &mut self.slots {
            let Some(group) = &slot.group else { continue };
            slot.frozen = !group.learns(epoch);
            let skipped = group.freeze_until.saturating_mul(steps);
            slot.skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
            let _same_tensor = slot.tensor.f_set_requires_grad(!slot.frozen)?;
        }
        if self.slots.iter().all(|(_, slot)| slot.frozen) && !self.slots.is_empty() {
            return Err(Error::Toml(format!(
                "`groups` freezes every weight of the network in epoch {}",
                epoch + 1
            )));
        }
        Ok(())
    }

    /// `true` if a weight is frozen in the epoch that was begun last.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.slots.iter().any(|(_, slot)| slot.frozen && slot.name == name)
    }

    /// Number of values that it moves in any epoch.
    pub fn parameter_count(&self) -> usize {
        let learns = |slot: &&Slot| !slot.group.as_ref().is_some_and(|group| group.frozen);
        let slots = self.slots.iter().map(|(_, slot)| slot);
        slots.filter(learns).map(|slot| slot.tensor.numel()).sum()
    }

    /// Makes the steps of each convolution's and linear layer's weight relative to its size
    /// `s = rms(w) / √(2/fan_in)`, as the weight is now.
    ///
    /// A layer that reads inputs c times as large, with weights c times as small, computes the same
    /// but has gradients c times as large: its steps would be c² times too large with SGD and c
    /// times with `AdamW`, whose steps do not depend on the size of gradients. The factors s² and s
    /// undo that, so that a layer which reads pixels, levels or sums moves as one of initial size
    /// (He 2015) that reads values of about 1.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn scale_rates_by_size(&mut self) -> Result<()> {
        let slots = self.slots.iter_mut().map(|(_, slot)| slot);
        for slot in slots.filter(|slot| slot.synapse) {
            let tensor = slot.tensor.f_detach()?.f_to_kind(Kind::Double)?;
            let outputs = tensor.size().first().copied().unwrap_or(1).max(1);
            let mean_square = tensor.f_square()?.f_mean(Kind::Double)?.f_double_value(&[])?;
            slot.size = (mean_square * (tensor.numel() as f64 / outputs as f64) / 2.0).sqrt();
        }
        Ok(())
    }

    /// Scales all gradients so that the norm of all of them together is at most `limit` (Pascanu
    /// 2013; `PyTorch`'s `clip_grad_norm_`), and returns the norm they had.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn clip_gradients(&mut self, limit: f64) -> Result<f64> {
        let gradients = self.slots.iter().map(|(_, slot)| slot.tensor.f_grad());
        let gradients = gradients.collect::<std::result::Result<Vec<_>, _>>()?;
        let gradients: Vec<&Tensor> = gradients.iter().filter(|g| g.defined()).collect();
        let norm = lists::norm(&gradients)?;
        let factor = limit / (norm + CLIP_EPS);
        if factor < 1.0 {
            lists::scale(&gradients, factor)?;
        }
        Ok(norm)
    }

    /// Moves every parameter that has a gradient and is not frozen, in place, and takes the
    /// gradients away. The learning rate is that of the optimiser itself; groups and the optimiser
    /// of other weights than Muon's have theirs in proportion.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        self.steps = self.steps.saturating_add(1);
        // Parameters that move alike do so together.
        let mut sgd: Vec<(lists::Sgd, Vec<Moving<'_>>)> = Vec::new();
        let mut adamw: Vec<(lists::AdamW, Vec<Moving<'_>>)> = Vec::new();
        for (rule, slot) in &mut self.slots {
            let gradient = slot.tensor.f_grad()?;
            if slot.frozen || !gradient.defined() {
                continue;
            }
            let learning_rate = learning_rate * slot.rate;
            match *rule {
                Rule::Sgd(config) => {
                    let step = config.step_of(slot, learning_rate);
                    among(&mut sgd, step, Moving { gradient, slot });
                }
                Rule::AdamW(config) => {
                    let number = self.steps.saturating_sub(slot.skipped);
                    let step = config.step_of(slot, learning_rate, number);
                    among(&mut adamw, step, Moving { gradient, slot });
                }
                Rule::Muon(config) => {
                    tch::no_grad(|| config.update(slot, &gradient, learning_rate))?;
                }
            }
        }
        for (step, moving) in &sgd {
            let [parameters, gradients, momenta, _] = lists_of(moving);
            step.step(&parameters, &gradients, &momenta)?;
        }
        for (step, moving) in &adamw {
            let [parameters, gradients, means, squares] = lists_of(moving);
            step.step(&parameters, &gradients, &means, &squares)?;
        }
        let parameters: Vec<&Tensor> = self.slots.iter().map(|(_, slot)| &slot.tensor).collect();
        Ok(lists::clear_gradients(&parameters)?)
    }

    /// `true` if the number of steps is a part of the state.
    fn counts_steps(&self) -> bool {
        self.slots.iter().any(|(rule, _)| matches!(rule, Rule::AdamW(_)))
    }

    /// The state: what is kept of every parameter, as `<what>/<parameter>` in the precision of the
    /// parameter, and for `AdamW` the number of steps.
    ///
    /// # Errors
    /// libtorch cannot copy.
    pub fn state(&self) -> Result<Weights> {
        let mut state = Weights::new();
        for (rule, slot) in &self.slots {
            for (moment, tensor) in rule.moments().iter().zip(&slot.moments) {
                let values = match tensor.f_kind()? {
                    Kind::Double => arrays::array::<f64>(tensor)?.into(),
                    _ => arrays::array::<f32>(tensor)?.into(),
                };
                state.insert(format!("{moment}/{}", slot.name), values);
            }
        }
        if self.counts_steps() {
            state.insert(STEPS.into(), ndarray::arr0(f64::from(self.steps)).into_dyn().into());
        }
        Ok(state)
    }

    /// Puts back what [`state`](Self::state) returned.
    ///
    /// # Errors
    /// Something is missing or has another shape; nothing has been changed then.
    pub fn restore(&mut self, state: &Weights) -> Result<()> {
        let mut values = Vec::new();
        for (rule, slot) in &self.slots {
            for (moment, tensor) in rule.moments().iter().zip(&slot.moments) {
                let name = format!("{moment}/{}", slot.name);
                let value = arrays::weight(
                    snn_ir::weights::get(state, &name)?,
                    tensor.f_kind()?,
                    tensor.device(),
                )?;
                if value.size() != tensor.size() {
                    let expected = format!("shape {:?} for `{name}`", tensor.size());
                    return Err(Error::Mismatch {
                        what: "optimiser",
                        expected,
                        found: format!("{:?}", value.size()),
                    });
                }
                values.push(value);
            }
        }
        if self.counts_steps() {
            self.steps = count(snn_ir::weights::get(state, STEPS)?)?;
        }
        let tensors = self.slots.iter_mut().flat_map(|(_, slot)| &mut slot.moments);
        for (tensor, value) in tensors.zip(&values) {
            tensor.f_copy_(value)?;
        }
        Ok(())
    }
}

/// A parameter in a step.
struct Moving<'s> {
    gradient: Tensor,
    slot: &'s Slot,
}

/// Puts a parameter among those that make the same step.
fn among<'s, S: PartialEq>(steps: &mut Vec<(S, Vec<Moving<'s>>)>, step: S, moving: Moving<'s>) {
    match steps.iter_mut().find(|(other, _)| *other == step) {
        Some((_, all)) => all.push(moving),
        None => steps.push((step, vec![moving])),
    }
}

/// Parameters, gradients, and the first and second of what is kept of each.
fn lists_of<'m>(moving: &'m [Moving<'_>]) -> [Vec<&'m Tensor>; 4] {
    let moment = |number| moving.iter().filter_map(|m| m.slot.moments.get(number)).collect();
    [
        moving.iter().map(|m| &m.slot.tensor).collect(),
        moving.iter().map(|m| &m.gradient).collect(),
        moment(0),
        moment(1),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number of 32 bits was checked"
)]
fn count(tensor: &snn_ir::Tensor) -> Result<u32> {
    let values = tensor.to_f64();
    match values.as_slice().unwrap_or_default() {
        [steps] if steps.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(steps) => {
            Ok(*steps as u32)
        }
        _ => Err(Error::Mismatch {
            what: "optimiser",
            expected: "one whole number for `steps`".into(),
            found: format!("{values}"),
        }),
    }
}
