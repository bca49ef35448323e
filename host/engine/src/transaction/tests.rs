//! Transactions over an engine in process.

use std::sync::Arc;

use tenon_aof::memory_disk::MemoryDisk;
use tenon_base::Disk;

use crate::testing::Bench;

const ABORTED: &str = "(error) EXECABORT Transaction discarded because of previous errors.";

/// Says each line, and expects what stands beside it.
fn speak(bench: &mut Bench, lines: &[(u64, &str, &str)]) {
    for (client, line, reply) in lines {
        assert_eq!(bench.run(*client, line), *reply, "{client}> {line}");
    }
}

#[test]
fn what_is_queued_runs_at_exec_with_nothing_between() {
    let mut bench = Bench::new(&[]);
    speak(
        &mut bench,
        &[
            (1, "MULTI", "OK"),
            (1, "SET k 1", "QUEUED"),
            (1, "INCR k", "QUEUED"),
            (1, "LPUSH k x", "QUEUED"),
            (1, "SELECT 2", "QUEUED"),
            (1, "SET k 9", "QUEUED"),
            (2, "GET k", "(nil)"),
            (
                1,
                "EXEC",
                r#"[OK, 2, (error) WRONGTYPE Operation against a key holding the wrong kind of value, OK, OK]"#,
            ),
            (1, "GET k", r#""9""#),
            (2, "GET k", r#""2""#),
            (1, "EXEC", "(error) ERR EXEC without MULTI"),
            (1, "DISCARD", "(error) ERR DISCARD without MULTI"),
            (1, "MULTI", "OK"),
            (1, "MULTI", "(error) ERR MULTI calls can not be nested"),
            (1, "WATCH k", "(error) ERR WATCH inside MULTI is not allowed"),
            (1, "EXEC", "[]"),
            (1, "MULTI", "OK"),
            (1, "SET k 0", "QUEUED"),
            (1, "DISCARD", "OK"),
            (1, "GET k", r#""9""#),
        ],
    );
}

#[test]
fn a_refusal_while_queueing_breaks_the_transaction() {
    let mut bench = Bench::new(&[]);
    for refused in ["NOSUCH", "GET", "SAVE", "POLICY LIST", "CONFIG NOSUCH"] {
        assert_eq!(bench.run(1, "MULTI"), "OK");
        assert_eq!(bench.run(1, "SET k 1"), "QUEUED");
        assert!(bench.run(1, refused).starts_with("(error) ERR "), "{refused}");
        assert_eq!(bench.run(1, "EXEC"), ABORTED);
        assert_eq!(bench.run(1, "GET k"), "(nil)");
    }
    assert_eq!(bench.run(1, "MULTI"), "OK");
    assert_eq!(bench.run(1, "SAVE"), "(error) ERR Command not allowed inside a transaction");
    assert_eq!(
        bench.run(1, "EXEC now"),
        "(error) EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
    );
    assert_eq!(bench.run(1, "PING"), "PONG");
    let errors = bench.text(1, "INFO errorstats");
    assert!(errors.contains("errorstat_EXECABORT:count=6"), "{errors}");
}

#[test]
fn a_watched_key_that_changed_stops_the_transaction() {
    let mut bench = Bench::new(&[]);
    // What happens between WATCH and EXEC, and whether that is a change.
    for (before, between, runs) in [
        (&[][..], &[][..], true),
        (&["SET k 1"], &["SET other 1"], true),
        (&["SET k 1"], &["SET k 1"], false),
        (&["SET k 1"], &["DEL k"], false),
        (&[], &["SET k 1"], false),
        (&[], &["SET k 1", "DEL k"], false),
        (&[], &["LPUSH k a", "LPOP k"], false),
        (&["SET k 1"], &["EXPIRE k 100"], false),
        (&["SET k 1"], &["FLUSHALL"], false),
        (&[], &["SET other 1", "FLUSHALL"], true),
        (&["SET k 1"], &["SWAPDB 0 1"], false),
        (&[], &["SWAPDB 0 1"], true),
        (&["SET k 1"], &["MULTI", "GET k", "EXEC"], true),
        (&["SET k 1"], &["MULTI", "SET k 2", "EXEC"], false),
        (&["SET k 1"], &["SELECT 1", "SET k 2", "SELECT 0"], true),
        (&["SET k 1"], &["RENAME k other"], false),
        (&["SADD k a"], &["SREM k b"], true),
    ] {
        bench.run(1, "FLUSHALL");
        before.iter().for_each(|line| drop(bench.run(1, line)));
        assert_eq!(bench.run(1, "WATCH k k"), "OK");
        between.iter().for_each(|line| drop(bench.run(2, line)));
        bench.run(1, "MULTI");
        bench.run(1, "PING");
        let told = bench.run(1, "EXEC");
        assert_eq!(told, if runs { "[PONG]" } else { "(nil array)" }, "{before:?} {between:?}");
        assert!(bench.engine.watchers.is_empty(), "{before:?} {between:?}");
        bench.run(1, "FLUSHALL");
    }
}

#[test]
fn who_asks_can_change_a_watched_key_only_before_multi() {
    let mut bench = Bench::new(&[]);
    speak(
        &mut bench,
        &[
            (1, "SET k 1", "OK"),
            (1, "WATCH k", "OK"),
            (1, "SET k 2", "OK"),
            (1, "MULTI", "OK"),
            (1, "SET k 3", "QUEUED"),
            (1, "EXEC", "(nil array)"),
            (1, "WATCH k", "OK"),
            (1, "MULTI", "OK"),
            (1, "SET k 3", "QUEUED"),
            (1, "SET k 4", "QUEUED"),
            (1, "EXEC", "[OK, OK]"),
            (1, "WATCH k", "OK"),
            (2, "SET k 5", "OK"),
            (1, "UNWATCH", "OK"),
            (1, "MULTI", "OK"),
            (1, "EXEC", "[]"),
            (1, "WATCH k", "OK"),
            (2, "SET k 5", "OK"),
            (1, "MULTI", "OK"),
            (1, "DISCARD", "OK"),
            (1, "MULTI", "OK"),
            (1, "EXEC", "[]"),
        ],
    );
}

#[test]
fn expiry_is_a_change_unless_it_came_first() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
    bench.run(1, "DEBUG SET-ACTIVE-EXPIRE 0");
    let exec = |bench: &mut Bench| {
        bench.run(1, "MULTI");
        bench.run(1, "PING");
        bench.run(1, "EXEC")
    };
    bench.run(1, "SET k 1 PX 50");
    bench.run(1, "WATCH k");
    bench.sleep(100);
    assert_eq!(exec(&mut bench), "(nil array)");
    // It is still there, and gone for everybody.
    bench.run(1, "WATCH k");
    assert_eq!(exec(&mut bench), "[PONG]");
    bench.run(1, "WATCH k");
    assert_eq!(bench.run(2, "DEL k"), "0");
    assert_eq!(exec(&mut bench), "[PONG]");
    for (line, runs) in [("GET k", true), ("FLUSHALL", true), ("SET k 2", false), ("PING", true)] {
        bench.run(1, "SET k 1 PX 50");
        bench.sleep(100);
        bench.run(1, "WATCH k");
        bench.run(2, line);
        assert_eq!(exec(&mut bench), if runs { "[PONG]" } else { "(nil array)" }, "{line}");
    }
    // A stale key comes in the place of none, and the other way round.
    bench.run(2, "FLUSHALL");
    bench.run(2, "SELECT 1");
    bench.run(2, "SET k 1 PX 50");
    bench.sleep(100);
    bench.run(1, "WATCH k");
    bench.run(2, "SWAPDB 0 1");
    assert_eq!(exec(&mut bench), "[PONG]");
    bench.run(1, "WATCH k");
    bench.run(2, "SWAPDB 0 1");
    assert_eq!(exec(&mut bench), "[PONG]");
    // The cycle removes it as well.
    bench.run(1, "DEBUG SET-ACTIVE-EXPIRE 1");
    bench.run(1, "SET k 1 PX 50");
    bench.run(1, "WATCH k");
    bench.sleep(500);
    assert_eq!(exec(&mut bench), "(nil array)");
}

#[test]
fn the_effects_of_an_exec_are_one_record() {
    let disk = Arc::new(MemoryDisk::default());
    let kept: Arc<dyn Disk> = disk.clone();
    let directives = [("appendonly", "yes"), ("aof-checksum", "no"), ("appendfsync", "always")];
    let mut bench = Bench::on_disk(&directives, Arc::clone(&kept));
    for line in ["MULTI", "SET a 1", "GET a", "SELECT 1", "SET b 2", "SPOP none", "FLUSHDB", "EXEC"] {
        bench.run(1, line);
    }
    assert_eq!(bench.run(1, "SELECT 0"), "OK");
    for line in ["MULTI", "SET c 3", "GET c", "EXEC", "MULTI", "GET c", "EXEC"] {
        bench.run(1, line);
    }
    let path = std::path::Path::new("./appendonlydir/appendonly.aof.1.incr.aof");
    let file = kept.open(path, false).expect("there is a log");
    let mut content = vec![0; file.length().expect("it has a length") as usize];
    file.read_at(0, &mut content).expect("it can be read");
    let content = String::from_utf8(content).expect("it is a text");
    let words: Vec<&str> = content.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
    assert_eq!(words.join(" "), "MULTI SELECT 0 SET a 1 SELECT 1 SET b 2 FLUSHDB EXEC SELECT 0 SET c 3");
}

#[test]
fn each_command_is_counted_and_exec_takes_as_long_as_all() {
    let mut bench = Bench::new(&[("slowlog-log-slower-than", "0")]);
    bench.run(1, "SLOWLOG RESET");
    for line in ["MULTI", "SET a 1", "SET b 2", "EXEC"] {
        bench.run(1, line);
    }
    let told = bench.text(1, "INFO commandstats");
    assert!(told.contains("cmdstat_set:calls=2,"), "{told}");
    assert!(told.contains("cmdstat_exec:calls=1,usec=21,"), "{told}");
    assert_eq!(bench.run(1, "SLOWLOG LEN"), "5", "RESET, MULTI, SET, SET, INFO");
}

#[test]
fn a_queue_has_a_limit() {
    let mut bench = Bench::new(&[("client-query-buffer-limit", "1mb")]);
    bench.run(1, "MULTI");
    let line = format!("SET k {}", "x".repeat(100_000));
    for _ in 0..10 {
        assert_eq!(bench.run(1, &line), "QUEUED");
    }
    assert!(bench.closed.is_empty());
    bench.run(1, &line);
    assert_eq!(bench.closed, [1]);
}

#[test]
fn clients_show_their_transactions() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "WATCH k");
    bench.run(1, "MULTI");
    bench.run(1, "GET k");
    let told = bench.text(2, "CLIENT LIST ID 1");
    assert!(told.contains(" flags=x ") && told.contains(" multi=1 "), "{told}");
    bench.run(2, "SET k 1");
    let told = bench.text(2, "CLIENT LIST ID 1");
    assert!(told.contains(" flags=xd "), "{told}");
    assert_eq!(bench.run(1, "RESET"), "RESET");
    let told = bench.text(2, "CLIENT LIST ID 1");
    assert!(told.contains(" flags=N ") && told.contains(" multi=-1 "), "{told}");
}

#[test]
fn saves_asked_for_inside_wait_until_it_is_over() {
    let mut bench = Bench::new(&[]);
    for line in ["MULTI", "SET k 1", "BGSAVE", "BGREWRITEAOF", "CONFIG SET port 7777", "DEBUG RELOAD"] {
        bench.run(1, line);
    }
    assert_eq!(bench.run(1, "EXEC"), ABORTED, "DEBUG is not allowed");
    for line in ["MULTI", "SET k 1", "BGSAVE", "BGREWRITEAOF", "CONFIG SET port 7777"] {
        bench.run(1, line);
    }
    assert_eq!(
        bench.run(1, "EXEC"),
        "[OK, Background saving scheduled, Background append only file rewriting scheduled, (error) ERR CONFIG SET \
         failed - sockets and policies cannot be changed inside a transaction]"
    );
    assert_eq!(bench.run(1, "GET k"), r#""1""#);
}
