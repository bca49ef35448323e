//! Writes beside an fsync: what the probe tells, and what comes between it and its end.

use super::*;

const SOON: u64 = 19_999;
const LATE: u64 = 20_000;

/// A log whose first unit was written with nothing in the way.
fn engine() -> Engine {
    let settings = Settings { writes_aside: true, ..settings() };
    let mut engine = Engine::start(MemoryDisk::new(), settings, Now::default());
    assert!(is_written_at_once(&mut engine), "nothing is under way");
    engine
}

/// A unit, and what is owed then; whether its write was made before.
fn is_written_at_once(engine: &mut Engine) -> bool {
    let calls = engine.disk.calls();
    engine.unit(0, 1, Targets::ALL);
    let is_at_once = engine.disk.calls() > calls;
    assert_eq!(is_at_once, engine.log.written().0 == engine.units);
    engine.take_jobs();
    is_at_once
}

/// An fsync that is under way: the next step of its lane ends it.
fn begin_sync(engine: &mut Engine) {
    engine.sync();
    step(engine, Lane::Sync);
}

fn step(engine: &mut Engine, lane: Lane) {
    let lanes = lanes(engine);
    let place = lanes.iter().position(|&each| each == lane);
    engine.step(place.unwrap_or_else(|| panic!("{lane:?} among {lanes:?}")) as u64);
}

fn lanes(engine: &Engine) -> Vec<Lane> {
    engine.jobs.iter().map(|job| job.lane).collect()
}

fn assert_safe(engine: &mut Engine) {
    engine.rest();
    engine.log.sync_now(engine.now).expect("a sound disk");
    assert_eq!(engine.log.synced().0, engine.units);
    assert_eq!(loaded(&engine.disk, &engine.directory).1, engine.units);
}

#[test]
fn beside_an_fsync_that_holds_the_lock_nothing_is_written_here_from_the_first_write_on() {
    let mut engine = engine();
    begin_sync(&mut engine);
    for _ in 0..3 {
        assert!(!is_written_at_once(&mut engine));
        assert_eq!(lanes(&engine), [Lane::Sync, Lane::Write], "one at a time");
        engine.pass(1_000_000);
    }
    step(&mut engine, Lane::Sync);
    assert_eq!((engine.log.written(), engine.log.synced()), (LogPosition(1), LogPosition(1)));
    step(&mut engine, Lane::Write);
    assert_eq!(engine.log.written(), LogPosition(4), "what waited behind it was written in one go");
    assert_safe(&mut engine);
}

#[test]
fn a_probe_that_came_back_soon_lets_the_others_beside_its_fsync_be_made_at_once() {
    let mut engine = engine();
    for _ in 0..3 {
        begin_sync(&mut engine);
        assert!(!is_written_at_once(&mut engine), "each fsync is probed");
        engine.pass(SOON);
        step(&mut engine, Lane::Write);
        for _ in 0..3 {
            engine.pass(1_000_000);
            assert!(is_written_at_once(&mut engine));
        }
        assert_eq!(lanes(&engine), [Lane::Sync]);
        step(&mut engine, Lane::Sync);
        assert!(is_written_at_once(&mut engine));
    }
    assert_safe(&mut engine);
}

#[test]
fn a_write_that_was_slow_or_began_before_the_fsync_is_no_proof() {
    let mut engine = engine();
    engine.sync();
    assert!(!is_written_at_once(&mut engine), "it may have begun by the time of the write");
    step(&mut engine, Lane::Write);
    step(&mut engine, Lane::Sync);
    assert!(!is_written_at_once(&mut engine));
    engine.pass(LATE);
    step(&mut engine, Lane::Write);
    assert!(!is_written_at_once(&mut engine));
    step(&mut engine, Lane::Write);
    assert!(is_written_at_once(&mut engine), "this one came back soon");
    assert_safe(&mut engine);
}

#[test]
fn where_a_write_was_slow_behind_a_quick_probe_no_probe_is_believed_for_eight_fsyncs() {
    let mut engine = engine();
    engine.log.note_write_beside_sync(Micros(SOON));
    let believes = |engine: &mut Engine| {
        assert!(is_written_at_once(engine));
        begin_sync(engine);
        assert!(!is_written_at_once(engine));
        step(engine, Lane::Write);
        let believes = is_written_at_once(engine);
        while !engine.jobs.is_empty() {
            engine.step(0);
            engine.take_jobs();
        }
        believes
    };
    assert!(believes(&mut engine));
    engine.log.note_write_beside_sync(Micros(LATE));
    let calm = (1..20).find(|_| believes(&mut engine));
    assert_eq!(calm, Some(9), "eight fsyncs without a slow write");
}

#[test]
fn a_probe_that_fails_begins_the_recovery_and_nothing_is_lost() {
    let mut engine = engine();
    begin_sync(&mut engine);
    assert!(!is_written_at_once(&mut engine));
    engine.unit(0, 2, Targets::ALL);
    engine.disk.fail(Operation::Append, 0, 1, io::ErrorKind::StorageFull);
    step(&mut engine, Lane::Write);
    assert!(engine.log.failing().is_some());
    assert_eq!(engine.log.written(), LogPosition(1));
    assert_safe(&mut engine);
}

#[test]
fn an_fsync_that_fails_calls_the_probe_back_before_the_next_file_goes_on() {
    let mut engine = engine();
    begin_sync(&mut engine);
    assert!(!is_written_at_once(&mut engine));
    engine.disk.fail(Operation::Sync, 0, 1, io::ErrorKind::Other);
    step(&mut engine, Lane::Sync);
    assert!(engine.log.failing().is_some());
    assert_safe(&mut engine);
}

#[test]
fn a_probe_that_outlives_its_fsync_says_nothing_of_the_next() {
    let mut engine = engine();
    begin_sync(&mut engine);
    assert!(!is_written_at_once(&mut engine));
    step(&mut engine, Lane::Sync);
    assert!(!is_written_at_once(&mut engine), "bytes keep their order");
    engine.log.note_write_beside_sync(Micros(SOON));
    assert!(engine.log.start_sync(engine.now).is_none(), "nothing more was written");
    step(&mut engine, Lane::Write);
    assert_eq!(engine.log.written(), LogPosition(3));
    // One that is still out while the next fsync begins is not believed either.
    begin_sync(&mut engine);
    assert!(!is_written_at_once(&mut engine));
    step(&mut engine, Lane::Write);
    assert!(is_written_at_once(&mut engine));
    assert!(is_written_at_once(&mut engine));
    assert_safe(&mut engine);
}

#[test]
fn a_switch_waits_for_the_probe_and_nothing_behind_it_is_written_before() {
    let mut engine = engine();
    engine.log.begin_rewrite().expect("nothing stands in its way");
    engine.rest();
    assert_eq!(engine.log.rewrite_stage(), Some(RewriteStage::Ready));
    assert!(is_written_at_once(&mut engine));
    begin_sync(&mut engine);
    assert!(!is_written_at_once(&mut engine));
    engine.unit(0, 1, Targets::ALL);
    engine.rewrite();
    assert!(!is_written_at_once(&mut engine), "this one belongs into the next file");
    let old = Path::new("/data/appendonlydir/appendonly.aof.1.incr.aof");
    let length = |engine: &Engine| engine.disk.content(old).expect("the file before the switch").len();
    step(&mut engine, Lane::Write);
    // Up to the switch the probe lets it be written at once; the fsync that the switch needs comes next.
    assert_eq!(engine.log.written(), LogPosition(4));
    let before = length(&engine);
    step(&mut engine, Lane::Sync);
    engine.take_jobs();
    assert_eq!(lanes(&engine), [Lane::Sync]);
    assert!(!is_written_at_once(&mut engine));
    step(&mut engine, Lane::Sync);
    step(&mut engine, Lane::Sync);
    assert_eq!((engine.log.written(), length(&engine)), (LogPosition(6), before));
    while engine.log.rewrite_stage().is_some() {
        engine.rewrite();
        engine.rest();
    }
    assert_safe(&mut engine);
}

#[test]
fn a_write_that_is_owed_before_a_switch_is_made_aside_too() {
    let mut engine = engine();
    engine.log.begin_rewrite().expect("nothing stands in its way");
    engine.rest();
    assert!(is_written_at_once(&mut engine));
    begin_sync(&mut engine);
    engine.unit(0, 1, Targets::ALL);
    engine.rewrite();
    engine.unit(0, 1, Targets::ALL);
    let calls = engine.disk.calls();
    engine.take_jobs();
    assert_eq!((engine.disk.calls(), lanes(&engine)), (calls, vec![Lane::Sync, Lane::Write]));
    engine.pass(5_000_000);
    step(&mut engine, Lane::Write);
    assert_eq!(engine.log.written(), LogPosition(3), "up to the switch");
    assert_safe(&mut engine);
}

#[test]
fn the_end_of_the_process_waits_for_no_thread() {
    let mut engine = engine();
    begin_sync(&mut engine);
    assert!(!is_written_at_once(&mut engine));
    engine.unit(0, 2, Targets::ALL);
    engine.log.sync_now(engine.now).expect("a sound disk");
    assert_eq!(engine.log.synced(), LogPosition(4));
    // The thread comes too late, and writes nothing again.
    assert_safe(&mut engine);
    assert!(is_written_at_once(&mut engine));
    begin_sync(&mut engine);
    assert!(!is_written_at_once(&mut engine));
    assert_eq!(engine.log.stop(engine.now), Ok(()));
    engine.rest();
    assert_eq!(loaded(&engine.disk, &engine.directory).1, 6);
}

#[test]
fn the_fsync_by_which_a_log_is_switched_on_stops_nobody_either() {
    let mut engine = engine();
    assert_eq!(engine.log.stop(engine.now), Ok(()));
    engine.log.begin_rewrite().expect("nothing stands in its way");
    engine.take_jobs();
    while !engine.jobs.is_empty() {
        engine.step(0);
    }
    engine.rewrite();
    assert!(is_written_at_once(&mut engine));
    engine.rewrite();
    engine.take_jobs();
    assert!(!is_written_at_once(&mut engine));
    assert_eq!(lanes(&engine), [Lane::Save, Lane::Write]);
    engine.rest();
    assert_eq!(engine.log.phase(), Phase::On);
    assert_safe(&mut engine);
}

#[test]
fn where_replies_wait_for_the_fsync_behind_their_write_none_is_probed() {
    let mut engine = Engine::start(MemoryDisk::new(), settings(), Now::default());
    assert!(is_written_at_once(&mut engine));
    begin_sync(&mut engine);
    assert!(is_written_at_once(&mut engine));
}
