//! Recordings of event cameras, in every format.

use snn_data::OnDamage;
use snn_data::recordings::events::{EventFormat, EventReader, Events, ReadOptions};
use std::io::Cursor;
use std::path::Path;

/// More events than this are refused, so that memory stays small.
const MAX_EVENTS: usize = 1 << 16;

/// The first byte chooses the format, or that it is found out; the rest is a file. Whole and in
/// pieces it is the same, and where damage is left out it is the same without damage.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, content)) = data.split_first() else { return };
    let format = EventFormat::ALL.get(usize::from(choice)).copied();
    let options = ReadOptions { max_events: MAX_EVENTS, ..ReadOptions::default() };
    let open = || {
        EventReader::new(
            Box::new(Cursor::new(content.to_vec())),
            Path::new("file"),
            format,
            options.clone(),
        )
    };
    let whole = open().and_then(|mut reader| reader.read_all());
    match &whole {
        Ok(events) => {
            assert!(events.len() <= MAX_EVENTS);
            assert!(events.iter().all(|event| events.size().holds(event.x, event.y)));
        }
        Err(error) => assert!(error.to_string().starts_with("`file`: byte "), "{error}"),
    }
    let Ok(mut reader) = open() else { return };
    let (mut pieces, mut piece) = (0, Events::new(reader.size()));
    let ended = loop {
        match reader.read_chunk(&mut piece) {
            Ok(true) => {}
            ended => break ended,
        }
        pieces += piece.len();
        piece.clear();
        if pieces > MAX_EVENTS {
            return;
        }
    };
    if let Ok(events) = &whole {
        assert!(ended.is_ok() && pieces == events.len());
    }
    // Left out is what would have been an error, and nothing else.
    let forgiving = ReadOptions { on_damage: OnDamage::Skip, ..options.clone() };
    let Ok(mut reader) = EventReader::new(
        Box::new(Cursor::new(content.to_vec())),
        Path::new("file"),
        format,
        forgiving,
    ) else {
        return;
    };
    let rest = reader.read_all();
    match (whole, rest) {
        (Ok(events), rest) => {
            assert!(reader.damage().is_none() && rest.expect("no damage") == events);
        }
        (Err(_), Ok(events)) => {
            assert!(!reader.damage().is_none() && reader.damage().first.is_some());
            assert!(events.iter().all(|event| events.size().holds(event.x, event.y)));
        }
        (Err(_), Err(error)) => assert!(error.to_string().starts_with("`file`: byte "), "{error}"),
    }
}
