//! A disk that fills up while the server serves: writes are refused, reads go on, and when there is room again all goes
//! on without a restart. Nothing that was acknowledged is lost. Failing fsyncs are in `fsync_order`.
//! Always: the disk is a small tmpfs of the test's own; where none can be mounted the tests say that they are skipped.

#![allow(clippy::print_stderr, reason = "a skipped test says why on the terminal")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::client::Client;
use support::disks::{SmallDisk, as_root};
use support::reply::Reply;
use support::server::{Program, Server};
use support::tools;

const DISK_BYTES: usize = 4 << 20;
const BALLAST_BYTES: usize = 2 << 20;
const VALUE_BYTES: usize = 8 << 10;
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_with_always() {
    fill_and_recover("always");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_with_everysec() {
    fill_and_recover("everysec");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_with_no() {
    fill_and_recover("no");
}

fn fill_and_recover(level: &str) {
    let Some(disk) = SmallDisk::in_memory(DISK_BYTES, BALLAST_BYTES) else { return };
    let data = disk.path().to_str().expect("a path of letters").to_owned();
    let arguments = ["--dir", &data, "--appendonly", "yes", "--appendfsync", level, "--save", ""];
    let mut server = Server::tenon(&arguments);
    let mut client = server.client();
    let mut acknowledged = Vec::new();

    let refusal = write_until_refused(&mut client, &mut acknowledged);
    assert!(acknowledged.len() * VALUE_BYTES > DISK_BYTES / 4, "{} writes fitted", acknowledged.len());
    assert!(refusal.starts_with("MISCONF "), "{refusal}");
    // As in Redis: whoever watches a server with PING learns of it.
    assert!(client.command(&["PING"]).to_string().starts_with("(error) MISCONF "));
    assert_eq!(client.command(&["GET", &key(0)]), Reply::Bulk(value(0)), "reads go on");
    let refusal = client.command(&["SET", "more", "1"]).to_string();
    assert!(refusal.starts_with("(error) MISCONF "), "the next write too: {refusal}");
    assert_eq!(info(&mut client, "persistence", "aof_last_write_status"), "err");

    disk.drop_ballast();
    write_until_accepted(&mut client, &["SET", "recovered", "yes"]);
    assert_eq!(info(&mut client, "persistence", "aof_last_write_status"), "ok");
    for _ in 0..10 {
        let next = acknowledged.len() + 1_000;
        assert_eq!(client.command(&assignment(next)).text(), "OK");
        acknowledged.push(next);
    }

    server.restart();
    let mut client = server.client();
    assert_eq!(client.command(&["GET", "recovered"]).text(), "yes");
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|number| client.command(&["GET", &key(**number)]) != Reply::Bulk(value(**number)))
        .collect();
    assert!(lost.is_empty(), "lost with appendfsync {level}: {lost:?}");
}

#[test]
fn a_kill_while_the_disk_is_full_loses_nothing_acknowledged() {
    let Some(disk) = SmallDisk::in_memory(DISK_BYTES, BALLAST_BYTES) else { return };
    let data = disk.path().to_str().expect("a path of letters").to_owned();
    let arguments = ["--dir", &data, "--appendonly", "yes", "--appendfsync", "always", "--save", ""];
    let mut server = Server::tenon(&arguments);
    let mut acknowledged = Vec::new();
    write_until_refused(&mut server.client(), &mut acknowledged);
    server.kill9();
    disk.drop_ballast();
    server.restart();
    let mut client = server.client();
    for number in &acknowledged {
        assert_eq!(client.command(&["GET", &key(*number)]), Reply::Bulk(value(*number)), "{}", key(*number));
    }
    assert_eq!(client.command(&["SET", "more", "1"]).text(), "OK");
}

#[test]
fn a_save_that_finds_no_room_is_told_and_stops_writes_until_one_succeeds() {
    let Some(disk) = SmallDisk::in_memory(DISK_BYTES, BALLAST_BYTES) else { return };
    let data = disk.path().to_str().expect("a path of letters").to_owned();
    let server = Server::tenon(&["--dir", &data, "--rdbcompression", "no", "--save", "3600 1"]);
    let mut client = server.client();
    assert_eq!(client.command(&["SAVE"]).text(), "OK");
    for number in 0..(DISK_BYTES - BALLAST_BYTES) * 5 / 4 / VALUE_BYTES {
        assert_eq!(client.command(&assignment(number)).text(), "OK");
    }
    let saved = fs::read(disk.path().join("dump.rdb")).expect("the first save made it");

    assert_eq!(client.command(&["BGSAVE"]).text(), "Background saving started");
    wait_until("the save fails", || info(&mut client, "persistence", "rdb_last_bgsave_status") == "err");
    assert!(server.log().contains("No space left on device"), "{}", server.log());
    let refusal = client.command(&["SET", "more", "1"]).to_string();
    assert!(refusal.starts_with("(error) MISCONF "), "{refusal}");
    assert_eq!(client.command(&["GET", &key(1)]), Reply::Bulk(value(1)), "reads go on");
    assert_eq!(
        fs::read(disk.path().join("dump.rdb")).expect("still there"),
        saved,
        "the old dump is untouched"
    );
    let files = fs::read_dir(disk.path()).expect("the disk can be read");
    let names: Vec<_> = files.filter_map(|file| Some(file.ok()?.file_name())).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("temp-")), "{names:?}");

    assert_eq!(client.command(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]).text(), "OK");
    assert_eq!(client.command(&["SET", "more", "1"]).text(), "OK");
    assert_eq!(client.command(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"]).text(), "OK");
    assert!(client.command(&["SET", "more", "1"]).to_string().starts_with("(error) MISCONF "));

    disk.drop_ballast();
    wait_until("a save succeeds", || {
        client.command(&["BGSAVE"]);
        sleep(Duration::from_millis(100));
        info(&mut client, "persistence", "rdb_last_bgsave_status") == "ok"
    });
    assert_eq!(client.command(&["SET", "more", "2"]).text(), "OK");
}

#[test]
fn what_cannot_have_room_is_refused_before_it_begins() {
    let Some(disk) = SmallDisk::in_memory(DISK_BYTES, BALLAST_BYTES) else { return };
    let data = disk.path().to_str().expect("a path of letters").to_owned();
    let server = Server::tenon(&["--dir", &data, "--rdbcompression", "no", "--save", "3600 1"]);
    let mut client = server.client();
    let count = (DISK_BYTES - BALLAST_BYTES) * 3 / 4 / VALUE_BYTES;
    for number in 0..count {
        assert_eq!(client.command(&assignment(number)).text(), "OK");
    }
    assert_eq!(client.command(&["SAVE"]).text(), "OK");
    let files = || fs::read_dir(disk.path()).expect("the disk can be read").count();
    let before = files();
    for (request, refusal) in [
        (&["BGSAVE"][..], "ERR Background save cannot begin: No space left on device: "),
        (&["BACKUP", "START"], "ERR The backup cannot begin: No space left on device: "),
        (&["BGREWRITEAOF"], "ERR Can't execute an AOF background rewriting: No space left on device: "),
    ] {
        let told = client.command(request).to_string();
        assert!(told.contains(refusal) && told.contains(" bytes free, and about "), "{told}");
    }
    assert_eq!(files(), before, "nothing was begun");
    assert_eq!(info(&mut client, "persistence", "rdb_last_bgsave_status"), "err");
    assert!(server.log().contains("Background saving error: No space left on device"), "{}", server.log());
    assert!(client.command(&["SET", "more", "1"]).to_string().starts_with("(error) MISCONF "));
    disk.drop_ballast();
    assert_eq!(client.command(&["BGSAVE"]).text(), "Background saving started");
    wait_until("the save succeeds", || info(&mut client, "persistence", "rdb_last_bgsave_status") == "ok");
    assert_eq!(client.command(&["SET", "more", "1"]).text(), "OK");
}

#[test]
fn on_a_read_only_disk_saves_and_backups_fail_and_reads_go_on() {
    let Some(disk) = SmallDisk::in_memory(DISK_BYTES, BALLAST_BYTES) else { return };
    let data = disk.path().to_str().expect("a path of letters").to_owned();
    let server = Server::tenon(&["--dir", &data, "--save", "3600 1"]);
    let mut client = server.client();
    assert_eq!(client.command(&["SET", "a", "1"]).text(), "OK");
    assert_eq!(client.command(&["SAVE"]).text(), "OK");
    let Some(read_only) = ReadOnly::mount(disk.path()) else { return };
    assert_eq!(client.command(&["BGSAVE"]).text(), "Background saving started");
    wait_until("the save fails", || info(&mut client, "persistence", "rdb_last_bgsave_status") == "err");
    assert!(server.log().contains("Background saving error: Read-only file system"), "{}", server.log());
    client.command(&["BACKUP", "START", "b"]);
    wait_until("the backup fails", || info(&mut client, "persistence", "backup_last_status") == "err");
    assert!(client.command(&["BACKUP", "STATUS"]).to_string().contains("Read-only file system"));
    assert!(client.command(&["SET", "a", "2"]).to_string().starts_with("(error) MISCONF "));
    assert_eq!(client.command(&["GET", "a"]).text(), "1");
    drop(read_only);
    wait_until("a save succeeds", || {
        client.command(&["BGSAVE"]);
        sleep(Duration::from_millis(50));
        info(&mut client, "persistence", "rdb_last_bgsave_status") == "ok"
    });
    assert_eq!(client.command(&["SET", "a", "2"]).text(), "OK");
}

#[test]
fn a_rewrite_that_finds_no_room_leaves_the_log_as_it_was() {
    let Some(disk) = SmallDisk::in_memory(DISK_BYTES, BALLAST_BYTES) else { return };
    let data = disk.path().to_str().expect("a path of letters").to_owned();
    let arguments = ["--dir", &data, "--appendonly", "yes", "--rdbcompression", "no", "--save", ""];
    let mut server = Server::tenon(&arguments);
    let mut client = server.client();
    let count = (DISK_BYTES - BALLAST_BYTES) * 3 / 5 / VALUE_BYTES;
    for number in 0..count {
        assert_eq!(client.command(&assignment(number)).text(), "OK");
    }
    client.command(&["BGREWRITEAOF"]);
    wait_until("the rewrite fails", || {
        info(&mut client, "persistence", "aof_last_bgrewrite_status") == "err"
    });
    // What the failed rewrite had written is gone again, so there is room for more.
    write_until_accepted(&mut client, &["SET", "after", "1"]);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.command(&["GET", "after"]).text(), "1");
    for number in 0..count {
        assert_eq!(client.command(&["GET", &key(number)]), Reply::Bulk(value(number)));
    }
    disk.drop_ballast();
    client.command(&["BGREWRITEAOF"]);
    wait_until("a rewrite succeeds", || {
        server.log().contains("Background AOF rewrite finished successfully")
    });
}

#[test]
fn a_log_that_finds_no_room_when_it_is_switched_on_is_tried_again() {
    let Some(disk) = SmallDisk::in_memory(DISK_BYTES, BALLAST_BYTES) else { return };
    let data = disk.path().to_str().expect("a path of letters").to_owned();
    let mut server = Server::tenon(&["--dir", &data, "--rdbcompression", "no", "--save", ""]);
    let mut client = server.client();
    let count = (DISK_BYTES - BALLAST_BYTES) * 5 / 4 / VALUE_BYTES;
    for number in 0..count {
        assert_eq!(client.command(&assignment(number)).text(), "OK");
    }
    assert_eq!(client.command(&["CONFIG", "SET", "appendonly", "yes"]).text(), "OK");
    wait_until("the base fails", || info(&mut client, "persistence", "aof_last_bgrewrite_status") == "err");
    assert!(server.log().contains("Removing the temp incr aof file"), "{}", server.log());
    disk.drop_ballast();
    wait_until("the base is written", || {
        info(&mut client, "persistence", "aof_last_bgrewrite_status") == "ok"
    });
    assert_eq!(client.command(&["SET", "after", "1"]).text(), "OK");
    server.kill9();
    let mut server = Server::start(
        Program::Tenon,
        &["--dir", &data, "--appendonly", "yes", "--save", ""],
        server.into_directory(),
    );
    assert_eq!(server.client().command(&["GET", "after"]).text(), "1");
    assert_eq!(server.client().command(&["DBSIZE"]).integer(), count as i64 + 1);
    server.terminate();
}

/// Sets one key after the other until one is refused; gives the refusal.
fn write_until_refused(client: &mut Client, acknowledged: &mut Vec<usize>) -> String {
    for number in 0..2 * DISK_BYTES / VALUE_BYTES {
        match client.command(&assignment(number)) {
            Reply::Error(text) => return text,
            reply => assert_eq!(reply.text(), "OK"),
        }
        acknowledged.push(number);
    }
    panic!("no write was refused, though the disk must be full");
}

fn write_until_accepted(client: &mut Client, request: &[&str]) {
    wait_until("writes are accepted", || !matches!(client.command(request), Reply::Error(_)));
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + RECOVERED_WITHIN;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        sleep(Duration::from_millis(20));
    }
}

/// One field of INFO.
fn info(client: &mut Client, section: &str, field: &str) -> String {
    let text = client.command(&["INFO", section]).text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO {section} has no {field}:\n{text}")).trim().to_owned()
}

fn key(number: usize) -> String {
    format!("key:{number}")
}

/// Told apart by the number at its start and at its end.
fn value(number: usize) -> Vec<u8> {
    let mut value = vec![b'v'; VALUE_BYTES];
    let text = number.to_string();
    value[..text.len()].copy_from_slice(text.as_bytes());
    value[VALUE_BYTES - text.len()..].copy_from_slice(text.as_bytes());
    value
}

/// The request that sets a key to its value.
fn assignment(number: usize) -> [Vec<u8>; 3] {
    [b"SET".to_vec(), key(number).into_bytes(), value(number)]
}

/// The same directory, mounted over itself so that nothing new can be opened for writing.
struct ReadOnly {
    path: PathBuf,
}

impl ReadOnly {
    fn mount(path: &Path) -> Option<ReadOnly> {
        let shown = path.to_str().expect("a path of letters");
        if !as_root(&["mount", "--bind", shown], path) {
            tools::tell("skipped: a directory cannot be mounted a second time here");
            return None;
        }
        let read_only = ReadOnly { path: path.to_owned() };
        as_root(&["mount", "-o", "remount,ro,bind"], path).then_some(read_only)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        as_root(&["umount", "-l"], &self.path);
    }
}
