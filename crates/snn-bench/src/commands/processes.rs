//! The processes that a launcher started to train one run together.

use crate::output;
use anyhow::{Context, Result, bail};
use snn_core::{ProcessRank, Ranks, Rendezvous};
use snn_train::{Options, RunConfig};
use std::sync::Arc;
use tch::{Cuda, Device};

/// Joins the other processes, where a launcher says that there are any: a config without replicas
/// then has one for each of them.
pub(crate) fn join(config: &mut RunConfig, options: &mut Options) -> Result<()> {
    let Some(rendezvous) = Rendezvous::from_environment()? else { return Ok(()) };
    let Rendezvous { rank, count, .. } = rendezvous;
    if config.replicas == 1 {
        config.replicas = count;
    }
    if matches!(options.device, Device::Cuda(_)) {
        options.device = own_device()?;
    }
    if rank == 0 {
        let Rendezvous { master, port, .. } = &rendezvous;
        // Where an address is wrong, this is the last that is said for a long time.
        output::tell(format_args!("{count} processes meet at {master}:{port}"));
    }
    options.processes = Some(Arc::new(ProcessRank::connect(&rendezvous)?));
    if rank == 0 {
        output::tell(format_args!("{count} processes, each with its part of every batch"));
    }
    Ok(())
}

/// The device of this process on its machine, as `torchrun` numbers them.
fn own_device() -> Result<Device> {
    let text = std::env::var("LOCAL_RANK").context(
        "LOCAL_RANK is not set: it says which device of the machine each of several processes has",
    )?;
    let index: usize =
        text.parse().with_context(|| format!("LOCAL_RANK: expected a number, found `{text}`"))?;
    let found = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if index >= found {
        bail!("LOCAL_RANK is {index}, but libtorch sees {found} CUDA devices");
    }
    Ok(Device::Cuda(index))
}

/// `true` in a process that leaves reports to rank 0.
pub(crate) fn is_silent(options: &Options) -> bool {
    options.processes.as_ref().is_some_and(|process| process.rank() > 0)
}
