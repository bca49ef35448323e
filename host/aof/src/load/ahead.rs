//! Commands read a little ahead of the one that runs, so that the sink can fetch what they will need.
//! Always: what is handed out is what stands in the file at that place; only commands are read ahead.

use std::io;

use tenon_resp::OwnedArgs;

use crate::header::OPENING_START;
use crate::load::command::{self, Found};
use crate::load::sink::LoadSink;
use crate::load::window::Window;

/// Commands read together: enough to hide what memory takes to answer, few enough to stay cached.
const GROUP: usize = 16;
/// Nothing is read ahead behind a command of so many bytes: the group's memory stays small.
const LARGE_COMMAND_BYTES: u64 = 64 << 10;

/// What was read and not handed out.
#[derive(Default)]
pub(super) struct Ahead {
    /// Where each starts, and where it ends.
    places: Vec<(u64, u64)>,
    /// Their arguments; more of them than places, for the next time.
    commands: Vec<OwnedArgs>,
    taken: usize,
}

impl Ahead {
    /// As [`command::read`]; tells the sink of the commands that come, whenever it has read some.
    pub(super) fn read(
        &mut self,
        window: &mut Window,
        at: u64,
        end: u64,
        args: &mut OwnedArgs,
        sink: &mut dyn LoadSink,
    ) -> io::Result<Found> {
        if self.places.get(self.taken).is_none_or(|&(start, next)| start != at || next > end) {
            let found = self.fill(window, at, end)?;
            if !matches!(found, Found::Command { .. }) {
                return Ok(found);
            }
            sink.coming(&mut self.commands[..self.places.len()].iter().map(OwnedArgs::as_args));
        }
        let (_, next) = self.places[self.taken];
        std::mem::swap(args, &mut self.commands[self.taken]);
        self.taken += 1;
        Ok(Found::Command { next })
    }

    /// Reads what is at `at`, and the commands that follow it. What they stop at is looked at again when it is due.
    fn fill(&mut self, window: &mut Window, mut at: u64, end: u64) -> io::Result<Found> {
        self.places.clear();
        self.taken = 0;
        let mut first = Found::Incomplete;
        while self.places.len() < GROUP {
            let count = self.places.len();
            // Where a batch of ours may begin, its own rules decide.
            if count > 0 && window.bytes(at, end, OPENING_START.len())?.starts_with(OPENING_START) {
                break;
            }
            if count == self.commands.len() {
                self.commands.push(OwnedArgs::new());
            }
            let found = command::read(window, at, end, &mut self.commands[count])?;
            let Found::Command { next } = found else {
                return Ok(if count == 0 { found } else { first });
            };
            if count == 0 {
                first = found;
            }
            self.places.push((at, next));
            if next - at > LARGE_COMMAND_BYTES {
                break;
            }
            at = next;
        }
        Ok(first)
    }
}
