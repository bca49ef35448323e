//! Loading: good files, torn ones, damaged ones, those of other servers, hostile ones.

use std::path::PathBuf;

use tenon_base::{Dice, UnixMillis};
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_resp::{Args, OwnedArgs, write_request};

use super::*;
use crate::batch_writer::Frame;
use crate::command_base::{BATCH_BYTES_MAX, CommandBase};
use crate::header::HEADER_BYTES;
use crate::memory_disk::MemoryDisk;

const ID: ReplicationId = ReplicationId([b'b'; 40]);
const OPTIONS: LoadOptions = LoadOptions { cut_torn_end: true, damaged_tail_bytes_max: 0, checksum: true };
const NAME: &str = "appendonly.aof";

/// Keeps the commands as text.
#[derive(Default)]
struct Transcript {
    commands: Vec<String>,
    passed: Vec<String>,
    notices: Vec<String>,
    rdb: Option<BaseLoaded>,
    /// Bytes that are loaded, of how many.
    progress: Option<(u64, u64)>,
}

impl LoadSink for Transcript {
    fn rdb(&mut self, _file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        assert!(self.progress.is_some_and(|(_, total)| total > 0), "how much there is is said first");
        self.commands.push("RDB".to_owned());
        self.rdb.ok_or_else(|| "no RDB file".to_owned())
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        if args.get(0) == b"NOSUCH" {
            return Err("Unknown command 'NOSUCH'".to_owned());
        }
        let words: Vec<_> = args.iter().map(String::from_utf8_lossy).collect();
        self.commands.push(words.join(" "));
        Ok(())
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        assert!(loaded_bytes <= total_bytes);
        let before = self.progress.replace((loaded_bytes, total_bytes));
        assert!(before.is_none_or(|(bytes, total)| bytes <= loaded_bytes && total == total_bytes));
    }

    fn notice(&mut self, line: LoadNotice) {
        self.notices.push(line.text);
    }

    fn passed(&mut self, passed: Passed<'_>) -> Result<(), String> {
        self.passed.push(match passed {
            Passed::File { name, bytes } => format!("{name} of {bytes}"),
            Passed::Batch { at, header } => format!("{at}: batch up to offset {}", header.offset.0),
            Passed::Timestamp { at, unix_seconds } => format!("{at}: second {unix_seconds}"),
            Passed::Command { at, transaction: None } => format!("{at}: command"),
            Passed::Command { at, transaction: Some(from) } => format!("{at}: command of {from}"),
            Passed::Whole { end } => format!("{end}: whole"),
        });
        Ok(())
    }
}

fn command(words: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    write_request(&mut out, OwnedArgs::from(words.as_slice()).as_args());
    out
}

fn commands(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| command(line)).collect()
}

fn batch(offset: u64, db: u32, lines: &[&str]) -> Vec<u8> {
    batch_behind(0, offset, db, lines)
}

/// A batch that was written when so many bytes before it were not durable.
fn batch_behind(unsynced_bytes: u64, offset: u64, db: u32, lines: &[&str]) -> Vec<u8> {
    let frame = Frame {
        header: Some((UnixMillis(1_700_000_000_000), &ID)),
        timestamp: None,
        select: false,
        offset: ReplicationOffset(offset),
        db,
        unsynced_bytes,
    };
    let (mut out, content) = (Vec::new(), commands(lines));
    frame.write(&mut out, std::iter::once(content.as_slice()));
    out
}

struct Place {
    disk: MemoryDisk,
    directory: Directory,
}

impl Place {
    /// A log of these increments.
    fn of(increments: &[&[u8]]) -> Place {
        let place = Place { disk: MemoryDisk::new(), directory: Directory::new("/d/aof", NAME) };
        let mut manifest = Manifest::default();
        for content in increments {
            let name = manifest.add_increment(NAME);
            place.disk.put(&place.directory.file(&name), content);
        }
        place.disk.put(&place.directory.file(&place.directory.manifest_name()), manifest.print().as_bytes());
        place
    }

    fn load_with(&self, options: LoadOptions) -> (Result<Loaded, AofError>, Transcript) {
        let mut transcript = Transcript::default();
        let result = load(&self.disk, &self.directory, None, options, &mut transcript);
        (result, transcript)
    }

    fn load(&self) -> (Loaded, Vec<String>) {
        let (result, transcript) = self.load_with(OPTIONS);
        (result.unwrap_or_else(|error| panic!("{error}")), transcript.commands)
    }

    fn refused(&self) -> String {
        self.load_with(OPTIONS).0.expect_err("damage").to_string()
    }

    fn increment(&self, sequence: u64) -> Vec<u8> {
        let path = self.directory.file(&format!("{NAME}.{sequence}.incr.aof"));
        self.disk.content(&path).expect("the increment")
    }
}

fn one() -> Vec<u8> {
    batch(100, 0, &["SELECT 0", "SET a 1"])
}

fn two() -> Vec<u8> {
    batch(200, 0, &["SET b 2", "MULTI", "SET c 3", "DEL a", "EXEC", "SET d 4"])
}

mod damaged;
mod memory;

#[test]
fn batches_load_and_say_where_they_end() {
    let place = Place::of(&[&one(), &two()]);
    let (loaded, commands) = place.load();
    assert_eq!(commands, ["SELECT 0", "SET a 1", "SET b 2", "SET c 3", "DEL a", "SET d 4"]);
    let origin = Origin { replication_id: ID, offset: ReplicationOffset(200), db: 0 };
    assert_eq!((loaded.origin, loaded.last_batch), (Some(origin), Some(UnixMillis(1_700_000_000_000))));
    assert_eq!(
        (loaded.found, loaded.commands, loaded.plain_end, loaded.needs_new_increment),
        (true, 6, false, false)
    );
    assert_eq!(loaded.bytes, (one().len() + two().len()) as u64);
}

#[test]
fn what_stands_where_is_told_on_the_way() {
    let plain = commands(&["SET e 5", "MULTI", "SET f 6", "EXEC"]);
    let plain = [b"#TS:1700000001\r\n".as_slice(), &plain].concat();
    let place = Place::of(&[&one(), b"", &plain]);
    let (result, transcript) = place.load_with(OPTIONS);
    result.expect("sound files");
    // The SELECT is marked as ours.
    let (header, select) = (HEADER_BYTES + b"#\r\n".len(), command("SELECT 0").len());
    let set = command("SET a 1").len();
    let (timestamp, multi) = (b"#TS:1700000001\r\n".len(), command("MULTI").len());
    let first = header + select + set;
    let transaction = timestamp + set;
    let expected = [
        format!("{NAME}.1.incr.aof of {first}"),
        "0: batch up to offset 100".to_owned(),
        format!("{header}: command"),
        format!("{}: command", header + select),
        format!("{first}: whole"),
        format!("{NAME}.3.incr.aof of {}", plain.len()),
        "0: second 1700000001".to_owned(),
        format!("{timestamp}: command"),
        format!("{transaction}: whole"),
        format!("{}: command of {transaction}", transaction + multi),
        format!("{}: whole", plain.len()),
    ];
    assert_eq!(transcript.passed, expected);
}

#[test]
fn one_file_loads_alone() {
    let place = Place::of(&[&one(), &two()]);
    let mut transcript = Transcript::default();
    let path = place.directory.file(&format!("{NAME}.2.incr.aof"));
    let loaded = load_file(&place.disk, &path, OPTIONS, &mut transcript).expect("a sound file");
    assert_eq!(transcript.commands, ["SET b 2", "SET c 3", "DEL a", "SET d 4"]);
    assert_eq!((loaded.bytes, loaded.commands, loaded.manifest.is_empty()), (two().len() as u64, 4, true));
    let error = load_file(&place.disk, Path::new("/d/none"), OPTIONS, &mut transcript).expect_err("no file");
    assert!(error.to_string().starts_with("Opening the AOF file /d/none failed"), "{error}");
}

#[test]
fn the_last_batch_torn_anywhere_leaves_those_before_it() {
    let (first, second) = (one(), two());
    for torn in 0..second.len() {
        for zeros in [0, 7, 400] {
            let mut file = [first.as_slice(), &second[..torn]].concat();
            file.resize(file.len() + zeros, 0);
            let place = Place::of(&[&file]);
            let (loaded, commands) = place.load();
            assert_eq!(commands, ["SELECT 0", "SET a 1"], "torn at {torn}, {zeros} zeros");
            assert_eq!(loaded.cut_bytes, (torn + zeros) as u64);
            assert!(!loaded.needs_new_increment);
            assert_eq!(place.increment(1), first);
        }
    }
}

#[test]
fn a_last_batch_whose_page_was_lost_in_part_leaves_those_before_it() {
    let (first, second) = (one(), two());
    for lost in 0..second.len() {
        for from in lost.saturating_sub(9)..=lost {
            let mut file = [first.as_slice(), &second].concat();
            file[first.len() + from..=first.len() + lost].fill(0);
            let place = Place::of(&[&file]);
            let (loaded, commands) = place.load();
            assert_eq!(commands, ["SELECT 0", "SET a 1"], "zeros from {from} to {lost}");
            assert_eq!(loaded.cut_bytes, second.len() as u64);
        }
    }
}

#[test]
fn a_torn_end_is_told_with_bytes_and_commands_and_may_be_refused() {
    let torn = &two()[..two().len() - 3];
    let place = Place::of(&[&[one().as_slice(), torn].concat()]);
    let refused = place.load_with(LoadOptions { cut_torn_end: false, ..OPTIONS }).0.expect_err("a torn end");
    let refused = refused.to_string();
    for part in
        ["Unexpected end of file", "appendonly.aof.1.incr.aof", "aof-load-truncated yes", "at offset "]
    {
        assert!(refused.contains(part), "{refused}");
    }
    let (result, transcript) = place.load_with(OPTIONS);
    result.expect("a cut end");
    let told = transcript.notices.join("\n");
    assert!(told.contains(&format!("{} bytes with 5 whole commands", torn.len())), "{told}");
    let place = Place::of(&[torn, &one()]);
    assert!(place.refused().contains("not the last file"));
    let place = Place::of(&[torn, b"", b""]);
    assert_eq!(place.load().1, [""; 0]);
}

#[test]
fn where_redis_went_on_its_rules_apply() {
    let taken = commands(&["SELECT 0", "SET redis 1"]);
    // It went on behind a whole file of ours, or behind a torn batch that it cut to whole commands.
    let whole = [one().as_slice(), &two(), &taken].concat();
    let (loaded, transcript) = Place::of(&[&whole]).load_with(OPTIONS);
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
    let run = transcript.commands.len();
    assert_eq!((run, loaded.plain_end, loaded.needs_new_increment), (8, true, true));
    let told = format!("From offset {} on the AOF file appendonly.aof.1", whole.len() - taken.len());
    assert!(
        transcript.notices.len() == 1 && transcript.notices[0].starts_with(&told),
        "{:?}",
        transcript.notices
    );
    let cut = HEADER_BYTES + command("SET b 2").len();
    let torn = [one().as_slice(), &two()[..cut], &taken].concat();
    let place = Place::of(&[&torn]);
    let (result, transcript) = place.load_with(OPTIONS);
    let loaded = result.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(transcript.commands, ["SELECT 0", "SET a 1", "SET b 2", "SELECT 0", "SET redis 1"]);
    assert!(transcript.notices[0].contains("another server"), "{:?}", transcript.notices);
    assert!(loaded.needs_new_increment && loaded.plain_end);
    assert_eq!(loaded.origin.map(|origin| origin.offset), Some(ReplicationOffset(100)));
    assert_eq!(place.increment(1), torn);
    // Nothing but a header was left of the batch: what follows is Redis's, though a batch of ours may begin alike.
    for last in [one(), two()] {
        let torn = [one().as_slice(), &last[..HEADER_BYTES], &taken].concat();
        let (loaded, run) = Place::of(&[&torn]).load();
        assert_eq!(run, ["SELECT 0", "SET a 1", "SELECT 0", "SET redis 1"]);
        assert!(loaded.needs_new_increment && loaded.plain_end && loaded.cut_bytes == 0);
    }
}

#[test]
fn plain_files_load_by_redis_rules() {
    let file = [commands(&["SELECT 3", "SET a 1"]), b"#TS:123\r\n".to_vec(), commands(&["SET b 2"])].concat();
    let (loaded, run) = Place::of(&[&file, b""]).load();
    assert_eq!(
        (run, loaded.db, loaded.needs_new_increment),
        (vec!["SELECT 3".into(), "SET a 1".into(), "SET b 2".into()], 3, false)
    );
    let (loaded, _) = Place::of(&[&file]).load();
    assert!(loaded.needs_new_increment && loaded.plain_end);

    let torn = [file.as_slice(), &commands(&["MULTI", "SET c 3"])].concat();
    let place = Place::of(&[&torn]);
    let (loaded, run) = place.load();
    assert_eq!((run.len(), loaded.cut_bytes), (3, commands(&["MULTI", "SET c 3"]).len() as u64));
    assert_eq!(place.increment(1), file);

    let (_, run) = Place::of(&[&file, &command("SET c 3")]).load();
    assert_eq!(run[3..], ["SELECT 0", "SET c 3"], "a file starts in database 0");
}

#[test]
fn bad_formats_are_refused_with_their_place() {
    let good = command("SET a 1");
    for (bad, expected) in [
        (b"hello\r\n".as_slice(), "found 'hello\\r\\n', expected '*' and a number"),
        (b"*0\r\n", "a command of no arguments"),
        (b"*1\r\n:4\r\nPING\r\n", "expected '$' and a number"),
        (b"*x\r\n", "expected '*' and a number"),
        (b"*1\r\n$-1\r\n", "expected '$' and a number"),
    ] {
        let refused = Place::of(&[&[good.as_slice(), bad].concat()]).refused();
        assert!(refused.starts_with("Bad file format reading the append only file /d/aof/"), "{refused}");
        assert!(refused.contains(expected), "{refused}");
    }
    // In Redis's words: tools look for them.
    let refused = Place::of(&[&[good.as_slice(), b"*1\r\n$6\r\nNOSUCH\r\n"].concat()]).refused();
    let expected = "Unknown command 'NOSUCH' reading the append only file /d/aof/appendonly.aof.1.incr.aof at offset 27;";
    assert!(refused.starts_with(expected), "{refused}");
    let place = Place::of(&[&good]);
    place
        .disk
        .put(&place.directory.file(&place.directory.manifest_name()), b"file gone.1.incr.aof seq 1 type i\n");
    assert!(place.refused().contains("gone.1.incr.aof"));
}

#[test]
fn a_continued_file_ends_where_the_next_one_says() {
    let (first, second) = (one(), two());
    let refused_by_disk = [first.as_slice(), &second[..20]].concat();
    let next =
        [crate::marker::print("appendonly.aof.1.incr.aof", first.len() as u64), second.clone()].concat();
    let place = Place::of(&[&refused_by_disk, &next]);
    let (loaded, run) = place.load();
    assert_eq!((run.len(), loaded.cut_bytes, loaded.needs_new_increment), (6, 0, false));
    assert_eq!(place.increment(1), first);
    let next = [crate::marker::print("appendonly.aof.1.incr.aof", 10_000), second].concat();
    assert!(Place::of(&[&refused_by_disk, &next]).refused().contains("goes on from offset 10000"));
}

#[test]
fn an_old_file_becomes_the_base() {
    let place = Place { disk: MemoryDisk::new(), directory: Directory::new("/d/aof", NAME) };
    let old = PathBuf::from("/d/appendonly.aof");
    let content = [b"REDIS-some-rdb".as_slice(), &command("SET a 1")].concat();
    place.disk.put(&old, &content);
    for _ in 0..2 {
        let mut transcript =
            Transcript { rdb: Some(BaseLoaded { bytes: 14, origin: None }), ..Transcript::default() };
        let loaded =
            load(&place.disk, &place.directory, Some(&old), OPTIONS, &mut transcript).expect("a log");
        assert_eq!(transcript.commands, ["RDB", "SET a 1"]);
        assert_eq!(loaded.manifest.print(), "file appendonly.aof seq 1 type b\n");
    }
    assert_eq!(
        (place.disk.content(&old), place.disk.content(&place.directory.file(NAME))),
        (None, Some(content))
    );
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let place = Place { disk: MemoryDisk::new(), directory: Directory::new("/d/aof", NAME) };
    let (loaded, run) = place.load();
    assert_eq!((loaded.found, loaded.manifest.is_empty(), run.len()), (false, true, 0));
}

#[test]
fn a_base_of_commands_is_batches_of_a_mebibyte() {
    let origin = Origin { replication_id: ID, offset: ReplicationOffset(9), db: 0 };
    for checksum in [true, false] {
        let (mut base, mut out, mut expected) =
            (CommandBase::new(origin, checksum, false), Vec::new(), Vec::new());
        for index in 0..3_000 {
            let db = if index < 2_000 { 0 } else { 5 };
            let line = format!("SET {index} {}", "v".repeat(1_000));
            if index == 0 || index == 2_000 {
                expected.push(format!("SELECT {db}"));
            }
            base.add(UnixMillis(1), db, &command(&line), &mut out);
            expected.push(line);
        }
        base.end(UnixMillis(1), &mut out);
        expected.push("SELECT 0".to_owned());
        let (loaded, run) = Place::of(&[&out]).load();
        assert!(run == expected && loaded.plain_end != checksum);
        if let Some(header) = crate::header::BatchHeader::parse(&out) {
            assert!(header.batch_bytes as usize <= BATCH_BYTES_MAX && header.batch_bytes > 1_000_000);
            assert!(checksum);
        }
    }
}

#[test]
fn large_values_cross_blocks() {
    let value = "v".repeat(3 << 20);
    let line = format!("SET large {value}");
    let file = [one(), batch(300, 0, &[&line]), batch(400, 1, &["SELECT 1", "SET after 1"])].concat();
    let (loaded, run) = Place::of(&[&file]).load();
    assert_eq!((run.len(), run[2] == line, run[4].as_str(), loaded.db), (5, true, "SET after 1", 1));
    let torn = &file[..file.len() - batch(400, 1, &["SELECT 1", "SET after 1"]).len() - 10];
    assert_eq!(Place::of(&[torn]).load().1.len(), 2);
}

/// Whatever bytes a file has: an answer, and no panic.
#[test]
fn hostile_bytes_end_in_an_answer() {
    let good = [one(), two(), commands(&["MULTI", "SET x 1", "EXEC"])].concat();
    for seed in 0..3_000 {
        let mut dice = Dice::seeded(seed);
        let mut file = good.clone();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(file.len() as u64) as usize;
            match dice.below(4) {
                0 => file[at] = dice.roll() as u8,
                1 => file.truncate(at + 1),
                2 => drop(file.drain(at..(at + dice.below(40) as usize).min(file.len()))),
                _ => {
                    let piece = [
                        b"*999999999999\r\n".as_slice(),
                        b"$99999999999999999999\r\n",
                        b"$4294967295\r\n",
                        b"#",
                    ];
                    let piece = piece[dice.below(4) as usize];
                    file.splice(at..at, piece.iter().copied());
                }
            }
            file.push(b'*');
        }
        let (result, transcript) = Place::of(&[&file]).load_with(OPTIONS);
        assert!(transcript.commands.len() <= 12, "seed {seed}");
        if let Err(error) = result {
            assert!(error.to_string().contains("appendonly.aof.1.incr.aof"), "seed {seed}: {error}");
        }
    }
}

#[test]
fn what_a_lost_manifest_named_is_told_of_and_not_written_over() {
    let place = Place::of(&[&one(), &two()]);
    for other in [
        "appendonly.aof.7.base.rdb",
        "appendonly.aof.x.base.rdb",
        "other.aof.9.incr.aof",
        "appendonly.aof.99",
    ] {
        place.disk.put(&place.directory.file(other), b"somebody's");
    }
    let manifest = place.directory.file(&place.directory.manifest_name());
    place.disk.remove(&manifest).expect("the manifest was there");
    let (result, transcript) = place.load_with(OPTIONS);
    let mut loaded = result.unwrap_or_else(|error| panic!("{error}"));
    assert!(!loaded.found && transcript.commands.is_empty());
    assert!(
        transcript.notices[0].starts_with("There is no manifest in /d/aof, but"),
        "{:?}",
        transcript.notices
    );
    assert_eq!(loaded.manifest.add_increment(NAME), "appendonly.aof.3.incr.aof");
    assert_eq!(loaded.manifest.replace_base(NAME, true), "appendonly.aof.8.base.rdb");
}

#[test]
fn a_file_that_the_manifest_names_and_that_is_gone_is_called_so() {
    let place = Place::of(&[&one(), &two()]);
    let gone = place.directory.file("appendonly.aof.1.incr.aof");
    place.disk.remove(&gone).expect("it was there");
    let refused = place.load_with(OPTIONS).0.expect_err("a file is missing").to_string();
    assert!(
        refused.contains("aof.1.incr.aof failed: No such file") && refused.contains("the manifest names it"),
        "{refused}"
    );
}
