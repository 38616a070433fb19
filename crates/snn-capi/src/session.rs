//! Sessions: the buffers with which one thread at a time runs samples.
#![expect(unsafe_code, reason = "pointers come from C")]

use crate::border::{self, Fault, Result, Status, guard, guard_value};
use crate::event::SnnEvent;
use crate::model::{About, SnnModel, SnnPrediction};
use crate::state::SnnState;
use snn_runtime::Scores;
use snn_runtime::deploy::{Confidence, Event, Scale, Session, State};
use std::sync::Arc;

/// The buffers with which one thread at a time runs samples of a model. It keeps what it needs of
/// the model, which may be freed before.
#[derive(Debug)]
pub struct SnnSession {
    session: Session,
    about: Arc<About>,
    /// Events in our own form.
    events: Vec<Event>,
    /// `true` if the last run succeeded.
    ran: bool,
    /// `true` if a run has begun and did not return: a panic left its buffers in any state.
    broken: bool,
}

impl SnnSession {
    pub(crate) fn rest(&self) -> State {
        self.session.rest()
    }

    /// Runs something, whose results are then those of the session.
    fn run(
        &mut self,
        work: impl FnOnce(&mut Session, &mut Vec<Event>) -> snn_runtime::Result<()>,
    ) -> Result<()> {
        if self.broken {
            return Err(Fault::new(
                Status::Panic,
                "the session met a fault of the library before; make another one",
            ));
        }
        self.ran = false;
        self.broken = true;
        let result = work(&mut self.session, &mut self.events);
        self.broken = false;
        self.ran = result.is_ok();
        Ok(result?)
    }

    fn scores(&self) -> Result<Scores<'_>> {
        if self.ran {
            return Ok(self.session.scores());
        }
        Err(Fault::new(Status::Order, "no result: nothing has run, or the last run failed"))
    }
}

fn scale(scale: i32) -> Result<Scale> {
    match scale {
        0 => Ok(Scale::Unit),
        1 => Ok(Scale::Pixel),
        _ => Err(Fault::new(Status::Value, format!("scale must be 0 or 1, found {scale}"))),
    }
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_new(
    model: *const SnnModel,
    out: *mut *mut SnnSession,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        border::hand_out(out, || {
            let model = border::reference(model, "model")?;
            let (session, about) = (model.deployment.session(), Arc::clone(&model.about));
            Ok(SnnSession { session, about, events: Vec::new(), ran: false, broken: false })
        })
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_free(session: *mut SnnSession) {
    // SAFETY: the caller's promise.
    unsafe { border::free(session) };
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_bytes(session: *const SnnSession) -> usize {
    // SAFETY: the caller's promise.
    guard_value(
        |_| 0,
        || unsafe { border::reference(session, "session") }.map(|session| session.session.bytes()),
    )
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_run(
    session: *mut SnnSession,
    pixels: *const u8,
    length: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (session, pixels) =
            (border::exclusive(session, "session")?, border::slice(pixels, length, "pixels")?);
        session.run(|session, _| session.run(pixels).map(drop))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_run_frames(
    session: *mut SnnSession,
    pixels: *const u8,
    length: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (session, pixels) =
            (border::exclusive(session, "session")?, border::slice(pixels, length, "pixels")?);
        session.run(|session, _| session.run_frames(pixels).map(drop))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_run_real(
    session: *mut SnnSession,
    values: *const f32,
    length: usize,
    scale: i32,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (session, values) =
            (border::exclusive(session, "session")?, border::slice(values, length, "values")?);
        let scale = self::scale(scale)?;
        session.run(|session, _| session.run_real(values, scale).map(drop))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_run_events(
    session: *mut SnnSession,
    events: *const SnnEvent,
    count: usize,
    ends: *const usize,
    slices: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let session = border::exclusive(session, "session")?;
        let events = if count == 0 { &[] } else { border::slice(events, count, "events")? };
        let ends = border::slice(ends, slices, "ends")?;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        if starts.clone().zip(ends).any(|(start, &end)| start > end)
            || ends.last().is_some_and(|&last| last != count)
        {
            let expected =
                format!("ends must rise to the number of events, {count}; found {ends:?}");
            return Err(Fault::new(Status::Value, expected));
        }
        session.run(|session, own| {
            own.clear();
            own.extend(events.iter().map(Event::from));
            let cut: Vec<&[Event]> =
                starts.zip(ends).map(|(start, &end)| &own[start..end]).collect();
            session.run_events(&cut).map(drop)
        })
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_run_until(
    session: *mut SnnSession,
    pixels: *const u8,
    length: usize,
    margin: i64,
    steps: *mut usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (session, pixels) =
            (border::exclusive(session, "session")?, border::slice(pixels, length, "pixels")?);
        let mut ran = 0;
        session.run(|session, _| {
            ran = session.run_until(pixels, Confidence { margin })?.steps;
            Ok(())
        })?;
        if steps.is_null() { Ok(()) } else { border::put(steps, "steps", ran) }
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_push(
    session: *mut SnnSession,
    state: *mut SnnState,
    pixels: *const u8,
    length: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (session, state) =
            (border::exclusive(session, "session")?, border::exclusive(state, "state")?);
        let pixels = border::slice(pixels, length, "pixels")?;
        session.run(|session, _| session.push(&mut state.0, pixels).map(drop))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_push_real(
    session: *mut SnnSession,
    state: *mut SnnState,
    values: *const f32,
    length: usize,
    scale: i32,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (session, state) =
            (border::exclusive(session, "session")?, border::exclusive(state, "state")?);
        let (values, scale) = (border::slice(values, length, "values")?, self::scale(scale)?);
        session.run(|session, _| session.push_real(&mut state.0, values, scale).map(drop))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_push_events(
    session: *mut SnnSession,
    state: *mut SnnState,
    events: *const SnnEvent,
    count: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let (session, state) =
            (border::exclusive(session, "session")?, border::exclusive(state, "state")?);
        let events = if count == 0 { &[] } else { border::slice(events, count, "events")? };
        session.run(|session, own| {
            own.clear();
            own.extend(events.iter().map(Event::from));
            session.push_events(&mut state.0, own).map(drop)
        })
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_class(
    session: *const SnnSession,
    class_index: *mut usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let class = border::reference(session, "session")?.scores()?.argmax();
        border::put(class_index, "class_index", class)
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_sums(
    session: *const SnnSession,
    sums: *mut i64,
    length: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let scores = border::reference(session, "session")?.scores()?;
        border::fill(sums, length, "sums", scores.integers().unwrap_or_default().iter().copied())
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_logits(
    session: *const SnnSession,
    logits: *mut f64,
    length: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let scores = border::reference(session, "session")?.scores()?;
        border::fill(logits, length, "logits", (0..scores.len()).map(|class| scores.logit(class)))
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_probabilities(
    session: *const SnnSession,
    probabilities: *mut f64,
    length: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let own = border::reference(session, "session")?.scores()?.probabilities();
        border::fill(probabilities, length, "probabilities", own.into_iter())
    })
}

/// See `snn.h`.
///
/// # Safety
/// As `snn.h` says of its pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snn_session_best(
    session: *const SnnSession,
    best: *mut SnnPrediction,
    count: usize,
) -> Status {
    // SAFETY: the caller's promise, for every pointer.
    guard(|| unsafe {
        let session = border::reference(session, "session")?;
        let found = session.scores()?.best(count);
        border::fill(best, count, "best", found.iter().map(|one| session.about.prediction(one)))
    })
}
