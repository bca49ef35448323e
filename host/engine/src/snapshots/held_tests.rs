//! Large values that change or go while a save is written slowly: what is held of them is told, put aside, and bounded.

use std::io;
use std::sync::Arc;

use tenon_aof::memory_disk::{MemoryDisk, Operation};
use tenon_base::{Input, Job, Output, Step, Ticket};

use crate::save_job::SaveEnd;
use crate::testing::Bench;

/// More than the least that a save may hold, which is 16 MiB.
const ELEMENTS: usize = 6_000;
const ELEMENT_BYTES: usize = 4_000;
const BOUND: u64 = 16 << 20;

/// A server with a large list, and a save that has begun but takes no step by itself.
struct Scene {
    bench: Bench,
    disk: Arc<MemoryDisk>,
    save: (Ticket, Box<dyn Job>),
}

fn element(number: usize, with: &str) -> String {
    format!("{number:05}{}", with.repeat(ELEMENT_BYTES))
}

fn field(bench: &mut Bench, name: &str) -> u64 {
    let text = bench.text(1, "INFO persistence");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect("a field").trim().parse().expect("a number")
}

fn dump(disk: &MemoryDisk) -> Option<Vec<u8>> {
    disk.content(disk.paths().iter().find(|path| path.ends_with("dump.rdb"))?)
}

fn scene() -> Scene {
    let disk = Arc::new(MemoryDisk::default());
    let mut bench = Bench::on_disk(&[("save", ""), ("rdbcompression", "no")], disk.clone());
    for number in 0..ELEMENTS {
        bench.run(1, &format!("RPUSH list {}", element(number, "a")));
    }
    let connection = bench.connect(1);
    bench.input(Input::Received { connection, bytes: b"BGSAVE\r\n" });
    bench.replies(1);
    let (mut save, others): (Vec<_>, Vec<_>) =
        bench.outputs.take_requests().into_iter().partition(|request| matches!(request, Output::Run { .. }));
    others.into_iter().for_each(|request| bench.carry_out(request));
    let Some(Output::Run { ticket, mut job, .. }) = save.pop() else { panic!("a job for the save") };
    // Only its begin, with which the walk may begin, too.
    assert!(matches!(job.step(&*disk), Step::Again));
    Scene { bench, disk, save: (ticket, job) }
}

impl Scene {
    /// Changes every element, or as many as it takes until `is_enough`.
    fn change(&mut self, with: &str, is_enough: impl Fn(&mut Bench) -> bool) {
        for number in 0..ELEMENTS {
            self.bench.run(1, &format!("LSET list {number} {}", element(number, with)));
            if number % 100 == 0 && is_enough(&mut self.bench) {
                return;
            }
        }
    }

    /// Lets the save come to its end; returns its status, or why there is none.
    fn end(mut self) -> (Bench, Arc<MemoryDisk>, String) {
        let (ticket, mut job) = self.save;
        let result = loop {
            match job.step(&*self.disk) {
                Step::Done(result) => break result,
                Step::Again => {}
                Step::Starved => {
                    self.bench.sleep(10);
                }
            }
        };
        let reason = result.downcast_ref::<SaveEnd>().expect("an end").clone().err();
        self.bench.input(Input::Completed { ticket, result });
        self.bench.settle();
        let text = self.bench.text(1, "INFO persistence");
        let status = text.lines().find_map(|line| line.strip_prefix("rdb_last_bgsave_status:"));
        let status = status.expect("a status").trim();
        assert_eq!(status == "ok", reason.is_none());
        let status = reason.unwrap_or_else(|| status.to_owned());
        (self.bench, self.disk, status)
    }
}

#[test]
fn a_large_list_that_is_written_all_over_is_put_aside_and_the_save_goes_on() {
    let mut scene = scene();
    let mut held_most = 0;
    scene.change("b", |_| false);
    for with in ["c", "d"] {
        held_most = held_most.max(field(&mut scene.bench, "current_cow_peak"));
        scene.change(with, |_| false);
    }
    // From half of the bound on, and the images of other keys with it.
    assert!((BOUND / 2..BOUND).contains(&held_most), "{held_most}");
    assert!(field(&mut scene.bench, "snapshot_spilled_bytes") > (ELEMENTS * ELEMENT_BYTES) as u64);
    assert_eq!(field(&mut scene.bench, "snapshot_held_bytes"), 0);
    let (mut bench, disk, status) = scene.end();
    assert_eq!(status, "ok");
    assert!(field(&mut bench, "rdb_last_cow_size") >= held_most);
    assert_eq!(field(&mut bench, "current_cow_size"), 0);
    let dump = dump(&disk).expect("a dump");
    let saved = String::from_utf8_lossy(&dump);
    assert_eq!(saved.matches(&"a".repeat(ELEMENT_BYTES)).count(), ELEMENTS, "as it was when the save began");
}

#[test]
fn a_save_that_holds_more_than_it_may_is_given_up_and_says_why() {
    let mut scene = scene();
    scene.disk.fail(Operation::Create, 0, u64::MAX, io::ErrorKind::StorageFull);
    scene.change("b", |bench| field(bench, "snapshot_held_bytes") > BOUND / 4);
    assert!(field(&mut scene.bench, "current_cow_size") > BOUND / 4);
    let held = field(&mut scene.bench, "snapshot_held_bytes");
    // A list that goes costs nothing that was not there before.
    scene.bench.run(1, "RENAME list renamed");
    assert_eq!(field(&mut scene.bench, "snapshot_held_bytes"), held, "it is the same list");
    scene.bench.run(1, "UNLINK renamed");
    scene.bench.settle();
    assert!(field(&mut scene.bench, "snapshot_held_bytes") > BOUND);
    assert_eq!(field(&mut scene.bench, "rdb_bgsave_in_progress"), 1);
    assert!(field(&mut scene.bench, "current_save_keys_total") == 1, "the cut is still there");
    // Others that take its place do.
    for number in 0..ELEMENTS {
        scene.bench.run(1, &format!("RPUSH other {}", element(number, "c")));
    }
    scene.bench.sleep(2_000);
    assert_eq!(field(&mut scene.bench, "current_save_keys_total"), 0, "the cut was given up");
    let (mut bench, disk, status) = scene.end();
    assert!(status.contains("large values were changed or removed faster"), "{status}");
    assert_eq!(field(&mut bench, "current_cow_size"), 0);
    assert_eq!(dump(&disk), None);
}

#[test]
fn a_database_that_is_flushed_is_held_until_it_is_saved_or_its_place_is_taken() {
    let mut scene = scene();
    scene.bench.run(1, "SELECT 1");
    scene.bench.run(1, "SET small in-another-database");
    scene.bench.run(1, "SELECT 0");
    scene.bench.run(1, "FLUSHDB");
    scene.bench.settle();
    assert!(field(&mut scene.bench, "current_cow_size") > (ELEMENTS * ELEMENT_BYTES) as u64);
    let (mut bench, disk, status) = scene.end();
    assert_eq!(status, "ok");
    assert_eq!(field(&mut bench, "current_cow_size"), 0);
    assert!(dump(&disk).expect("a dump").len() > ELEMENTS * ELEMENT_BYTES);
}
