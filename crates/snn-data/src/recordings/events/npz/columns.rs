//! Times, columns, rows and polarities of events, as arrays have them.

/// Expected values of positions and counts.
pub(super) const PLACES: &str = "whole numbers from 0 to 65535";
/// A place that no sensor has: that of an event whose column or row no number from 0 to 65535 is.
pub(super) const OUTSIDE: u16 = u16::MAX;

/// What a column or field says of events, in the order of [`ArrayNames::USUAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    T,
    X,
    Y,
    P,
}

pub(super) const PARTS: [(Part, &str); 4] =
    [(Part::T, "times"), (Part::X, "columns"), (Part::Y, "rows"), (Part::P, "polarities")];

/// One of the parts of all events.
pub(super) enum Column {
    Times(Vec<i64>),
    Places(Vec<u16>),
    /// Places of which those that none are become [`OUTSIDE`].
    AnyPlaces(Vec<u16>),
    Signs(Signs),
}

impl Column {
    pub(super) fn new(part: Part, forgiving: bool) -> Self {
        match part {
            Part::T => Self::Times(Vec::new()),
            Part::X | Part::Y if forgiving => Self::AnyPlaces(Vec::new()),
            Part::X | Part::Y => Self::Places(Vec::new()),
            Part::P => Self::Signs(Signs::default()),
        }
    }

    /// Adds a value; an error is what was expected.
    pub(super) fn push(&mut self, value: Option<i64>) -> Result<(), &'static str> {
        let whole = value.ok_or("whole numbers");
        match self {
            Self::Times(times) => times.push(whole.map_err(|_| "whole numbers (µs)")?),
            Self::Places(places) => {
                places.push(value.and_then(|value| u16::try_from(value).ok()).ok_or(PLACES)?);
            }
            Self::AnyPlaces(places) => places.push(u16::try_from(whole?).unwrap_or(OUTSIDE)),
            Self::Signs(signs) => signs.push(whole?),
        }
        Ok(())
    }
}

/// Polarities, as the values that occur and which of them each event has.
#[derive(Default)]
pub(super) struct Signs {
    /// The first three values that occur.
    values: Vec<i64>,
    each: Vec<u8>,
}

/// Pairs of values that files have for OFF and ON: NumPy and most cameras, jAER, MATLAB, images.
const POLARITIES: [[i64; 2]; 4] = [[0, 1], [-1, 1], [1, 2], [0, 255]];

impl Signs {
    fn push(&mut self, value: i64) {
        let place = self.values.iter().position(|&known| known == value).unwrap_or_else(|| {
            // A third value is enough to know that this is no polarity.
            if self.values.len() < 3 {
                self.values.push(value);
            }
            self.values.len() - 1
        });
        self.each.push(u8::try_from(place).unwrap_or(u8::MAX));
    }

    /// `true` for each event that is ON, by the values that occur; an error is what was expected
    /// and what was found.
    pub(super) fn polarities(mut self) -> Result<Vec<bool>, (String, String)> {
        let pair = POLARITIES
            .into_iter()
            .find(|pair| self.values.iter().all(|value| pair.contains(value)));
        let Some([_, on]) = pair else {
            self.values.sort_unstable();
            let expected = "two values, 0 and 1, -1 and 1, 1 and 2, or 0 and 255 (OFF and ON); \
                            `--arrays p=NAME` names another array";
            let found: Vec<_> = self.values.iter().map(ToString::to_string).collect();
            return Err((expected.into(), format!("values {}", found.join(", "))));
        };
        let on: Vec<bool> = self.values.iter().map(|&value| value == on).collect();
        Ok(self.each.iter().map(|&place| on[usize::from(place)]).collect())
    }
}
