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

    /// Makes times of many counter values, in place.
    ///
    /// As long as no time is further from the one before the first of them than a quarter of the
    /// range, each step is less than half of it, and the time is that one plus the distance,
    /// whatever lies between: a loop without a chain.
    pub(super) fn times(&mut self, counters: &mut [i64]) {
        let range = 1_i64 << BITS;
        let Some(&last) = counters.last() else { return };
        if let Some(before) = self.last {
            let ahead =
                |counter: i64| counter.wrapping_sub(before).wrapping_add(range / 4) & (range - 1);
            // Half the range is a power of two: what exceeds it in any of them shows in the bits of
            // all.
            let seen = counters.iter().fold(0, |seen, &counter| seen | ahead(counter));
            if seen < range / 2 {
                let start = before.wrapping_sub(range / 4);
                let time = |counter: i64| start.wrapping_add(ahead(counter));
                for counter in counters {
                    *counter = time(*counter);
                }
                self.last = Some(time(last));
                return;
            }
        }
        for counter in counters {
            *counter = self.time(*counter);
        }
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
        assert_eq!(
            times[1] - times[0],
            2_147_483_650 - (1 << 32),
            "more than half the range ahead is a step back"
        );
        assert_eq!(times[2] - times[1], 1, "over the edge");
        assert_eq!(times[3] - times[2], -2, "late");
        let mut clock = Clock::<12>::default();
        assert_eq!(
            [4000, 4095, 0, 4094, 7].map(|counter| clock.time(counter)),
            [4000, 4095, 4096, 4094, 4103]
        );
    }

    #[test]
    fn many_times_are_those_of_one_by_one() {
        let mut rng = crate::SampleRng::for_sample(0, 0, 0);
        for spread in [3, 900, 1100, 2100, 5000] {
            let (mut one, mut many) = (Clock::<12>::default(), Clock::<12>::default());
            let mut counter = 4000;
            for block in [1, 7, 64, 2, 33] {
                let mut counters: Vec<i64> = Vec::new();
                for _ in 0..block {
                    counter += i64::from(rng.below(2 * spread)) - i64::from(spread) * 3 / 4;
                    counters.push(counter & 4095);
                }
                let expected: Vec<i64> =
                    counters.iter().map(|&counter| one.time(counter)).collect();
                many.times(&mut counters);
                assert_eq!(counters, expected, "spread {spread}");
            }
        }
    }
}
