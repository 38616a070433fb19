//! The device argument.

use crate::output;
use tch::{Cuda, Device};

/// The device as the command line names it.
pub(crate) fn label(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_string(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Says where a training will be slow for want of kernels.
pub(crate) fn tell_of_kernels(device: Device) {
    if let Err(error) = snn_core::check_kernels(device) {
        output::tell(format_args!(
            "warning: sites are computed by single operations of libtorch, several times as slow: \
             {error}"
        ));
    }
}

/// Reads `cpu`, `cuda` or `cuda:N`, and says at once when there is no such device.
pub(crate) fn parse(text: &str) -> Result<Device, String> {
    let index = match text {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        other => match other.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()) {
            Some(index) => index,
            None => return Err("expected cpu, cuda or cuda:N".into()),
        },
    };
    let found = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if index < found {
        Ok(Device::Cuda(index))
    } else {
        Err(format!("libtorch sees {found} CUDA devices"))
    }
}
