//! What makes a snapshot for replicas: it encodes the batches of a cut as an RDB file and hands it over in pieces, to
//! be sent as they come or, framed by its length, once it is whole. Runs off the engine's thread; knows no replica.
//! Always: what waits to be sent is bounded in memory; beyond that it waits in a file in `dir`, which is gone when the
//! job is.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_base::{Disk, DiskFile, Job, Step, describe};
use tenon_keyspace::{AbortReason, CutFeed};
use tenon_rdb::{Aux, DatabaseSize, Encoder, EncoderOptions};
use tenon_replication::Framing;

use crate::leftovers::create_temporary;

/// Bytes of a piece.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of pieces that wait in memory.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// About what the driver waits after a step that is starved.
const STARVED_US: i64 = 500;

/// What a snapshot came to: bytes of the RDB, or why there is none.
pub(crate) type SyncEnd = Result<u64, String>;

/// The way of a snapshot from the thread that makes it to the engine.
#[derive(Debug, Default)]
pub(crate) struct SyncQueue {
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The pieces may be taken: a sized snapshot's only once it is whole.
    is_released: bool,
    is_cancelled: bool,
    encoded: Encoded,
}

/// How far the encoding is.
#[derive(Debug, Default)]
struct Encoded {
    /// Bytes before the first key.
    head_bytes: u64,
    /// Bytes up to the last key that is whole, and what the keys so far took in memory.
    bytes: u64,
    memory_bytes: u64,
    /// Bytes up to now, in the midst of a key.
    bytes_now: u64,
}

impl Encoded {
    /// About how many bytes it will be of data that takes so much memory.
    fn expected_bytes(&self, memory_bytes: u64) -> Option<u64> {
        let all = u128::from(memory_bytes.max(self.memory_bytes));
        let keys = u128::from(self.bytes - self.head_bytes) * all;
        let keys = keys.checked_div(u128::from(self.memory_bytes))?;
        let all = u128::from(self.head_bytes) + keys;
        Some(u64::try_from(all).unwrap_or(u64::MAX).max(self.bytes_now))
    }
}

impl SyncQueue {
    /// The next piece to send.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        if !state.is_released {
            return None;
        }
        let piece = state.pieces.pop_front()?;
        state.bytes -= piece.len();
        Some(piece)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().pieces.is_empty()
    }

    /// About how many bytes a snapshot is of data that takes so much memory, once some of it is encoded.
    pub(crate) fn expected_bytes(&self, memory_bytes: u64) -> Option<u64> {
        self.state().encoded.expected_bytes(memory_bytes)
    }

    fn note_encoded(&self, note: impl FnOnce(&mut Encoded)) {
        note(&mut self.state().encoded);
    }

    /// Nobody wants the snapshot any more.
    pub(crate) fn cancel(&self) {
        self.state().is_cancelled = true;
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state().is_cancelled
    }

    pub(crate) fn has_room(&self) -> bool {
        self.state().bytes < WAITING_BYTES_MAX
    }

    pub(crate) fn push(&self, piece: Vec<u8>) {
        let mut state = self.state();
        state.bytes += piece.len();
        state.pieces.push_back(piece);
    }

    /// Puts what frames the snapshot before it, and lets all of it be taken.
    pub(crate) fn release(&self, preamble: Vec<u8>) {
        let mut state = self.state();
        state.bytes += preamble.len();
        state.pieces.push_front(preamble);
        state.is_released = true;
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        // A panic elsewhere leaves the queue whole: it only ever pushes or pops.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is in the snapshot, and how it is framed.
pub(crate) struct SyncPlan {
    /// The cut that is encoded; None leaves the keys out.
    pub(crate) feed: Option<Arc<CutFeed>>,
    pub(crate) options: EncoderOptions,
    pub(crate) aux: Box<Aux>,
    pub(crate) sizes: Vec<DatabaseSize>,
    /// Texts of libraries of functions.
    pub(crate) libraries: Vec<Arc<[u8]>>,
    pub(crate) framing: Framing,
    /// 40 characters that end a marked snapshot.
    pub(crate) mark: String,
    /// Where the snapshot waits that memory has no room for.
    pub(crate) spill: PathBuf,
    /// Once half of this many bytes press, more is encoded even if nobody takes what was encoded before.
    pub(crate) preimage_bytes_max: usize,
    /// `rdb-key-save-delay`: microseconds for each key, or keys for each microsecond if negative.
    pub(crate) key_delay_us: i64,
}

impl SyncPlan {
    /// Whether so much of what writers change waits that it is to be encoded now, whoever else waits.
    fn is_pressed(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.pressure_bytes() > self.preimage_bytes_max / 2)
    }
}

/// One snapshot for replicas.
pub(crate) struct SyncJob {
    plan: SyncPlan,
    out: Out,
    state: State,
    owed_delay_us: i64,
}

enum State {
    Begin,
    Encoding(Box<Encoder>),
    /// Everything is encoded, so many bytes.
    Draining(u64),
    Ended,
}

/// Where encoded bytes go: into the queue, and behind what was spilled to the file.
struct Out {
    queue: Arc<SyncQueue>,
    piece: Vec<u8>,
    spill: Option<Spill>,
    path: PathBuf,
}

struct Spill {
    file: Arc<dyn DiskFile>,
    written: u64,
    read: u64,
}

impl Out {
    fn write(&mut self, bytes: &[u8], disk: &dyn Disk) -> io::Result<()> {
        if self.queue.is_cancelled() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE_BYTES { Ok(()) } else { self.hand_on(disk) }
    }

    /// Hands the piece that was gathered on.
    fn hand_on(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        if self.unread_bytes() == 0 && self.queue.has_room() {
            self.queue.push(piece);
            return Ok(());
        }
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill { file: create_temporary(disk, &self.path)?, written: 0, read: 0 }),
        };
        spill.file.append(&piece)?;
        spill.written += piece.len() as u64;
        Ok(())
    }

    fn unread_bytes(&self) -> u64 {
        self.spill.as_ref().map_or(0, |spill| spill.written - spill.read)
    }

    /// Moves a piece that was spilled into the queue. False if there is none, or no room.
    fn unspill(&mut self) -> io::Result<bool> {
        let Some(spill) = self.spill.as_mut().filter(|spill| spill.read < spill.written) else {
            return Ok(false);
        };
        if !self.queue.has_room() {
            return Ok(false);
        }
        let mut piece = vec![0; PIECE_BYTES.min((spill.written - spill.read) as usize)];
        let read = spill.file.read_at(spill.read, &mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(read);
        spill.read += read as u64;
        if spill.read == spill.written {
            // From here on memory serves again, and the file does not grow for ever.
            spill.file.truncate(0)?;
            (spill.read, spill.written) = (0, 0);
        }
        self.queue.push(piece);
        Ok(true)
    }
}

impl SyncJob {
    pub(crate) fn new(plan: SyncPlan, queue: Arc<SyncQueue>) -> SyncJob {
        let out = Out { queue, piece: Vec::new(), spill: None, path: plan.spill.clone() };
        SyncJob { plan, out, state: State::Begin, owed_delay_us: 0 }
    }

    fn advance(&mut self, disk: &dyn Disk) -> io::Result<Step> {
        if self.out.queue.is_cancelled() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Begin if self.plan.feed.as_ref().is_some_and(|feed| !feed.lay_out()) => {
                self.state = State::Begin;
                Ok(Step::Again)
            }
            State::Begin => self.begin(disk),
            State::Encoding(encoder) => self.encode(encoder, disk),
            State::Draining(bytes) => self.drain(bytes),
            State::Ended => unreachable!("a job that is done is not called again"),
        }
    }

    fn begin(&mut self, disk: &dyn Disk) -> io::Result<Step> {
        if self.plan.framing == Framing::Marked {
            self.out.queue.release(format!("$EOF:{}\r\n", self.plan.mark).into_bytes());
        }
        let mut encoder = Encoder::new(self.plan.options);
        if let Some(feed) = &self.plan.feed {
            encoder = encoder.hurried_by(feed.hurry());
        }
        let out = &mut self.out;
        encoder.begin(&self.plan.aux, &self.plan.sizes, &mut |bytes| out.write(bytes, disk))?;
        encoder.functions(&self.plan.libraries, &mut |bytes| out.write(bytes, disk))?;
        let head_bytes = encoder.written_bytes();
        out.queue.note_encoded(|encoded| (encoded.head_bytes, encoded.bytes) = (head_bytes, head_bytes));
        self.state = State::Encoding(Box::new(encoder));
        Ok(Step::Again)
    }

    fn encode(&mut self, mut encoder: Box<Encoder>, disk: &dyn Disk) -> io::Result<Step> {
        if self.plan.framing == Framing::Marked && self.out.unspill()? {
            self.state = State::Encoding(encoder);
            return Ok(Step::Again);
        }
        let out = &mut self.out;
        let Some(feed) = &self.plan.feed else { return self.finish(encoder, disk) };
        if feed.is_aborted() {
            return Err(io::Error::other(abort_text(feed)));
        }
        // A slow receiver slows the walk down, but what changes must not pile up for its sake.
        if self.plan.framing == Framing::Marked && !out.queue.has_room() && !self.plan.is_pressed() {
            self.state = State::Encoding(encoder);
            return Ok(Step::Starved);
        }
        if let Some(batch) = feed.pop() {
            let mut written = encoder.handed_on_bytes();
            encoder.batch(&batch, &mut |bytes| {
                written += bytes.len() as u64;
                out.queue.note_encoded(|encoded| encoded.bytes_now = written);
                out.write(bytes, disk)
            })?;
            let (keys, memory) = (batch.len(), batch.entries_memory() as u64);
            feed.give_back(batch);
            let written = encoder.written_bytes();
            out.queue.note_encoded(|encoded| {
                encoded.memory_bytes += memory;
                (encoded.bytes, encoded.bytes_now) = (written, written);
            });
            self.owe_delay(keys);
        } else if feed.is_finished() {
            return self.finish(encoder, disk);
        } else {
            self.state = State::Encoding(encoder);
            return Ok(Step::Starved);
        }
        self.state = State::Encoding(encoder);
        Ok(Step::Again)
    }

    fn finish(&mut self, encoder: Box<Encoder>, disk: &dyn Disk) -> io::Result<Step> {
        let out = &mut self.out;
        let bytes = encoder.finish(&mut |bytes| out.write(bytes, disk))?;
        match self.plan.framing {
            Framing::Marked => {
                out.write(self.plan.mark.as_bytes(), disk)?;
                out.hand_on(disk)?;
            }
            Framing::Sized => {
                out.hand_on(disk)?;
                out.queue.release(format!("${bytes}\r\n").into_bytes());
            }
        }
        self.state = State::Draining(bytes);
        Ok(Step::Again)
    }

    fn drain(&mut self, bytes: u64) -> io::Result<Step> {
        if self.out.unspill()? {
            self.state = State::Draining(bytes);
            return Ok(Step::Again);
        }
        if self.out.unread_bytes() > 0 {
            self.state = State::Draining(bytes);
            return Ok(Step::Starved);
        }
        let end: SyncEnd = Ok(bytes);
        Ok(Step::Done(Box::new(end)))
    }

    fn owe_delay(&mut self, keys: usize) {
        let keys = keys as i64;
        self.owed_delay_us += match self.plan.key_delay_us {
            0 => 0,
            delay if delay > 0 => keys.saturating_mul(delay),
            delay => keys / delay.saturating_neg(),
        };
    }
}

impl Job for SyncJob {
    fn is_urgent(&self) -> bool {
        self.plan.is_pressed()
    }

    fn step(&mut self, disk: &dyn Disk) -> Step {
        if self.owed_delay_us >= STARVED_US && !self.out.queue.is_cancelled() {
            self.owed_delay_us -= STARVED_US;
            return Step::Starved;
        }
        let step = self.advance(disk).unwrap_or_else(|error| {
            if let Some(feed) = &self.plan.feed {
                feed.abort(AbortReason::Cancelled);
            }
            let end: SyncEnd = Err(describe(&error));
            Step::Done(Box::new(end))
        });
        if matches!(step, Step::Done(_)) && self.out.spill.take().is_some() {
            // A file that cannot be removed costs room, and the next snapshot makes it anew.
            let _ = disk.remove(&self.out.path);
        }
        step
    }
}

fn abort_text(feed: &CutFeed) -> String {
    feed.aborted().map_or_else(|| "the snapshot was given up".to_owned(), |reason| reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_aof::memory_disk::MemoryDisk;
    use tenon_base::Dice;
    use tenon_keyspace::{CutBounds, Keyspace, Text, Value};

    fn plan(framing: Framing) -> SyncPlan {
        SyncPlan {
            feed: None,
            options: EncoderOptions::default(),
            aux: Box::default(),
            sizes: Vec::new(),
            libraries: Vec::new(),
            framing,
            mark: "m".repeat(40),
            spill: PathBuf::from("/data/spill"),
            preimage_bytes_max: 0,
            key_delay_us: 0,
        }
    }

    fn taken(queue: &SyncQueue) -> Vec<u8> {
        std::iter::from_fn(|| queue.take()).flatten().collect()
    }

    #[test]
    fn a_snapshot_is_framed_by_a_mark_or_by_its_length() {
        for (framing, start) in [(Framing::Marked, "$EOF:mmmm"), (Framing::Sized, "$")] {
            let (queue, disk) = (Arc::new(SyncQueue::default()), MemoryDisk::default());
            let mut job = SyncJob::new(plan(framing), Arc::clone(&queue));
            let bytes = loop {
                if let Step::Done(end) = job.step(&disk) {
                    break end.downcast::<SyncEnd>().expect("an end").expect("a snapshot");
                }
            };
            let text = taken(&queue);
            let head = text.iter().position(|&byte| byte == b'\n').expect("a first line") + 1;
            assert!(text.starts_with(start.as_bytes()) && text[head..].starts_with(b"REDIS00"));
            let tail = if framing == Framing::Marked { 40 } else { 0 };
            assert_eq!((text.len() - head - tail) as u64, bytes);
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn what_is_to_come_is_guessed_by_the_memory_that_it_takes() {
        let (mut keyspace, disk) = (Keyspace::new(1, &mut Dice::seeded(1)), MemoryDisk::default());
        let mut put = |name: &str, bytes: usize| {
            let value = Value::String(Text::from_vec(vec![b'x'; bytes]));
            keyspace.db_mut(0).insert(name.as_bytes(), value, None);
        };
        // Far less than a block of the encoder, one value that is as much as all others, and one that is far more.
        (0..1_000).for_each(|number| put(&format!("key:{number:04}"), 100));
        put("large", 100_000);
        put("huge", 5_000_000);
        let memory = keyspace.entries_memory() as u64;
        let bounds = CutBounds { waiting_bytes_max: 4 << 20, preimage_bytes_max: 1 << 20 };
        let cut = keyspace.begin_cut(bounds);
        let queue = Arc::new(SyncQueue::default());
        let feed = keyspace.cut_feed(cut);
        let options = EncoderOptions { compression: false, ..EncoderOptions::default() };
        let mut job = SyncJob::new(SyncPlan { feed, options, ..plan(Framing::Marked) }, Arc::clone(&queue));
        assert_eq!(queue.expected_bytes(memory), None, "nothing is known yet");
        let mut guesses = Vec::new();
        let bytes = loop {
            keyspace.advance_cut(cut, 10);
            match job.step(&disk) {
                Step::Done(end) => break end.downcast::<SyncEnd>().expect("an end").expect("a snapshot"),
                _ => guesses.extend(queue.expected_bytes(memory)),
            }
            taken(&queue);
        };
        keyspace.end_cut(cut);
        let (least, most) = (guesses.iter().min().copied(), guesses.iter().max().copied());
        assert!(guesses.len() > 10 && bytes > 5_200_000, "{} guesses of {bytes}", guesses.len());
        assert!(
            least >= Some(bytes * 3 / 4) && most <= Some(bytes * 5 / 4),
            "{least:?} to {most:?} of {bytes}"
        );
    }

    #[test]
    fn it_is_urgent_once_changed_data_presses() {
        let mut keyspace = Keyspace::new(1, &mut Dice::seeded(1));
        let put = |keyspace: &mut Keyspace| {
            let value = Value::String(Text::from_vec(vec![b'x'; 10_000]));
            keyspace.db_mut(0).insert(b"key", value, None);
        };
        put(&mut keyspace);
        let cut = keyspace.begin_cut(CutBounds { waiting_bytes_max: 4 << 20, preimage_bytes_max: 1 << 20 });
        let plan =
            SyncPlan { feed: keyspace.cut_feed(cut), preimage_bytes_max: 2_000, ..plan(Framing::Marked) };
        let job = SyncJob::new(plan, Arc::default());
        assert!(!job.is_urgent());
        put(&mut keyspace);
        assert!(job.is_urgent(), "{}", keyspace.cut_memory());
        keyspace.end_cut(cut);
    }

    #[test]
    fn what_memory_has_no_room_for_goes_through_a_file_in_order() {
        let (queue, disk) = (Arc::new(SyncQueue::default()), MemoryDisk::default());
        disk.make_directory(std::path::Path::new("/data")).expect("a directory");
        let mut job = SyncJob::new(plan(Framing::Marked), Arc::clone(&queue));
        queue.release(Vec::new());
        let block: Vec<u8> = (0..=255).cycle().take(PIECE_BYTES + 1).collect();
        let count = WAITING_BYTES_MAX / PIECE_BYTES + 5;
        for _ in 0..count {
            job.out.write(&block, &disk).expect("written");
        }
        job.out.hand_on(&disk).expect("handed on");
        assert!(job.out.unread_bytes() > 0 && !queue.has_room());
        assert!(!job.out.unspill().expect("read"), "there is no room");
        let mut all = taken(&queue);
        while job.out.unspill().expect("read") {
            all.extend(taken(&queue));
        }
        assert_eq!((all.len(), job.out.unread_bytes()), (count * block.len(), 0));
        assert!(all.chunks(block.len()).all(|chunk| chunk == block));
        queue.cancel();
        assert!(matches!(job.step(&disk), Step::Done(_)));
        assert!(disk.open(std::path::Path::new("/data/spill"), false).is_err(), "the file is gone");
    }
}
