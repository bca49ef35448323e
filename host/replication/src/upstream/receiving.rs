//! A snapshot on its way to a replica: where it ends, by its length or by a mark.
//! Always: nothing behind the end is taken for a part of it.

use super::{Heard, shown};

/// Characters of the mark that ends a snapshot.
const MARK_BYTES: usize = 40;

/// A snapshot on its way.
#[derive(Debug)]
pub(super) struct Receiving {
    received: u64,
    end: End,
}

#[derive(Debug)]
enum End {
    Sized(u64),
    /// The mark, and the last bytes that came, as many.
    Marked {
        mark: Vec<u8>,
        last: Vec<u8>,
    },
}

impl Receiving {
    /// `$LENGTH`, or `$EOF:MARK`. An error is what is wrong with it.
    pub(super) fn of_frame(line: &[u8]) -> Result<Receiving, String> {
        let end = match line.strip_prefix(b"$EOF:") {
            Some(mark) if mark.len() == MARK_BYTES => End::Marked { mark: mark.to_vec(), last: Vec::new() },
            Some(_) => {
                return Err(
                    "Bad protocol from MASTER, the mark of the snapshot has a wrong length".to_owned()
                );
            }
            None => {
                let length = line.strip_prefix(b"$").and_then(|text| std::str::from_utf8(text).ok());
                let Some(length) = length.and_then(|text| text.parse().ok()).filter(|&length| length > 0)
                else {
                    return Err(if line.starts_with(b"-") {
                        format!("MASTER aborted replication with an error: {}", shown(line))
                    } else {
                        format!(
                            "Bad protocol from MASTER, expected '$' and the bytes of the snapshot, found '{}': is it a \
                             Redis server at this address?",
                            shown(line)
                        )
                    });
                };
                End::Sized(length)
            }
        };
        Ok(Receiving { received: 0, end })
    }

    /// Bytes that have come, and all of them if that is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        let all = if let End::Sized(all) = self.end { Some(all) } else { None };
        (self.received, all)
    }

    /// Takes some of `bytes`, and says how many and what they are.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> (usize, Heard<'a>) {
        match &mut self.end {
            End::Sized(all) => {
                let missing = *all - self.received;
                let count = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
                self.received += count as u64;
                let taken = &bytes[..count];
                let is_last = self.received == *all;
                (count, if is_last { Heard::SnapshotEnd(taken, 0) } else { Heard::Snapshot(taken) })
            }
            End::Marked { mark, last } => {
                // The primary sends nothing behind the mark before we answer, so it ends a read.
                self.received += bytes.len() as u64;
                last.extend_from_slice(&bytes[bytes.len().saturating_sub(MARK_BYTES)..]);
                last.drain(..last.len().saturating_sub(MARK_BYTES));
                let is_last = last == mark;
                let heard =
                    if is_last { Heard::SnapshotEnd(bytes, MARK_BYTES) } else { Heard::Snapshot(bytes) };
                (bytes.len(), heard)
            }
        }
    }
}
