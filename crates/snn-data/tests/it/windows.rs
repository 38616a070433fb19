//! Frames of a stream are those of the whole recording.

use snn_data::recordings::events::{Event, Events, SensorSize};
use snn_data::recordings::frames::{Frame, FrameStream, Framing, Slicing, Window};
use snn_data::{Error, Result, SampleRng};

/// A frame as it was given: number, times, events and counts.
type Seen = (u64, i64, i64, usize, Vec<u8>);

fn frames(mut stream: FrameStream, pieces: &[Events]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut each = |frame: Frame<'_>| -> Result<()> {
        let Frame { number, from, until, events, counts } = frame;
        seen.push((number, from, until, events, counts.to_vec()));
        Ok(())
    };
    for piece in pieces {
        stream.push(piece, &mut each).unwrap();
    }
    stream.finish(&mut each).unwrap();
    seen
}

/// A recording in the order of time, with pauses and many events at once.
fn recording(rng: &mut SampleRng, sensor: SensorSize) -> Events {
    let mut events = Events::new(sensor);
    let mut t = i64::from(rng.below(1_000));
    for _ in 0..20 + rng.below(2_000) {
        t += i64::from(rng.below(4) * rng.below(30));
        let side =
            |side: u16, rng: &mut SampleRng| u16::try_from(rng.below(u32::from(side))).unwrap();
        let (x, y) = (side(sensor.width, rng), side(sensor.height, rng));
        events.push(Event { t, x, y, polarity: rng.below(2) == 1 }).unwrap();
    }
    events
}

/// The recording in pieces of random lengths, some of them empty.
fn pieces(rng: &mut SampleRng, events: &Events) -> Vec<Events> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < events.len() {
        let end = (at + rng.below(700) as usize).min(events.len());
        pieces.push(events.slice(at..end).unwrap());
        at = end;
    }
    pieces
}

#[test]
fn a_stream_has_the_frames_of_the_whole_recording_however_it_arrives() {
    let mut rng = SampleRng::for_sample(3, 0, 0);
    for case in 0..80 {
        let side = |rng: &mut SampleRng| u16::try_from(3 + rng.below(40)).unwrap();
        let sensor = SensorSize { width: side(&mut rng), height: side(&mut rng) };
        let smaller = SensorSize { width: 1 + sensor.width / 2, height: sensor.height };
        let size = if case % 2 == 0 { None } else { Some(smaller) };
        let events = recording(&mut rng, sensor);
        let slices = 1 + rng.below(12) as usize;
        let (first, last) = events.span().unwrap();
        let by_number = Window::Events(events.len() / slices);
        let by_time = Window::Micros((last.abs_diff(first) / slices as u64).max(1));
        let both = [(Slicing::Number { slices }, by_number), (Slicing::Time { slices }, by_time)];
        for (slicing, window) in both {
            let whole = Framing { slicing, size }.frames(&events).unwrap();
            let stream = FrameStream::new(sensor, size, window).unwrap();
            let found =
                frames(stream.of_recording(slices as u64, first), &pieces(&mut rng, &events));
            assert_eq!(found.len(), slices, "case {case}, {slicing:?}");
            let counts: Vec<u8> = found.iter().flat_map(|frame| frame.4.clone()).collect();
            let expected: Vec<u8> =
                whole.iter().map(|&count| u8::try_from(count).unwrap_or(u8::MAX)).collect();
            assert_eq!(counts, expected, "case {case}, {slicing:?}");
            let total: usize = found.iter().map(|frame| frame.3).sum();
            assert_eq!(total, events.len(), "no event is lost");
        }
        // Without an end: the frames of windows of one length, the last as far as it came.
        let micros = 1 + u64::from(rng.below(5_000));
        let events_of_one = 1 + rng.below(300) as usize;
        for (slicing, window) in [
            (Slicing::Duration { micros }, Window::Micros(micros)),
            (Slicing::Count { events: events_of_one }, Window::Events(events_of_one)),
        ] {
            let whole = Framing { slicing, size }.frames(&events).unwrap();
            let stream = FrameStream::new(sensor, size, window).unwrap();
            let found = frames(stream, &pieces(&mut rng, &events));
            let counts: Vec<u8> = found.iter().flat_map(|frame| frame.4.clone()).collect();
            let expected: Vec<u8> =
                whole.iter().map(|&count| u8::try_from(count).unwrap_or(u8::MAX)).collect();
            assert_eq!(counts, expected, "case {case}, {slicing:?}");
            let numbers: Vec<u64> = found.iter().map(|frame| frame.0).collect();
            assert!(numbers.iter().copied().eq(0..found.len() as u64));
            assert!(found.iter().all(|frame| frame.1 <= frame.2), "{found:?}");
        }
    }
}

#[test]
fn what_a_stream_cannot_be_is_said() {
    let sensor = SensorSize { width: 4, height: 4 };
    let new = |size, window| FrameStream::new(sensor, size, window);
    for window in [Window::Events(0), Window::Micros(0)] {
        assert!(matches!(new(None, window), Err(Error::InvalidConfig { .. })));
    }
    let large = SensorSize { width: 5, height: 1 };
    let error = new(Some(large), Window::Events(1)).unwrap_err().to_string();
    assert!(error.contains("1x1 to 4x4"), "{error}");
    let mut stream = new(None, Window::Events(1)).unwrap();
    let other = Events::new(large);
    let error = stream.push(&other, &mut |_| Ok::<(), Error>(())).unwrap_err().to_string();
    assert!(error.contains("a sensor of 4x4"), "{error}");
    assert!(frames(stream, &[]).is_empty(), "no event, no frame");
}

/// Events out of order: the frames of the whole recording, or an error, never other frames.
#[test]
fn an_event_of_an_earlier_frame_is_refused() {
    let sensor = SensorSize { width: 4, height: 4 };
    let recording = |times: &[i64]| {
        let mut events = Events::new(sensor);
        for (x, &t) in (0..4).cycle().zip(times) {
            events.push(Event { t, x, y: 0, polarity: true }).unwrap();
        }
        events
    };
    let whole = |slicing: Slicing, events: &Events| -> Vec<u8> {
        let frames = Framing { slicing, size: None }.frames(events).unwrap();
        frames.iter().map(|&count| u8::try_from(count).unwrap()).collect()
    };
    let counts = |stream: FrameStream, events: &Events| -> Vec<u8> {
        let pieces = [events.slice(0..3).unwrap(), events.slice(3..events.len()).unwrap()];
        frames(stream, &pieces).iter().flat_map(|frame| frame.4.clone()).collect()
    };
    // Late within its frame, and where frames are so many events: as they are counted at once.
    let events = recording(&[100, 103, 109, 101, 110, 119, 111, 120]);
    let stream = FrameStream::new(sensor, None, Window::Micros(10)).unwrap();
    let by_time = Slicing::Duration { micros: 10 };
    assert_eq!(counts(stream, &events), whole(by_time, &events));
    let events = recording(&[100, 103, 119, 101, 110, 90, 111, 120]);
    let stream = FrameStream::new(sensor, None, Window::Events(3)).unwrap();
    let by_number = Slicing::Count { events: 3 };
    assert_eq!(counts(stream, &events), whole(by_number, &events));
    // Of an earlier frame, in the same piece or in the next.
    for (times, late) in [(&[100, 119, 109, 120], 109), (&[100, 103, 119, 109], 109)] {
        let events = recording(times);
        for stream in [
            FrameStream::new(sensor, None, Window::Micros(10)).unwrap(),
            FrameStream::new(sensor, None, Window::Micros(10)).unwrap().of_recording(3, 100),
        ] {
            let mut stream = stream;
            let error = [0..3, 3..4].into_iter().find_map(|range| {
                let piece = events.slice(range).unwrap();
                stream.push(&piece, &mut |_| Ok::<(), Error>(())).err()
            });
            let error = error.unwrap().to_string();
            assert!(
                error.contains("the current frame began at 110 µs")
                    && error.contains("sort the recording by time")
                    && error.contains(&format!("one at {late} µs")),
                "{error}"
            );
        }
    }
    // Before the first: where it began is not known to have been too late until then.
    let mut stream = FrameStream::new(sensor, None, Window::Micros(10)).unwrap();
    let events = recording(&[100, 99]);
    let error = stream.push(&events, &mut |_| Ok::<(), Error>(())).unwrap_err().to_string();
    assert!(error.contains("began at 100 µs") && error.contains("one at 99 µs"), "{error}");
}
