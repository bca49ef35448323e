//! CLIENT over an engine in process.

use crate::testing::Bench;

/// The value of a field in a line of CLIENT LIST.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let words = line.trim_end().split(' ').filter_map(|word| word.split_once('='));
    words.into_iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("no {name} in {line}")).1
}

#[test]
fn a_line_has_redis_fields_in_its_order() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "CLIENT SETNAME reader");
    bench.run(1, "CLIENT SETINFO LIB-NAME lib");
    bench.run(1, "CLIENT SETINFO lib-ver 1.2");
    bench.run(1, "SELECT 3");
    bench.sleep(65_000);
    assert_eq!(
        bench.text(1, "CLIENT INFO"),
        format!(
            "id=1 addr=127.0.0.1:40001 laddr=127.0.0.1:6379 fd=9 name=reader age=65 idle=0 flags=N db=3 sub=0 psub=0 \
             ssub=0 multi=-1 qbuf=26 qbuf-free=0 argv-mem=10 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem={} \
             events=r cmd=client|info user=default redir=-1 resp=2 lib-name=lib lib-ver=1.2\n",
            bench.engine.sessions.present().next().expect("the client").held_bytes() + 10 + 26
        )
    );
}

#[test]
fn qbuf_is_what_has_come_of_a_request() {
    let mut bench = Bench::new(&[]);
    bench.send_bytes(2, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n");
    bench.send_bytes(2, &[b'v'; 70_000]);
    let line = bench.text(1, "CLIENT LIST ID 2");
    assert_eq!(field(&line, "qbuf"), "70004", "the words so far, and no more");
}

#[test]
fn lists_say_what_each_client_does() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "PING");
    bench.sleep(2_000);
    bench.run(2, "HELLO 3");
    bench.run(2, "CLIENT NO-TOUCH ON");
    bench.run(2, "CLIENT NO-EVICT ON");
    bench.connect(3);
    let list = bench.text(2, "CLIENT LIST");
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3);
    let shown = |name| lines.iter().map(|line| field(line, name)).collect::<Vec<_>>();
    assert_eq!(shown("id"), ["1", "2", "3"]);
    assert_eq!(shown("idle"), ["2", "0", "0"]);
    assert_eq!(shown("cmd"), ["ping", "client|list", "NULL"]);
    assert_eq!(shown("resp"), ["2", "3", "2"]);
    assert_eq!(shown("flags"), ["N", "eT", "N"]);
    assert_eq!(
        bench.text(2, "CLIENT LIST ID 3 9 1").lines().map(|line| field(line, "id")).collect::<Vec<_>>(),
        ["3", "1"]
    );
    assert_eq!(bench.text(2, "CLIENT LIST TYPE normal").lines().count(), 3);
    assert_eq!(bench.text(2, "CLIENT LIST TYPE pubsub"), "");
    for (line, error) in [
        ("CLIENT LIST TYPE odd", "ERR Unknown client type 'odd'"),
        ("CLIENT LIST ID x", "ERR Invalid client ID"),
        ("CLIENT LIST ID", "ERR syntax error"),
        ("CLIENT LIST x y", "ERR syntax error"),
    ] {
        assert_eq!(bench.run(2, line), format!("(error) {error}"));
    }
}

#[test]
fn pending_replies_are_counted() {
    let mut bench = Bench::new(&[]);
    let stuck = bench.connect(2);
    bench.outputs.writer(stuck).extend_from_slice(&[b'x'; 40_000]);
    let line = bench.text(1, "CLIENT LIST ID 2");
    let shown = ["obl", "oll", "omem", "events"].map(|name| field(&line, name));
    assert_eq!(shown, ["16384", "2", "23616", "rw"]);
}

#[test]
fn names_keep_lines_whole() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.run(1, "CLIENT GETNAME"), "(nil)");
    assert_eq!(bench.run(1, "CLIENT SETNAME good"), "OK");
    assert_eq!(bench.run(1, "CLIENT GETNAME"), r#""good""#);
    let refused = "(error) ERR Client names cannot contain spaces, newlines or special characters.";
    assert_eq!(bench.run(1, r#"CLIENT SETNAME "a b""#), refused);
    assert_eq!(bench.run(1, r#"CLIENT SETNAME """#), "OK");
    assert_eq!(bench.run(1, "CLIENT GETNAME"), "(nil)");
    assert_eq!(
        bench.run(1, r#"CLIENT SETINFO LIB-ver "1 2""#),
        "(error) ERR LIB-ver cannot contain spaces, newlines or special characters."
    );
    assert_eq!(bench.run(1, "CLIENT SETINFO color red"), "(error) ERR Unrecognized option 'color'");
}

#[test]
fn the_old_form_kills_by_address_even_itself() {
    let mut bench = Bench::new(&[]);
    bench.connect(2);
    assert_eq!(bench.run(1, "CLIENT KILL 127.0.0.1:40002"), "OK");
    assert_eq!(bench.run(1, "CLIENT KILL 127.0.0.1:40002"), "(error) ERR No such client");
    assert_eq!(bench.run(1, "CLIENT KILL 127.0.0.1:40001"), "OK");
    assert_eq!(bench.closed, [2, 1]);
}

#[test]
fn the_new_form_kills_who_meets_all_conditions() {
    let mut bench = Bench::new(&[]);
    for client in 1..=4 {
        bench.connect(client);
    }
    bench.sleep(10_000);
    bench.connect(5);
    assert_eq!(bench.run(1, "CLIENT KILL ID 2 ADDR 127.0.0.1:40003"), "0");
    assert_eq!(bench.run(1, "CLIENT KILL ID 2 ADDR 127.0.0.1:40002 LADDR 127.0.0.1:6379 USER default"), "1");
    assert_eq!(bench.run(1, "CLIENT KILL MAXAGE 10"), "2");
    assert_eq!(bench.closed, [2, 3, 4]);
    assert_eq!(bench.run(1, "CLIENT KILL TYPE replica SKIPME no"), "0");
    assert_eq!(bench.run(1, "CLIENT KILL TYPE normal SKIPME no"), "2");
    assert_eq!(bench.closed, [2, 3, 4, 1, 5]);
}

#[test]
fn killing_twice_in_one_turn_counts_once() {
    let mut bench = Bench::new(&[]);
    bench.connect(2);
    let replies = bench.send_bytes(1, b"CLIENT KILL ID 2\r\nCLIENT KILL ID 2\r\nCLIENT LIST ID 2\r\n");
    let expected =
        [tenon_resp::Value::Integer(1), tenon_resp::Value::Integer(0), tenon_resp::Value::Bulk(Vec::new())];
    assert_eq!(replies, expected);
}

#[test]
fn bad_conditions_are_refused() {
    let mut bench = Bench::new(&[]);
    for (line, error) in [
        ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID x", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 1 ADDR", "ERR syntax error"),
        ("CLIENT KILL USER nobody", "ERR No such user 'nobody'"),
        ("CLIENT KILL SKIPME maybe", "ERR syntax error"),
        ("CLIENT KILL MAXAGE 0", "ERR maxage should be greater than 0"),
        ("CLIENT KILL COLOR red", "ERR syntax error"),
        ("CLIENT KILL", "ERR wrong number of arguments for 'client|kill' command"),
        ("CLIENT", "ERR wrong number of arguments for 'client' command"),
        ("CLIENT NO-TOUCH maybe", "ERR syntax error"),
        ("CLIENT REPLY maybe", "ERR syntax error"),
    ] {
        assert_eq!(bench.run(1, line), format!("(error) {error}"), "{line}");
    }
    assert!(bench.closed.is_empty());
}

#[test]
fn replies_can_be_switched_off_and_skipped() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.run(1, "CLIENT REPLY OFF"), "");
    assert_eq!(bench.run(1, "PING"), "");
    assert_eq!(bench.run(1, "NONSENSE"), "");
    assert_eq!(bench.run(1, "CLIENT REPLY SKIP"), "");
    assert_eq!(bench.run(1, "PING"), "");
    assert_eq!(bench.run(1, "CLIENT REPLY ON"), "OK");
    assert_eq!(bench.run(1, "CLIENT REPLY SKIP"), "");
    assert_eq!(bench.run(1, "ECHO skipped"), "");
    assert_eq!(bench.run(1, "ECHO heard"), r#""heard""#);
}

#[test]
fn nobody_is_tracked() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.run(1, "CLIENT GETREDIR"), "-1");
    bench.run(1, "HELLO 3");
    assert_eq!(bench.run(1, "CLIENT TRACKINGINFO"), r#"{"flags": ~["off"], "redirect": -1, "prefixes": []}"#);
    assert!(bench.run(1, "CLIENT HELP").starts_with("[CLIENT <subcommand>"));
    assert_eq!(bench.run(1, "CLIENT ID"), "1");
}
