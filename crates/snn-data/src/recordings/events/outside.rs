//! Events outside the sensor, of formats whose words are read one by one.

use super::bytes::ByteSource;
use super::{Event, Events, SensorSize};
use crate::Result;

/// Events of a piece that lie outside the sensor: how many, and word and place of the first one.
#[derive(Debug, Default)]
pub(super) struct Outside {
    count: u64,
    first: Option<(usize, (u16, u16))>,
}

impl Outside {
    /// Adds the event of word `index` if it lies on the sensor; notes it and returns `false` if
    /// not.
    pub(super) fn holds(&mut self, events: &mut Events, event: Event, index: usize) -> bool {
        let on_sensor = events.size.holds(event.x, event.y);
        if on_sensor {
            events.append(event);
        } else {
            self.count += 1;
            self.first.get_or_insert((index, (event.x, event.y)));
        }
        on_sensor
    }

    /// Counts them as damage, or fails; words have `bytes` bytes.
    pub(super) fn report(
        self,
        source: &mut ByteSource,
        size: SensorSize,
        bytes: usize,
    ) -> Result<()> {
        let Some((word, place)) = self.first else { return Ok(()) };
        source.outside(self.count, source.off_sensor(word * bytes, size, place))
    }
}
