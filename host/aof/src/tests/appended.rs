//! A log of ours that redis-server went on with, torn at every byte: behind a whole batch, and behind one that was torn
//! before and that Redis cut to whole commands.
//! The judges: which commands are whole, and redis-check-aof, which must say the same.

use super::*;
use crate::header::HEADER_BYTES;

const OPTIONS: LoadOptions = LoadOptions { cut_torn_end: true, damaged_tail_bytes_max: 0, checksum: true };
/// Cuts that redis-check-aof is asked about, too.
const REDIS_LOOKS_AT_EVERY: usize = 13;
const INCREMENT: &str = "appendonly.aof.1.incr.aof";

#[test]
fn what_redis_appended_loads_after_a_tear_at_every_byte() {
    if !installed("redis-server") || !installed("redis-check-aof") {
        return;
    }
    let (ours, last_batch) = two_batches();
    let commands = last_batch + HEADER_BYTES;
    let second = commands + request("SET b 2").len();
    let third = second + request("SET c 3").len();
    // Whole; without the last command; within a command; nothing whole but the header; within the header.
    for (index, left) in
        [ours.len(), third, second + 7, commands + 3, last_batch + 20].into_iter().enumerate()
    {
        let scratch = Scratch::new(&format!("appended-{index}"));
        let appended = gone_on_with(&scratch, &ours[..left]);
        let redis_from = appended.len() - redis_part(&appended[last_batch..]).len();
        let places = whole_places(&appended);
        for cut in last_batch..=appended.len() {
            let (content, run) = loaded(&appended[..cut]);
            let whole = places.iter().copied().rfind(|&place| place <= cut).expect("a first batch");
            if cut % REDIS_LOOKS_AT_EVERY == 0 {
                assert_eq!(whole_by_redis(&scratch, &appended[..cut]), whole, "the judges agree at {cut}");
            }
            // Where nothing of Redis's is whole, the last batch is torn, if it is not whole itself.
            let is_ours = whole < redis_from + request("SELECT 0").len();
            let expected_end = match (is_ours, left == ours.len() && cut >= redis_from) {
                (true, true) => redis_from,
                (true, false) => last_batch,
                (false, _) => whole,
            };
            let context = format!("{left} bytes of ours, cut at {cut}");
            assert_eq!(content.len(), expected_end, "{context}");
            assert_eq!(run, whole_commands(&appended[..expected_end]), "{context}");
        }
    }
}

/// An increment of two batches, and where the second one begins.
fn two_batches() -> (Vec<u8>, usize) {
    let (disk, directory) = (MemoryDisk::new(), Directory::new("/log", NAME));
    let settings = settings(false);
    let now = Now { steady: Micros(0), unix_us: 1_700_000_000_000_000 };
    let start = Start { position: LogPosition(0), offset: ReplicationOffset(1), replication_id: ID };
    let mut log = Log::open(&disk, directory.clone(), settings, start, Manifest::default(), false, b"")
        .expect("a fresh log");
    let mut journal = Journal::new(start.position, start.offset);
    journal.set_readers(true, true);
    let mut starts = Vec::new();
    for units in [&["SET a 1"][..], &["SET b 2", "SET c 3", "SADD set x y"]] {
        starts.push(disk.content(&directory.file(INCREMENT)).map_or(0, |content| content.len()));
        for words in units {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            journal.begin_unit();
            journal.operation(0, OwnedArgs::from(words.as_slice()).as_args(), Targets::ALL);
            journal.seal();
        }
        let batch = journal.take_batch().expect("a batch");
        log.append(now, &batch);
        journal.recycle(batch);
    }
    (disk.content(&directory.file(INCREMENT)).expect("the increment"), starts[1])
}

/// What the increment is after Redis started from it and wrote.
fn gone_on_with(scratch: &Scratch, ours: &[u8]) -> Vec<u8> {
    let path = scratch.log().join(INCREMENT);
    fs::write(&path, ours).expect("a file");
    let manifest = format!("file {INCREMENT} seq 1 type i\n");
    fs::write(scratch.log().join(format!("{NAME}.manifest")), manifest).expect("a file");
    let redis = Redis::start(&scratch.0).expect("redis-server is installed");
    let replies = redis.says(
        "SET redis 1\r\nMULTI\r\nINCR n\r\nRPUSH list one two\r\nEXEC\r\nSELECT 3\r\nHSET hash field value\r\nXADD s 5-1 f v\r\n\
         SELECT 0\r\nDEL a\r\nSET last 1",
    );
    assert!(replies.is_some_and(|replies| !replies.contains("-ERR")));
    drop(redis);
    fs::read(path).expect("a file")
}

/// From the first SELECT on: Redis begins with one, and the second batch of ours needs none.
fn redis_part(batch: &[u8]) -> &[u8] {
    let select = request("SELECT 0");
    let places = batch.windows(select.len()).enumerate();
    let mut places = places.filter(|(_, window)| *window == select).map(|(at, _)| at);
    &batch[places.next().expect("Redis wrote")..]
}

/// What is left of the increment, and the commands that were run.
fn loaded(content: &[u8]) -> (Vec<u8>, Vec<String>) {
    let (disk, directory) = (MemoryDisk::new(), Directory::new("/log", NAME));
    disk.put(&directory.file(INCREMENT), content);
    disk.put(
        &directory.file(&format!("{NAME}.manifest")),
        format!("file {INCREMENT} seq 1 type i\n").as_bytes(),
    );
    let mut transcript = Transcript::default();
    load(&disk, &directory, None, OPTIONS, &mut transcript).unwrap_or_else(|error| panic!("{error}"));
    (disk.content(&directory.file(INCREMENT)).expect("the increment"), transcript.0)
}

/// How much redis-check-aof leaves of the file.
fn whole_by_redis(scratch: &Scratch, content: &[u8]) -> usize {
    let path = scratch.0.join("torn.aof");
    fs::write(&path, content).expect("a file");
    let mut check = Command::new("redis-check-aof");
    check.arg("--fix").arg(&path).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = check.spawn().expect("redis-check-aof is installed");
    // It may have ended without a question.
    let _ = child.stdin.take().expect("its input").write_all(b"y\n");
    child.wait().expect("its verdict");
    fs::metadata(&path).expect("a file").len() as usize
}

/// Where a file that is cut there ends with a whole command, and within no transaction.
fn whole_places(content: &[u8]) -> Vec<usize> {
    let (mut places, mut at, mut in_transaction) = (vec![0], 0, false);
    let line = |at: usize| {
        let end = at + content[at..].windows(2).position(|pair| pair == b"\r\n")?;
        Some((std::str::from_utf8(&content[at..end]).ok()?, end + 2))
    };
    while let Some((count, next)) = line(at) {
        at = next;
        let Some(count) = count.strip_prefix('*') else { continue };
        for index in 0..count.parse::<usize>().expect("a number of words") {
            let (_, word) = line(at).expect("a length");
            let (word, next) = line(word).expect("a word");
            in_transaction =
                (in_transaction || (index, word) == (0, "MULTI")) && (index, word) != (0, "EXEC");
            at = next;
        }
        if !in_transaction {
            places.push(at);
        }
    }
    places
}

/// The commands of a file that is whole, as they are run: without headers, MULTI and EXEC.
fn whole_commands(content: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(content).expect("letters alone");
    let mut words = text.split("\r\n").filter(|line| !line.starts_with('#'));
    let mut commands = Vec::new();
    while let Some(count) = words.next().and_then(|line| line.strip_prefix('*')) {
        let count: usize = count.parse().expect("a number of words");
        let command: Vec<&str> = (0..count).filter_map(|_| (words.next(), words.next()).1).collect();
        if !matches!(command[0], "PING" | "MULTI" | "EXEC") {
            commands.push(command.join(" "));
        }
    }
    commands
}
