//! Pre-images that are put aside by one job while another writes the snapshot: all orders in which the two may take
//! from the cut give the same snapshot.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use tenon_aof::Origin;
use tenon_aof::memory_disk::{MemoryDisk, Operation};
use tenon_base::Dice;
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_keyspace::{CutBounds, CutId, CutProgress, Expiry, Keyspace};
use tenon_rdb::{Aux, Limits, LoadOptions};

use super::*;
use crate::save_job::{Destination, Format, SaveControl, SaveEnd, SaveJob};

const KEYS: u64 = 60_000;
/// Much more than a batch of each database, which is not handed over before it is full.
const BOUND: usize = 600_000;
const TARGET: &str = "/data/target";
const SPILL: &str = "/data/spill";

/// A keyspace that is being saved while all of it changes.
struct Scene {
    disk: MemoryDisk,
    keyspace: Keyspace,
    cut: CutId,
    feed: Arc<CutFeed>,
    spill: Arc<Spill>,
    pieces: PieceFormat,
    save: SaveJob,
}

fn command_base() -> CommandBase {
    let replication_id = ReplicationId::parse(&[b'a'; 40]).expect("an id");
    CommandBase::new(Origin { replication_id, offset: ReplicationOffset(7), db: 0 }, true, false)
}

fn scene(is_rdb: bool, preimage_bytes_max: usize) -> Scene {
    let disk = MemoryDisk::default();
    let mut keyspace = Keyspace::new(3, &mut Dice::seeded(9));
    for number in 0..KEYS {
        let db = &mut keyspace.db_mut(number as usize % 3);
        db.set_integer(&number.to_le_bytes(), number as i64, Expiry::Never);
    }
    let format = if is_rdb {
        let (options, aux) = (EncoderOptions::default(), Box::<Aux>::default());
        Format::Rdb { options, aux, sizes: Vec::new(), libraries: Vec::new() }
    } else {
        Format::Commands(CommandEncoder::new(command_base(), UnixMillis(1)), Vec::new())
    };
    let cut = keyspace.begin_cut(CutBounds { waiting_bytes_max: 1 << 20, preimage_bytes_max });
    let feed = keyspace.cut_feed(cut).expect("just begun");
    let (spill, pieces) = (Spill::new(SPILL.into()), format.pieces());
    let destination = Destination { temporary: "/data/temp".into(), target: Some(TARGET.into()) };
    let save = SaveJob::new(Arc::clone(&feed), format, destination, SaveControl::new(0), Arc::clone(&spill));
    Scene { disk, keyspace, cut, feed, spill, pieces, save }
}

impl Scene {
    /// Changes every key, and lets pre-images be put aside as an engine does; the save takes a step now and then.
    fn change_everything(&mut self, dice: &mut Dice, bound: usize) {
        for number in 0..KEYS {
            let db = &mut self.keyspace.db_mut(number as usize % 3);
            db.set_integer(&number.to_le_bytes(), -1, Expiry::Never);
            if self.feed.waiting_bytes().1 > bound / 2 && self.spill.begin() {
                self.run_spill_job(bound / 8);
            }
            if dice.below(4_000) == 0 {
                assert!(!matches!(self.save.step(&self.disk), Step::Done(_)));
            }
        }
    }

    fn run_spill_job(&mut self, enough_bytes: usize) {
        let (feed, spill) = (Arc::clone(&self.feed), Arc::clone(&self.spill));
        let mut job = SpillJob::new(feed, spill, self.pieces.encoder(self.feed.hurry()), enough_bytes);
        while !matches!(job.step(&self.disk), Step::Done(_)) {}
    }

    fn end(&mut self) -> SaveEnd {
        while self.keyspace.advance_cut(self.cut, 1_000) == CutProgress::Walking {}
        loop {
            if let Step::Done(end) = self.save.step(&self.disk) {
                return *end.downcast::<SaveEnd>().expect("an end");
            }
        }
    }
}

fn keys_of(content: &[u8]) -> BTreeMap<(usize, u64), i64> {
    let options = LoadOptions {
        limits: Limits::standard(0),
        databases: 16,
        checksum: true,
        passes_over_expired_before: None,
    };
    let mut keys = BTreeMap::new();
    let mut insert = |key: tenon_rdb::LoadedKey<'_>| {
        let tenon_keyspace::ValueRef::String(tenon_keyspace::TextRef::Integer(value)) = key.value.as_ref()
        else {
            panic!("a number")
        };
        let name = u64::from_le_bytes(key.key.try_into().expect("eight bytes"));
        keys.insert((key.database, name), value).is_none()
    };
    tenon_rdb::load(&mut { content }, &options, &mut insert, &mut |_| ControlFlow::Continue(()))
        .expect("sound");
    keys
}

#[test]
fn a_save_takes_in_what_was_put_aside() {
    for seed in 0..4 {
        let bound = BOUND;
        let mut scene = scene(true, bound);
        scene.change_everything(&mut Dice::seeded(seed), bound);
        let (bytes, keys) = scene.spill.figures();
        assert!(bytes > 100_000 && keys > 10_000, "seed {seed}: {bytes} bytes, {keys} keys");
        let bytes = scene.end().expect("a save");
        let content = scene.disk.content(Path::new(TARGET)).expect("a dump");
        assert_eq!(content.len() as u64, bytes);
        let expected = (0..KEYS).map(|number| ((number as usize % 3, number), number as i64)).collect();
        assert_eq!(keys_of(&content), expected, "seed {seed}");
        assert_eq!(scene.disk.content(Path::new(SPILL)), None, "the file is gone");
    }
}

#[test]
fn a_base_of_commands_takes_in_what_was_put_aside() {
    let bound = BOUND;
    let mut scene = scene(false, bound);
    scene.change_everything(&mut Dice::seeded(1), bound);
    assert!(scene.spill.figures().1 > 10_000);
    scene.end().expect("a base");
    let content = scene.disk.content(Path::new(TARGET)).expect("a base");
    let text = String::from_utf8_lossy(&content);
    assert_eq!(text.matches("\r\nSET\r\n").count(), KEYS as usize);
    // Outside MULTI a SELECT stands only behind the header of a batch.
    let selects = text.matches("\r\nSELECT\r\n").count();
    let behind_headers = text.matches("aaaa\r\n#\r\n*2\r\n$6\r\nSELECT\r\n").count();
    assert!(selects > 2 && selects == behind_headers, "{selects} and {behind_headers}");
    let last = text.rfind("SELECT\r\n$1\r\n").expect("a SELECT");
    assert_eq!(&text[last + 12..last + 13], "0", "it ends in the database of its place");
}

#[test]
fn what_cannot_be_put_aside_gives_the_save_up_and_says_so() {
    let bound = BOUND;
    let mut scene = scene(true, bound);
    scene.disk.fail(Operation::Append, 0, u64::MAX, io::ErrorKind::StorageFull);
    for number in 0..KEYS {
        scene.keyspace.db_mut(number as usize % 3).set_integer(&number.to_le_bytes(), -1, Expiry::Never);
        if scene.feed.waiting_bytes().1 > bound / 2 && scene.spill.begin() {
            scene.run_spill_job(0);
            break;
        }
    }
    assert!(scene.feed.is_aborted());
    scene.disk.heal();
    let error = scene.end().expect_err("given up");
    assert!(error.contains("snapshot-memory-max") && error.contains(SPILL), "{error}");
    assert!(scene.disk.paths().is_empty(), "{:?}", scene.disk.paths());
}

#[test]
fn without_a_file_the_bound_of_memory_is_all_there_is() {
    let bound = BOUND;
    let mut scene = scene(true, bound);
    scene.disk.fail(Operation::Create, 0, 1, io::ErrorKind::StorageFull);
    for number in 0..KEYS {
        scene.keyspace.db_mut(number as usize % 3).set_integer(&number.to_le_bytes(), -1, Expiry::Never);
        if scene.feed.waiting_bytes().1 > bound / 2 && scene.spill.begin() {
            scene.run_spill_job(0);
            assert!(!scene.feed.is_aborted(), "nothing was taken, so nothing is lost");
            assert!(!scene.spill.begin(), "it is not tried again");
        }
    }
    let Some(AbortReason::PreimageBytes { bound: BOUND, .. }) = scene.feed.aborted() else {
        panic!("{:?}", scene.feed.aborted())
    };
    assert!(scene.end().is_err());
}

#[test]
fn a_job_that_panics_gives_the_save_up() {
    let mut scene = scene(true, BOUND);
    assert!(scene.spill.begin() && !scene.spill.begin());
    drop(SpillJob::new(
        Arc::clone(&scene.feed),
        Arc::clone(&scene.spill),
        scene.pieces.encoder(scene.feed.hurry()),
        0,
    ));
    assert!(!scene.spill.is_busy() && scene.feed.is_aborted());
    assert!(scene.end().expect_err("given up").contains("in the middle"));
}
