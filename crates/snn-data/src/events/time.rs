//! Clocks with few bits, as cameras have them.

/// Makes 64-bit times of a counter of `BITS` bits that wraps.
///
/// A step back of more than half the range is a wrap, a smaller one an event that came late.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock<const BITS: u32> {
    last: Option<i64>,
}

impl<const BITS: u32> Clock<BITS> {
    /// The time of the next counter value; the first one is taken as it is.
    pub(super) fn time(&mut self, counter: i64) -> i64 {
        let range = 1_i64 << BITS;
        let time = match self.last {
            None => counter,
            Some(last) => {
                // The signed distance modulo the range, in −range/2 .. range/2.
                let ahead = counter.wrapping_sub(last).wrapping_add(range / 2) & (range - 1);
                last.wrapping_add(ahead.wrapping_sub(range / 2))
            }
        };
        self.last = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn counters_wrap_forwards_and_late_events_stay_late() {
        let mut clock = Clock::<32>::default();
        let counters = [-3, 2_147_483_647, -2_147_483_648, -2_147_483_650, 5];
        let times = counters.map(|counter| clock.time(counter));
        assert_eq!(times[0], -3, "a negative start stays");
        assert_eq!(times[1] - times[0], 2_147_483_650 - (1 << 32), "more than half the range ahead is a step back");
        assert_eq!(times[2] - times[1], 1, "over the edge");
        assert_eq!(times[3] - times[2], -2, "late");
        let mut clock = Clock::<12>::default();
        assert_eq!([4000, 4095, 0, 4094, 7].map(|counter| clock.time(counter)), [4000, 4095, 4096, 4094, 4103]);
    }
}
