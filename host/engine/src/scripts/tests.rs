//! Scripts as clients run them: one record each, and nothing left behind.

use std::path::Path;
use std::sync::Arc;

use tenon_aof::memory_disk::MemoryDisk;

use crate::testing::Bench;

fn bench() -> Bench {
    Bench::new(&[("enable-debug-command", "yes"), ("save", "")])
}

#[test]
fn a_script_leaves_its_session_as_it_was() {
    let mut bench = bench();
    bench.run(1, "HELLO 3");
    assert_eq!(
        bench.run(1, r#"EVAL "redis.call('SELECT', 5) return redis.call('SET', KEYS[1], 'v')" 1 k"#),
        "OK"
    );
    assert_eq!(bench.run(1, "EXISTS k"), "0");
    bench.run(1, "SELECT 5");
    assert_eq!(bench.run(1, "GET k"), "\"v\"");
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('HGETALL', 'none')" 0"#), "[]");
    assert_eq!(bench.run(1, r#"EVAL "redis.setresp(3) return redis.call('HGETALL', 'none')" 0"#), "{}");
}

#[test]
fn errors_are_counted_once_and_name_the_line() {
    let mut bench = bench();
    let error = bench.run(1, r#"EVAL "return redis.call('INCR', 'a', 'b')" 0"#);
    assert!(
        error.starts_with("(error) ERR Wrong number of args calling Redis command from script script: "),
        "{error}"
    );
    assert!(error.ends_with(", on @user_script:1."), "{error}");
    let stats = bench.text(1, "INFO stats");
    assert!(stats.contains("total_error_replies:1\r\n"), "{stats}");
    let stats = bench.text(1, "INFO commandstats");
    assert!(
        stats
            .lines()
            .any(|line| line.starts_with("cmdstat_incr:calls=0") && line.contains("rejected_calls=1"))
    );
    assert!(
        stats.lines().any(|line| line.starts_with("cmdstat_eval:calls=1") && line.contains("failed_calls=1"))
    );
}

#[test]
fn nobody_waits_in_a_script_and_sets_are_sorted() {
    let mut bench = bench();
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('BLPOP', 'l', 0)" 0"#), "(nil)");
    let error = bench.run(1, r#"EVAL "return redis.pcall('xread', 'BLOCK', 0, 'STREAMS', 's', '$')" 0"#);
    assert_eq!(error, "(error) ERR xread command is not allowed with BLOCK option from scripts");
    bench.run(1, "SADD s c a b");
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('SORT', 's', 'BY', '_')" 0"#), r#"["a", "b", "c"]"#);
}

#[test]
fn what_only_clients_may_call_is_refused() {
    let mut bench = bench();
    for command in ["'EVAL', 'return 1', 0", "'MULTI'", "'SUBSCRIBE', 'c'", "'DEBUG', 'SLEEP', 0"] {
        let shown = bench.run(1, &format!(r#"EVAL "return redis.pcall({command})" 0"#));
        assert_eq!(shown, "(error) ERR This Redis command is not allowed from script", "{command}");
    }
    bench.run(1, "DEBUG SET-DISABLE-DENY-SCRIPTS 1");
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('DEBUG', 'SLEEP', 0)" 0"#), "OK");
}

#[test]
fn libraries_outlive_a_reload() {
    let mut bench = bench();
    let library =
        r#"FUNCTION LOAD "\x23!lua name=lib\nredis.register_function('f', function(k, a) return a[1] end)""#;
    assert_eq!(bench.run(1, library), "\"lib\"");
    assert_eq!(bench.run(1, "DEBUG RELOAD"), "OK");
    assert_eq!(bench.run(1, "FCALL f 0 x"), "\"x\"");
    assert_eq!(bench.run(1, "FUNCTION FLUSH"), "OK");
    assert_eq!(bench.run(1, "FCALL f 0 x"), "(error) ERR Function not found");
}

#[test]
fn a_transaction_takes_scripts_in() {
    let mut bench = bench();
    bench.run(1, "MULTI");
    bench.run(1, r#"EVAL "return redis.call('INCR', 'n')" 0"#);
    bench.run(1, "INCR n");
    assert_eq!(bench.run(1, "EXEC"), "[1, 2]");
}

#[test]
fn a_stale_follower_runs_what_allows_it() {
    const DOWN: &str = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    let mut bench = bench();
    bench.run(1, "CONFIG SET replica-serve-stale-data no");
    bench.run(1, "CONFIG SET replica-serve-unsynced yes");
    bench.run(1, "MULTI");
    assert_eq!(bench.run(1, "PING"), "QUEUED");
    assert_eq!(bench.run(2, "REPLICAOF 127.0.0.1 1"), "OK");
    assert_eq!(bench.run(1, "EXEC"), format!("(error) EXECABORT Transaction discarded because of: {DOWN}"));
    let down = format!("(error) {DOWN}");
    assert_eq!(bench.run(1, r##"EVAL "return 1" 0"##), down);
    assert_eq!(bench.run(1, r##"EVAL "#!lua flags=no-writes\nreturn 1" 0"##), down);
    let echo = r##"EVAL "#!lua flags=no-writes,allow-stale\nreturn redis.call('ECHO', 'x')" 0"##;
    assert_eq!(bench.run(1, echo), "\"x\"");
    let get = r##"EVAL "#!lua flags=no-writes,allow-stale\nreturn redis.pcall('GET', 'x')" 0"##;
    assert_eq!(bench.run(1, get), "(error) ERR Can not execute the command on a stale replica");
    // A script that may write is for the primary.
    let error = bench.run(1, r##"EVAL "#!lua flags=allow-stale\nreturn 1" 0"##);
    assert_eq!(error, "(error) READONLY You can't write against a read only replica.");
    // All that EXEC runs is allowed.
    bench.run(1, "MULTI");
    assert_eq!(bench.run(1, echo), "QUEUED");
    assert_eq!(bench.run(1, "EXEC"), "[\"x\"]");
}

#[test]
fn what_was_not_known_when_it_was_queued_is_judged_when_it_runs() {
    let mut bench = bench();
    bench.run(1, "MULTI");
    let unknown = "EVALSHA 10ed3c5bfa78b2bd5a0d4e5ae5bb1a6f8ff0c9b2 0";
    assert_eq!(bench.run(1, unknown), "QUEUED");
    assert_eq!(bench.run(1, "EXEC"), "[(error) NOSCRIPT No matching script. Please use EVAL.]");
    bench.run(1, "MULTI");
    assert_eq!(bench.run(1, "FCALL f 0"), "QUEUED");
    let library =
        r##"FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function() return 1 end)""##;
    assert_eq!(bench.run(2, library), "\"lib\"");
    bench.run(2, "CONFIG SET maxmemory 1");
    assert_eq!(
        bench.run(1, "EXEC"),
        "[(error) OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory']"
    );
}

#[test]
fn a_pause_of_writes_holds_scripts_that_may_write() {
    let mut bench = bench();
    let reads = r##"EVAL "#!lua flags=no-writes\nreturn redis.call('GET', 'k')" 0"##;
    bench.run(1, "CLIENT PAUSE 1000 WRITE");
    assert_eq!(bench.run(2, reads), "(nil)");
    assert_eq!(bench.run(2, r#"EVAL "return redis.call('SET', 'k', 'v')" 0"#), "");
    assert_eq!(bench.run(3, r##"EVAL "#!lua\nreturn redis.call('SET', 'k', 'w')" 0"##), "");
    bench.sleep(1_001);
    assert_eq!((bench.shown(2), bench.shown(3)), ("OK".to_owned(), "OK".to_owned()));
    assert_eq!(bench.run(2, reads), "\"w\"");
}

/// A log of one old-style file that holds these requests.
fn log_of(requests: &[&[&str]]) -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::default());
    let mut bytes = Vec::new();
    for request in requests {
        let words = request.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect::<String>();
        bytes.extend_from_slice(format!("*{}\r\n{words}", request.len()).as_bytes());
    }
    disk.put(Path::new("/data/appendonly.aof"), &bytes);
    disk
}

const LOG_ON: [(&str, &str); 3] = [("dir", "/data"), ("appendonly", "yes"), ("save", "")];

#[test]
fn scripts_that_a_log_holds_as_requests_run_when_it_is_loaded() {
    // The second script's digest, as SCRIPT LOAD tells it.
    let count = "return redis.call('INCR', KEYS[1])";
    let digest = Bench::new(&[]).run(1, &format!(r#"SCRIPT LOAD "{count}""#));
    let elsewhere =
        "redis.call('SELECT', 5) redis.call('SET', KEYS[1], ARGV[1]) redis.call('PUBLISH', 'c', 'm')";
    let disk = log_of(&[
        &["SELECT", "1"],
        &["EVAL", elsewhere, "1", "there", "v"],
        &[
            "EVAL",
            "redis.call('SET', KEYS[1], '41') return redis.error_reply('an error is no news')",
            "1",
            "k",
        ],
        &["SCRIPT", "LOAD", count],
        &["EVALSHA", digest.trim_matches('"'), "1", "k"],
        &["EVAL", "return redis.call('CONFIG', 'GET', 'dir')", "0"],
        &["SET", "after", "1"],
    ]);
    let mut bench = Bench::on_disk(&LOG_ON, disk);
    bench.run(1, "SELECT 1");
    assert_eq!(bench.run(1, "MGET k after there"), r#"["42", "1", (nil)]"#);
    bench.run(1, "SELECT 5");
    assert_eq!(bench.run(1, "GET there"), r#""v""#);
    assert_eq!(bench.run(1, &format!("SCRIPT EXISTS {digest}")), "[1]");
}

#[test]
fn a_script_that_a_log_cannot_mean_stops_the_start() {
    for request in [
        &["EVALSHA", "ffffffffffffffffffffffffffffffffffffffff", "0"][..],
        &["EVAL", "return 1", "-1"],
        &["EVAL", "return 1", "3", "k"],
        &["EVAL", "return (", "0"],
        &["FCALL", "unknown", "0"],
        &["SCRIPT", "KILL"],
    ] {
        let mut bench = Bench::before_start(&LOG_ON, log_of(&[request]));
        bench.start();
        assert_eq!(bench.exit_code, Some(1), "{request:?}");
    }
}

#[test]
fn a_script_that_runs_without_end_lets_a_load_be_given_up() {
    let disk = log_of(&[&["EVAL", "while true do end", "0"]]);
    let mut bench = Bench::before_start(&LOG_ON, disk);
    bench.meanwhile(7, "PING");
    bench.meanwhile_signalled(tenon_base::Signal::Terminate);
    bench.start();
    assert_eq!(bench.shown(7), "(error) LOADING Redis is loading the dataset in memory");
    assert!(bench.exit_code.is_some());
}

#[test]
fn what_was_run_last_is_not_run_when_it_is_gone() {
    const DIGEST: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let mut bench = bench();
    assert_eq!(bench.run(1, r#"EVAL "return 1" 0"#), "1");
    assert_eq!(bench.run(1, &format!("EVALSHA {DIGEST} 0")), "1");
    assert_eq!(bench.run(1, &format!("EVALSHA {} 0", DIGEST.to_uppercase())), "1");
    assert_eq!(bench.run(1, "SCRIPT FLUSH"), "OK");
    let gone = "(error) NOSCRIPT No matching script. Please use EVAL.";
    assert_eq!(bench.run(1, &format!("EVALSHA {} 0", DIGEST.to_uppercase())), gone);
    assert_eq!(bench.run(1, r#"EVAL "return 1" 0"#), "1");
    let library = |number: u32| {
        format!(
            r#"FUNCTION LOAD REPLACE "\x23!lua name=lib\nredis.register_function('f', function() return {number} end)""#
        )
    };
    for number in [1, 2] {
        assert_eq!(bench.run(1, &library(number)), "\"lib\"");
        assert_eq!(bench.run(1, "FCALL f 0"), number.to_string());
        assert_eq!(bench.run(1, "FCALL F 0"), number.to_string());
    }
    assert_eq!(bench.run(1, "FUNCTION DELETE lib"), "OK");
    assert_eq!(bench.run(1, "FCALL F 0"), "(error) ERR Function not found");
    assert_eq!(bench.run(1, &library(3)), "\"lib\"");
    assert_eq!(bench.run(1, "FCALL f 0"), "3");
    assert_eq!(bench.run(1, "FUNCTION FLUSH"), "OK");
    assert_eq!(bench.run(1, "FCALL f 0"), "(error) ERR Function not found");
}
