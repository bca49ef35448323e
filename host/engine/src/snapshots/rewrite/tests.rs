//! Rewrites that end when nobody wants them any more.

use tenon_aof::RewriteStage;
use tenon_base::{Input, Job, Output, Ticket};

use crate::save_job::SaveEnd;
use crate::testing::Bench;

/// Asks for a rewrite; returns the job that is to write its base.
fn base_of_a_rewrite(bench: &mut Bench) -> (Ticket, Box<dyn Job>) {
    let connection = bench.connect(1);
    bench.input(Input::Received { connection, bytes: b"BGREWRITEAOF\r\n" });
    loop {
        bench.turn();
        let requests = bench.outputs.take_requests();
        assert!(!requests.is_empty(), "the base is never written");
        let mut writing = None;
        for request in requests {
            let stage = bench.engine.durability.log().and_then(tenon_aof::Log::rewrite_stage);
            match request {
                Output::Run { ticket, job, .. } if stage == Some(RewriteStage::Writing) => {
                    writing = Some((ticket, job));
                }
                other => bench.carry_out(other),
            }
        }
        if let Some(writing) = writing {
            return writing;
        }
    }
}

#[test]
fn a_base_that_is_done_when_its_log_is_switched_off_ends_the_rewrite() {
    let mut bench = Bench::new(&[("appendonly", "yes")]);
    bench.run(1, "SET k v");
    let (ticket, job) = base_of_a_rewrite(&mut bench);
    let result = bench.result_of(job);
    bench.run(1, "CONFIG SET appendonly no");
    bench.input(Input::Completed { ticket, result });
    bench.settle();
    assert!(bench.text(1, "INFO persistence").contains("aof_rewrite_in_progress:0\r\n"));
    bench.run(1, "CONFIG SET appendonly yes");
    bench.sleep(1_000);
    let information = bench.text(1, "INFO persistence");
    assert!(information.contains("aof_rewrite_in_progress:0\r\n"), "{information}");
    assert!(bench.engine.durability.is_on(), "the log is on again");
}

#[test]
fn rewrites_that_fail_are_tried_again_less_often_whoever_asked_for_them() {
    let mut bench = Bench::new(&[
        ("appendonly", "yes"),
        ("auto-aof-rewrite-percentage", "1"),
        ("auto-aof-rewrite-min-size", "1kb"),
    ]);
    for _ in 0..3 {
        let (ticket, _) = base_of_a_rewrite(&mut bench);
        let end: SaveEnd = Err("No space left on device".to_owned());
        bench.input(Input::Completed { ticket, result: Box::new(end) });
        bench.settle();
    }
    bench.replies(1);
    let figure = |bench: &mut Bench| {
        let text = bench.text(2, "INFO persistence");
        let line = text.lines().find_map(|line| line.strip_prefix("aof_rewrites_consecutive_failures:"));
        line.expect("a field").trim().to_owned()
    };
    bench.run(1, &format!("SET k {}", "x".repeat(2_000)));
    bench.sleep(30_000);
    assert_eq!((figure(&mut bench), bench.engine.snapshots.rewrite.count), ("3".to_owned(), 0));
    bench.sleep(31_000);
    assert_eq!(
        (figure(&mut bench), bench.engine.snapshots.rewrite.count),
        ("0".to_owned(), 1),
        "a minute is over"
    );
}
