//! The stages of a run, from the last to the twin.

use crate::config::RunConfig;
use crate::config::activity::ActivityConfig;
use crate::config::batch_norm::BatchNormReestimationConfig;
use crate::config::crossover::CrossoverConfig;
use crate::config::stage_name::{CROSSOVER, TWIN};
use crate::error::{Error, Result};
use crate::optim::schedule::ScheduleConfig;
use crate::optim::warm_up::WarmUpConfig;
use snn_hybrid::Policy;
use std::path::{Path, PathBuf};

impl RunConfig {
    /// The stage that is trained before this one, with the name of its folder: the twin, or an
    /// earlier stage of a crossover. `None` for a run that is not staged.
    ///
    /// # Errors
    /// As [`twin_config`](Self::twin_config); a crossover without a twin.
    pub(crate) fn before(&self) -> Result<Option<(&'static str, Self)>> {
        let twin = self.twin_config()?;
        let CrossoverConfig { stages, epochs, from } = self.crossover;
        if stages <= 1 {
            return Ok(twin.map(|twin| (TWIN, twin)));
        }
        let Some(twin) = twin else {
            let message = "`crossover` changes the sites of a twin in several stages, so it needs \
                           a table `twin`";
            return Err(Error::Toml(message.into()));
        };
        if twin.policy != Policy::All {
            let message = "`crossover` changes the ReLUs of a twin that has nothing else: \
                           `twin.policy` must be absent, or `all`";
            return Err(Error::Toml(message.into()));
        }
        let (policy, stage) = match &self.policy {
            Policy::Crossover { policy, stage, of, from: end } if (*of, *end) == (stages, from) => {
                (policy.clone(), *stage)
            }
            policy => (policy.clone().into(), stages),
        };
        if stage <= 1 {
            return Ok(Some((TWIN, twin)));
        }
        let earlier = Self {
            policy: Policy::Crossover { policy, stage: stage - 1, of: stages, from },
            epochs,
            schedule: ScheduleConfig::Constant,
            warm_up: WarmUpConfig::default(),
            activity: ActivityConfig::default(),
            batch_norm_reestimation: BatchNormReestimationConfig::default(),
            twin: Some(self.whole_twin(&twin)?),
            ..self.clone()
        };
        Ok(Some((CROSSOVER, earlier)))
    }

    /// Stages of the run, its own among them.
    pub(crate) fn stage_count(&self) -> Result<usize> {
        Ok(1 + self.before()?.map_or(Ok(0), |(_, before)| before.stage_count())?)
    }

    /// The folder of the twin of a staged run in `folder`.
    pub(crate) fn twin_folder(&self, folder: &Path) -> Result<Option<PathBuf>> {
        let Some((name, before)) = self.before()? else { return Ok(None) };
        let nested = folder.join(name);
        Ok(Some(before.twin_folder(&nested)?.unwrap_or(nested)))
    }

    /// The config of the last stage alone: it starts from the stage before in the run's folder, and
    /// learns from the twin. The config itself for a run that is not staged.
    pub(crate) fn after_stages(&self, folder: &Path) -> Self {
        let mut config = Self { twin: None, crossover: CrossoverConfig::default(), ..self.clone() };
        let (Ok(Some((name, before))), Ok(Some(twin))) = (self.before(), self.twin_folder(folder))
        else {
            return config;
        };
        if !config.distillation.is_on() && config.distillation.weight > 0.0 {
            config.distillation.teacher = twin;
        }
        config.start_from.path = folder.join(name);
        config.start_from.new_classes = false;
        // With the same policy no quantised ReLU becomes a LIF neuron: the twin is an earlier stage
        // of the same network, on smaller pictures or at another T.
        config.start_from.swap =
            before.policy != self.policy || !before.replacement.has_levels_of(&self.replacement);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_hybrid::End;

    const TEXT: &str = "
epochs = 3
policy = 'outer'
groups = [{ names = '*.bias', learning_rate = 2.0 }]
schedule = 'linear'
crossover = { stages = 3, epochs = 2, from = 'input' }
[data]
dataset = 'shapes10'
flip = 'none'
[activity]
weight = 1.0
[twin]
epochs = 5
groups = []
optimiser = { kind = 'adamw', learning_rate = 0.1 }
schedule = { kind = 'one_cycle' }
";

    #[test]
    fn stages_lead_to_the_twin() {
        let config = RunConfig::from_toml(TEXT).unwrap();
        let twin = config.twin_config().unwrap().unwrap();
        assert!(twin.groups.is_empty() && twin.crossover.is_default());
        assert_eq!(config.stage_count().unwrap(), 4);
        let (name, second) = config.before().unwrap().unwrap();
        assert_eq!(
            (name, second.epochs, &second.schedule),
            ("crossover", 2, &ScheduleConfig::Constant)
        );
        assert!(!second.activity.is_on() && second.groups == config.groups);
        let policy = |stage| Policy::Crossover {
            policy: Policy::Outer.into(),
            stage,
            of: 3,
            from: End::Input,
        };
        assert_eq!(second.policy, policy(2));
        // As a file has it, too, which the folder of the stage keeps.
        let read = RunConfig::from_toml(&second.to_toml().unwrap()).unwrap();
        assert_eq!(read.twin_config().unwrap().unwrap(), twin);
        let (_, first) = read.before().unwrap().unwrap();
        assert_eq!(first.policy, policy(1));
        assert_eq!(first.before().unwrap().unwrap(), ("twin", twin));
        let folder = Path::new("run");
        let last = config.after_stages(folder);
        assert_eq!(last.start_from.path, folder.join("crossover"));
        assert_eq!(last.distillation.teacher, folder.join("crossover/crossover/twin"));
        assert!(last.start_from.swap && last.twin.is_none() && last.before().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let base = "epochs = 3\n[data]\ndataset = 'shapes10'";
        let fails = |set: &str, part: &str| {
            let error = RunConfig::with_overrides(base, &[set.to_string()]).unwrap_err();
            assert!(error.to_string().contains(part), "{set}: {error}");
        };
        fails("crossover.stages=2", "needs a table `twin`");
        fails("crossover.stages=0", "`crossover.stages` must be 1 to 100");
        fails("crossover.stages=1000000", "`crossover.stages` must be 1 to 100");
        let sets = ["twin={ epochs = 1, policy = 'outer' }", "crossover.stages=2"];
        let error = RunConfig::with_overrides(base, &sets.map(String::from)).unwrap_err();
        assert!(error.to_string().contains("`twin.policy` must be absent"), "{error}");
        fails("crossover.epochs=0", "`crossover.epochs` must be at least 1");
        fails("crossover.from=middle", "`middle`");
    }
}
