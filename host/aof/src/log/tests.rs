//! The log at work: by example, then through random histories of work, failures and deaths.

use std::io;
use std::path::Path;

use tenon_base::{Dice, Disk, Step, UnixMillis};
use tenon_journal::{Journal, Targets};
use tenon_resp::{Args, OwnedArgs};

use super::*;
use crate::load::{BaseLoaded, LoadNotice, LoadOptions, LoadSink, Loaded, load};
use crate::memory_disk::{MemoryDisk, Operation};

mod aside;

const ID: ReplicationId = ReplicationId([b'a'; 40]);

/// An engine whose state is how many units it ran: unit `n` is `SET n db` in some database, so that what is loaded must
/// be 0, 1, 2 ... without a gap, each in its database.
struct Engine {
    disk: MemoryDisk,
    directory: Directory,
    settings: Settings,
    log: Log,
    journal: Journal,
    units: u64,
    now: Now,
    /// Jobs that run, in the order asked for.
    jobs: Vec<LogJob>,
    /// How many units the base under way holds.
    cut: Option<u64>,
    events: Vec<LogEvent>,
    /// What was safe when the log was switched off.
    promised: u64,
}

#[derive(Default)]
struct Count {
    units: u64,
    db: u64,
    notices: Vec<String>,
}

impl LoadSink for Count {
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        let mut bytes = [0; 25];
        let read = file.read_at(0, &mut bytes).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(&bytes[5..read]).map_err(|error| error.to_string())?;
        self.units = text.parse().map_err(|_| format!("no count: {text}"))?;
        Ok(BaseLoaded { bytes: read as u64, origin: None })
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        let number = |index: usize| std::str::from_utf8(args.get(index)).ok()?.parse::<u64>().ok();
        match args.get(0) {
            b"SELECT" => self.db = number(1).ok_or("no number")?,
            b"SET" => {
                if (number(1), number(2)) != (Some(self.units), Some(self.db)) {
                    return Err(format!("found {args:?} after {} units, in db {}", self.units, self.db));
                }
                self.units += 1;
            }
            _ => return Err(format!("found {args:?}")),
        }
        Ok(())
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        assert!(loaded_bytes <= total_bytes);
    }

    fn notice(&mut self, line: LoadNotice) {
        self.notices.push(line.text);
    }
}

fn settings() -> Settings {
    Settings {
        checksum: true,
        timestamps: false,
        base_is_rdb: true,
        pending_bytes_max: 1 << 20,
        keep: Keep::UntilSynced,
        writes_aside: false,
        remove_history: true,
    }
}

const OPTIONS: LoadOptions = LoadOptions { cut_torn_end: true, damaged_tail_bytes_max: 0, checksum: true };

fn base_of(units: u64) -> Vec<u8> {
    format!("REDIS{units:020}").into_bytes()
}

fn loaded(disk: &MemoryDisk, directory: &Directory) -> (Loaded, u64) {
    let mut count = Count::default();
    let result = load(disk, directory, None, OPTIONS, &mut count);
    (result.unwrap_or_else(|error| panic!("{error}")), count.units)
}

impl Engine {
    fn start(disk: MemoryDisk, settings: Settings, now: Now) -> Engine {
        let directory = Directory::new("/data/appendonlydir", "appendonly.aof");
        let (loaded, units) = loaded(&disk, &directory);
        let offset = loaded.origin.map_or(ReplicationOffset(7), |origin| origin.offset);
        let start = Start { position: LogPosition(units), offset, replication_id: ID };
        let log = Log::open(
            &disk,
            directory.clone(),
            settings.clone(),
            start,
            loaded.manifest,
            loaded.needs_new_increment,
            &base_of(0),
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let mut journal = Journal::new(start.position, offset);
        journal.set_readers(true, true);
        Engine {
            disk,
            directory,
            settings,
            log,
            journal,
            units,
            now,
            jobs: Vec::new(),
            cut: None,
            events: Vec::new(),
            promised: 0,
        }
    }

    /// Runs a unit of some operations and appends what is sealed.
    fn unit(&mut self, db: u32, operations: u64, targets: Targets) {
        for _ in 0..operations {
            self.journal.begin_unit();
            let set =
                OwnedArgs::from(&[b"SET", self.units.to_string().as_bytes(), db.to_string().as_bytes()]);
            self.journal.operation(db, set.as_args(), targets);
            self.journal.seal();
            self.units += 1;
        }
        let Some(batch) = self.journal.take_batch() else { return };
        self.log.append(self.now, &batch);
        self.journal.recycle(batch);
    }

    fn pass(&mut self, micros: u64) {
        self.now.steady = self.now.steady + Micros(micros);
        self.now.unix_us += micros as i64;
    }

    fn sync(&mut self) {
        let job = self.log.start_sync(self.now);
        self.jobs.extend(job);
    }

    fn take_jobs(&mut self) {
        while let Some(job) = self.log.take_job(self.now) {
            self.jobs.push(job);
        }
        while let Some(event) = self.log.take_event() {
            assert!(!event.to_string().is_empty());
            if matches!(event, LogEvent::RewriteFailed { .. }) {
                self.cut = None;
            }
            self.events.push(event);
        }
    }

    /// A step of the first job of some lane.
    fn step(&mut self, choice: u64) {
        let first = |index: &usize| {
            self.jobs[*index].lane == Lane::Save
                || self.jobs[..*index].iter().all(|job| job.lane != self.jobs[*index].lane)
        };
        let ready: Vec<usize> = (0..self.jobs.len()).filter(first).collect();
        let Some(&index) = ready.get(choice as usize % ready.len().max(1)) else { return };
        if let Step::Done(result) = self.jobs[index].job.step(&self.disk) {
            let job = self.jobs.remove(index);
            self.log.job_ended(self.now, job.id, result);
        }
    }

    /// Everything that is owed, until nothing is.
    fn rest(&mut self) {
        for _ in 0..1000 {
            self.take_jobs();
            if self.jobs.is_empty() && self.log.wake_at().is_none() {
                return;
            }
            self.pass(100_000);
            self.step(0);
        }
        panic!("the log never rests");
    }

    /// The next thing to do for a rewrite.
    fn rewrite(&mut self) {
        match self.log.rewrite_stage() {
            None => self.cut = None,
            Some(RewriteStage::Ready) => {
                self.log.switch_increment(self.now, self.journal.position(), self.journal.offset());
                self.cut = Some(self.units);
            }
            Some(RewriteStage::Writing) => {
                let (Some(cut), Some(path)) = (self.cut.take(), self.log.rewrite_path()) else { return };
                let base = base_of(cut);
                let made = self.disk.create(&path).and_then(|file| {
                    file.append(&base)?;
                    file.sync()
                });
                match made {
                    Ok(()) => self.log.finish_rewrite(base.len() as u64),
                    Err(_) => assert!(self.log.abort_rewrite(self.now)),
                }
            }
            Some(RewriteStage::Preparing | RewriteStage::Finishing) => {}
        }
    }

    /// A whole rewrite.
    fn rewrite_to_end(&mut self) {
        self.log.begin_rewrite().expect("nothing stands in its way");
        for _ in 0..100 {
            self.take_jobs();
            self.step(0);
            self.rewrite();
            if self.log.rewrite_stage().is_none() && self.jobs.is_empty() {
                return self.rest();
            }
        }
        panic!("the rewrite never ends");
    }

    fn names(&self) -> Vec<String> {
        let names = self.disk.paths().into_iter();
        names.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
    }
}

fn engine() -> Engine {
    Engine::start(MemoryDisk::new(), settings(), Now::default())
}

#[test]
fn a_fresh_log_has_redis_names_and_comes_back() {
    let mut engine = engine();
    assert_eq!(
        engine.names(),
        ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "appendonly.aof.manifest"]
    );
    engine.unit(0, 3, Targets::ALL);
    engine.unit(5, 1, Targets::LOG);
    assert_eq!((engine.log.written(), engine.log.synced()), (LogPosition(4), LogPosition(0)));
    engine.pass(1_000);
    let facts = engine.log.facts(engine.now);
    assert_eq!((facts.unsynced_commits, facts.oldest_unsynced_us, facts.running_us), (2, 1_000, None));
    assert_eq!(facts.unsynced_bytes, engine.log.pending_bytes());
    engine.sync();
    engine.pass(500);
    assert_eq!(engine.log.facts(engine.now).running_us, Some(500));
    engine.rest();
    let facts = engine.log.facts(engine.now);
    assert_eq!((engine.log.synced(), facts.unsynced_bytes, facts.unsynced_commits), (LogPosition(4), 0, 0));
    assert_eq!(engine.log.pending_bytes(), 0);
    let (loaded, units) = loaded(&engine.disk, &engine.directory);
    assert_eq!((units, loaded.needs_new_increment, loaded.plain_end), (4, false, false));
    assert_eq!(loaded.origin.map(|origin| origin.offset), Some(engine.log.synced_offset()));
}

#[test]
fn a_log_may_move_to_another_thread() {
    fn assert_send<T: Send>(_: &T) {}
    assert_send(&engine().log);
}

#[test]
fn a_rewrite_leaves_a_base_and_one_increment() {
    let mut engine = engine();
    engine.unit(0, 5, Targets::ALL);
    let before = engine.log.sizes();
    engine.rewrite_to_end();
    engine.unit(0, 2, Targets::ALL);
    engine.unit(3, 2, Targets::ALL);
    assert_eq!(
        engine.names(),
        ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"]
    );
    assert_eq!(
        engine.disk.content(Path::new("/data/appendonlydir/appendonly.aof.manifest")).as_deref(),
        Some(
            b"file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n"
                .as_slice()
        )
    );
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 9);
    assert!(engine.events.contains(&LogEvent::RewriteReady));
    let after = engine.log.sizes();
    assert!(before.current > after.base && after.base == 25 && after.current > 25, "{before:?} {after:?}");
}

#[test]
fn a_base_that_was_never_given_its_name_uses_up_no_number() {
    let mut engine = engine();
    engine.unit(0, 3, Targets::ALL);
    engine.log.begin_rewrite().expect("nothing stands in its way");
    engine.rest();
    engine.rewrite();
    engine.rewrite();
    let temporary = engine.log.rewrite_path().expect("a rewrite is at work");
    engine.disk.remove(&temporary).expect("the base that was written");
    engine.rest();
    assert!(matches!(engine.events.last(), Some(LogEvent::RewriteFailed { .. })), "{:?}", engine.events);
    engine.unit(0, 1, Targets::ALL);
    engine.rewrite_to_end();
    assert_eq!(
        engine.names(),
        ["appendonly.aof.2.base.rdb", "appendonly.aof.3.incr.aof", "appendonly.aof.manifest"]
    );
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 4);
}

#[test]
fn history_that_may_go_is_forgotten_at_once_and_removed_afterwards() {
    let disk = MemoryDisk::new();
    let kept = Settings { remove_history: false, ..settings() };
    let mut engine = Engine::start(disk, kept.clone(), Now::default());
    engine.unit(0, 3, Targets::ALL);
    engine.rewrite_to_end();
    engine.unit(0, 1, Targets::ALL);
    let manifest = Path::new("/data/appendonlydir/appendonly.aof.manifest");
    let history = |engine: &Engine| {
        let text = String::from_utf8(engine.disk.content(manifest).expect("a manifest")).expect("text");
        text.lines().filter(|line| line.ends_with("type h")).count()
    };
    engine.log.forget_history(&engine.disk);
    assert_eq!(history(&engine), 2, "what is to be kept");
    engine.log.change_settings(engine.now, Settings { remove_history: true, ..kept });
    engine.disk.fail(Operation::Rename, 0, 1, io::ErrorKind::StorageFull);
    engine.log.forget_history(&engine.disk);
    assert_eq!(history(&engine), 2, "the disk refuses, and nothing is lost");
    engine.log.forget_history(&engine.disk);
    assert_eq!((history(&engine), engine.names().len()), (0, 5));
    engine.rest();
    assert_eq!(
        engine.names(),
        ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"]
    );
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 4);
}

#[test]
fn switching_on_counts_only_when_the_base_is_there() {
    let disk = MemoryDisk::new();
    let mut engine = Engine::start(disk, settings(), Now::default());
    engine.unit(0, 3, Targets::ALL);
    engine.log.stop(engine.now).expect("a healthy disk");
    assert_eq!((engine.log.phase(), engine.log.sizes()), (Phase::Off, Sizes::default()));
    engine.unit(0, 4, Targets::ALL);
    engine.log.begin_rewrite().expect("nothing stands in its way");
    engine.rest();
    engine.rewrite();
    assert_eq!(engine.log.phase(), Phase::Waiting);
    engine.unit(1, 2, Targets::ALL);
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 3, "what was there before");
    engine.rewrite();
    engine.rest();
    assert_eq!(engine.log.phase(), Phase::On);
    assert!(engine.events.contains(&LogEvent::TurnedOn));
    engine.unit(1, 1, Targets::ALL);
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 10);
    assert_eq!(
        engine.names(),
        ["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"]
    );
}

#[test]
fn a_base_that_stays_alone_loads_at_every_step() {
    let mut engine = engine();
    engine.unit(0, 3, Targets::ALL);
    engine.rewrite_to_end();
    engine.unit(0, 2, Targets::ALL);
    engine.log.keep_base_alone();
    assert!(!engine.log.is_clearing(), "a log that is on keeps what it has");
    engine.log.stop(engine.now).expect("a healthy disk");
    engine.disk.fail(Operation::Rename, 0, 1, io::ErrorKind::StorageFull);
    engine.log.keep_base_alone();
    assert!(engine.log.is_clearing());
    for _ in 0..40 {
        engine.take_jobs();
        engine.step(0);
        let units = loaded(&engine.disk, &engine.directory).1;
        assert!([3, 5].contains(&units), "{units}");
        engine.pass(100_000);
    }
    assert_eq!(engine.names(), ["appendonly.aof.2.base.rdb", "appendonly.aof.manifest"]);
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 3);
    assert!(!engine.log.is_clearing());
}

#[test]
fn switching_on_fails_with_the_disk_and_may_be_tried_again() {
    let mut engine = engine();
    engine.log.stop(engine.now).expect("a healthy disk");
    engine.log.begin_rewrite().expect("nothing stands in its way");
    engine.rest();
    engine.rewrite();
    engine.disk.fail(Operation::Append, 0, 1, io::ErrorKind::StorageFull);
    engine.unit(0, 1, Targets::ALL);
    assert_eq!(engine.log.phase(), Phase::Off);
    engine.rest();
    assert!(matches!(engine.events.last(), Some(LogEvent::RewriteFailed { .. })));
    engine.rewrite_to_end();
    engine.unit(0, 1, Targets::ALL);
    assert_eq!((engine.log.phase(), loaded(&engine.disk, &engine.directory).1), (Phase::On, 2));
}

#[test]
fn a_failed_write_goes_on_in_a_new_file() {
    let mut engine = engine();
    engine.unit(2, 2, Targets::ALL);
    engine.disk.fail(Operation::Append, 0, 1, io::ErrorKind::StorageFull);
    engine.unit(2, 1, Targets::ALL);
    assert_eq!(engine.log.written(), LogPosition(2));
    assert!(engine.log.failing().is_some_and(|(_, error)| error.contains("storage")));
    assert!(engine.log.start_sync(engine.now).is_none());
    engine.unit(2, 1, Targets::ALL);
    assert_eq!(engine.log.written(), LogPosition(2));
    engine.rest();
    assert_eq!((engine.log.written(), engine.log.synced()), (LogPosition(4), LogPosition(4)));
    assert_eq!(engine.disk.content(&engine.directory.file("appendonly.aof.1.incr.aof")), Some(Vec::new()));
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 4);
}

#[test]
fn a_disk_that_stays_full_is_tried_with_a_growing_pause() {
    let mut engine = engine();
    engine.unit(0, 1, Targets::ALL);
    engine.disk.fail(Operation::Sync, 0, u64::MAX, io::ErrorKind::Other);
    engine.sync();
    let mut attempts = Vec::new();
    for _ in 0..5_000 {
        engine.take_jobs();
        let recovers = |engine: &Engine| engine.jobs.iter().any(|job| job.lane == Lane::Sync);
        let before = recovers(&engine);
        engine.step(0);
        if before
            && !recovers(&engine)
            && let Some(wake_at) = engine.log.wake_at()
        {
            attempts.push(wake_at.since(engine.now.steady).millis());
        }
        engine.pass(1_000);
    }
    assert_eq!(attempts[..6], [0, 100, 200, 400, 800, 1_000], "{attempts:?}");
    assert_eq!(engine.log.synced(), LogPosition(0));
    assert!(engine.names().len() <= 4, "failed attempts leave no files: {:?}", engine.names());
    engine.disk.heal();
    engine.rest();
    assert_eq!((engine.log.synced(), engine.log.failing()), (LogPosition(1), None));
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 1);
}

#[test]
fn what_waits_in_memory_is_bounded_and_said() {
    let mut engine = engine();
    engine.disk.fail(Operation::Append, 0, 1, io::ErrorKind::StorageFull);
    while !engine.log.is_full() {
        engine.unit(0, 100, Targets::ALL);
        assert!(engine.units < 100_000);
    }
    assert!(engine.log.pending_bytes() >= 1 << 20);
    engine.rest();
    assert!(!engine.log.is_full());
    assert_eq!(loaded(&engine.disk, &engine.directory).1, engine.units);
}

#[test]
fn without_headers_a_failing_disk_loses_and_doubles_nothing_either() {
    for operation in [Operation::Append, Operation::Sync] {
        let plain = Settings { checksum: false, timestamps: true, ..settings() };
        let mut engine = Engine::start(MemoryDisk::new(), plain, Now::default());
        engine.pass(5_000_000);
        engine.unit(4, 2, Targets::ALL);
        engine.disk.fail(operation, 0, 1, io::ErrorKind::Other);
        engine.disk.fail(Operation::Truncate, 0, u64::MAX, io::ErrorKind::Other);
        engine.unit(4, 1, Targets::ALL);
        engine.sync();
        engine.rest();
        engine.unit(4, 1, Targets::ALL);
        assert!(engine.events.iter().any(|event| matches!(event, LogEvent::NotCut { .. })));
        engine.disk.heal();
        assert_eq!(loaded(&engine.disk, &engine.directory).1, 4);
    }
}

#[test]
fn the_end_of_the_process_syncs_and_says_if_it_could_not() {
    let mut engine = engine();
    engine.unit(0, 1, Targets::ALL);
    engine.log.sync_now(engine.now).expect("a healthy disk");
    assert_eq!(engine.log.synced(), LogPosition(1));
    engine.unit(0, 1, Targets::ALL);
    engine.disk.fail(Operation::Sync, 0, 1, io::ErrorKind::Other);
    engine.log.sync_now(engine.now).expect_err("the failure asked for");
    assert_eq!(engine.log.synced(), LogPosition(1));
}

#[test]
fn under_no_records_leave_memory_when_written() {
    let mut engine =
        Engine::start(MemoryDisk::new(), Settings { keep: Keep::UntilWritten, ..settings() }, Now::default());
    engine.unit(0, 10, Targets::ALL);
    assert_eq!((engine.log.pending_bytes(), engine.log.synced()), (0, LogPosition(0)));
    engine.disk.fail(Operation::Sync, 0, 1, io::ErrorKind::Other);
    engine.sync();
    engine.step(0);
    engine.unit(0, 1, Targets::ALL);
    engine.rest();
    assert!(matches!(engine.events.last(), Some(LogEvent::Recovered { whole: false, .. })));
    engine.unit(0, 1, Targets::ALL);
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 12);
}

#[test]
fn a_batch_of_several_databases_is_one_write() {
    let mut engine = engine();
    for db in [0, 3, 3, 1] {
        engine.journal.begin_unit();
        let set = OwnedArgs::from(&[b"SET", engine.units.to_string().as_bytes(), db.to_string().as_bytes()]);
        engine.journal.operation(db, set.as_args(), Targets::ALL);
        engine.journal.seal();
        engine.units += 1;
    }
    let calls = engine.disk.calls();
    let batch = engine.journal.take_batch().expect("a batch");
    assert_eq!(batch.log_batches().count(), 3);
    engine.log.append(engine.now, &batch);
    assert_eq!(engine.disk.calls(), calls + 1);
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 4);
}

/// Random work, failures and deaths: nothing that was called synced is lost in a crash of the machine, nothing written
/// when the process is killed, and what is loaded is always a prefix of what was done.
#[test]
fn nothing_called_durable_is_ever_lost() {
    let seeds = std::env::var("TENON_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in seeds.map_or(0..500, |seed: u64| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| history(seed));
        assert!(run.is_ok(), "a history failed: TENON_SEED={seed}");
    }
}

fn history(seed: u64) {
    let mut dice = Dice::seeded(seed);
    let settings = Settings {
        checksum: dice.below(4) > 0,
        timestamps: dice.below(2) == 0,
        base_is_rdb: true,
        keep: if dice.below(5) == 0 { Keep::UntilWritten } else { Keep::UntilSynced },
        writes_aside: dice.below(2) == 0,
        ..settings()
    };
    let disk = MemoryDisk::with_dice(Dice::seeded(seed + 1));
    disk.leave_zeros(settings.checksum); // plain commands have nothing that would tell
    let mut engine = Engine::start(disk, settings, Now { steady: Micros(1), unix_us: 1 << 50 });
    for _ in 0..dice.below(600) {
        act(&mut engine, &mut dice);
    }
    engine.disk.heal();
    engine.rest();
    if engine.log.phase() == Phase::Off {
        let _ = engine.log.begin_rewrite();
    }
    while engine.log.rewrite_stage().is_some() {
        engine.rewrite();
        engine.step(0);
        engine.take_jobs();
    }
    engine.log.sync_now(engine.now).expect("a healed disk");
    assert_eq!(engine.log.synced().0, engine.units);
    engine.disk.crash(&mut dice);
    assert_eq!(loaded(&engine.disk, &engine.directory).1, engine.units);
}

fn act(engine: &mut Engine, dice: &mut Dice) {
    const KINDS: [io::ErrorKind; 2] = [io::ErrorKind::StorageFull, io::ErrorKind::Other];
    engine.pass(dice.below(50_000));
    engine.log.note_write_beside_sync(Micros(dice.below(40_000)));
    match dice.below(100) {
        0..40 => {
            let targets = if dice.below(4) == 0 { Targets::LOG } else { Targets::ALL };
            engine.unit(dice.below(3) as u32, 1 + dice.below(3), targets);
        }
        40..55 => engine.sync(),
        55..85 => {
            engine.take_jobs();
            engine.step(dice.roll());
        }
        85..91 => engine.rewrite(),
        91..93 => {
            let _ = engine.log.begin_rewrite();
        }
        93 if dice.below(3) == 0 && engine.log.phase() == Phase::On => {
            engine.promised = engine.log.synced().0;
            if engine.log.stop(engine.now).is_ok() {
                engine.promised = engine.units;
            }
        }
        93 => {
            if engine.log.abort_rewrite(engine.now) {
                engine.cut = None;
            }
        }
        94..97 => {
            let operation = Operation::ALL[dice.below(Operation::ALL.len() as u64) as usize];
            if operation == Operation::Sync && engine.settings.keep == Keep::UntilWritten {
                return; // it would lose what memory no longer holds
            }
            engine.disk.fail(operation, dice.below(4), 1 + dice.below(3), KINDS[dice.below(2) as usize]);
        }
        97 => engine.disk.heal(),
        _ => die(engine, dice),
    }
    assert!(engine.log.synced() <= engine.log.written() && engine.log.written().0 <= engine.units);
}

/// The process or the machine dies, and starts again.
fn die(engine: &mut Engine, dice: &mut Dice) {
    engine.disk.heal();
    let safe = if engine.log.phase() != Phase::On {
        if dice.below(2) == 0 {
            engine.disk.crash(dice)
        } else {
            engine.disk.kill()
        }
        engine.promised
    } else if dice.below(2) == 0 {
        engine.disk.crash(dice);
        engine.log.synced().0
    } else {
        engine.disk.kill();
        engine.log.written().0
    };
    let done = engine.units;
    let (disk, settings, now) = (engine.disk.clone(), engine.settings.clone(), engine.now);
    *engine = Engine::start(disk, settings, now);
    let units = engine.units;
    assert!((safe..=done).contains(&units), "{units} units of {done}, of which {safe} were safe");
    assert!(now.unix() >= UnixMillis(0));
}
