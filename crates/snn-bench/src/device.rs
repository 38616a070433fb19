//! The device argument.

use tch::{Cuda, Device};

/// The device as the command line names it.
pub(crate) fn label(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_string(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
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
