//! A paced load and a probe beside it: what one client feels while others write at a fixed rate.
//! Not saturating: a server that stalls falls behind the pace, and the probe sees by how much.
//! Always: the probe counts the questions it could not ask while it waited for an answer.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::load::VALUE_BYTES;
use super::wire::{Dice, Numbered, connect, request};

const TICK: Duration = Duration::from_millis(1);
const WRITERS: usize = 4;

/// Any byte, in an answer that is not known beforehand.
pub(super) const ANY: u8 = b'?';

/// What a probe asks, and what it expects to hear.
pub(super) struct Question {
    request: Vec<u8>,
    answer: &'static [u8],
}

impl Question {
    /// [`ANY`] in the answer stands for any byte.
    pub(super) fn new(words: &[&str], answer: &'static [u8]) -> Question {
        Question { request: request(words), answer }
    }
}

/// Latencies heard since they were last taken.
#[derive(Default)]
pub(super) struct Probe {
    latencies: Mutex<Vec<Duration>>,
}

/// Every latency of one window, or of several.
#[derive(Debug, Default)]
pub(super) struct Heard(Vec<Duration>);

/// What the probe felt: a summary of what it heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Felt {
    pub(super) longest: Duration,
    pub(super) p999: Duration,
    pub(super) p9999: Duration,
}

impl Probe {
    /// Everything heard since the last call.
    pub(super) fn take(&self) -> Heard {
        let taken = self.latencies.lock().map(|mut latencies| std::mem::take(&mut *latencies));
        Heard(taken.unwrap_or_default())
    }

    /// Sends PING and SET in turn, or what else it is to ask, one each millisecond, until told to stop.
    pub(super) fn run(&self, port: u16, asked: &[Question], stop: &AtomicBool) -> Result<(), String> {
        let mut stream = connect(port)?;
        let value = "x".repeat(VALUE_BYTES);
        let usual =
            [Question::new(&["PING"], b"+PONG\r\n"), Question::new(&["SET", "probe", &value], b"+OK\r\n")];
        let mut next = Instant::now();
        let mut reply = [0; 64];
        for Question { request: question, answer } in usual.iter().chain(asked).cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            next += TICK;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let asked = Instant::now();
            let heard = &mut reply[..answer.len()];
            let exchange = stream.write_all(question).and_then(|()| stream.read_exact(heard));
            exchange.map_err(|error| format!("probe: {error}"))?;
            let is_expected = |(heard, expected): (&u8, &u8)| heard == expected || *expected == ANY;
            if !heard.iter().zip(*answer).all(is_expected) {
                return Err(format!("probe: found {:?}", String::from_utf8_lossy(heard)));
            }
            let latency = asked.elapsed();
            if let Ok(mut latencies) = self.latencies.lock() {
                latencies.extend(with_missed(latency));
            }
            next = next.max(asked + latency - TICK);
        }
        Ok(())
    }
}

/// The latency, and those of the questions that should have been asked while it lasted.
fn with_missed(latency: Duration) -> impl Iterator<Item = Duration> {
    let missed = (latency.as_nanos() / TICK.as_nanos()).min(100_000) as u32;
    (0..=missed).map(move |turn| latency.saturating_sub(TICK * turn))
}

impl Heard {
    /// One window of them all. A save may be over in two seconds, in which the probe asks two thousand times: what only
    /// one in a thousand exceeds has to be looked for in several saves together.
    pub(super) fn together<'a>(windows: impl IntoIterator<Item = &'a Heard>) -> Heard {
        Heard(windows.into_iter().flat_map(|heard| &heard.0).copied().collect())
    }

    pub(super) fn felt(&self) -> Felt {
        let mut latencies = self.0.clone();
        latencies.sort_unstable();
        let at = |index: usize| latencies.get(index).copied().unwrap_or_default();
        let last = latencies.len().saturating_sub(1);
        let below = |part: usize, of: usize| at((latencies.len() * part / of).min(last));
        Felt { longest: at(last), p999: below(999, 1000), p9999: below(9999, 10_000) }
    }
}

/// Sends `rate` SETs a second to random keys until told to stop, catching up when delayed.
pub(super) fn write_paced(port: u16, rate: u32, keys: u32, stop: &AtomicBool) -> Result<(), String> {
    let per_tick = (rate / 1000) as usize;
    let numbered = Numbered::new(Some(VALUE_BYTES));
    let mut batch = numbered.bytes.repeat(per_tick);
    let mut replies = vec![0; per_tick * b"+OK\r\n".len()];
    let mut dice = Dice::new(1);
    let mut streams = (0..WRITERS).map(|_| connect(port)).collect::<Result<Vec<_>, _>>()?;
    let mut is_owed = [false; WRITERS];
    let mut next = Instant::now();
    for index in (0..WRITERS).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        next += TICK;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        for request in batch.chunks_mut(numbered.bytes.len()) {
            numbered.number(request, dice.below(keys));
        }
        let stream = &mut streams[index];
        let collect = if is_owed[index] { stream.read_exact(&mut replies) } else { Ok(()) };
        collect.and_then(|()| stream.write_all(&batch)).map_err(|error| format!("paced writer: {error}"))?;
        if is_owed[index] && !replies.starts_with(b"+OK\r\n") {
            return Err(format!("paced writer: found {:?}", String::from_utf8_lossy(&replies[..5])));
        }
        is_owed[index] = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_for_every_question_it_swallowed() {
        let latencies: Vec<Duration> = with_missed(Duration::from_micros(2500)).collect();
        assert_eq!(latencies, [2500, 1500, 500].map(Duration::from_micros));
        assert_eq!(with_missed(Duration::from_micros(80)).count(), 1);
    }

    #[test]
    fn the_longest_and_the_thousandth_are_told_apart() {
        let halves = [1..=5_000, 5_001..=10_000].map(|half| Heard(half.map(Duration::from_micros).collect()));
        let felt = Heard::together(&halves).felt();
        assert_eq!(
            felt,
            Felt {
                longest: Duration::from_micros(10_000),
                p999: Duration::from_micros(9991),
                p9999: Duration::from_micros(10_000),
            }
        );
        assert_eq!(Heard::default().felt().longest, Duration::ZERO);
    }
}
