//! DEBUG over an engine in process.

use tenon_base::{Input, Micros, Signal};

use super::*;
use crate::testing::Bench;

#[test]
fn subcommands_are_in_order_and_explained() {
    assert!(SUBCOMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(SUBCOMMANDS.iter().all(|own| own.name == "HELP" || own.help.len() >= 2));
    assert!(SUBCOMMANDS.iter().all(|own| own.help.iter().all(|line| line.len() < 100)));
}

#[test]
fn writes_to_the_log_can_be_held_up() {
    let mut bench = Bench::new(&[("appendonly", "yes"), ("enable-debug-command", "yes")]);
    for (told, held) in [("250000", 250_000), ("-1", 0), ("7", 7), ("0", 0)] {
        assert_eq!(bench.run(1, &format!("DEBUG AOF-FLUSH-SLEEP {told}")), "OK");
        assert_eq!(bench.engine.durability.flush_sleep, Micros(held));
        assert_eq!(bench.run(1, "SET a 1"), "OK");
    }
    assert!(bench.run(1, "DEBUG AOF-FLUSH-SLEEP x").contains("not an integer"));
}

#[test]
fn a_switch_allows_it() {
    let refused = Bench::new(&[]).run(1, "DEBUG DIGEST");
    assert!(refused.starts_with("(error) ERR DEBUG command not allowed. If the"), "{refused}");
    let mut bench = Bench::new(&[("enable-debug-command", "local")]);
    assert_eq!(bench.run(1, "DEBUG DIGEST"), "0".repeat(40));
    assert_eq!(
        bench.run(1, "DEBUG SLEEP"),
        "(error) ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP."
    );
}

#[test]
fn keys_are_made_and_looked_into() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
    assert_eq!(bench.run(1, "DEBUG POPULATE 2 k 100"), "OK");
    assert_eq!(bench.run(1, "DEBUG POPULATE -1"), "(error) ERR value is out of range, must be positive");
    let told = bench.run(1, "DEBUG OBJECT k:1");
    assert!(told.contains(" refcount:1 encoding:raw serializedlength:"), "{told}");
    assert!(told.ends_with(" lru_seconds_idle:0"), "{told}");
    assert_ne!(bench.run(1, "DEBUG DIGEST"), "0".repeat(40));
    assert_eq!(bench.run(1, "DEBUG OBJECT k:2"), "(error) ERR no such key");
    let bytes: i64 = bench.run(1, "MEMORY USAGE k:1 SAMPLES 0").parse().unwrap();
    assert!((100..1_000).contains(&bytes));
    assert_eq!(bench.run(1, "MEMORY USAGE k:1 SAMPLES"), "(error) ERR syntax error");
}

#[test]
fn checksums_can_be_overlooked() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
    bench.run(1, "SET k value");
    let dumped = bench.run(1, "DUMP k");
    let restore = format!("RESTORE k 0 {} REPLACE", dumped.replacen("value", "other", 1));
    let refusal = "(error) ERR DUMP payload version or checksum are wrong";
    assert_eq!(bench.run(1, &restore), refusal);
    bench.run(1, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    bench.run(1, "CONFIG SET hz 20");
    assert_eq!(bench.run(1, &restore), "OK");
    assert_eq!(bench.run(1, "GET k"), "\"other\"");
    bench.run(1, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 0");
    assert_eq!(bench.run(1, &restore), refusal);
}

#[test]
fn while_the_clock_does_nothing_nothing_is_removed_by_it_and_no_signal_is_heard() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes"), ("save", "900 1")]);
    bench.run(1, "SET k 1 PX 10");
    bench.run(1, "DEBUG PAUSE-CRON 1");
    bench.sleep(1_000);
    assert_eq!(bench.run(1, "DBSIZE"), "1");
    assert_eq!(bench.run(1, "SHUTDOWN ABORT"), "(error) ERR No shutdown in progress.");
    bench.input(Input::Signal(Signal::Terminate));
    bench.settle();
    assert_eq!(bench.run(1, "SHUTDOWN ABORT"), "OK");
    bench.run(1, "DEBUG PAUSE-CRON 0");
    bench.sleep(1_000);
    assert_eq!((bench.run(1, "DBSIZE"), bench.exit_code), ("0".to_owned(), None));
    bench.run(1, "DEBUG PAUSE-CRON 1");
    bench.input(Input::Signal(Signal::Terminate));
    bench.run(1, "DEBUG PAUSE-CRON 0");
    bench.sleep(1_000);
    assert_eq!(bench.exit_code, Some(0));
}

#[test]
fn a_log_that_is_off_can_be_written_and_loaded_once() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes"), ("save", "")]);
    bench.run(1, "SET k 1");
    assert_eq!(
        bench.run(1, "DEBUG LOADAOF"),
        "(error) ERR Error trying to load the AOF files, check server logs"
    );
    assert_eq!(bench.run(1, "GET k"), "\"1\"");
    assert_eq!(bench.run(1, "BGREWRITEAOF"), "Background append only file rewriting started");
    bench.sleep(100);
    let told = bench.text(1, "INFO persistence");
    assert!(told.contains("aof_enabled:0\r\n") && told.contains("aof_rewrite_in_progress:0\r\n"), "{told}");
    assert!(!bench.engine.durability.is_on());
    bench.run(1, "SET later 1");
    assert_eq!(bench.run(1, "DEBUG LOADAOF"), "OK");
    assert_eq!((bench.run(1, "GET k"), bench.run(1, "DBSIZE")), ("\"1\"".to_owned(), "1".to_owned()));
    assert_eq!(bench.run(1, "CONFIG SET appendonly yes"), "OK");
    bench.sleep(100);
    assert!(bench.engine.durability.is_on(), "a log that is wanted stays");
}

#[test]
fn a_rewrite_whose_log_is_switched_off_before_it_has_begun_is_over() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes"), ("appendonly", "yes"), ("save", "")]);
    bench.run(1, "SET k 1");
    bench.send_bytes(1, b"BGREWRITEAOF\r\nCONFIG SET appendonly no\r\n");
    bench.sleep(100);
    let told = bench.text(1, "INFO persistence");
    assert!(told.contains("aof_rewrite_in_progress:0\r\n"), "{told}");
    assert_eq!(bench.run(1, "BGREWRITEAOF"), "Background append only file rewriting started");
    bench.sleep(100);
    assert_eq!(bench.run(1, "DEBUG LOADAOF"), "OK");
    assert_eq!(bench.run(1, "GET k"), "\"1\"");
}

#[test]
fn clients_are_told_by_what_they_take() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
    assert_eq!(bench.run(1, "DEBUG CLIENT-EVICTION"), "(error) ERR maxmemory-clients is disabled.");
    bench.run(1, "CONFIG SET maxmemory-clients 1gb");
    bench.send_bytes(2, format!("*2\r\n$4\r\nECHO\r\n$100000\r\n{}", "v".repeat(70_000)).as_bytes());
    let told = bench.text(1, "DEBUG CLIENT-EVICTION");
    let class_of =
        |begin: &str| told.lines().find(|line| line.starts_with(begin)).expect("a class").to_owned();
    assert!(class_of("bucket          0 -      32767:").ends_with("clients: 1"), "{told}");
    assert!(class_of("bucket      65536 -     131071:").ends_with("clients: 1"), "{told}");
    assert!(class_of("bucket 8589934592+").ends_with("tot-mem:          0, clients: 0"), "{told}");
    assert!(bench.run(1, "DEBUG CLUSTERLINK KILL all x").contains("only available for cluster mode"));
}

#[test]
fn patterns_made_at_random_match_now_and_then() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
    let told = bench.run(1, "DEBUG STRINGMATCH-TEST");
    let found: usize = told.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!((100..50_000).contains(&found), "{told}");
}

#[test]
#[should_panic(expected = "DEBUG ASSERT was called")]
fn an_assertion_can_be_made_to_fail() {
    Bench::new(&[("enable-debug-command", "yes")]).run(1, "DEBUG ASSERT");
}
