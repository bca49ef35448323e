//! Snapshots for replicas that become the dump, and what becomes of them when nobody waits for them any more.

use std::sync::Arc;

use tenon_aof::memory_disk::{MemoryDisk, Operation};
use tenon_base::{ConnectionId, Input, Output};

use crate::replication::tests::{raw, say};
use crate::testing::Bench;

/// A primary that sends snapshots from files, the disk that it has, and what it is to do next.
struct Scene {
    bench: Bench,
    disk: Arc<MemoryDisk>,
    held: Vec<Output>,
}

fn scene(directives: &[(&str, &str)]) -> Scene {
    let disk = Arc::new(MemoryDisk::default());
    let all = [&[("repl-diskless-sync", "no")], directives].concat();
    Scene { bench: Bench::on_disk(&all, disk.clone()), disk, held: Vec::new() }
}

impl Scene {
    /// A replica asks for everything. What is to be done for it is kept back.
    fn ask(&mut self, client: u64) {
        assert_eq!(say(&mut self.bench, client, "REPLCONF capa eof capa psync2\r\n"), "+OK\r\n");
        let connection = self.bench.connect(client);
        self.bench.input(Input::Received { connection, bytes: b"PSYNC ? -1\r\n" });
        self.turn();
    }

    /// A turn whose jobs are kept back.
    fn turn(&mut self) {
        self.bench.turn();
        self.held.extend(self.bench.outputs.take_requests());
    }

    fn leave(&mut self, client: u64) {
        self.bench.input(Input::Closed { connection: ConnectionId { serial: client, slot: client as u32 } });
        self.bench.outputs.discard(client as u32);
        self.turn();
    }

    /// Does what was kept back, and what comes of it.
    fn go_on(&mut self) {
        std::mem::take(&mut self.held).into_iter().for_each(|request| self.bench.carry_out(request));
        self.bench.settle();
    }

    /// What a replica is sent by the end of some turns.
    fn sent(&mut self, client: u64) -> String {
        let mut all = raw(&mut self.bench, client as u32);
        for _ in 0..4 {
            self.bench.sleep(2);
            all.push_str(&raw(&mut self.bench, client as u32));
        }
        all
    }

    fn field(&mut self, name: &str) -> String {
        let text = self.bench.text(1, "INFO persistence");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("a field").trim().to_owned()
    }

    fn dump(&self) -> Option<Vec<u8>> {
        self.disk.content(self.disk.paths().iter().find(|path| path.ends_with("dump.rdb"))?)
    }

    fn has_dump_of(&self, text: &str) -> bool {
        self.dump().is_some_and(|dump| String::from_utf8_lossy(&dump).contains(text))
    }
}

#[test]
fn a_snapshot_from_a_file_becomes_the_dump_and_counts_as_a_save() {
    let mut scene = scene(&[("save", "")]);
    scene.bench.run(1, "SET before 1");
    assert_eq!(scene.field("rdb_changes_since_last_save"), "1");
    scene.bench.sleep(5_000);
    scene.ask(8);
    assert_eq!(scene.field("rdb_bgsave_in_progress"), "1");
    scene.ask(9);
    assert_eq!(scene.bench.run(1, "BGSAVE"), "(error) ERR Background save already in progress");
    assert_eq!(scene.bench.run(1, "SAVE"), "(error) ERR Background save already in progress");
    scene.go_on();
    let dump = scene.dump().expect("a dump");
    assert!(scene.has_dump_of("before"));
    for client in [8, 9] {
        let (header, sent) = (format!("${}\r\n", dump.len()), scene.sent(client));
        assert!(sent.starts_with("+FULLRESYNC") && sent.contains(&header), "{sent}");
        assert!(sent.ends_with(&*String::from_utf8_lossy(&dump)), "it is sent the dump");
    }
    assert_eq!(scene.bench.run(1, "LASTSAVE"), "1700000005");
    for (name, value) in [
        ("rdb_last_bgsave_status", "ok"),
        ("rdb_bgsave_in_progress", "0"),
        ("rdb_changes_since_last_save", "0"),
        ("rdb_saves", "1"),
    ] {
        assert_eq!(scene.field(name), value, "{name}");
    }
    scene.bench.run(1, "SET after 2");
    assert!(scene.sent(9).contains("after"), "and the stream behind it");
}

#[test]
fn a_save_for_replicas_goes_on_without_them_where_saves_are_configured() {
    let mut scene = scene(&[("save", "900 1")]);
    scene.bench.run(1, "SET before 1");
    (8..10).for_each(|client| scene.ask(client));
    (8..10).for_each(|client| scene.leave(client));
    assert_eq!(scene.field("rdb_bgsave_in_progress"), "1");
    scene.ask(10);
    scene.go_on();
    assert!(scene.has_dump_of("before"));
    let sent = scene.sent(10);
    assert!(sent.contains("REDIS00") && sent.contains("before"), "who comes then need not wait: {sent}");
}

#[test]
fn a_save_for_replicas_ends_with_the_last_of_them_where_no_saves_are_configured() {
    let mut scene = scene(&[("save", "")]);
    scene.bench.run(1, "SET before 1");
    (8..10).for_each(|client| scene.ask(client));
    scene.leave(8);
    assert_eq!(scene.field("rdb_bgsave_in_progress"), "1", "another waits for it");
    scene.leave(9);
    scene.go_on();
    assert_eq!((scene.field("rdb_bgsave_in_progress"), scene.dump()), ("0".to_owned(), None));
    assert_eq!(scene.field("rdb_last_bgsave_status"), "ok", "nothing went wrong");
    scene.ask(10);
    scene.go_on();
    assert!(scene.sent(10).contains("before") && scene.has_dump_of("before"));
}

#[test]
fn a_save_that_was_asked_for_is_not_taken_for_the_replicas() {
    let mut scene = scene(&[("save", "")]);
    scene.bench.run(1, "SET before 1");
    let connection = scene.bench.connect(1);
    scene.bench.input(Input::Received { connection, bytes: b"BGSAVE\r\n" });
    scene.turn();
    assert_eq!(scene.bench.shown(1), "Background saving started");
    scene.bench.run(1, "SET between 2");
    scene.ask(9);
    scene.go_on();
    let sent = scene.sent(9);
    assert!(sent.contains("before") && sent.contains("between"), "{sent}");
    assert!(scene.has_dump_of("before") && !scene.has_dump_of("between"), "the dump is what was asked for");
}

#[test]
fn a_save_for_replicas_that_fails_lets_them_ask_again() {
    let mut scene = scene(&[("save", "")]);
    scene.bench.run(1, "SET before 1");
    scene.disk.fail(Operation::Rename, 0, 1, std::io::ErrorKind::StorageFull);
    scene.ask(9);
    scene.go_on();
    assert_eq!(scene.bench.closed, [9]);
    assert_eq!(scene.field("rdb_last_bgsave_status"), "err");
}

#[test]
fn the_dump_is_removed_where_only_replicas_wanted_it_and_that_is_configured() {
    let mut scene = scene(&[("save", ""), ("rdb-del-sync-files", "yes")]);
    scene.bench.run(1, "SET before 1");
    scene.ask(9);
    scene.go_on();
    scene.bench.sleep(2_000);
    assert!(scene.has_dump_of("before"), "it was not sent yet");
    assert!(scene.sent(9).contains("before"));
    scene.bench.sleep(2_000);
    assert_eq!(scene.dump(), None);
    scene.ask(10);
    scene.go_on();
    assert_eq!(scene.bench.run(1, "BGSAVE"), "Background saving started");
    scene.sent(10);
    scene.bench.sleep(2_000);
    assert!(scene.has_dump_of("before"), "somebody asked for it");
}

#[test]
fn a_save_that_is_given_up_for_flushall_is_no_failure_and_never_replaces_the_empty_dump() {
    let mut scene = scene(&[("save", "900 1")]);
    scene.bench.run(1, "SET before 1");
    let connection = scene.bench.connect(1);
    scene.bench.input(Input::Received { connection, bytes: b"BGSAVE\r\n" });
    scene.turn();
    let Some(Output::Run { ticket, mut job, .. }) = scene.held.pop() else { panic!("a job for the save") };
    assert!(matches!(job.step(&*scene.disk), tenon_base::Step::Again), "it has begun to write");
    scene.bench.replies(1);
    let connection = scene.bench.connect(2);
    scene.bench.input(Input::Received { connection, bytes: b"FLUSHALL\r\n" });
    assert!(scene.dump().is_some() && !scene.has_dump_of("before"));
    let result = scene.bench.result_of(job);
    scene.bench.input(Input::Completed { ticket, result });
    scene.bench.settle();
    assert!(!scene.has_dump_of("before"));
    assert_eq!(scene.field("rdb_last_bgsave_status"), "ok");
    assert_eq!(scene.bench.run(2, "SET after 1").rsplit("; ").next(), Some("OK"), "writes are not refused");
    let paths = scene.disk.paths();
    assert!(paths.iter().all(|path| !path.to_string_lossy().contains("temp-")), "{paths:?}");
}
