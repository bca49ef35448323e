//! A batch whose checksum fails: torn by a crash, taken over by Redis, or damaged.
//!
//! Runs nothing. Outside MULTI we write SELECT only as a batch's first command, while Redis begins with one when it goes
//! on with our file: so a SELECT elsewhere tells that Redis was here. A good batch behind a bad one tells of damage.

use std::io;

use tenon_resp::OwnedArgs;

use crate::header::{BatchHeader, HEADER_BYTES, OPENING};
use crate::load::command::{self, Found};
use crate::load::window::Window;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the end of what we wrote; so many whole commands are lost with it.
    Torn { commands: u64 },
    /// Redis went on here.
    TakenOver,
    /// A good batch follows at this offset: the file is damaged.
    Damaged { good_at: u64 },
}

/// Whether the batch with `header` at `at` is whole and as it was written.
pub(super) fn verifies(window: &mut Window, at: u64, end: u64, header: &BatchHeader) -> io::Result<bool> {
    let start = at + HEADER_BYTES as u64;
    let Some(batch_end) = start.checked_add(header.batch_bytes).filter(|&batch_end| batch_end <= end) else {
        return Ok(false);
    };
    let Some(fields) = window.bytes(at, end, HEADER_BYTES)?.get(..HEADER_BYTES) else { return Ok(false) };
    let mut digest = BatchHeader::begin_checksum(fields);
    window.digest(start, batch_end, &mut digest)?;
    Ok(digest.sum64() == header.checksum)
}

/// Judges the batch at `at`, which does not verify, by everything up to the file's `end`.
pub(super) fn judge(window: &mut Window, at: u64, end: u64) -> io::Result<Verdict> {
    let mut args = OwnedArgs::new();
    let mut place = at + HEADER_BYTES as u64;
    let (mut commands, mut first, mut in_transaction, mut taken_over) = (0, true, false, false);
    loop {
        match command::read(window, place, end, &mut args)? {
            Found::Annotation { next } => place = next,
            Found::Command { next } => {
                let header = BatchHeader::parse(window.bytes(place, end, HEADER_BYTES)?);
                if let Some(header) = header {
                    if verifies(window, place, end, &header)? {
                        return Ok(Verdict::Damaged { good_at: place });
                    }
                    (first, in_transaction, place) = (true, false, next);
                    continue;
                }
                match args.as_args().get(0).to_ascii_uppercase().as_slice() {
                    b"MULTI" => in_transaction = true,
                    b"EXEC" => in_transaction = false,
                    b"SELECT" if !first && !in_transaction => taken_over = true,
                    _ => {}
                }
                (commands, first, place) = (commands + 1, false, next);
            }
            Found::Incomplete | Found::Malformed { .. } => break,
        }
    }
    if let Some(good_at) = find_good(window, place, end)? {
        return Ok(Verdict::Damaged { good_at });
    }
    Ok(if taken_over { Verdict::TakenOver } else { Verdict::Torn { commands } })
}

/// The next batch behind `at` that verifies, where commands cannot be told apart any more.
fn find_good(window: &mut Window, mut at: u64, end: u64) -> io::Result<Option<u64>> {
    while let Some(found) = window.find(at, end, OPENING)? {
        if let Some(header) = BatchHeader::parse(window.bytes(found, end, HEADER_BYTES)?)
            && verifies(window, found, end, &header)?
        {
            return Ok(Some(found));
        }
        at = found + 1;
    }
    Ok(None)
}

/// Whether all that is left from `at` on is a header that was torn while it was written: some of its first bytes, then
/// nothing but the zeros of pages that never reached the disk.
pub(super) fn is_blank_end(window: &mut Window, at: u64, end: u64) -> io::Result<bool> {
    let content = window.end_of_content(at, end)?;
    let length = (content - at) as usize;
    if length >= HEADER_BYTES {
        return Ok(false);
    }
    let bytes = window.bytes(at, end, length)?;
    let common = length.min(OPENING.len());
    Ok(bytes.get(..common) == OPENING.get(..common))
}
