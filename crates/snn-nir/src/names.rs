//! Names in the metadata of graphs that this crate writes. They say how the network is used, which
//! NIR has no words for, and nothing of what its nodes compute.

use snn_ir::Readout;

pub(crate) const TIME_STEPS: &str = "time_steps";
pub(crate) const READOUT: &str = "readout";
pub(crate) const MEAN: &str = "pixel_mean";
pub(crate) const DEVIATION: &str = "pixel_deviation";
pub(crate) const DT: &str = "dt";

const READOUTS: [(&str, Readout); 3] =
    [("mean", Readout::Mean), ("last", Readout::Last), ("max", Readout::Max)];

pub(crate) fn readout_of(name: &str) -> Option<Readout> {
    READOUTS.iter().find(|(known, _)| *known == name).map(|(_, readout)| *readout)
}

pub(crate) fn name_of(readout: Readout) -> &'static str {
    READOUTS.iter().find(|(_, known)| *known == readout).map_or("mean", |(name, _)| name)
}
