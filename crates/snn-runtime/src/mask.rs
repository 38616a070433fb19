//! Geometry of a mask (eq. 6b), which both engines share.

use snn_ir::chw;

/// Which value of a mask stands for which of the stream that it masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask {
    /// `true` if events pass where the mask has no spike.
    pub(crate) inverted: bool,
    /// Channels of the mask.
    pub(crate) groups: usize,
    /// Channels of the masked stream that each of them stands for.
    pub(crate) group: usize,
    /// `true` if the mask has one position, which stands for all.
    pub(crate) everywhere: bool,
}

impl Mask {
    /// Of a mask and what it masks, by their shapes.
    pub(crate) fn new(inverted: bool, mask: &[usize], x: &[usize]) -> Self {
        let ([groups, rows, columns], [channels, ..]) = (chw(mask), chw(x));
        let everywhere = [rows, columns] == [1, 1];
        Self { inverted, groups, group: channels / groups, everywhere }
    }

    /// `true` if an event passes where the mask has, or has not, a spike.
    #[inline(always)]
    pub(crate) fn passes(&self, spike: bool) -> bool {
        spike != self.inverted
    }
}
