//! Publish and subscribe over an engine in process.

use tenon_resp::Value;

use crate::testing::Bench;

/// What a client was sent meanwhile, in one line.
fn heard(bench: &mut Bench, client: u64) -> String {
    bench.shown(client)
}

#[test]
fn messages_reach_channels_and_patterns() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.run(1, "SUBSCRIBE a b"), r#"["subscribe", "a", 1]; ["subscribe", "b", 2]"#);
    assert_eq!(bench.run(1, "PSUBSCRIBE a*"), r#"["psubscribe", "a*", 3]"#);
    assert_eq!(bench.run(1, "SSUBSCRIBE a"), r#"["ssubscribe", "a", 1]"#);
    bench.run(2, "HELLO 3");
    assert_eq!(bench.run(2, "SUBSCRIBE a"), r#">["subscribe", "a", 1]"#);
    assert_eq!(bench.run(3, "PUBLISH a hi"), "3");
    assert_eq!(heard(&mut bench, 1), r#"["message", "a", "hi"]; ["pmessage", "a*", "a", "hi"]"#);
    assert_eq!(heard(&mut bench, 2), r#">["message", "a", "hi"]"#);
    assert_eq!(bench.run(3, "SPUBLISH a hi"), "1");
    assert_eq!(heard(&mut bench, 1), r#"["smessage", "a", "hi"]"#);
    assert_eq!(bench.run(3, "PUBSUB CHANNELS"), r#"["a", "b"]"#);
    assert_eq!(bench.run(3, "PUBSUB CHANNELS [b]"), r#"["b"]"#);
    assert_eq!(bench.run(3, "PUBSUB NUMSUB a x"), r#"["a", 2, "x", 0]"#);
    assert_eq!(bench.run(3, "PUBSUB NUMPAT"), "1");
    assert_eq!(bench.run(3, "PUBSUB SHARDCHANNELS"), r#"["a"]"#);
    assert_eq!(bench.run(3, "PUBSUB SHARDNUMSUB a"), r#"["a", 1]"#);
    let told = bench.text(3, "INFO stats");
    assert!(told.contains("pubsub_channels:2\r\npubsub_patterns:1\r\npubsubshard_channels:1\r\n"), "{told}");
    let told = bench.text(3, "CLIENT LIST TYPE pubsub");
    assert_eq!(told.lines().count(), 2);
    assert!(told.contains(" flags=P db=0 sub=2 psub=1 ssub=1 "), "{told}");
    assert_eq!(bench.run(1, "UNSUBSCRIBE"), r#"["unsubscribe", "a", 2]; ["unsubscribe", "b", 1]"#);
    assert_eq!(bench.run(1, "UNSUBSCRIBE x"), r#"["unsubscribe", "x", 1]"#);
    assert_eq!(bench.run(1, "PUNSUBSCRIBE"), r#"["punsubscribe", "a*", 0]"#);
    assert_eq!(bench.run(1, "SUNSUBSCRIBE"), r#"["sunsubscribe", "a", 0]"#);
    assert_eq!(bench.run(1, "SUNSUBSCRIBE"), r#"["sunsubscribe", (nil), 0]"#);
    assert_eq!(bench.run(1, "PUBLISH a x"), "1");
}

#[test]
fn few_commands_are_left_to_a_subscriber_in_the_old_protocol() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "SUBSCRIBE a");
    assert_eq!(
        bench.run(1, "CLIENT ID"),
        "(error) ERR Can't execute 'client|id': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context"
    );
    assert!(bench.run(1, "PUBSUB NUMPAT").starts_with("(error) ERR Can't execute 'pubsub|numpat'"));
    assert_eq!(bench.run(1, "PING"), r#"["pong", ""]"#);
    assert_eq!(bench.run(1, "PING x"), r#"["pong", "x"]"#);
    assert_eq!(bench.run(1, "RESET"), "RESET");
    assert_eq!(bench.run(1, "PING"), "PONG");
    assert_eq!(bench.run(2, "PUBLISH a x"), "0");
    bench.run(1, "SUBSCRIBE a");
    assert_eq!(bench.run(1, "QUIT"), "OK");
    assert_eq!(bench.run(2, "PUBLISH a x"), "0");
}

#[test]
fn who_publishes_to_itself_hears_it_behind_the_reply() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "HELLO 3");
    bench.run(1, "SUBSCRIBE a");
    assert_eq!(bench.run(1, "PUBLISH a x"), r#"1; >["message", "a", "x"]"#);
    bench.run(1, "MULTI");
    for line in ["PING", "PUBLISH a 1", "UNSUBSCRIBE b", "PUBLISH a 2", "PING"] {
        assert_eq!(bench.run(1, line), "QUEUED");
    }
    let told = bench.send(1, "EXEC");
    // A push inside a reply is what it is in Redis, too.
    assert_eq!(told.iter().filter(|reply| matches!(reply, Value::Push(_))).count(), 2, "{told:?}");
    assert!(matches!(told[0], Value::Array(ref replies) if replies.len() == 5), "{told:?}");
    bench.run(1, "MULTI");
    bench.run(1, "SSUBSCRIBE x");
    bench.run(1, "MONITOR");
    assert_eq!(
        bench.run(1, "EXEC"),
        "[(error) ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client, (error) ERR MONITOR isn't allowed for DENY \
         BLOCKING client]"
    );
}

#[test]
fn a_silent_client_hears_messages() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "HELLO 3");
    assert_eq!(bench.run(1, "CLIENT REPLY OFF"), "");
    assert_eq!(bench.run(1, "PING"), "");
    assert_eq!(bench.run(1, "SUBSCRIBE a"), r#">["subscribe", "a", 1]"#);
    bench.run(2, "PUBLISH a x");
    assert_eq!(heard(&mut bench, 1), r#">["message", "a", "x"]"#);
    assert_eq!(bench.run(1, "UNSUBSCRIBE a"), r#">["unsubscribe", "a", 0]"#);
}

#[test]
fn events_are_published_as_configured() {
    let mut bench = Bench::new(&[("notify-keyspace-events", "KEA")]);
    bench.run(1, "PSUBSCRIBE *");
    bench.run(2, "SET k 1 EX 100");
    assert_eq!(
        heard(&mut bench, 1),
        [
            r#"["pmessage", "*", "__keyspace@0__:k", "set"]"#,
            r#"["pmessage", "*", "__keyevent@0__:set", "k"]"#,
            r#"["pmessage", "*", "__keyspace@0__:k", "expire"]"#,
            r#"["pmessage", "*", "__keyevent@0__:expire", "k"]"#,
        ]
        .join("; ")
    );
    bench.sleep(200_000);
    assert!(heard(&mut bench, 1).contains(r#""__keyevent@0__:expired", "k""#));
    assert_eq!(bench.run(2, "CONFIG SET notify-keyspace-events Emnl"), "OK");
    assert_eq!(bench.run(2, "CONFIG GET notify-keyspace-events"), r#"["notify-keyspace-events", "lnEm"]"#);
    bench.run(2, "SELECT 3");
    for line in ["MULTI", "GET k", "LPUSH k a", "OBJECT ENCODING none", "TYPE none", "SADD s a", "EXEC"] {
        bench.run(2, line);
    }
    assert_eq!(
        heard(&mut bench, 1),
        [
            r#"["pmessage", "*", "__keyevent@3__:keymiss", "k"]"#,
            r#"["pmessage", "*", "__keyevent@3__:new", "k"]"#,
            r#"["pmessage", "*", "__keyevent@3__:lpush", "k"]"#,
            r#"["pmessage", "*", "__keyevent@3__:keymiss", "none"]"#,
            r#"["pmessage", "*", "__keyevent@3__:new", "s"]"#,
        ]
        .join("; ")
    );
    bench.run(2, "CONFIG SET notify-keyspace-events \"\"");
    bench.run(2, "SET k 1");
    assert_eq!(heard(&mut bench, 1), "");
}

#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let mut bench = Bench::new(&[("client-output-buffer-limit", "pubsub 100kb 50kb 2")]);
    bench.run(1, "SUBSCRIBE a");
    let message = "x".repeat(30_000);
    for _ in 0..3 {
        assert_eq!(bench.run(2, &format!("PUBLISH a {message}")), "1");
    }
    assert!(bench.closed.is_empty());
    bench.run(2, &format!("PUBLISH a {message}"));
    assert_eq!(bench.closed, [1], "over the hard limit");
    bench.run(3, "SUBSCRIBE a");
    for _ in 0..3 {
        bench.run(2, &format!("PUBLISH a {message}"));
    }
    bench.sleep(1_000);
    assert_eq!(bench.closed, [1]);
    bench.sleep(3_000);
    assert_eq!(bench.closed, [1, 3], "over the soft limit for too long");
}

#[test]
fn a_message_waits_for_the_disk_with_the_unit_that_caused_it() {
    let mut bench =
        Bench::new(&[("appendonly", "yes"), ("appendfsync", "always"), ("notify-keyspace-events", "KA")]);
    bench.run(1, "PSUBSCRIBE *");
    bench.run(3, "HELLO 3");
    bench.run(3, "PSUBSCRIBE *");
    let line = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n";
    let connection = bench.connect(3);
    bench.input(tenon_base::Input::Received { connection, bytes: line });
    // Nothing is written yet, let alone synced.
    assert_eq!((heard(&mut bench, 1), heard(&mut bench, 3)), (String::new(), String::new()));
    bench.settle();
    assert_eq!(heard(&mut bench, 1), r#"["pmessage", "*", "__keyspace@0__:k", "set"]"#);
    assert_eq!(heard(&mut bench, 3), r#"OK; >["pmessage", "*", "__keyspace@0__:k", "set"]"#);
}
