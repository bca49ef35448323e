//! A batch whose checksum fails: torn by a crash, taken over by Redis, or damaged.
//!
//! Runs nothing. Outside MULTI we write SELECT only as a batch's first command, and an annotation before it, while Redis
//! begins with one when it goes on with our file: so a SELECT elsewhere, or a bare one, tells that Redis was here. A good batch behind a bad one tells of damage, if the
//! bad one was durable when the good one was written; if not, a loss of power took some pages and left later ones.
//! Always: the work is in proportion to the bytes that are left, whatever they look like.

use std::io;

use tenon_resp::OwnedArgs;

use crate::header::{BatchHeader, HEADER_BYTES, OPENING};
use crate::load::command::{self, Found};
use crate::load::window::Window;

/// How often the bytes that are left may be read to look for a good batch: honest batches do not overlap, so once does.
const READINGS_MAX: u64 = 4;
/// Of a line with a number, what is looked at.
const NUMBER_BYTES: usize = 16;
/// Bytes that may be read in any case.
const READ_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the end of what we wrote; so many whole commands are lost with it.
    Torn { commands: u64 },
    /// Redis went on here.
    TakenOver,
    /// A good batch follows at this offset, which was written when this place was durable: the file is damaged.
    Damaged { good_at: u64 },
    /// So much looks like batches, up to this offset, that the search was given up: a value made to look like that.
    Unclear { at: u64 },
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
    let mut search = Search::new(at, end);
    let mut place = at + HEADER_BYTES as u64;
    let (mut commands, mut first, mut in_transaction, mut taken_over) = (0, true, false, false);
    // Behind a header that cannot be read the mark may be gone with it.
    let mut marked = BatchHeader::parse(window.bytes(at, end, HEADER_BYTES)?).is_none();
    loop {
        match command::read(window, place, end, &mut args)? {
            Found::Annotation { next } => (marked, place) = (first, next),
            Found::Command { next } => {
                let header = BatchHeader::parse(window.bytes(place, end, HEADER_BYTES)?);
                if let Some(header) = header {
                    if let Some(verdict) = search.look(window, place, end, &header)? {
                        return Ok(verdict);
                    }
                    (first, marked, in_transaction, place) = (true, false, false, next);
                    continue;
                }
                match args.as_args().get(0).to_ascii_uppercase().as_slice() {
                    // A header that is damaged, too: a SELECT behind it is ours.
                    b"PING" => {
                        (first, marked, in_transaction, place) = (true, true, false, next);
                        continue;
                    }
                    b"MULTI" => in_transaction = true,
                    b"EXEC" => in_transaction = false,
                    b"SELECT" if !(in_transaction || first && marked) => taken_over = true,
                    _ => {}
                }
                (commands, first, place) = (commands + 1, false, next);
            }
            Found::Incomplete | Found::Malformed { .. } => break,
        }
    }
    if let Some(verdict) = search.find(window, place, end)? {
        return Ok(verdict);
    }
    Ok(if taken_over { Verdict::TakenOver } else { Verdict::Torn { commands } })
}

/// Judges the place `at`, where a batch should begin and pages are that never reached the disk.
pub(super) fn judge_lost_page(window: &mut Window, at: u64, end: u64) -> io::Result<Verdict> {
    Ok(Search::new(at, end).find(window, at, end)?.unwrap_or(Verdict::Torn { commands: 0 }))
}

/// Whether what is at `place`, where a command's number should be, is a page that never reached the disk: zeros, which
/// nobody writes there.
pub(super) fn is_lost_page(window: &mut Window, place: u64, end: u64) -> io::Result<bool> {
    let bytes = window.bytes(place, end, NUMBER_BYTES)?;
    Ok(bytes[..bytes.len().min(NUMBER_BYTES)].contains(&0))
}

/// The search for a good batch behind a bad one.
struct Search {
    /// Where the bad one is.
    bad_at: u64,
    /// Bytes that may still be read for it.
    allowed: u64,
}

impl Search {
    fn new(bad_at: u64, end: u64) -> Search {
        let allowed = (end - bad_at).saturating_mul(READINGS_MAX).max(READ_BYTES_MIN);
        Search { bad_at, allowed }
    }

    /// Whether the batch at `at` ends the search, and how.
    fn look(
        &mut self,
        window: &mut Window,
        at: u64,
        end: u64,
        header: &BatchHeader,
    ) -> io::Result<Option<Verdict>> {
        if header.batch_bytes > end - at {
            return Ok(None);
        }
        let Some(left) = self.allowed.checked_sub(header.batch_bytes) else {
            return Ok(Some(Verdict::Unclear { at }));
        };
        self.allowed = left;
        let was_durable = at.saturating_sub(header.unsynced_bytes) > self.bad_at;
        Ok((was_durable && verifies(window, at, end, header)?).then_some(Verdict::Damaged { good_at: at }))
    }

    /// Goes on behind `at`, where commands cannot be told apart any more.
    fn find(&mut self, window: &mut Window, mut at: u64, end: u64) -> io::Result<Option<Verdict>> {
        while let Some(found) = window.find(at, end, OPENING)? {
            if let Some(header) = BatchHeader::parse(window.bytes(found, end, HEADER_BYTES)?)
                && let Some(verdict) = self.look(window, found, end, &header)?
            {
                return Ok(Some(verdict));
            }
            at = found + 1;
        }
        Ok(None)
    }
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
