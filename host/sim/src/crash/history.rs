//! How the data was after each change since the last crash, and what clients were told of it.
//! Always: what a judgement found becomes the beginning of the next history.

use tenon_base::Micros;
use tenon_journal::LogPosition;

/// How the data is behind a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) position: LogPosition,
    pub(super) digest: u64,
}

#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Entry>,
    /// When a client was told of changes, and behind which, in order of time.
    acknowledged: Vec<(Micros, LogPosition)>,
    saved: LogPosition,
}

impl History {
    pub(super) fn begin(&mut self, entry: Entry) {
        *self = History { entries: vec![entry], acknowledged: Vec::new(), saved: entry.position };
    }

    pub(super) fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    pub(super) fn last_position(&self) -> LogPosition {
        self.entries.last().map_or(LogPosition(0), |entry| entry.position)
    }

    /// A client was told that everything up to a change is done.
    pub(super) fn acknowledged(&mut self, now: Micros, change: Option<LogPosition>) {
        if let Some(change) = change {
            let change = change.max(self.acknowledged_position());
            self.acknowledged.push((now, change));
        }
    }

    /// A client was told that everything up to a change is in a dump.
    pub(super) fn saved(&mut self, change: Option<LogPosition>) {
        self.saved = self.saved.max(change.unwrap_or(LogPosition(0)));
    }

    pub(super) fn saved_position(&self) -> LogPosition {
        self.saved
    }

    /// Behind the last change that any client was told of.
    pub(super) fn acknowledged_position(&self) -> LogPosition {
        self.acknowledged.last().map_or(LogPosition(0), |&(_, position)| position)
    }

    /// As [`History::acknowledged_position`], as it was at a moment.
    pub(super) fn acknowledged_before(&self, moment: Micros) -> LogPosition {
        let before = self.acknowledged.iter().take_while(|&&(at, _)| at < moment);
        before.last().map_or(LogPosition(0), |&(_, position)| position)
    }

    /// What is found after a crash must be how the data was behind some change, none up to `floor` missing.
    pub(super) fn judge(&mut self, floor: LogPosition, found: Entry) -> Result<(), String> {
        let matching = self.entries.iter().rposition(|entry| entry.digest == found.digest);
        let needed = self.entries.iter().position(|entry| entry.position >= floor);
        let last = self.last_position();
        let needed = needed.ok_or_else(|| format!("change {floor} is promised of {last}"))?;
        match matching {
            Some(matching) if matching >= needed => {
                self.begin(found);
                Ok(())
            }
            Some(matching) => Err(format!(
                "changes are lost: the data is as it was behind change {} of {last}, but up to {floor} nothing may be \
                 missing",
                self.entries[matching].position
            )),
            None => Err(format!(
                "the data is not as it was behind any of {} changes from {} to {last} ({floor} promised)",
                self.entries.len(),
                self.entries[0].position
            )),
        }
    }
}
