//! The sensor of the camera.

use crate::recordings::events::SensorSize;

/// The sensor: that of a DVS128.
pub const SENSOR: SensorSize = SensorSize { width: 128, height: 128 };
/// Its rows, and its columns.
pub(super) const SIDE: usize = 128;
