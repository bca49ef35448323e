//! Pauses, over an engine in process with a clock that the test holds.

use tenon_resp::Value;

use crate::testing::Bench;

fn heard(bench: &mut Bench, client: u64) -> String {
    bench.replies(client).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_pause_of_writes_keeps_writes_in_order() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.run(9, "CLIENT PAUSE 100 WRITE"), "OK");
    assert_eq!(bench.run(1, "RPUSH l a"), "");
    assert_eq!(bench.run(2, "RPUSH l b"), "");
    assert_eq!(bench.send_bytes(1, b"RPUSH l c\r\nGET x\r\n"), [] as [Value; 0]);
    assert_eq!(bench.run(3, "LLEN l"), "0");
    assert!(bench.run(3, "RPUSH l").starts_with("(error) ERR wrong number"));
    assert!(bench.text(9, "INFO clients").contains("blocked_clients:2"));
    bench.sleep(99);
    assert_eq!(heard(&mut bench, 1), "");
    bench.sleep(1);
    assert_eq!(heard(&mut bench, 1), "1; 2; (nil)");
    assert_eq!(heard(&mut bench, 2), "3");
    assert_eq!(bench.run(3, "LRANGE l 0 -1"), r#"["a", "c", "b"]"#);
}

#[test]
fn the_longer_and_the_wider_pause_holds() {
    let mut bench = Bench::new(&[]);
    bench.run(9, "CLIENT PAUSE 200 WRITE");
    bench.run(9, "CLIENT PAUSE 10 WRITE");
    bench.run(9, "CLIENT PAUSE 0");
    assert_eq!(bench.run(9, "PING"), "", "now all is paused");
    bench.sleep(100);
    assert_eq!(heard(&mut bench, 9), "");
    bench.sleep(100);
    assert_eq!(heard(&mut bench, 9), "PONG");
    assert_eq!(bench.run(9, "CLIENT PAUSE 0"), "OK");
    assert_eq!(bench.run(9, "PING"), "PONG");
}

#[test]
fn the_end_of_a_pause_runs_what_was_kept() {
    let mut bench = Bench::new(&[]);
    bench.run(9, "CLIENT PAUSE 60000 WRITE");
    assert_eq!(bench.run(1, "SET k v"), "");
    assert_eq!(bench.run(2, "CLIENT LIST ID 1").matches("flags=b ").count(), 1);
    assert_eq!(bench.run(9, "CLIENT UNBLOCK 1"), "0");
    assert_eq!(bench.run(9, "CLIENT UNPAUSE"), "OK");
    assert_eq!(heard(&mut bench, 1), "OK");
    for (line, error) in [
        ("CLIENT PAUSE x", "ERR timeout is not an integer or out of range"),
        ("CLIENT PAUSE -1", "ERR timeout is negative"),
        ("CLIENT PAUSE 10 READ", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
    ] {
        assert_eq!(bench.run(9, line), format!("(error) {error}"));
    }
}

#[test]
fn nothing_expires_in_a_pause() {
    let mut bench = Bench::new(&[]);
    bench.run(9, "SET k v PX 10");
    bench.run(9, "SET j v PX 10");
    bench.run(9, "CLIENT PAUSE 60000 WRITE");
    bench.sleep(1_000);
    assert_eq!(bench.run(9, "GET k"), "(nil)");
    assert_eq!(bench.run(9, "EXISTS j"), "0");
    assert!(bench.text(9, "INFO stats").contains("\nexpired_keys:0"));
    assert_eq!(bench.run(9, "DBSIZE"), "2");
    bench.run(9, "CLIENT UNPAUSE");
    bench.sleep(1_000);
    assert!(bench.text(9, "INFO stats").contains("\nexpired_keys:2"));
}

#[test]
fn whoever_waits_is_answered_in_time_in_a_pause() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.run(1, "BLPOP k 1"), "");
    bench.run(9, "CLIENT PAUSE 60000 ALL");
    bench.sleep(1_001);
    assert_eq!(heard(&mut bench, 1), "(nil array)");
}
