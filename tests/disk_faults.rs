//! A disk that misbehaves under a running server: slow, stuck, read-only, failing at fsync or at rename. What is served
//! and refused meanwhile, what INFO and the log say, and that nothing acknowledged is lost. A full disk is in `disk`.
//! Always: faults are those of system calls, made by strace; where it may not trace the tests say that they are skipped.

mod support;

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::client::Client;
use support::disks::Faults;
use support::replicas::field;
use support::reply::Reply;
use support::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any request takes that does not wait for the disk, and shorter than a fault.
const AT_ONCE: Duration = Duration::from_millis(900);
const AOF: [&str; 4] = ["--appendonly", "yes", "--save", ""];

fn increment(server: &Server) -> PathBuf {
    server.directory().join("appendonlydir/appendonly.aof.1.incr.aof")
}

/// Whether the log goes on in another file than its first.
fn has_gone_on(server: &Server) -> bool {
    let files = fs::read_dir(server.directory().join("appendonlydir")).expect("the log's directory");
    let mut names = files.filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned()));
    names.any(|name| name.ends_with(".incr.aof") && name != "appendonly.aof.1.incr.aof")
}

/// The reply, and that it came at once.
fn at_once(client: &mut Client, request: &[&str]) -> Reply {
    let began = Instant::now();
    let reply = client.command(request);
    assert!(began.elapsed() < AT_ONCE, "{request:?} took {:?}", began.elapsed());
    reply
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Writes numbered keys until one is refused; says how many were accepted, and the refusal.
fn write_until_refused(client: &mut Client, from: usize) -> (usize, String) {
    let until = Instant::now() + PATIENCE;
    let mut next = from;
    loop {
        match client.command(&["SET", &format!("key:{next}"), &"v".repeat(2_000)]) {
            Reply::Error(text) => return (next, text),
            reply => assert_eq!(reply.text(), "OK"),
        }
        next += 1;
        assert!(Instant::now() < until, "no write is refused");
    }
}

fn assert_all_there(server: &mut Server, count: usize) {
    server.restart();
    let mut client = server.client();
    for number in 0..count {
        assert_eq!(
            client.command(&["STRLEN", &format!("key:{number}")]),
            Reply::Integer(2_000),
            "key:{number}"
        );
    }
}

#[test]
fn behind_a_slow_fsync_nobody_waits() {
    if !Faults::can_be_made() {
        return;
    }
    let server = Server::tenon(&AOF);
    let mut client = server.client();
    client.command(&["SET", "before", "1"]);
    let _slow = Faults::of(&server, "fdatasync,fsync:delay_exit=1500000", None);
    let until = Instant::now() + Duration::from_secs(4);
    let mut count = 0;
    while Instant::now() < until {
        assert_eq!(at_once(&mut client, &["INCR", "count"]), Reply::Integer(count + 1));
        count += 1;
        sleep(Duration::from_millis(5));
    }
    assert_eq!(field(&mut client, "persistence", "aof_last_write_status"), "ok");
    assert!(!server.log().contains("MISCONF"), "{}", server.log());
}

#[test]
fn behind_a_stuck_fsync_writes_wait_and_are_refused_in_the_end_and_reads_go_on() {
    if !Faults::can_be_made() {
        return;
    }
    let bounds = ["--aof-pending-max", "65536", "--aof-stall-timeout", "1"];
    let mut server = Server::tenon(&[&AOF[..], &bounds].concat());
    let mut client = server.client();
    let stuck = Faults::of(&server, "fdatasync,fsync:delay_enter=20000000", None);
    let (count, refusal) = write_until_refused(&mut client, 0);
    assert!(count >= 20 && refusal.contains("the disk does not keep up"), "{count}: {refusal}");
    assert_eq!(at_once(&mut client, &["STRLEN", "key:0"]), Reply::Integer(2_000));
    drop(stuck);
    wait_until("writes are accepted", || client.command(&["SET", "after", "1"]).to_string() == "OK");
    assert_all_there(&mut server, count);
}

#[test]
fn while_fsync_fails_writes_are_refused_and_the_log_goes_on_elsewhere_when_it_works() {
    if !Faults::can_be_made() {
        return;
    }
    for level in ["always", "everysec"] {
        let mut server = Server::tenon(&[&AOF[..], &["--appendfsync", level]].concat());
        let mut client = server.client();
        client.command(&["SET", "key:0", &"v".repeat(2_000)]);
        let failing = Faults::of(&server, "fdatasync,fsync:error=EIO", None);
        let (count, refusal) = write_until_refused(&mut client, 1);
        assert!(refusal.starts_with("MISCONF "), "{refusal}");
        assert_eq!(at_once(&mut client, &["STRLEN", "key:0"]), Reply::Integer(2_000));
        assert_eq!(field(&mut client, "persistence", "aof_last_write_status"), "err");
        assert!(server.log().contains("Input/output error"), "{}", server.log());
        drop(failing);
        wait_until("writes are accepted", || client.command(&["SET", "after", "1"]).to_string() == "OK");
        assert_eq!(field(&mut client, "persistence", "aof_last_write_status"), "ok");
        assert!(has_gone_on(&server), "{}", server.log());
        assert_all_there(&mut server, count);
    }
}

#[test]
fn an_fsync_that_fails_once_is_made_good_in_a_new_file() {
    if !Faults::can_be_made() {
        return;
    }
    let mut server = Server::tenon(&[&AOF[..], &["--appendfsync", "always"]].concat());
    let mut client = server.client();
    client.command(&["SET", "key:0", &"v".repeat(2_000)]);
    let _once = Faults::of(&server, "fdatasync:error=EIO:when=1", None);
    let refusal = client.command(&["SET", "told", "1"]).to_string();
    assert!(refusal.contains("applied in memory, not on disk"), "{refusal}");
    wait_until("writes are accepted", || client.command(&["SET", "after", "1"]).to_string() == "OK");
    assert!(has_gone_on(&server), "{}", server.log());
    assert_all_there(&mut server, 1);
    assert_eq!(
        server.client().command(&["GET", "told"]).text(),
        "1",
        "it was written when the disk recovered"
    );
}

#[test]
fn on_a_disk_that_turns_read_only_writes_are_refused() {
    if !Faults::can_be_made() {
        return;
    }
    let mut server = Server::tenon(&AOF);
    let mut client = server.client();
    client.command(&["SET", "key:0", &"v".repeat(2_000)]);
    let read_only = Faults::of(&server, "write,writev,pwrite64:error=EROFS", Some(&increment(&server)));
    let (count, refusal) = write_until_refused(&mut client, 1);
    assert!(refusal.contains("applied in memory, not on disk"), "{refusal}");
    let refusal = client.command(&["SET", "more", "1"]).to_string();
    assert!(refusal.contains("MISCONF Errors writing to the AOF file: Read-only file system"), "{refusal}");
    assert_eq!(at_once(&mut client, &["STRLEN", "key:0"]), Reply::Integer(2_000));
    drop(read_only);
    wait_until("writes are accepted", || client.command(&["SET", "after", "1"]).to_string() == "OK");
    assert_all_there(&mut server, count);
}

#[test]
fn a_save_that_fails_at_rename_leaves_the_old_dump() {
    if !Faults::can_be_made() {
        return;
    }
    let server = Server::tenon(&["--save", "3600 1"]);
    let mut client = server.client();
    client.command(&["SET", "a", "1"]);
    assert_eq!(client.command(&["SAVE"]).text(), "OK");
    let saved = fs::read(server.directory().join("dump.rdb")).expect("it was saved");
    client.command(&["SET", "a", "2"]);
    let failing = Faults::of(&server, "rename,renameat,renameat2:error=EIO", None);
    assert_eq!(client.command(&["BGSAVE"]).text(), "Background saving started");
    wait_until("the save fails", || field(&mut client, "persistence", "rdb_last_bgsave_status") == "err");
    assert!(server.log().contains("Background saving error: Input/output error"), "{}", server.log());
    assert!(client.command(&["SET", "a", "3"]).to_string().starts_with("(error) MISCONF "));
    assert_eq!(client.command(&["GET", "a"]).text(), "2");
    assert_eq!(fs::read(server.directory().join("dump.rdb")).expect("still there"), saved);
    drop(failing);
    wait_until("a save succeeds", || {
        client.command(&["BGSAVE"]);
        sleep(Duration::from_millis(50));
        field(&mut client, "persistence", "rdb_last_bgsave_status") == "ok"
    });
    assert_eq!(client.command(&["SET", "a", "3"]).text(), "OK");
}

#[test]
fn a_rewrite_that_fails_at_rename_leaves_the_log_as_it_was() {
    if !Faults::can_be_made() {
        return;
    }
    let mut server = Server::tenon(&AOF);
    let mut client = server.client();
    for number in 0..10 {
        client.command(&["SET", &format!("key:{number}"), &"v".repeat(2_000)]);
    }
    let failing = Faults::of(&server, "rename,renameat,renameat2:error=EIO", None);
    client.command(&["BGREWRITEAOF"]);
    wait_until("the rewrite fails", || {
        field(&mut client, "persistence", "aof_last_bgrewrite_status") == "err"
    });
    drop(failing);
    wait_until("writes are accepted", || client.command(&["SET", "after", "1"]).to_string() == "OK");
    client.command(&["BGREWRITEAOF"]);
    wait_until("a rewrite succeeds", || {
        field(&mut client, "persistence", "aof_last_bgrewrite_status") == "ok"
    });
    assert_all_there(&mut server, 10);
    assert_eq!(server.client().command(&["GET", "after"]).text(), "1");
}
