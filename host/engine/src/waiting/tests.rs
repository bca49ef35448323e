//! Clients that wait, over an engine in process with a clock that the test holds.

use tenon_base::Input;
use tenon_resp::Value;

use crate::testing::Bench;

const NOTHING: &str = "";

/// What has come for a client since it was last looked at, in one line.
fn heard(bench: &mut Bench, client: u64) -> String {
    shown(bench.replies(client))
}

fn shown(replies: Vec<Value>) -> String {
    replies.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A bench with clients that wait, each with a line.
fn with_waiters(lines: &[(u64, &str)]) -> Bench {
    let mut bench = Bench::new(&[]);
    for (client, line) in lines {
        assert_eq!(bench.run(*client, line), NOTHING, "{line}");
    }
    bench
}

/// The value of a field of INFO.
fn figure(bench: &mut Bench, section: &str, name: &str) -> String {
    let text = bench.text(4_000, &format!("INFO {section}"));
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[test]
fn whoever_came_first_is_served_first() {
    let mut bench = with_waiters(&[(1, "BLPOP k 0"), (2, "BRPOP other k 0"), (3, "BLPOP k k 0")]);
    assert_eq!(bench.run(9, "RPUSH k a b"), "2");
    assert_eq!(heard(&mut bench, 1), r#"["k", "a"]"#);
    assert_eq!(heard(&mut bench, 2), r#"["k", "b"]"#);
    assert_eq!(heard(&mut bench, 3), NOTHING);
    assert_eq!(figure(&mut bench, "clients", "total_blocking_keys"), "1");
    assert_eq!(bench.run(9, "RPUSH k c d"), "2");
    assert_eq!(heard(&mut bench, 3), r#"["k", "c"]"#);
    assert_eq!(bench.run(9, "LRANGE k 0 -1"), r#"["d"]"#);
    assert_eq!(figure(&mut bench, "clients", "total_blocking_keys"), "0");
}

#[test]
fn a_waiter_is_served_before_the_next_request_of_anybody() {
    let mut bench = with_waiters(&[(1, "BLPOP k 0")]);
    let replies = bench.send_bytes(9, b"RPUSH k a\r\nRPUSH k b\r\nLRANGE k 0 -1\r\n");
    assert_eq!(shown(replies), r#"1; 1; ["b"]"#);
    assert_eq!(heard(&mut bench, 1), r#"["k", "a"]"#);
}

#[test]
fn an_answer_may_serve_others() {
    let mut bench = with_waiters(&[
        (1, "BLMOVE a b LEFT RIGHT 0"),
        (2, "BRPOPLPUSH b c 0"),
        (3, "BLMPOP 0 2 x c RIGHT COUNT 5"),
    ]);
    assert_eq!(bench.run(9, "RPUSH a 1"), "1");
    assert_eq!(heard(&mut bench, 1), r#""1""#);
    assert_eq!(heard(&mut bench, 2), r#""1""#);
    assert_eq!(heard(&mut bench, 3), r#"["c", ["1"]]"#);
    assert_eq!(bench.run(9, "DBSIZE"), "0");
}

#[test]
fn a_circle_of_moves_ends() {
    let mut bench = with_waiters(&[(1, "BLMOVE a b LEFT LEFT 0"), (2, "BLMOVE b a LEFT LEFT 0")]);
    assert_eq!(bench.run(9, "RPUSH a 1"), "1");
    assert_eq!(heard(&mut bench, 1) + &heard(&mut bench, 2), r#""1""1""#);
    assert_eq!(bench.run(9, "LRANGE a 0 -1"), r#"["1"]"#);
}

#[test]
fn another_type_serves_nobody_and_moves_nobody() {
    let mut bench = with_waiters(&[(1, "BLPOP k 0"), (2, "BZPOPMIN k 0"), (3, "BLPOP k 0")]);
    assert_eq!(bench.run(9, "SET k text"), "OK");
    assert_eq!(bench.run(9, "DEL k"), "1");
    assert_eq!(bench.run(9, "ZADD k 1 m 2 n"), "2");
    assert_eq!(heard(&mut bench, 1), NOTHING);
    assert_eq!(heard(&mut bench, 2), r#"["k", "m", "1"]"#);
    assert_eq!(bench.run(9, "DEL k"), "1");
    assert_eq!(bench.run(9, "RPUSH k a b"), "2");
    assert_eq!(heard(&mut bench, 1), r#"["k", "a"]"#);
    assert_eq!(heard(&mut bench, 3), r#"["k", "b"]"#);
}

#[test]
fn a_wrong_destination_is_told_when_the_source_comes() {
    let mut bench = with_waiters(&[(1, "BLMOVE a b LEFT LEFT 0"), (2, "BLPOP a 0")]);
    bench.run(9, "SET b text");
    assert_eq!(bench.run(9, "RPUSH a 1"), "1");
    assert!(heard(&mut bench, 1).starts_with("(error) WRONGTYPE"));
    assert_eq!(heard(&mut bench, 2), r#"["a", "1"]"#);
}

#[test]
fn sorted_sets_are_waited_for_with_their_shapes() {
    let mut bench = with_waiters(&[(1, "BZPOPMAX z 0"), (2, "BZMPOP 0 2 y z MIN COUNT 2")]);
    assert!(!bench.run(3, "HELLO 3").contains("error"));
    assert_eq!(bench.run(3, "BZPOPMIN z 0"), NOTHING);
    assert_eq!(bench.run(9, "ZADD z 1 a 2 b 3 c 4 d"), "4");
    assert_eq!(heard(&mut bench, 1), r#"["z", "d", "4"]"#);
    assert_eq!(heard(&mut bench, 2), r#"["z", [["a", "1"], ["b", "2"]]]"#);
    assert_eq!(heard(&mut bench, 3), r#"["z", "c", (double) 3]"#);
}

#[test]
fn keys_that_arrive_by_other_ways_serve_too() {
    let mut bench = Bench::new(&[]);
    bench.run(9, "RPUSH from x");
    assert_eq!(bench.run(1, "BLPOP k 0"), NOTHING);
    assert_eq!(bench.run(9, "RENAME from k"), "OK");
    assert_eq!(heard(&mut bench, 1), r#"["k", "x"]"#);

    bench.run(9, "RPUSH from y");
    assert_eq!(bench.run(1, "BLPOP k 0"), NOTHING);
    assert_eq!(bench.run(9, "COPY from k"), "1");
    assert_eq!(heard(&mut bench, 1), r#"["k", "y"]"#);

    assert_eq!(bench.run(1, "BLPOP from2 0"), NOTHING);
    bench.run(9, "SELECT 1");
    bench.run(9, "RPUSH from2 z");
    assert_eq!(heard(&mut bench, 1), NOTHING, "another database");
    assert_eq!(bench.run(9, "MOVE from2 0"), "1");
    assert_eq!(heard(&mut bench, 1), r#"["from2", "z"]"#);

    assert_eq!(bench.run(1, "BLPOP s t 0"), NOTHING);
    bench.run(9, "RPUSH t 1");
    assert_eq!(bench.run(9, "SWAPDB 0 1"), "OK");
    assert_eq!(heard(&mut bench, 1), r#"["t", "1"]"#);
    assert_eq!(bench.run(9, "FLUSHALL"), "OK");
}

#[test]
fn time_is_up_to_the_millisecond() {
    let mut bench =
        with_waiters(&[(1, "BLPOP k 0.25"), (2, "BZPOPMIN z 0.2501"), (3, "BLMOVE a b LEFT LEFT 1")]);
    assert_eq!(figure(&mut bench, "clients", "clients_in_timeout_table"), "3");
    // Each began a few microseconds after the first millisecond had.
    bench.sleep(250);
    assert_eq!(heard(&mut bench, 1), NOTHING);
    bench.sleep(1);
    assert_eq!((heard(&mut bench, 1), heard(&mut bench, 2)), ("(nil array)".to_owned(), NOTHING.to_owned()));
    bench.sleep(1);
    assert_eq!(heard(&mut bench, 2), "(nil array)");
    bench.sleep(749);
    assert_eq!(heard(&mut bench, 3), "(nil array)");
    assert_eq!(figure(&mut bench, "clients", "clients_in_timeout_table"), "0");
    assert_eq!(bench.run(9, "RPUSH k a"), "1");
    assert_eq!(bench.run(9, "LLEN k"), "1", "nobody waits any more");
}

#[test]
fn the_engine_wakes_for_the_earliest_deadline() {
    use tenon_base::Machine;
    let mut bench = with_waiters(&[(1, "BLPOP k 0.005"), (2, "BLPOP k 0.003")]);
    let start = bench.engine.wake_at().expect("somebody waits");
    bench.sleep(4);
    assert_eq!(heard(&mut bench, 2), "(nil array)");
    let next = bench.engine.wake_at().expect("somebody waits");
    assert!((1_900..=2_000).contains(&next.since(start).0), "{next:?} after {start:?}");
}

#[test]
fn what_was_sent_meanwhile_runs_after_the_answer() {
    let mut bench = with_waiters(&[(1, "BLPOP k 0")]);
    assert_eq!(shown(bench.send_bytes(1, b"PING one\r\nBLPOP k 0\r\nPING two\r\n")), NOTHING);
    bench.run(9, "RPUSH k a");
    assert_eq!(shown(bench.replies(1)), r#"["k", "a"]; "one""#);
    bench.run(9, "RPUSH k b");
    assert_eq!(shown(bench.replies(1)), r#"["k", "b"]; "two""#);
}

#[test]
fn a_client_that_is_gone_waits_no_more() {
    let mut bench = with_waiters(&[(1, "BLPOP k j 10"), (2, "BLPOP k 0"), (3, "BLPOP k 0")]);
    let connection = bench.connect(1);
    bench.input(Input::Closed { connection });
    assert_eq!(bench.run(9, "CLIENT KILL ID 2"), "1");
    assert_eq!(figure(&mut bench, "clients", "blocked_clients"), "1");
    assert_eq!(figure(&mut bench, "clients", "total_blocking_keys"), "1");
    assert_eq!(figure(&mut bench, "clients", "clients_in_timeout_table"), "0");
    bench.run(9, "RPUSH k a");
    assert_eq!(heard(&mut bench, 3), r#"["k", "a"]"#);
}

#[test]
fn waiting_is_ended_by_others() {
    let mut bench = with_waiters(&[(1, "BLPOP k 0"), (2, "BZMPOP 0 1 k MAX"), (3, "BLPOP k 0")]);
    assert_eq!(bench.run(9, "CLIENT UNBLOCK 1"), "1");
    assert_eq!(bench.run(9, "CLIENT UNBLOCK 2 error"), "1");
    assert_eq!(bench.run(9, "CLIENT UNBLOCK 2 TIMEOUT"), "0");
    assert_eq!(bench.run(9, "CLIENT UNBLOCK 77"), "0");
    for (line, error) in [
        ("CLIENT UNBLOCK x", "ERR value is not an integer or out of range"),
        ("CLIENT UNBLOCK 3 never", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        (
            "CLIENT UNBLOCK 3 ERROR x",
            "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.",
        ),
    ] {
        assert_eq!(bench.run(9, line), format!("(error) {error}"));
    }
    assert_eq!(heard(&mut bench, 1), "(nil array)");
    assert_eq!(heard(&mut bench, 2), "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK");
    assert!(bench.text(9, "CLIENT LIST ID 3").contains(" flags=b "));
    let calls = figure(&mut bench, "commandstats", "cmdstat_blpop");
    assert!(calls.starts_with("calls=1,usec=7,"), "{calls}");
    let calls = figure(&mut bench, "commandstats", "cmdstat_bzmpop");
    assert!(calls.ends_with(",failed_calls=1"), "{calls}");
    assert_eq!(figure(&mut bench, "errorstats", "errorstat_UNBLOCKED"), "count=1");
}

#[test]
fn a_call_counts_once_with_the_time_of_its_runs() {
    let mut bench = Bench::new(&[("slowlog-log-slower-than", "14")]);
    assert_eq!(bench.run(1, "BLPOP k 0"), NOTHING);
    assert!(!bench.text(9, "INFO commandstats").contains("cmdstat_blpop"));
    bench.sleep(5_000);
    bench.run(9, "RPUSH k a");
    let calls = figure(&mut bench, "commandstats", "cmdstat_blpop");
    assert!(calls.starts_with("calls=1,usec=14,"), "{calls}");
    assert!(bench.run(9, "SLOWLOG GET").contains(r#"14, ["BLPOP", "k", "0"]"#));
}

#[test]
fn replies_that_nobody_wants_are_left_out() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "CLIENT REPLY SKIP");
    assert_eq!(bench.run(1, "BLPOP k 0"), NOTHING);
    bench.run(9, "RPUSH k a");
    assert_eq!(shown(bench.replies(1)), NOTHING);
    assert_eq!(bench.run(1, "PING"), "PONG");
    bench.run(1, "CLIENT REPLY OFF");
    bench.run(1, "BLPOP k 0.001");
    bench.sleep(2);
    assert_eq!(bench.run(1, "CLIENT REPLY ON"), "OK");
}

#[test]
fn a_change_of_role_ends_all_waiting() {
    let mut bench = with_waiters(&[(1, "BLPOP k 0"), (2, "BZPOPMIN z 5")]);
    bench.with_world(|engine, now, world| engine.unblock_all(now, world));
    let forced = "(error) UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    assert_eq!(shown(bench.replies(1)), forced);
    assert_eq!(shown(bench.replies(2)), forced);
    bench.settle();
    assert_eq!(bench.closed, [1, 2]);
    assert_eq!(figure(&mut bench, "clients", "total_blocking_keys"), "0");
}

#[test]
fn an_expired_key_serves_nobody() {
    let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
    bench.run(9, "DEBUG SET-ACTIVE-EXPIRE 0");
    bench.run(9, "RPUSH k a");
    bench.run(9, "PEXPIRE k 5");
    bench.sleep(10);
    assert_eq!(bench.run(1, "BLPOP k 0"), NOTHING);
    bench.run(9, "RPUSH k b");
    assert_eq!(heard(&mut bench, 1), r#"["k", "b"]"#);
}

#[test]
fn a_thousand_clients_wait_for_a_thousand_keys() {
    const CLIENTS: u64 = 1_000;
    let mut bench = Bench::new(&[("maxclients", "2000")]);
    let keys: Vec<String> = (0..CLIENTS).map(|key| format!("k{key}")).collect();
    let all = keys.join(" ");
    for client in 1..=CLIENTS {
        // Every tenth waits for all keys, the others for one each.
        let line =
            if client % 10 == 0 { format!("BLPOP {all} 0") } else { format!("BLPOP k{} 0", client - 1) };
        assert_eq!(bench.run(client, &line), NOTHING);
    }
    assert_eq!(figure(&mut bench, "clients", "total_blocking_keys"), "1000");
    assert_eq!(figure(&mut bench, "clients", "blocked_clients"), "1000");
    // Whoever came first for a key has its element: who waits for that key alone, or the next of the others.
    for key in &keys {
        bench.run(5_000, &format!("RPUSH {key} x"));
    }
    let served = (1..=CLIENTS).filter(|&client| !bench.replies(client).is_empty()).count();
    assert_eq!(served, CLIENTS as usize);
    assert_eq!(figure(&mut bench, "clients", "total_blocking_keys"), "0");
    assert_eq!(figure(&mut bench, "clients", "blocked_clients"), "0");
}
