//! The networks that the loop trains: off the grid, or fine-tuned on it.

use crate::error::Result;
use snn_core::{
    DropoutKey, FiringRate, Forward, GridForward, GridNetwork, Mode, Network, Parameter, Pixels,
    Ranks, SiteActivity,
};
use snn_ir::{Model, Signature, Weights};
use std::sync::Arc;
use tch::{Device, Tensor};

/// Learning rates of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepSize {
    /// The same for all.
    Absolute,
    /// Relative to the size of each layer's weights
    /// ([`Optimiser::scale_rates_by_size`](crate::Optimiser::scale_rates_by_size)).
    Relative,
}

/// A network that the loop can train.
pub(crate) trait Trainable {
    /// Where its tensors are.
    fn device(&self) -> Device;
    /// Its parameters.
    fn parameters(&self) -> &[Parameter];
    /// Learning rates of its layers.
    fn step_size(&self) -> StepSize;
    /// Time steps T.
    fn time_steps(&self) -> usize;
    /// Says which step the next training pass is of, for what is random in it.
    fn begin(&mut self, key: DropoutKey);
    /// Class scores with gradients; on the grid those of all macro-steps are not told apart.
    fn forward(&self, pixels: &Pixels) -> Result<Forward>;
    /// [`forward`](Self::forward) with the activity of the sites that have one, with gradients.
    fn forward_with_activity(&self, pixels: &Pixels) -> Result<(Forward, Vec<SiteActivity>)>;
    /// Class scores without gradients, and the firing rate of each site.
    fn evaluate(&self, pixels: &Pixels, mode: Mode) -> Result<(Tensor, Vec<FiringRate>)>;
    /// Computes with the parameters of another network of the same model from here on; gradients
    /// are its own.
    fn share_parameters(&mut self, others: &[Parameter]) -> Result<()>;
    /// Makes it one of several replicas.
    fn set_ranks(&mut self, ranks: Arc<dyn Ranks>);
    /// A pass of [`reestimate`](Self::reestimate) over a part of the batch of this number.
    fn statistics_pass(&mut self, pixels: &Pixels, number: u32) -> Result<()>;
    /// Brings parameters back into their range after a step.
    fn project(&mut self) -> Result<()>;
    /// Measures the running statistics of batch norm again over these batches.
    fn reestimate(&mut self, batches: &mut dyn Iterator<Item = Result<Pixels>>) -> Result<()>;
    /// All weights that a checkpoint must hold.
    fn weights(&self) -> Result<Weights>;
    /// Overwrites all weights.
    fn load(&mut self, weights: &Weights) -> Result<()>;
    /// The model as it stands.
    fn model(&self) -> Result<Model>;
}

/// A network off the grid with what makes a model of it.
#[derive(Debug)]
pub(crate) struct OffGrid {
    pub(crate) network: Network,
    /// The model without its weights, which the network holds.
    pub(crate) signature: Signature,
}

impl Trainable for OffGrid {
    fn device(&self) -> Device {
        self.network.device()
    }

    fn parameters(&self) -> &[Parameter] {
        self.network.parameters()
    }

    fn step_size(&self) -> StepSize {
        StepSize::Absolute
    }

    fn time_steps(&self) -> usize {
        self.signature.time_steps
    }

    fn begin(&mut self, key: DropoutKey) {
        self.network.set_dropout_key(key);
    }

    fn forward(&self, pixels: &Pixels) -> Result<Forward> {
        Ok(self.network.forward(pixels, Mode::Train)?)
    }

    fn forward_with_activity(&self, pixels: &Pixels) -> Result<(Forward, Vec<SiteActivity>)> {
        Ok(self.network.forward_with_activity(pixels, Mode::Train)?)
    }

    fn evaluate(&self, pixels: &Pixels, mode: Mode) -> Result<(Tensor, Vec<FiringRate>)> {
        let (forward, rates) = self.network.forward_with_rates(pixels, mode)?;
        Ok((forward.logits, rates))
    }

    fn share_parameters(&mut self, others: &[Parameter]) -> Result<()> {
        Ok(self.network.share_parameters(others)?)
    }

    fn set_ranks(&mut self, ranks: Arc<dyn Ranks>) {
        self.network.set_ranks(ranks);
    }

    fn statistics_pass(&mut self, pixels: &Pixels, number: u32) -> Result<()> {
        Ok(self.network.statistics_pass(pixels, number)?)
    }

    fn project(&mut self) -> Result<()> {
        Ok(self.network.project()?)
    }

    fn reestimate(&mut self, batches: &mut dyn Iterator<Item = Result<Pixels>>) -> Result<()> {
        self.network.reestimate_batch_norm(batches).map(|_| ())
    }

    fn weights(&self) -> Result<Weights> {
        Ok(self.network.weights()?)
    }

    fn load(&mut self, weights: &Weights) -> Result<()> {
        Ok(self.network.load(weights)?)
    }

    fn model(&self) -> Result<Model> {
        Ok(Model::new(self.signature.clone(), self.network.weights()?))
    }
}

/// A network on the grid with the device it was made for.
#[derive(Debug)]
pub(crate) struct OnGrid {
    pub(crate) network: GridNetwork,
    pub(crate) time_steps: usize,
    pub(crate) device: Device,
}

impl Trainable for OnGrid {
    fn device(&self) -> Device {
        self.device
    }

    fn parameters(&self) -> &[Parameter] {
        self.network.parameters()
    }

    /// Pixels, levels and sums are not of size 1.
    fn step_size(&self) -> StepSize {
        StepSize::Relative
    }

    fn time_steps(&self) -> usize {
        self.time_steps
    }

    /// Dropout does not exist on the grid.
    fn begin(&mut self, _: DropoutKey) {}

    fn forward(&self, pixels: &Pixels) -> Result<Forward> {
        let logits = self.network.forward(pixels, Mode::Train)?.logits;
        let step_logits = logits.f_unsqueeze(0)?;
        Ok(Forward { logits, step_logits })
    }

    fn forward_with_activity(&self, pixels: &Pixels) -> Result<(Forward, Vec<SiteActivity>)> {
        let (GridForward { logits, .. }, sites) = self.network.forward_with_activity(pixels)?;
        let step_logits = logits.f_unsqueeze(0)?;
        Ok((Forward { logits, step_logits }, sites))
    }

    /// The grid's forward pass does not tell firing rates; the event runtime counts them.
    fn evaluate(&self, pixels: &Pixels, mode: Mode) -> Result<(Tensor, Vec<FiringRate>)> {
        Ok((self.network.forward(pixels, mode)?.logits, Vec::new()))
    }

    fn share_parameters(&mut self, others: &[Parameter]) -> Result<()> {
        Ok(self.network.share_parameters(others)?)
    }

    /// Nothing on the grid is measured of a batch.
    fn set_ranks(&mut self, _: Arc<dyn Ranks>) {}

    /// As [`reestimate`](Self::reestimate).
    fn statistics_pass(&mut self, _: &Pixels, _: u32) -> Result<()> {
        Ok(())
    }

    fn project(&mut self) -> Result<()> {
        Ok(self.network.project()?)
    }

    /// Batch norm is folded into the weights; [`finetune`](crate::finetune()) refuses a config that
    /// asks for this.
    fn reestimate(&mut self, _: &mut dyn Iterator<Item = Result<Pixels>>) -> Result<()> {
        Ok(())
    }

    fn weights(&self) -> Result<Weights> {
        Ok(self.network.shadows()?)
    }

    fn load(&mut self, weights: &Weights) -> Result<()> {
        Ok(self.network.load(weights)?)
    }

    fn model(&self) -> Result<Model> {
        Ok(self.network.model()?)
    }
}
