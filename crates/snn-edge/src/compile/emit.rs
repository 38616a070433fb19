//! The bytes of a program.

use super::error::CompileError;
use super::fuse::Draft;
use crate::bytes::checksum;
use crate::error::{Error, Expected};
use crate::format::{CHECKSUM, HEADER_WORDS, MAGIC, STAGE_WORDS, TERM_WORDS, VERSION};
use snn_ir::{Form, Model};
use std::vec::Vec;

/// The bytes of a program of these stages.
///
/// # Errors
/// They are more than 32 bits count.
pub(super) fn bytes(model: &Model, drafts: &[Draft]) -> Result<Vec<u8>, CompileError> {
    let checked = model.validate()?;
    let logit_unit = match model.form() {
        Form::Grid { logit_unit } => logit_unit.to_bits(),
        Form::Trained | Form::Events => 0,
    };
    let means = &model.preprocessing().mean;
    let terms: usize = drafts.iter().map(|draft| draft.terms.len()).sum();
    let records = 4 * HEADER_WORDS + means.len().next_multiple_of(4);
    let mut cursor = records + 4 * (STAGE_WORDS * drafts.len() + TERM_WORDS * terms);
    let (mut stage_words, mut term_words, mut parameters) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = |bytes: &[u8]| {
        let at = cursor;
        parameters.extend_from_slice(bytes);
        cursor += bytes.len();
        at
    };
    for draft in drafts {
        for (term, bytes) in &draft.terms {
            let mut term = *term;
            term.parameters = place(bytes);
            term_words.extend(term.words());
        }
        let mut stage = draft.stage;
        stage.parameters = place(&draft.parameters);
        stage_words.extend(stage.words());
    }
    let [channels, height, width] = checked.nodes()[0].chw();
    let [low, high] = [logit_unit & u64::from(u32::MAX), logit_unit >> 32];
    let header: [usize; HEADER_WORDS] = [
        MAGIC as usize,
        VERSION as usize,
        cursor,
        0,
        model.time_steps(),
        channels,
        height,
        width,
        drafts.len(),
        terms,
        usize::try_from(low).unwrap_or(0),
        usize::try_from(high).unwrap_or(0),
    ];
    let mut bytes = Vec::with_capacity(cursor);
    write(&mut bytes, &header)?;
    bytes.extend_from_slice(means);
    bytes.resize(records, 0);
    write(&mut bytes, &stage_words)?;
    write(&mut bytes, &term_words)?;
    bytes.extend(parameters);
    let (before, behind) = (&bytes[..4 * CHECKSUM], &bytes[4 * CHECKSUM + 4..]);
    let checksum = checksum([before, behind]);
    bytes[4 * CHECKSUM..][..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

fn write(bytes: &mut Vec<u8>, words: &[usize]) -> Result<(), CompileError> {
    for &word in words {
        let small = u32::try_from(word).map_err(|_| {
            let most = Expected::AtMost(u32::MAX.into());
            CompileError::TooLarge(Error::program("sizes and offsets", most, word))
        })?;
        bytes.extend(small.to_le_bytes());
    }
    Ok(())
}
