//! Events of one node or one plane: for each position, the channels that are not zero.

use crate::arithmetic::Arithmetic;

/// Positions in order, in each the active channels with their values. Preallocated for every value
/// of the node; filling it never allocates.
#[derive(Debug)]
pub(crate) struct EventList<A> {
    /// Where each position's entries begin; one more at the end.
    offsets: Vec<u32>,
    channels: Vec<u32>,
    values: Vec<A>,
    /// Entries so far.
    length: usize,
    /// Positions so far.
    filled: usize,
}

impl<A: Arithmetic> EventList<A> {
    /// Room for `positions · channels` entries; all positions are empty.
    pub(crate) fn new(positions: usize, channels: usize) -> Self {
        let capacity = positions * channels;
        Self {
            offsets: vec![0; positions + 1],
            channels: vec![0; capacity],
            values: vec![A::default(); capacity],
            length: 0,
            filled: positions,
        }
    }

    /// Forgets all entries; positions are then filled in order, each ended by
    /// [`EventList::end_position`].
    pub(crate) fn begin(&mut self) {
        self.length = 0;
        self.filled = 0;
    }

    /// No entries at any position.
    pub(crate) fn clear(&mut self) {
        self.begin();
        (0..self.positions()).for_each(|_| self.end_position());
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a node has at most 2²⁸ values")]
    pub(crate) fn push(&mut self, channel: usize, value: A) {
        self.channels[self.length] = channel as u32;
        self.values[self.length] = value;
        self.length += 1;
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a node has at most 2²⁸ values")]
    pub(crate) fn end_position(&mut self) {
        self.filled += 1;
        self.offsets[self.filled] = self.length as u32;
    }

    /// Appends a position from a dense row, without branches on its values.
    #[expect(clippy::cast_possible_truncation, reason = "a node has at most 2²⁸ values")]
    pub(crate) fn push_row(&mut self, row: &[A]) {
        let mut length = self.length;
        let (channels, values) = (
            &mut self.channels[length..length + row.len()],
            &mut self.values[length..length + row.len()],
        );
        let mut found = 0;
        for (channel, &value) in row.iter().enumerate() {
            channels[found] = channel as u32;
            values[found] = value;
            found += usize::from(value != A::default());
        }
        length += found;
        self.length = length;
        self.end_position();
    }

    /// Takes what `pick` makes of the entries of `other`, without those that become zero and
    /// without branches on them.
    pub(crate) fn select(&mut self, other: &Self, pick: impl Fn(A) -> A) {
        self.begin();
        let mut length = 0;
        for position in 0..other.positions() {
            let (channels, values) = other.at(position);
            for (&channel, &value) in channels.iter().zip(values) {
                // At most as many entries as `other` has, so there is always room for one more.
                let picked = pick(value);
                self.channels[length] = channel;
                self.values[length] = picked;
                length += usize::from(picked != A::default());
            }
            self.length = length;
            self.end_position();
        }
    }

    /// Channels and values of a position.
    #[inline(always)]
    pub(crate) fn at(&self, position: usize) -> (&[u32], &[A]) {
        let range = self.offsets[position] as usize..self.offsets[position + 1] as usize;
        (&self.channels[range.clone()], &self.values[range])
    }

    /// Channels and values of all positions.
    pub(crate) fn entries(&self) -> (&[u32], &[A]) {
        (&self.channels[..self.length], &self.values[..self.length])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn positions(&self) -> usize {
        self.offsets.len() - 1
    }

    /// `Σ entries · fan_out[position]`.
    pub(crate) fn weighted_entries(&self, fan_out: &[u64]) -> u64 {
        self.offsets
            .array_windows()
            .zip(fan_out)
            .map(|([start, end], n)| u64::from(end - start) * n)
            .sum()
    }

    /// `Σ |counts| · fan_out[position]`, for a plane of counts.
    pub(crate) fn weighted_counts(&self, fan_out: &[u64]) -> u64 {
        let count = |position| {
            self.at(position).1.iter().map(|v| u64::from(v.level().unsigned_abs())).sum::<u64>()
        };
        fan_out.iter().enumerate().map(|(position, n)| count(position) * n).sum()
    }
}
