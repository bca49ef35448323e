//! A snapshot that is loaded as it arrives: what comes over the link is taken apart on another thread and gathered beside
//! the data, whose place it takes in one step once all of it is here.
//! Always: the data that is here stays until then; no more is read from the link than can be taken in soon, so a slow
//! load slows whoever sends; a turn takes in at most [`TURN_KEYS`] keys.

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Disk, Lane, Micros, Now, Output, Ticket, World};
use tenon_config::Directive;
use tenon_keyspace::Keyspace;
use tenon_rdb::{LoadError, LoadErrorKind, LoadReport};

use crate::engine::{Engine, Purpose};
use crate::load::{KeyRead, KeysArriving, Taken, told};
use crate::loading::{LINE_INTERVAL, Loading, Progress, SIGN_INTERVAL};

/// Bytes that wait to be taken apart; beyond, nothing is read from the link.
const PENDING_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a block of them.
const BLOCK_BYTES: usize = 64 * 1024;
/// Keys that wait to be taken in, and their bytes; beyond either, no more are made.
const READY_KEYS_MAX: usize = 2_048;
const READY_BYTES_MAX: usize = 1024 * 1024;
/// Keys taken in at once.
const TURN_KEYS: usize = 2_048;
/// The shortest that `key-load-delay` makes the next keys wait.
const NAP: Micros = Micros(1_000);

/// The longest that a mark is.
const MARK_BYTES_MAX: u64 = 40;

/// A snapshot on its way beside the data.
pub(crate) struct Arriving {
    /// What clients are told meanwhile.
    pub(crate) shown: Loading,
    pub(crate) progress: Progress,
    /// Over which link it comes.
    link: ConnectionId,
    /// The link is not read, because too much of it is here.
    is_deaf: bool,
    fresh: Keyspace,
    /// Came, and was not given to a job.
    pending: Vec<Vec<u8>>,
    pending_bytes: usize,
    received_bytes: u64,
    /// All has come; so many bytes at the end are no part of it.
    surplus: Option<usize>,
    /// What takes it apart; a job has it while there is a ticket.
    keys: Option<Box<KeysArriving>>,
    ticket: Option<Ticket>,
    /// How many more bytes it needs to go on.
    missing_bytes: u64,
    ready: VecDeque<KeyRead>,
    ready_bytes: usize,
    /// All of it was taken apart.
    report: Option<LoadReport>,
    /// Up to when keys have been taken in, as `key-load-delay` has it.
    paced_at: Micros,
    /// When more can be done without anything else happening.
    wake_at: Option<Micros>,
    line_at: Micros,
    sign_at: Micros,
}

impl Arriving {
    /// Bytes that it takes beside the data.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.fresh.used_memory() + self.ready_bytes + self.pending_bytes) as u64
    }

    pub(crate) fn wake_at(&self) -> Option<Micros> {
        self.wake_at
    }

    /// Bytes that have come, and all of them if that is known.
    pub(crate) fn received(&self) -> (u64, Option<u64>) {
        (self.received_bytes, Some(self.progress.total_bytes).filter(|&total| total > 0))
    }

    /// Whether all of it is here.
    pub(super) fn has_come(&self) -> bool {
        self.surplus.is_some()
    }

    /// Whether nothing was read of a link lately because nothing was to be.
    pub(super) fn is_deaf_on(&self, link: Option<ConnectionId>) -> bool {
        self.is_deaf && link == Some(self.link)
    }

    /// More of it has come.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.received_bytes += bytes.len() as u64;
        if let Some(report) = &self.report {
            // Nothing of use comes any more: only the mark, if it is one that ends by a mark.
            return self.check_end(report.bytes);
        }
        self.pending_bytes += bytes.len();
        match self.pending.last_mut() {
            Some(block) if block.capacity() - block.len() >= bytes.len() => block.extend_from_slice(bytes),
            _ => {
                let mut block = Vec::with_capacity(BLOCK_BYTES.max(bytes.len()));
                block.extend_from_slice(bytes);
                self.pending.push(block);
            }
        }
        Ok(())
    }

    /// All of it has come, so many bytes more than it is.
    pub(super) fn complete(&mut self, surplus: usize) -> Result<(), String> {
        self.surplus = Some(surplus);
        self.report.as_ref().map_or(Ok(()), |report| self.check_end(report.bytes))
    }

    /// Its end was found after so many bytes: they are to be all, but for a mark.
    fn check_end(&self, bytes: u64) -> Result<(), String> {
        let said = match (self.progress.total_bytes, self.surplus) {
            (0, Some(surplus)) => self.received_bytes - surplus as u64,
            (0, None) if self.received_bytes <= bytes + MARK_BYTES_MAX => bytes,
            (0, None) => self.received_bytes,
            (total, _) => total,
        };
        if said == bytes {
            return Ok(());
        }
        Err(not_loaded(&format!("it ends after {bytes} bytes, and {said} were sent as its own")))
    }

    /// What can be given to a job now, if anything is to be: blocks, and whether they are the last.
    fn work(&mut self) -> Option<(Box<KeysArriving>, Vec<Vec<u8>>, bool)> {
        let is_all = self.surplus.is_some();
        let is_enough =
            self.pending_bytes as u64 >= self.missing_bytes || self.pending_bytes >= PENDING_BYTES_MAX;
        let has_room = self.ready.len() <= READY_KEYS_MAX && self.ready_bytes <= READY_BYTES_MAX;
        if self.report.is_some() || !has_room || !(is_enough || is_all) {
            return None;
        }
        let keys = self.keys.take()?;
        if self.missing_bytes == 0 && self.pending_bytes > 0 {
            // It has enough for a while.
            return Some((keys, Vec::new(), false));
        }
        self.pending_bytes = 0;
        Some((keys, std::mem::take(&mut self.pending), is_all))
    }

    /// How many keys may be taken in now.
    fn keys_due(&mut self, now: Micros, delay: i64) -> usize {
        let due = match delay {
            0 => TURN_KEYS as u64,
            us @ 1.. => now.since(self.paced_at).0 / us.unsigned_abs(),
            keys @ ..=-1 => now.since(self.paced_at).0.saturating_mul(keys.unsigned_abs()),
        };
        let due = (due.min(TURN_KEYS as u64) as usize).min(self.ready.len());
        self.paced_at = match delay {
            us @ 1.. if due < self.ready.len() => self.paced_at + Micros(due as u64 * us.unsigned_abs()),
            _ => now,
        };
        due
    }
}

impl Engine {
    /// How a snapshot that comes now is loaded as it arrives, if it is.
    pub(super) fn loads_as_it_arrives(&self) -> Option<Loading> {
        match self.config.choice(Directive::ReplDisklessLoad).as_str() {
            "swapdb" => Some(Loading::Beside),
            "on-empty-db" if self.key_count() == 0 => Some(Loading::InPlace),
            _ => None,
        }
    }

    /// The snapshot that is being loaded as it arrives.
    pub(crate) fn arriving(&self) -> Option<&Arriving> {
        self.replication.following.as_ref()?.incoming.as_ref()?.arriving()
    }

    pub(super) fn begin_arriving(
        &self,
        now: Now,
        shown: Loading,
        link: ConnectionId,
        total_bytes: Option<u64>,
    ) -> Box<Arriving> {
        Box::new(Arriving {
            shown,
            progress: Progress::new(now, total_bytes.unwrap_or(0)),
            link,
            is_deaf: false,
            fresh: self.keyspace.beside(),
            pending: Vec::new(),
            pending_bytes: 0,
            received_bytes: 0,
            surplus: None,
            keys: Some(Box::new(self.keys_arriving())),
            ticket: None,
            missing_bytes: 1,
            ready: VecDeque::new(),
            ready_bytes: 0,
            report: None,
            paced_at: now.steady,
            wake_at: None,
            line_at: now.steady + LINE_INTERVAL,
            sign_at: now.steady,
        })
    }

    /// A job has taken apart what it was given.
    pub(crate) fn taken_apart(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Box<dyn std::any::Any + Send>,
        world: &mut World<'_>,
    ) {
        let following = self.replication.following.as_mut();
        let incoming = following.and_then(|following| following.incoming.as_mut());
        let arriving = incoming.and_then(|incoming| incoming.arriving_mut());
        let Some(arriving) = arriving.filter(|one| one.ticket == Some(ticket)) else {
            // Nobody wants it any more.
            return self.free_elsewhere(result, world);
        };
        arriving.ticket = None;
        let outcome = match result.downcast::<Option<Taken>>().map(|taken| *taken) {
            Ok(Some(taken)) => arriving.note(now, taken),
            Ok(None) => Err("a job that was done before".to_owned()),
            Err(other) => {
                Err(other.downcast_ref::<String>().cloned().unwrap_or_else(|| "no result".to_owned()))
            }
        };
        if let Err(reason) = outcome {
            self.give_up_link(now, &reason, world);
        }
    }

    /// Does what can be done for a snapshot that arrives: has what came taken apart, takes in what that gave, and puts
    /// all of it in its place once it is whole.
    pub(super) fn tend_arriving(&mut self, now: Now, world: &mut World<'_>) {
        let clock = self.load_clock(now);
        let delay = self.config.integer(Directive::KeyLoadDelay);
        let Some(following) = &mut self.replication.following else { return };
        let Some(arriving) = following.incoming.as_mut().and_then(|incoming| incoming.arriving_mut()) else {
            return;
        };
        arriving.tell(now.steady);
        let work = arriving.work();
        let is_given_work = work.is_some();
        let has_room = arriving.pending_bytes < PENDING_BYTES_MAX;
        let link = arriving.link;
        let is_changing = std::mem::replace(&mut arriving.is_deaf, !has_room) == has_room;
        let shows_life = arriving.is_sign_due(now.steady);
        // Where too much of the stream is here already, that it is not read is for others to say.
        if is_changing && following.aside.deaf != Some(link) {
            world.outputs.request(Output::Reading { connection: link, wanted: has_room });
        }
        if let Some(upstream) = following.link_mut(link) {
            if is_changing && has_room {
                upstream.was_deaf(now.steady);
            }
            if shows_life {
                world.outputs.writer(link).push(b'\n');
            }
        }
        if let Some((keys, chunks, are_last)) = work {
            let mut work = Some((keys, chunks));
            let job = move |_: &dyn Disk| work.take().map(|(keys, chunks)| keys.take(chunks, are_last));
            let ticket = self.start_job(Purpose::TakeApart, Lane::Load, Box::new(job), world);
            if let Some(arriving) = self.arriving_mut() {
                arriving.ticket = Some(ticket);
            }
        }
        let Some(arriving) = self.arriving_mut() else { return };
        // A job that is to begin does so at the turn's end, so that is not to be far.
        let due = if is_given_work { 0 } else { arriving.keys_due(now.steady, delay) };
        let mut outcome = Ok(());
        for key in arriving.ready.drain(..due) {
            arriving.ready_bytes -= key.bytes();
            if outcome.is_ok() {
                outcome = Engine::take_in_arrived(&mut arriving.fresh, clock, key);
            }
        }
        arriving.wake_at = match (arriving.ready.is_empty(), delay) {
            (true, _) => None,
            (false, 0 | i64::MIN..0) => Some(Micros(0)),
            (false, us) => Some(arriving.paced_at + Micros(us.unsigned_abs()).max(NAP)),
        };
        let is_whole = arriving.surplus.is_some() && arriving.report.is_some() && arriving.ready.is_empty();
        if is_whole && outcome.is_ok() {
            outcome = self.put_in_place(now, world);
        }
        if let Err(reason) = outcome {
            self.give_up_link(now, &reason, world);
        }
    }

    fn arriving_mut(&mut self) -> Option<&mut Arriving> {
        self.replication.following.as_mut()?.incoming.as_mut()?.arriving_mut()
    }

    /// The snapshot has arrived, and is whole.
    fn put_in_place(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        let Some(following) = &mut self.replication.following else { return Ok(()) };
        let has_synced = following.has_synced;
        let Some(incoming) = following.incoming.take() else { return Ok(()) };
        let (id, offset) = incoming.place();
        let Some(mut arriving) = incoming.into_arriving() else { return Ok(()) };
        let Some(report) = arriving.report.take() else { return Ok(()) };
        let outcome = self.refuse_emptiness(has_synced, id, report.keys == 0);
        let outcome = outcome.and_then(|()| {
            self.append_sealed(now, world);
            self.take_over(&mut arriving.fresh, &report)
        });
        let spent = now.steady.since(arriving.progress.began.steady).millis();
        self.free_elsewhere(arriving, world);
        outcome?;
        tracing::info!("The snapshot was loaded as it came: {} bytes in {spent} ms", report.bytes);
        self.adopt_snapshot(now, id, offset, &report, world);
        Ok(())
    }

    /// The link has ended in the midst of a snapshot: says so.
    pub(super) fn tell_of_short_snapshot(&self) {
        let Some(arriving) = self.arriving().filter(|arriving| arriving.report.is_none()) else { return };
        let at = arriving.progress.loaded_bytes;
        let reason = told(LoadError { at, key: None, kind: LoadErrorKind::Truncated });
        tracing::warn!("{}", not_loaded(&reason));
    }
}

impl Arriving {
    /// Takes in what a job gave back.
    fn note(&mut self, now: Now, taken: Taken) -> Result<(), String> {
        let Taken { keys, piece, missing_bytes, read_bytes } = taken;
        self.keys = Some(keys);
        self.missing_bytes = missing_bytes;
        self.progress.loaded_bytes = read_bytes;
        if let Some(bytes) = piece.aux.used_memory_bytes {
            self.progress.rdb_used_memory_bytes = u64::try_from(bytes).unwrap_or(0);
        }
        if self.ready.is_empty() {
            // What nobody could take in is not made up for.
            self.paced_at = self.paced_at.max(now.steady);
        }
        self.ready_bytes += piece.keys.iter().map(KeyRead::bytes).sum::<usize>();
        self.ready.extend(piece.keys);
        match piece.end {
            None => Ok(()),
            Some(Ok(report)) => {
                self.progress.loaded_bytes = report.bytes;
                let checked = self.check_end(report.bytes);
                self.report = Some(report);
                (self.pending, self.pending_bytes) = (Vec::new(), 0);
                checked
            }
            Some(Err(error)) => Err(not_loaded(&told(error))),
        }
    }

    /// Whether whoever sends is to be shown that we are there.
    fn is_sign_due(&mut self, now: Micros) -> bool {
        let is_due = now >= self.sign_at;
        if is_due {
            self.sign_at = now + SIGN_INTERVAL;
        }
        is_due
    }

    /// Tells whoever reads the log now and then how far it is.
    fn tell(&mut self, now: Micros) {
        if now >= self.line_at {
            self.line_at = now + LINE_INTERVAL;
            self.progress.tell(now);
        }
    }
}

/// In words for which people search.
fn not_loaded(reason: &str) -> String {
    format!(
        "Failed trying to load the MASTER synchronization DB from socket, what was here is kept: {reason}"
    )
}

#[cfg(test)]
mod tests;
