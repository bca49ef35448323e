//! Units sealed into records, records into batches.

use tenon_resp::{Batch, Decoder, Limits, OwnedArgs};

use super::*;

fn journal() -> Journal {
    let mut journal = Journal::new(LogPosition(100), ReplicationOffset(1000));
    journal.set_readers(true, true);
    journal
}

/// Seals one unit; an operation is its database, its words and its targets.
fn unit(journal: &mut Journal, operations: &[(u32, &str, Targets)]) -> SealedRange {
    journal.begin_unit();
    for (db, words, targets) in operations {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        journal.operation(*db, OwnedArgs::from(words.as_slice()).as_args(), *targets);
    }
    journal.seal()
}

/// The commands in some pieces, one string each.
fn commands<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let bytes = pieces.collect::<Vec<_>>().concat();
    let (mut decoder, mut batch) = (Decoder::new(), Batch::new());
    assert_eq!(decoder.decode(&bytes, &Limits::default(), &mut batch), Ok(bytes.len()));
    let words = |index| {
        batch.request(index, &bytes).iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
    };
    (0..batch.len()).map(words).collect()
}

/// What a take gives: the log's batches with their databases, and the replicas' commands. Checks the counts.
fn taken(journal: &mut Journal) -> (Vec<(u32, Vec<String>)>, Vec<String>) {
    let Some(taken) = journal.take_batch() else { return (Vec::new(), Vec::new()) };
    let log = taken.log_batches().map(|batch| {
        let commands = commands(batch.pieces());
        assert_eq!(commands.len(), batch.commands());
        assert!(!batch.is_empty());
        assert!(batch.len() > 14 * batch.commands() - 1);
        (batch.db(), commands)
    });
    let result = (log.collect(), commands(taken.replica_pieces()));
    let replica_bytes: usize = taken.replica_pieces().map(<[u8]>::len).sum();
    assert_eq!(taken.offsets().end - taken.offsets().start, replica_bytes as u64);
    journal.recycle(taken);
    result
}

#[test]
fn one_operation_is_itself_and_several_are_wrapped() {
    let mut journal = journal();
    let first = unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    assert_eq!((first.positions, first.operations), (LogPosition(100)..LogPosition(101), 1));
    let second = unit(&mut journal, &[(0, "DEL a", Targets::ALL), (0, "SADD s x", Targets::ALL)]);
    assert_eq!(second.offsets.start, first.offsets.end);
    let expected = ["SELECT 0", "SET a 1", "MULTI", "DEL a", "SADD s x", "EXEC"].map(String::from).to_vec();
    assert_eq!(taken(&mut journal), (vec![(0, expected.clone())], expected));
    assert_eq!(taken(&mut journal), (Vec::new(), Vec::new()));

    unit(&mut journal, &[(0, "SET b 1", Targets::ALL)]);
    let expected = vec!["SET b 1".to_owned()];
    assert_eq!(
        taken(&mut journal),
        (vec![(0, expected.clone())], expected),
        "the database is still selected"
    );
}

#[test]
fn a_change_of_database_starts_a_batch_and_select_stands_inside_multi() {
    let mut journal = journal();
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    unit(&mut journal, &[(3, "SET b 1", Targets::ALL), (3, "SET c 1", Targets::ALL)]);
    unit(&mut journal, &[(3, "MOVE d 5", Targets::ALL), (5, "SET d 1", Targets::ALL)]);
    unit(&mut journal, &[(5, "DEL d", Targets::ALL)]);
    unit(&mut journal, &[(3, "DEL b", Targets::ALL)]);
    let (log, replicas) = taken(&mut journal);
    let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let expected = vec![
        (0, strings(&["SELECT 0", "SET a 1"])),
        (
            3,
            strings(&[
                "MULTI", "SELECT 3", "SET b 1", "SET c 1", "EXEC", "MULTI", "MOVE d 5", "SELECT 5",
                "SET d 1", "EXEC", "DEL d",
            ]),
        ),
        (3, strings(&["SELECT 3", "DEL b"])),
    ];
    assert_eq!(log, expected);
    assert_eq!(replicas, expected.into_iter().flat_map(|(_, commands)| commands).collect::<Vec<_>>());
}

#[test]
fn a_batch_is_named_after_what_the_log_gets_of_its_first_record() {
    let mut journal = journal();
    unit(&mut journal, &[(1, "SET a 1", Targets::ALL)]);
    unit(&mut journal, &[(0, "PUBLISH c m", Targets::REPLICAS), (1, "SET a 2", Targets::ALL)]);
    let (log, replicas) = taken(&mut journal);
    assert_eq!(log, [(1, ["SELECT 1", "SET a 1", "MULTI", "SET a 2", "EXEC"].map(String::from).to_vec())]);
    let expected = ["SELECT 1", "SET a 1", "MULTI", "SELECT 0", "PUBLISH c m", "SELECT 1", "SET a 2", "EXEC"];
    assert_eq!(replicas, expected);
}

#[test]
fn batches_tell_their_units_and_offsets() {
    let mut journal = journal();
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    let second = unit(&mut journal, &[(0, "SET a 2", Targets::ALL)]);
    unit(&mut journal, &[(1, "SET a 3", Targets::ALL)]);
    let batch = journal.take_batch().unwrap();
    let ranges: Vec<_> = batch.log_batches().map(|batch| (batch.positions(), batch.first_offset())).collect();
    assert_eq!(
        ranges,
        [
            (LogPosition(100)..LogPosition(102), ReplicationOffset(1000)),
            (LogPosition(102)..LogPosition(103), second.offsets.end),
        ]
    );
    assert_eq!(
        (batch.positions(), batch.offsets().end),
        (LogPosition(100)..LogPosition(103), journal.offset())
    );
}

#[test]
fn a_seam_selects_again() {
    let mut journal = journal();
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    journal.seam();
    unit(&mut journal, &[(0, "SET a 2", Targets::ALL)]);
    let (log, _) = taken(&mut journal);
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].1, ["SELECT 0", "SET a 2"]);
}

#[test]
fn each_reader_gets_its_own_and_keeps_its_own_database() {
    let mut journal = journal();
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    unit(&mut journal, &[(2, "PUBLISH c m", Targets::REPLICAS)]);
    unit(&mut journal, &[(0, "SET a 2", Targets::ALL)]);
    unit(&mut journal, &[(0, "SET l 1", Targets::LOG), (0, "SET r 1", Targets::REPLICAS)]);
    unit(&mut journal, &[(0, "SET n 1", Targets::NONE)]);
    let (log, replicas) = taken(&mut journal);
    assert_eq!(
        log,
        [(0, ["SELECT 0", "SET a 1", "SET a 2", "MULTI", "SET l 1", "EXEC"].map(String::from).to_vec())]
    );
    let expected =
        ["SELECT 0", "SET a 1", "SELECT 2", "PUBLISH c m", "SELECT 0", "SET a 2", "MULTI", "SET r 1", "EXEC"];
    assert_eq!(replicas, expected);
}

#[test]
fn a_replica_only_record_before_a_batch_stays_out_of_it() {
    let mut journal = journal();
    unit(&mut journal, &[(0, "PING", Targets::REPLICAS)]);
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    unit(&mut journal, &[(1, "PING", Targets::REPLICAS)]);
    unit(&mut journal, &[(1, "SET a 2", Targets::ALL)]);
    let (log, replicas) = taken(&mut journal);
    let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(log, [(0, strings(&["SELECT 0", "SET a 1"])), (1, strings(&["SELECT 1", "SET a 2"]))]);
    assert_eq!(replicas, ["SELECT 0", "PING", "SET a 1", "SELECT 1", "PING", "SET a 2"]);
}

#[test]
fn without_readers_sealing_only_counts() {
    let mut journal = Journal::new(LogPosition(0), ReplicationOffset(7));
    let sealed = unit(&mut journal, &[(0, "SET a 1", Targets::ALL), (0, "SET b 1", Targets::ALL)]);
    assert_eq!((sealed.positions, sealed.operations), (LogPosition(0)..LogPosition(1), 2));
    assert_eq!(sealed.offsets, ReplicationOffset(7)..ReplicationOffset(7));
    assert_eq!(unit(&mut journal, &[]).positions, LogPosition(1)..LogPosition(1));
    assert!(journal.take_batch().is_none());

    journal.set_readers(true, false);
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    unit(&mut journal, &[(0, "PING", Targets::REPLICAS)]);
    let (log, _) = taken(&mut journal);
    assert_eq!(log, [(0, vec!["SELECT 0".to_owned(), "SET a 1".to_owned()])]);
    assert!(journal.offset() > ReplicationOffset(7), "the offset goes on for the log alone");
}

#[test]
fn a_unit_reuses_its_room() {
    let mut journal = journal();
    let mut rooms = Vec::new();
    for _ in 0..6 {
        unit(&mut journal, &[(0, "SET key value", Targets::ALL)]);
        rooms.push((
            journal.unit.bytes.as_ptr(),
            journal.unit.encoded.as_ptr(),
            journal.sealed.bytes.as_ptr(),
        ));
        taken(&mut journal);
    }
    assert_eq!((rooms[2], rooms[3]), (rooms[4], rooms[5]));
}

#[test]
fn words_aside_reach_their_readers_and_are_no_units() {
    let mut journal = journal();
    let ping = OwnedArgs::from([&b"PING"[..]].as_slice());
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    journal.aside(ping.as_args(), Targets::REPLICAS);
    let last = unit(&mut journal, &[(0, "SET b 2", Targets::ALL)]);
    assert_eq!(last.positions, LogPosition(101)..LogPosition(102));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (log, replicas) = taken(&mut journal);
    assert_eq!(log, vec![(0, words(&["SELECT 0", "SET a 1", "SET b 2"]))]);
    assert_eq!(replicas, words(&["SELECT 0", "SET a 1", "PING", "SET b 2"]));
    journal.set_readers(true, false);
    let offset = journal.offset();
    journal.aside(ping.as_args(), Targets::REPLICAS);
    assert_eq!((journal.offset(), journal.take_batch().is_none()), (offset, true));
}

#[test]
fn each_reader_has_seams_of_its_own() {
    let mut journal = journal();
    unit(&mut journal, &[(3, "SET a 1", Targets::ALL)]);
    journal.take_batch();
    assert_eq!(journal.replica_db(), Some(3));
    journal.replica_seam();
    unit(&mut journal, &[(3, "SET a 2", Targets::ALL)]);
    let both = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (log, replicas) = taken(&mut journal);
    assert_eq!((log, replicas), (vec![(3, both(&["SET a 2"]))], both(&["SELECT 3", "SET a 2"])));
    journal.log_seam();
    unit(&mut journal, &[(3, "SET a 3", Targets::ALL)]);
    let (log, replicas) = taken(&mut journal);
    assert_eq!((log, replicas), (vec![(3, both(&["SELECT 3", "SET a 3"]))], both(&["SET a 3"])));
}

#[test]
fn effects_that_do_not_belong_together_are_not_wrapped() {
    let mut journal = journal();
    journal.begin_unit();
    for word in ["a", "b"] {
        let words = OwnedArgs::from([&b"DEL"[..], word.as_bytes()].as_slice());
        journal.operation(0, words.as_args(), Targets::ALL);
    }
    assert_eq!(journal.seal_apart().positions, LogPosition(100)..LogPosition(101));
    let expected = ["SELECT 0", "DEL a", "DEL b"].map(String::from).to_vec();
    assert_eq!(taken(&mut journal), (vec![(0, expected.clone())], expected));
}

#[test]
fn what_is_followed_is_passed_on_as_it_came_and_counted() {
    let mut journal = journal();
    journal.set_offset(ReplicationOffset(5_000));
    let bytes = b"*1\r\n$4\r\nPING\r\n";
    journal.relay(bytes);
    unit(&mut journal, &[(2, "SET a 1", Targets::LOG)]);
    let (log, replicas) = taken(&mut journal);
    assert_eq!(log, vec![(2, vec!["SELECT 2".to_owned(), "SET a 1".to_owned()])]);
    assert_eq!((replicas, journal.offset()), (vec!["PING".to_owned()], ReplicationOffset(5_014)));
    journal.set_readers(true, false);
    journal.relay(bytes);
    assert_eq!((journal.take_batch().is_none(), journal.offset()), (true, ReplicationOffset(5_028)));
}

#[test]
fn what_a_follower_logs_ends_in_the_database_of_the_stream_and_stands_at_its_place() {
    let mut journal = journal();
    journal.set_home(Some(0));
    let stream = |journal: &mut Journal, db: u32, words: &str| {
        journal.relay(words.as_bytes());
        unit(journal, &[(db, words, Targets::LOG)]);
    };
    stream(&mut journal, 0, "SET a 1");
    journal.relay(b"SELECT 3");
    journal.set_home(Some(3));
    stream(&mut journal, 3, "SET b 1");
    // A client of the follower's own.
    unit(&mut journal, &[(0, "SET own 1", Targets::LOG)]);
    journal.relay(b"PING");
    let batch = journal.take_batch().unwrap();
    let batches: Vec<_> = batch
        .log_batches()
        .map(|batch| (batch.end_offset() - ReplicationOffset(1_000), commands(batch.pieces())))
        .collect();
    let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        batches,
        [
            (7, strings(&["SELECT 0", "SET a 1"])),
            (22, strings(&["SELECT 3", "SET b 1"])),
            (22, strings(&["MULTI", "SELECT 0", "SET own 1", "SELECT 3", "EXEC"])),
        ],
        "neither the SELECT behind the first nor the PING behind the last is at work yet"
    );
    assert_eq!(batch.offsets().end - ReplicationOffset(1_000), 26);
}

/// An operation: its database, its words and its targets.
type Effect = (u32, &'static str, Targets);

/// Where the log's batches stand and in which database they end, and what the stream has selected there.
fn stands(journal: &mut Journal) -> Vec<(u32, u32)> {
    let taken = journal.take_batch().expect("something was sealed");
    let stream = taken.replica_pieces().collect::<Vec<_>>().concat();
    let selected = |words: &[String], before: Option<u32>| {
        let mut selects = words.iter().filter_map(|words| words.strip_prefix("SELECT "));
        selects.next_back().map_or(before, |db| db.parse().ok())
    };
    let (mut log, mut pairs) = (None, Vec::new());
    for batch in taken.log_batches() {
        log = selected(&commands(batch.pieces()), log);
        let until = (batch.end_offset() - taken.offsets().start) as usize;
        let sent = commands(std::iter::once(&stream[..until]));
        let (begun, ended) =
            ["MULTI", "EXEC"].map(|word| sent.iter().filter(|sent| *sent == word).count()).into();
        assert_eq!(begun, ended, "in the midst of a transaction: {sent:?}");
        pairs.push((log.expect("a selected one"), selected(&sent, None).expect("a selected one")));
    }
    pairs
}

#[test]
fn a_primary_s_batch_stands_where_its_stream_has_the_same_database() {
    let (both, stream, log) = (Targets::ALL, Targets::REPLICAS, Targets::LOG);
    let histories: [&[&[Effect]]; 7] = [
        &[&[(0, "SET a 1", both)], &[(1, "PUBLISH c m", stream)]],
        &[&[(0, "SET a 1", both)], &[(1, "PUBLISH c m", stream), (1, "PUBLISH c n", stream)]],
        &[&[(0, "SET a 1", both)], &[(1, "PUBLISH c m", stream)], &[(2, "SET b 1", both)]],
        &[&[(0, "SET a 1", both)], &[(1, "PUBLISH c m", stream)], &[(0, "SET b 1", both)]],
        &[&[(0, "SET a 1", both)], &[(2, "SET a 2", log)]],
        &[&[(0, "SET a 1", both), (1, "PUBLISH c m", stream)]],
        &[&[(0, "SET a 1", both), (2, "SET a 2", log), (1, "PUBLISH c m", stream)]],
    ];
    for history in histories {
        let mut journal = journal();
        for operations in history {
            unit(&mut journal, operations);
        }
        let stands = stands(&mut journal);
        assert!(stands.iter().all(|(log, stream)| log == stream), "{stands:?} of {history:?}");
    }
    // A message in the same database is behind it, too: who has it may go on.
    let mut journal = journal();
    unit(&mut journal, &[(0, "SET a 1", both)]);
    unit(&mut journal, &[(1, "PUBLISH c m", stream)]);
    unit(&mut journal, &[(0, "PUBLISH c m", stream)]);
    let batch = journal.take_batch().expect("something was sealed");
    assert!(batch.log_batches().all(|found| found.end_offset() == batch.offsets().end));
}

#[test]
fn a_named_place_is_behind_everything_in_the_database_of_the_stream() {
    let mut journal = journal();
    unit(&mut journal, &[(0, "SET a 1", Targets::ALL)]);
    unit(&mut journal, &[(3, "PUBLISH c m", Targets::REPLICAS)]);
    journal.aside(OwnedArgs::from([&b"PING"[..]].as_slice()).as_args(), Targets::REPLICAS);
    journal.name_place();
    unit(&mut journal, &[(3, "SET b 1", Targets::ALL)]);
    let batch = journal.take_batch().expect("something was sealed");
    let batches: Vec<_> =
        batch.log_batches().map(|batch| (batch.db(), commands(batch.pieces()), batch.end_offset())).collect();
    assert_eq!(batches[1].0, 3);
    assert_eq!(batches[1].1, ["SELECT 3", "SET b 1"]);
    assert_eq!(batches[1].2, batch.offsets().end);
    journal.recycle(batch);

    journal.aside(OwnedArgs::from([&b"PING"[..]].as_slice()).as_args(), Targets::REPLICAS);
    journal.name_place();
    let batch = journal.take_batch().expect("something was sealed");
    let last = batch.log_batches().last().expect("a batch");
    assert_eq!((last.end_offset(), commands(last.pieces())), (journal.offset(), vec!["SELECT 3".to_owned()]));
    journal.recycle(batch);

    // A follower's log stands where its records do.
    journal.set_home(Some(0));
    journal.name_place();
    assert!(journal.take_batch().is_none());
}

#[test]
fn effects_are_counted_in_bytes_whoever_reads() {
    for (log, replicas) in [(false, false), (true, false), (true, true)] {
        let mut journal = journal();
        journal.set_readers(log, replicas);
        unit(&mut journal, &[(0, "SET key value", Targets::ALL), (0, "DEL k", Targets::LOG)]);
        unit(&mut journal, &[(0, "PUBLISH channel news", Targets::REPLICAS)]);
        assert_eq!(journal.effect_bytes(), 11 + 4, "read by the log: {log}, by replicas: {replicas}");
    }
}
