//! What happened in a run: a running sum of it always, and lines of it if somebody wants to read them.
//! Always: two runs with equal sums met the same inputs, at the same times, and answered with the same bytes.

use std::fmt;

/// Takes a line.
type Printer = Box<dyn FnMut(&str)>;

/// The sum, and the lines.
pub struct Trace {
    sum: u64,
    events: u64,
    print: Option<Printer>,
}

/// What two runs of one seed must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceSum {
    /// Of everything.
    pub sum: u64,
    /// How much it was.
    pub events: u64,
}

impl Trace {
    /// A trace that is only summed up.
    pub fn silent() -> Trace {
        Trace { sum: 0, events: 0, print: None }
    }

    /// A trace whose lines are given to `print`.
    pub fn printed(print: impl FnMut(&str) + 'static) -> Trace {
        Trace { print: Some(Box::new(print)), ..Trace::silent() }
    }

    /// Adds what happened: its kind in a word, figures, and bytes.
    pub fn note(&mut self, kind: &str, figures: &[u64], bytes: &[u8]) {
        self.events += 1;
        let mut sum = Mix(self.sum);
        sum.bytes(kind.as_bytes());
        figures.iter().for_each(|&figure| sum.word(figure));
        sum.bytes(bytes);
        self.sum = sum.0;
        if let Some(print) = &mut self.print {
            const SHOWN_BYTES_MAX: usize = 160;
            let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
            let rest =
                if shown.len() < bytes.len() { format!("... {} bytes", bytes.len()) } else { String::new() };
            print(&format!("{kind} {figures:?} {}{rest}", shown.escape_ascii()));
        }
    }

    /// Tells something to whoever reads the lines; it is no part of the sum.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(print) = &mut self.print {
            print(&line());
        }
    }

    /// The sum so far.
    pub fn sum(&self) -> TraceSum {
        TraceSum { sum: self.sum, events: self.events }
    }
}

impl fmt::Display for TraceSum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x} over {} events", self.sum, self.events)
    }
}

/// A quick mixer of words. Finds differences; proves nothing against anybody who wants to deceive.
pub(crate) struct Mix(pub(crate) u64);

impl Mix {
    pub(crate) fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ word;
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    pub(crate) fn end(self) -> u64 {
        let mut sum = self.0;
        sum = (sum ^ (sum >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        sum = (sum ^ (sum >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        sum ^ (sum >> 32)
    }
}
