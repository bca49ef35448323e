//! Rewrites that end when nobody wants them any more.

use tenon_aof::RewriteStage;
use tenon_base::{Input, Machine, Output};

use crate::testing::Bench;

#[test]
fn a_base_that_is_done_when_its_log_is_switched_off_ends_the_rewrite() {
    let mut bench = Bench::new(&[("appendonly", "yes")]);
    bench.run(1, "SET k v");
    let connection = bench.connect(1);
    bench.input(Input::Received { connection, bytes: b"BGREWRITEAOF\r\n" });
    let (ticket, job) = loop {
        bench.with_world(|engine, now, world| engine.settle(now, world));
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
            break writing;
        }
    };
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
