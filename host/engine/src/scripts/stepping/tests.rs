//! Sessions of SCRIPT DEBUG SYNC over an engine in process.

use tenon_base::Signal;
use tenon_resp::Value;

use crate::testing::Bench;

fn shown(replies: &[Value]) -> String {
    replies.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

const SCRIPT: &str = r#"EVAL "redis.call('SET', KEYS[1], 'v')\nreturn redis.call('GET', KEYS[1])" 1 k"#;

#[test]
fn a_script_is_stepped_through_and_its_connection_closed() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.run(1, "SCRIPT DEBUG SYNC"), "OK");
    for line in ["s", "", "p KEYS", "c"] {
        bench.says(line);
    }
    assert_eq!(bench.run(1, SCRIPT), "[<endsession>]; \"v\"");
    assert_eq!(
        bench.take_told(),
        "*2\r\n+* Stopped at 1, stop reason = step over\r\n+-> 1   redis.call('SET', KEYS[1], 'v')\r\n\
         *4\r\n+<redis> SET k v\r\n+<reply> \"+OK\"\r\n+* Stopped at 2, stop reason = step over\r\n\
         +-> 2   return redis.call('GET', KEYS[1])\r\n*1\r\n+<value> {\"k\"}\r\n"
    );
    assert_eq!(bench.closed, [1]);
    assert_eq!(bench.run(2, "GET k"), "\"v\"");
    assert_eq!(bench.run(2, "EVAL 'return 1' 0"), "1");
}

#[test]
fn everybody_else_waits_then_is_told_why_and_may_end_it() {
    let mut bench = Bench::new(&[("busy-reply-threshold", "3")]);
    bench.connect(2);
    bench.run(1, "SCRIPT DEBUG SYNC");
    bench.meanwhile(2, "GET k");
    bench.meanwhile(2, "SCRIPT KILL");
    bench.says("");
    bench.says("l");
    (0..12).for_each(|_| bench.says(""));
    let ended = bench.run(1, "EVAL 'return 1' 0");
    assert!(ended.starts_with("[<endsession>]; (error) ERR Script killed by user"), "{ended}");
    assert_eq!(bench.closed, [1]);
    let told = shown(&bench.replies(2));
    assert!(told.contains("BUSY Redis is busy running a script") && told.ends_with("; OK"), "{told}");
}

#[test]
fn whoever_goes_leaves_the_script_to_itself() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "SCRIPT DEBUG SYNC");
    bench.run(1, SCRIPT);
    assert_eq!(bench.closed, [1]);
    assert_eq!(bench.run(2, "GET k"), "\"v\"");
    bench.run(2, "SCRIPT DEBUG SYNC");
    bench.meanwhile_signalled(Signal::Terminate);
    (0..8).for_each(|_| bench.says(""));
    bench.run(2, SCRIPT);
    bench.sleep(1_000);
    assert_eq!(bench.exit_code, Some(0), "a signal does not wait for a person");
}

#[test]
fn what_cannot_be_stepped_through_is_refused() {
    let mut bench = Bench::new(&[]);
    assert!(bench.run(1, "SCRIPT DEBUG YES").contains("Use SCRIPT DEBUG SYNC"));
    assert_eq!(bench.run(1, "SCRIPT DEBUG maybe"), "(error) ERR Use SCRIPT DEBUG YES/SYNC/NO");
    assert_eq!(bench.run(1, "SCRIPT DEBUG NO"), "OK");
    assert_eq!(bench.run(1, "EVAL 'return 1' 0"), "1");
    let piped = bench.send_bytes(1, b"PING\r\nSCRIPT DEBUG SYNC\r\n");
    assert!(shown(&piped).contains("must be called outside a pipeline"), "{piped:?}");
    bench.run(1, "SCRIPT DEBUG SYNC");
    let digest = bench.text(2, "SCRIPT LOAD 'return 1'");
    assert!(bench.run(1, &format!("EVALSHA {digest} 0")).contains("Please use EVAL instead"));
    bench.run(1, "MULTI");
    bench.run(1, "EVAL 'return 1' 0");
    assert!(bench.run(1, "EXEC").contains("outside transactions and pipelines"));
    let piped = bench.send_bytes(1, b"PING\r\nEVAL 'return 1' 0\r\n");
    assert!(shown(&piped).contains("outside transactions and pipelines"), "{piped:?}");
    assert!(bench.closed.is_empty());
    let garbled = bench.send_bytes(1, b"EVAL 'x = = 1' 0\r\n");
    assert!(shown(&garbled).contains("Error compiling script"), "{garbled:?}");
    assert_eq!(bench.closed, [1]);
}

#[test]
fn what_was_to_be_undone_is_not_run() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "SCRIPT DEBUG YES");
    let told = bench.run(1, SCRIPT);
    assert!(told.starts_with("[<endsession>]; (error) ERR SCRIPT DEBUG YES is not supported"), "{told}");
    assert_eq!(bench.closed, [1]);
    assert_eq!(bench.run(2, "EXISTS k"), "0");
}

#[test]
fn nonsense_ends_the_script() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "SCRIPT DEBUG SYNC");
    bench.says_bytes(b"*1\r\n:1\r\n".to_vec());
    let replies = bench.send_bytes(1, b"EVAL 'return 1' 0\r\n");
    assert!(shown(&replies).contains("protocol error"), "{replies:?}");
    assert_eq!(bench.closed, [1]);
    assert_eq!(bench.run(2, "PING"), "PONG");
}

#[test]
fn what_is_said_may_come_in_pieces_or_all_at_once() {
    let said =
        [&b"*101\r\n$5\r\nredis\r\n"[..], &b"$4\r\ntest\r\n".repeat(100), b"*1\r\n$1\r\ns\r\nl\r\n"].concat();
    for piece in [1, 7, 100, 1_000, 5_000] {
        let mut bench = Bench::new(&[]);
        bench.run(1, "SCRIPT DEBUG SYNC");
        said.chunks(piece).for_each(|piece| bench.says_bytes(piece.to_vec()));
        bench.run(1, SCRIPT);
        let told = bench.take_told();
        assert!(told.contains("+<redis> test test") && told.contains("-> 2   return"), "{piece}: {told}");
        assert!(
            told.ends_with(
                "+   1   redis.call('SET', KEYS[1], 'v')\r\n+-> 2   return redis.call('GET', KEYS[1])\r\n"
            ),
            "{told}"
        );
    }
}
