//! What clients are told of keys that they cache, and when.

use tenon_base::Input;

use crate::testing::Bench;

/// A bench whose first two clients speak RESP3.
fn bench() -> Bench {
    let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
    bench.run(1, "HELLO 3");
    bench.run(2, "HELLO 3");
    bench
}

const OF_A: &str = r#">["invalidate", ["a"]]"#;

#[test]
fn whoever_has_read_a_key_hears_once_that_it_changes() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "MGET a b");
    bench.run(2, "SET c 1");
    assert_eq!(bench.shown(1), "");
    bench.run(2, "SET a 1");
    assert_eq!(bench.shown(1), OF_A);
    bench.run(2, "SET a 2");
    assert_eq!(bench.shown(1), "", "it has not read it again");
    bench.run(1, "GET a");
    bench.run(2, "SELECT 3");
    bench.run(2, "SET a 3");
    assert_eq!(bench.shown(1), OF_A, "databases are not told apart");
    bench.run(1, "SET a 1");
    bench.run(2, "SET a 2");
    assert_eq!(bench.shown(1), "", "writing is not reading");
    bench.run(1, "GET b");
    bench.run(1, "CLIENT TRACKING OFF");
    bench.run(2, "SET b 2");
    assert_eq!(bench.shown(1), "");
}

#[test]
fn whoever_changes_a_key_hears_of_it_behind_the_reply() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "GET a");
    assert_eq!(bench.run(1, "SET a 1"), format!("OK; {OF_A}"));
    bench.run(1, "GET a");
    bench.run(1, "MULTI");
    bench.run(1, "INCR a");
    bench.run(1, "GET b");
    assert_eq!(bench.run(1, "EXEC"), format!("[2, (nil)]; {OF_A}"));
    bench.run(1, "CLIENT TRACKING ON NOLOOP");
    bench.run(1, "GET a");
    assert_eq!(bench.run(1, "INCR a"), "3");
    bench.run(1, "GET a");
    bench.run(2, "INCR a");
    assert_eq!(bench.shown(1), OF_A);
}

#[test]
fn expiry_is_a_change_and_a_flush_changes_everything() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "SET a 1 PX 100");
    bench.run(1, "GET a");
    bench.sleep(200);
    assert_eq!(bench.shown(1), OF_A);
    bench.run(1, "GET a");
    bench.run(2, "FLUSHDB");
    assert_eq!(bench.shown(1), r#">["invalidate", (nil)]"#);
    assert!(bench.text(2, "INFO stats").contains("tracking_total_keys:0\r\n"));
    bench.run(1, "MULTI");
    bench.run(1, "FLUSHALL");
    assert_eq!(bench.run(1, "EXEC"), r#"["OK"]; >["invalidate", (nil)]"#.replace("\"OK\"", "OK"));
}

#[test]
fn keys_under_prefixes_are_told_together_when_the_turn_ends() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON BCAST PREFIX u: PREFIX v:");
    bench.run(2, "MSET u:1 1 v:1 1 w:1 1 u:2 2");
    assert_eq!(bench.shown(1), r#">["invalidate", ["u:1", "u:2"]]; >["invalidate", ["v:1"]]"#);
    assert_eq!(bench.run(1, "CLIENT TRACKING ON BCAST PREFIX w:"), "OK");
    bench.run(2, "MSET u:1 1 w:1 1");
    assert_eq!(bench.shown(1), r#">["invalidate", ["u:1"]]; >["invalidate", ["w:1"]]"#);
    bench.run(2, "CLIENT TRACKING ON BCAST NOLOOP");
    assert_eq!(bench.run(2, "SET u:1 2"), "OK");
    assert_eq!(bench.shown(1), r#">["invalidate", ["u:1"]]"#);
    bench.run(1, "SET x 2");
    assert_eq!(bench.shown(2), r#">["invalidate", ["x"]]"#);
    let counts = bench.text(1, "INFO");
    assert!(counts.contains("tracking_clients:2\r\n") && counts.contains("tracking_total_prefixes:4\r\n"));
}

#[test]
fn a_key_that_expires_under_its_writer_is_no_doing_of_the_writer() {
    let mut bench = bench();
    bench.run(1, "DEBUG SET-ACTIVE-EXPIRE 0");
    bench.run(1, "CLIENT TRACKING ON BCAST NOLOOP");
    bench.run(1, "SET a 1 PX 10");
    bench.sleep(50);
    assert_eq!(bench.run(1, "GET a"), format!("(nil); {OF_A}"));
}

#[test]
fn modes_say_which_reads_count() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON OPTIN");
    bench.run(1, "GET a");
    bench.run(2, "SET a 1");
    assert_eq!(bench.shown(1), "");
    assert_eq!(bench.run(1, "CLIENT CACHING YES"), "OK");
    bench.run(1, "CLIENT GETREDIR");
    bench.run(1, "GET a");
    bench.run(1, "GET b");
    bench.run(2, "MSET a 1 b 1");
    assert_eq!(bench.shown(1), OF_A);
    bench.run(1, "CLIENT CACHING YES");
    bench.run(1, "MULTI");
    bench.run(1, "GET a");
    bench.run(1, "GET b");
    bench.run(1, "EXEC");
    bench.run(2, "MSET a 1 b 1");
    assert_eq!(bench.shown(1), format!("{OF_A}; {}", OF_A.replace("\"a\"", "\"b\"")));
    bench.run(1, "CLIENT TRACKING OFF");
    bench.run(1, "CLIENT TRACKING ON OPTOUT");
    bench.run(1, "CLIENT CACHING NO");
    bench.run(1, "GET a");
    bench.run(1, "GET b");
    bench.run(2, "MSET a 1 b 1");
    assert_eq!(bench.shown(1), OF_A.replace("\"a\"", "\"b\""));
}

#[test]
fn invalidations_can_be_redirected() {
    let mut bench = bench();
    bench.run(3, "SUBSCRIBE __redis__:invalidate");
    bench.run(1, "CLIENT TRACKING ON REDIRECT 3");
    assert_eq!(bench.run(1, "CLIENT GETREDIR"), "3");
    assert!(bench.text(1, "CLIENT INFO").contains(" flags=t "));
    bench.run(1, "GET a");
    bench.run(2, "SET a 1");
    assert_eq!(bench.shown(3), r#"["message", "__redis__:invalidate", ["a"]]"#);
    bench.run(2, "FLUSHALL");
    assert_eq!(bench.shown(3), r#"["message", "__redis__:invalidate", (nil)]"#);
    bench.run(1, "GET a");
    bench.run(3, "QUIT");
    bench.run(2, "SET a 1");
    assert_eq!(bench.shown(1), r#">["tracking-redir-broken", 3]"#);
    assert_eq!(
        bench.run(1, "CLIENT TRACKINGINFO"),
        r#"{"flags": ~["on", "broken_redirect"], "redirect": 3, "prefixes": []}"#
    );
    assert!(bench.text(1, "CLIENT INFO").contains(" flags=tR "));
}

#[test]
fn a_client_of_resp2_without_a_channel_is_told_nothing() {
    let mut bench = bench();
    bench.run(4, "CLIENT TRACKING ON");
    bench.run(4, "GET a");
    bench.run(2, "SET a 1");
    assert_eq!(bench.shown(4), "");
    assert_eq!(bench.run(4, "PING"), "PONG");
}

#[test]
fn silence_does_not_silence_invalidations() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "GET a");
    bench.run(1, "CLIENT REPLY OFF");
    bench.run(2, "SET a 1");
    assert_eq!(bench.shown(1), OF_A);
    bench.run(1, "GET a");
    assert_eq!(bench.run(1, "SET a 2"), OF_A);
}

#[test]
fn a_table_that_is_too_large_tells_of_keys_before_the_next_reply() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "GET a");
    bench.run(1, "GET b");
    bench.run(1, "CONFIG SET tracking-table-max-keys 1");
    let told = bench.shown(1);
    // The turn's timers may have come first.
    let told = if told.is_empty() { bench.run(1, "PING") } else { told };
    assert!(told.starts_with(r#">["invalidate", [""#), "{told}");
    assert!(bench.text(2, "INFO stats").contains("tracking_total_keys:1\r\n"));
    bench.run(1, "CONFIG SET tracking-table-max-keys 0");
    for key in 0..300 {
        bench.run(1, &format!("GET key:{key}"));
    }
    assert!(bench.text(2, "INFO stats").contains("tracking_total_keys:301\r\n"));
}

#[test]
fn who_leaves_is_forgotten() {
    let mut bench = bench();
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "GET a");
    bench.run(2, "CLIENT TRACKING ON BCAST");
    bench.run(1, "QUIT");
    assert_eq!(bench.run(2, "RESET"), "RESET");
    assert_eq!(bench.engine.tracking.counts(), [0; 4]);
    assert!(!bench.engine.tracking.is_on() && !bench.engine.unit.wants_keys());
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let mut bench = bench();
    for (line, error) in [
        ("CLIENT TRACKING MAYBE", "ERR syntax error"),
        ("CLIENT TRACKING ON REDIRECT", "ERR syntax error"),
        ("CLIENT TRACKING ON REDIRECT 99", "ERR The client ID you want redirect to does not exist"),
        (
            "CLIENT TRACKING ON REDIRECT 1 REDIRECT 2",
            "ERR A client can only redirect to a single other client",
        ),
        ("CLIENT TRACKING ON PREFIX a", "ERR PREFIX option requires BCAST mode to be enabled"),
        ("CLIENT TRACKING ON BCAST OPTIN", "ERR OPTIN and OPTOUT are not compatible with BCAST"),
        ("CLIENT TRACKING ON OPTIN OPTOUT", "ERR You can't specify both OPTIN mode and OPTOUT mode"),
        (
            "CLIENT TRACKING ON BCAST PREFIX aa PREFIX b PREFIX a",
            "ERR Prefix 'aa' overlaps with another provided prefix 'a'. Prefixes for a single client must not \
             overlap.",
        ),
        (
            "CLIENT CACHING YES",
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        ),
    ] {
        assert_eq!(bench.run(1, line), format!("(error) {error}"), "{line}");
    }
    bench.run(1, "CLIENT TRACKING ON OPTIN");
    for (line, error) in [
        (
            "CLIENT TRACKING ON BCAST",
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
             re-enabling it with a different mode.",
        ),
        (
            "CLIENT TRACKING ON OPTOUT",
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
             re-enabling it with a different mode.",
        ),
        ("CLIENT CACHING NO", "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."),
        ("CLIENT CACHING PERHAPS", "ERR syntax error"),
    ] {
        assert_eq!(bench.run(1, line), format!("(error) {error}"), "{line}");
    }
    assert_eq!(
        bench.run(1, "CLIENT TRACKINGINFO"),
        r#"{"flags": ~["on", "optin"], "redirect": 0, "prefixes": []}"#
    );
}

#[test]
fn an_invalidation_waits_until_what_it_tells_of_is_durable() {
    let mut bench = Bench::new(&[("appendonly", "yes"), ("appendfsync", "always")]);
    bench.run(1, "HELLO 3");
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(3, "HELLO 3");
    bench.run(3, "CLIENT TRACKING ON BCAST");
    bench.run(1, "GET a");
    let connection = bench.connect(2);
    bench.input(Input::Received { connection, bytes: b"SET a 1\r\n" });
    bench.turn();
    // What writes and syncs the log has been asked for, and nothing has been done yet.
    assert_eq!((bench.shown(1), bench.shown(2), bench.shown(3)), Default::default());
    bench.settle();
    assert_eq!((bench.shown(1).as_str(), bench.shown(3).as_str()), (OF_A, OF_A));
    assert_eq!(bench.shown(2), "OK");
}

/// Lowers the limit of memory and writes, in one turn, so that the write needs the room that `a` takes.
fn write_that_evicts(bench: &mut Bench, client: u64) -> String {
    let limit = bench.engine.used_bytes(&bench.outputs) - 20_000;
    let bytes = format!("CONFIG SET maxmemory {limit}\r\nSET b 1\r\n");
    let replies: Vec<String> =
        bench.send_bytes(client, bytes.as_bytes()).iter().map(ToString::to_string).collect();
    assert_eq!(bench.run(4, "EXISTS a b"), "1", "a had to go");
    replies.join("; ")
}

/// A bench of which one key takes most, and may go.
fn bench_to_evict_from(directives: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(&[&[("maxmemory-policy", "allkeys-lru")], directives].concat());
    (1..=3).for_each(|client| drop(bench.run(client, "HELLO 3")));
    bench.run(3, &format!("SET a {}", "v".repeat(40_000)));
    bench
}

#[test]
fn eviction_is_a_change_that_is_told_before_the_reply_of_whom_it_makes_room_for() {
    let mut bench = bench_to_evict_from(&[]);
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "STRLEN a");
    bench.run(2, "CLIENT TRACKING ON");
    bench.run(2, "STRLEN a");
    assert_eq!(write_that_evicts(&mut bench, 1), format!("OK; {OF_A}; OK"));
    assert_eq!(bench.shown(2), OF_A);
    bench.run(1, "GET a");
    assert_eq!(bench.run(3, "SET a 1"), "OK");
    assert_eq!(bench.shown(1), OF_A, "it has gone once, and is tracked anew");
}

#[test]
fn eviction_is_told_by_prefix_and_is_nobodys_own_doing() {
    let mut bench = bench_to_evict_from(&[]);
    bench.run(1, "CLIENT TRACKING ON BCAST NOLOOP");
    bench.run(2, "CLIENT TRACKING ON BCAST PREFIX a");
    bench.run(3, "CLIENT TRACKING ON BCAST PREFIX b");
    // What is told by prefix is told when the turn ends, behind its replies.
    assert_eq!(write_that_evicts(&mut bench, 1), format!("OK; OK; {OF_A}"));
    assert_eq!(bench.shown(2), OF_A);
    assert_eq!(bench.shown(3), OF_A.replace("\"a\"", "\"b\""));
}

#[test]
fn an_eviction_is_told_when_it_is_durable_also_to_whom_it_made_room_for() {
    let mut bench = bench_to_evict_from(&[("appendonly", "yes"), ("appendfsync", "always")]);
    bench.run(1, "CLIENT TRACKING ON");
    bench.run(1, "STRLEN a");
    bench.run(2, "CLIENT TRACKING ON BCAST");
    let limit = bench.engine.used_bytes(&bench.outputs) - 20_000;
    let connection = bench.connect(1);
    let bytes = format!("CONFIG SET maxmemory {limit}\r\nPING\r\n");
    bench.input(Input::Received { connection, bytes: bytes.as_bytes() });
    bench.turn();
    assert_eq!((bench.shown(1).as_str(), bench.shown(2).as_str()), ("OK", ""));
    bench.settle();
    assert_eq!((bench.shown(1), bench.shown(2).as_str()), (format!("{OF_A}; PONG"), OF_A));
}
