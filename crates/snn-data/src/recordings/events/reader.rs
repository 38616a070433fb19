//! Reading recordings, whole or in pieces.

use super::bytes::ByteSource;
use super::{
    Damage, EventFormat, Events, ReadOptions, SensorSize, aedat2, aedat3, aedat4, dat, evt2, evt3,
    evt21, n_mnist, npz,
};
use crate::{Error, Result};
use fs_err as fs;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;

/// Reads a recording from front to back: memory does not grow with its length.
///
/// ```no_run
/// use snn_data::recordings::events::{EventReader, Events, ReadOptions};
/// let mut reader = EventReader::open("recording.aedat4".as_ref(), ReadOptions::default())?;
/// let mut piece = Events::new(reader.size());
/// let mut on = 0;
/// while reader.read_chunk(&mut piece)? {
///     on += piece.polarity().iter().filter(|&&on| on).count();
///     piece.clear();
/// }
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug)]
pub struct EventReader {
    source: ByteSource,
    decoder: Decoder,
    size: SensorSize,
    max_events: usize,
    /// Bytes of the file, where they are known.
    bytes: Option<u64>,
}

/// State of each format's decoder between pieces.
#[derive(Debug)]
enum Decoder {
    Aedat2(aedat2::Decoder),
    Aedat3(aedat3::Decoder),
    Aedat4(aedat4::Decoder),
    NMnist(n_mnist::Decoder),
    Dat(dat::Decoder),
    Evt2(evt2::Decoder),
    Evt21(evt21::Decoder),
    Evt3(evt3::Decoder),
    /// The arrays of a file are read together: what is not given out yet.
    Npz(Option<Box<Events>>),
}

impl EventReader {
    /// Opens a file; the format is that of the options, or follows from its first bytes and its
    /// extension.
    ///
    /// # Errors
    /// [`Error::Parse`] if the format is not known or its header is damaged; [`Error::Io`].
    pub fn open(path: &Path, options: ReadOptions) -> Result<Self> {
        let file = fs::File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { bytes: Some(bytes), ..Self::new(Box::new(file), path, None, options)? })
    }

    /// Opens a file and goes on at `offset`, one that [`resumes_at`](Self::resumes_at) named.
    pub(crate) fn resume(path: &Path, options: ReadOptions, offset: u64) -> Result<Self> {
        let on_damage = options.on_damage;
        let mut reader = Self::open(path, options)?;
        // At the beginning there are no events to leave out.
        if offset > reader.offset() {
            let mut file = fs::File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            reader.source = ByteSource::from_offset(Box::new(file), path, offset);
            reader.source.on_damage(on_damage);
        }
        Ok(reader)
    }

    /// Offset of what is read next, if a reader can begin there without what stands before: between
    /// the packets of AEDAT 3.1.
    pub(crate) fn resumes_at(&self) -> Option<u64> {
        match &self.decoder {
            Decoder::Aedat3(decoder) if decoder.is_between_packets() => Some(self.offset()),
            _ => None,
        }
    }

    /// Offset of what is read next.
    pub(crate) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Reads from `reader`, as a file of a zip archive or a pipe; `path` is for messages and its
    /// extension. Without a format here and in the options it is found out.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[expect(clippy::needless_pass_by_value, reason = "as `open`, whose callers make them")]
    pub fn new(
        reader: Box<dyn Read + Send>,
        path: &Path,
        format: Option<EventFormat>,
        options: ReadOptions,
    ) -> Result<Self> {
        let mut source = ByteSource::new(reader, path);
        source.on_damage(options.on_damage);
        let format = match format.or(options.format) {
            Some(format) => format,
            None => EventFormat::of(&mut source)?,
        };
        let (decoder, size) = match format {
            EventFormat::Aedat2 => {
                boxed(aedat2::Decoder::open(&mut source, &options)?, Decoder::Aedat2)
            }
            EventFormat::Aedat3 => {
                boxed(aedat3::Decoder::open(&mut source, &options)?, Decoder::Aedat3)
            }
            EventFormat::Aedat4 => {
                boxed(aedat4::Decoder::open(&mut source, &options)?, Decoder::Aedat4)
            }
            EventFormat::NMnist => {
                boxed(n_mnist::Decoder::open(&mut source, &options)?, Decoder::NMnist)
            }
            EventFormat::Dat => boxed(dat::Decoder::open(&mut source, &options)?, Decoder::Dat),
            EventFormat::Evt2 => boxed(evt2::Decoder::open(&mut source, &options)?, Decoder::Evt2),
            EventFormat::Evt21 => {
                boxed(evt21::Decoder::open(&mut source, &options)?, Decoder::Evt21)
            }
            EventFormat::Evt3 => boxed(evt3::Decoder::open(&mut source, &options)?, Decoder::Evt3),
            EventFormat::Npz => {
                let events = npz::read_events(&mut source, &options)?;
                let size = events.size();
                (Decoder::Npz(Some(Box::new(events))), size)
            }
        };
        Ok(Self { source, decoder, size, max_events: options.max_events, bytes: None })
    }

    /// Width and height of the sensor.
    pub fn size(&self) -> SensorSize {
        self.size
    }

    /// The format.
    pub fn format(&self) -> EventFormat {
        match self.decoder {
            Decoder::Aedat2(_) => EventFormat::Aedat2,
            Decoder::Aedat3(_) => EventFormat::Aedat3,
            Decoder::Aedat4(_) => EventFormat::Aedat4,
            Decoder::NMnist(_) => EventFormat::NMnist,
            Decoder::Dat(_) => EventFormat::Dat,
            Decoder::Evt2(_) => EventFormat::Evt2,
            Decoder::Evt21(_) => EventFormat::Evt21,
            Decoder::Evt3(_) => EventFormat::Evt3,
            Decoder::Npz(_) => EventFormat::Npz,
        }
    }

    /// Records so far that are no change of light and were left out: pulses at external inputs,
    /// samples of other sensors, overflows of clocks, events marked as not valid, events before the
    /// first time.
    pub fn skipped(&self) -> u64 {
        match &self.decoder {
            Decoder::Aedat2(decoder) => decoder.skipped,
            Decoder::Aedat3(decoder) => decoder.skipped,
            Decoder::Aedat4(decoder) => decoder.skipped,
            Decoder::NMnist(decoder) => decoder.skipped,
            Decoder::Evt2(decoder) => decoder.skipped,
            Decoder::Evt21(decoder) => decoder.skipped,
            Decoder::Evt3(decoder) => decoder.skipped,
            Decoder::Dat(_) | Decoder::Npz(_) => 0,
        }
    }

    /// Events outside the sensor and records that are cut, which were left out so far as
    /// [`ReadOptions::on_damage`] asks; none unless it is
    /// [`OnDamage::Skip`](crate::OnDamage::Skip).
    pub fn damage(&self) -> &Damage {
        self.source.damage()
    }

    /// Adds the next piece to `events`, whose sensor must be [`size`](Self::size); `false` at the
    /// end.
    ///
    /// A piece has some ten thousand events, a packet of AEDAT 4 at most four million; it may also
    /// have none. Files of arrays (NPZ) are one piece.
    ///
    /// # Errors
    /// [`Error::Parse`] naming file and offset; [`Error::InvalidEvents`] if the sensors differ.
    /// What was read before stays in `events`.
    pub fn read_chunk(&mut self, events: &mut Events) -> Result<bool> {
        if events.size() != self.size {
            let expected = format!("events of a sensor of {}", self.size);
            return Err(Error::InvalidEvents { expected, found: events.size().to_string() });
        }
        let source = &mut self.source;
        match &mut self.decoder {
            Decoder::Aedat2(decoder) => decoder.read_chunk(source, events),
            Decoder::Aedat3(decoder) => decoder.read_chunk(source, events),
            Decoder::Aedat4(decoder) => decoder.read_chunk(source, events),
            Decoder::NMnist(decoder) => decoder.read_chunk(source, events),
            Decoder::Dat(decoder) => decoder.read_chunk(source, events),
            Decoder::Evt2(decoder) => decoder.read_chunk(source, events),
            Decoder::Evt21(decoder) => decoder.read_chunk(source, events),
            Decoder::Evt3(decoder) => decoder.read_chunk(source, events),
            Decoder::Npz(rest) => match rest.take() {
                Some(all) => {
                    events.reserve(all.len());
                    all.iter().for_each(|event| events.append(event));
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }

    /// The whole rest of the recording.
    ///
    /// # Errors
    /// As [`read_chunk`](Self::read_chunk); [`Error::Parse`] if there are more events than
    /// [`ReadOptions::max_events`].
    pub fn read_all(&mut self) -> Result<Events> {
        let mut events = Events::new(self.size);
        self.read_into(&mut events)?;
        Ok(events)
    }

    /// The whole rest of the recording in the place of what `events` has, of which the memory is
    /// used again: new memory costs more than reading.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all); `events` then holds a part.
    pub fn read_into(&mut self, events: &mut Events) -> Result<()> {
        events.clear();
        events.size = self.size;
        events.reserve(self.expected_events());
        while self.read_chunk(events)? {
            self.check_count(events.len())?;
        }
        Ok(())
    }

    /// Refuses more events in memory than are wanted there.
    pub(crate) fn check_count(&self, count: usize) -> Result<()> {
        if count > self.max_events {
            let expected = format!(
                "at most {} at once; read in pieces or raise `max_events`",
                self.max_events
            );
            return Err(self.source.error("events", expected, "more"));
        }
        Ok(())
    }

    /// Events for which room is made before any is read: as many as the file can have where records
    /// are of one size, otherwise none.
    pub(crate) fn expected_events(&self) -> usize {
        let record = match self.decoder {
            Decoder::Aedat2(_) | Decoder::Dat(_) => 8,
            Decoder::NMnist(_) => 5,
            Decoder::Aedat3(_)
            | Decoder::Aedat4(_)
            | Decoder::Evt2(_)
            | Decoder::Evt21(_)
            | Decoder::Evt3(_)
            | Decoder::Npz(_) => {
                return 0;
            }
        };
        let most = self.bytes.map_or(0, |bytes| bytes / record);
        usize::try_from(most).unwrap_or(usize::MAX).min(self.max_events)
    }
}

impl Events {
    /// Reads a whole recording; see [`EventReader`].
    ///
    /// # Errors
    /// As [`EventReader::open`] and [`EventReader::read_all`].
    pub fn read(path: &Path, options: ReadOptions) -> Result<Self> {
        EventReader::open(path, options)?.read_all()
    }
}

fn boxed<D>(
    (decoder, size): (D, SensorSize),
    variant: impl Fn(D) -> Decoder,
) -> (Decoder, SensorSize) {
    (variant(decoder), size)
}
