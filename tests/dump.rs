//! `tenon dump`: data files looked into, as an operator would with `jq` behind it.
//! Always: each line stands for itself, and damage is told with its place after everything before it.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use support::reply::Reply;
use support::server::{Directory, Server};
use support::tools;

const PATIENCE: Duration = Duration::from_secs(30);

fn dump(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    tools::run(command.arg("dump").args(words), b"", PATIENCE)
}

fn lines(output: &Output) -> Vec<String> {
    let text = std::str::from_utf8(&output.stdout).expect("JSON is UTF-8");
    text.lines().map(str::to_owned).collect()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

/// Runs commands of words, and returns the directory of the server that ran them.
fn after(arguments: &[&str], commands: &[&str]) -> Directory {
    let server = Server::tenon(arguments);
    let mut client = server.client();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let reply = client.command(&words);
        assert!(!matches!(reply, Reply::Error(_)), "{command}: {reply}");
    }
    server.into_directory()
}

/// What a dump's lines say of its keys.
fn keys(lines: &[String]) -> Vec<&str> {
    let start = "{\"kind\":\"key\",";
    let mut keys: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(start)).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn every_type_is_shown_with_its_encoding_and_expiry() {
    let directory = after(
        &["--save", ""],
        &[
            "SET text value PXAT 4000000000123",
            "SET number 42",
            "RPUSH list a b 3",
            "SADD numbers 3 1 2",
            "SADD words x",
            "HSET hash field value",
            "SELECT 7",
            "ZADD ranks 1 one 2.5 two +inf last",
            "XADD stream 5-1 f v",
            "XADD stream 5-2 f w",
            "XGROUP CREATE stream readers 5-1 ENTRIESREAD 1",
            "XGROUP CREATE stream idle 0",
            "SAVE",
        ],
    );
    let output = dump(&[text(&directory.path().join("dump.rdb")), "--json"]);
    assert!(output.status.success(), "{}", complaint(&output));
    let lines = lines(&output);
    assert_eq!(lines[0], "{\"kind\":\"rdb\",\"version\":10}");
    assert!(
        lines.contains(&"{\"kind\":\"aux\",\"name\":\"redis-ver\",\"value\":\"7.2.4\"}".to_owned()),
        "{lines:?}"
    );
    let last = lines.last().expect("an end");
    assert!(last.starts_with("{\"kind\":\"rdb_end\",\"keys\":8,\"bytes\":"), "{last}");
    assert!(last.ends_with(",\"checksum\":\"right\"}"), "{last}");
    let expected = [
        r#""database":0,"key":"hash","type":"hash","encoding":"listpack","expires_at_ms":null,"value":[["field","value"]]}"#,
        r#""database":0,"key":"list","type":"list","encoding":"quicklist","expires_at_ms":null,"value":["a","b","3"]}"#,
        r#""database":0,"key":"number","type":"string","encoding":"string","expires_at_ms":null,"value":"42"}"#,
        r#""database":0,"key":"numbers","type":"set","encoding":"intset","expires_at_ms":null,"value":["1","2","3"]}"#,
        r#""database":0,"key":"text","type":"string","encoding":"string","expires_at_ms":4000000000123,"value":"value"}"#,
        r#""database":0,"key":"words","type":"set","encoding":"hashtable","expires_at_ms":null,"value":["x"]}"#,
        r#""database":7,"key":"ranks","type":"zset","encoding":"listpack","expires_at_ms":null,"value":[["one",1],["two",2.5],["last","inf"]]}"#,
        concat!(
            r#""database":7,"key":"stream","type":"stream","encoding":"stream","expires_at_ms":null,"value":"#,
            r#"{"last_id":"5-2","max_deleted_id":"0-0","entries_added":2,"entries":[{"id":"5-1","fields":[["f","v"]]},"#,
            r#"{"id":"5-2","fields":[["f","w"]]}],"groups":[{"name":"idle","last_id":"0-0","entries_read":null,"#,
            r#""consumers":[],"pending":[]},{"name":"readers","last_id":"5-1","entries_read":1,"consumers":[],"pending":[]}]}}"#,
        ),
    ];
    assert_eq!(keys(&lines), expected);
}

#[test]
fn what_is_pending_with_a_consumer_is_shown() {
    let directory = after(
        &["--save", ""],
        &[
            "XADD stream 5-1 f v",
            "XGROUP CREATE stream readers 0",
            "XREADGROUP GROUP readers alice COUNT 1 STREAMS stream >",
            "XCLAIM stream readers alice 0 5-1 TIME 1700000000000 RETRYCOUNT 9",
            "SAVE",
        ],
    );
    let output = dump(&["--json", text(&directory.path().join("dump.rdb"))]);
    let lines = lines(&output);
    let pending =
        r#""pending":[{"id":"5-1","consumer":"alice","delivered_at_ms":1700000000000,"deliveries":9}]"#;
    assert!(keys(&lines)[0].contains(pending), "{lines:?}");
    assert!(keys(&lines)[0].contains(r#""consumers":[{"name":"alice","seen_at_ms":"#), "{lines:?}");
}

#[test]
fn bytes_that_are_no_text_and_functions_are_shown() {
    let server = Server::tenon(&["--save", ""]);
    let mut client = server.client();
    client.command(&[b"SET".as_slice(), b"k\xff\\", b"\xc3\xa4\n\"\\\x01"]);
    let code = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    assert_eq!(client.command(&["FUNCTION", "LOAD", code]), Reply::Bulk(b"lib".to_vec()));
    assert_eq!(client.command(&["SAVE"]), Reply::Status("OK".into()));
    let output = dump(&[text(&server.directory().join("dump.rdb")), "--json"]);
    let lines = lines(&output);
    let expected = concat!(
        r#""database":0,"key":{"escaped":"k\\xff\\\\"},"type":"string","encoding":"string","expires_at_ms":null,"#,
        "\"value\":\"\u{e4}\\n\\\"\\\\\\u0001\"}"
    );
    assert_eq!(keys(&lines), [expected]);
    let library = "{\"kind\":\"library\",\"code\":\"#!lua name=lib\\nredis.register_function('f', function() return 1 end)\"}";
    assert!(lines.iter().any(|line| line == library), "{lines:?}");
}

#[test]
fn a_log_is_shown_with_its_batches_and_transactions() {
    let server = Server::tenon(&["--appendonly", "yes", "--save", ""]);
    let mut client = server.client();
    client.command(&["SET", "a", "1"]);
    client.command(&["MULTI"]);
    client.command(&["INCR", "a"]);
    client.command(&["RPUSH", "l", "x"]);
    client.command(&["EXEC"]);
    client.command(&["SELECT", "3"]);
    client.command(&["SET", "b", "2"]);
    let offset = info(&client.command(&["INFO", "replication"]).text(), "master_repl_offset");
    let directory = server.into_directory();
    let log = directory.path().join("appendonlydir");
    for named in ["appendonlydir", "appendonlydir/appendonly.aof.manifest"] {
        let output = dump(&[text(&directory.path().join(named)), "--json"]);
        assert!(output.status.success(), "{}", complaint(&output));
        let lines = lines(&output);
        assert_eq!(
            lines[0],
            "{\"kind\":\"log\",\"base\":\"appendonly.aof.1.base.rdb\",\"increments\":[\"appendonly.aof.1.incr.aof\"],\
             \"history\":[]}"
        );
        assert!(
            lines[1].starts_with("{\"kind\":\"file\",\"name\":\"appendonly.aof.1.base.rdb\","),
            "{}",
            lines[1]
        );
        let commands: Vec<&String> =
            lines.iter().filter(|line| line.contains("\"kind\":\"command\"")).collect();
        let words: Vec<&str> =
            commands.iter().map(|line| &line[line.find("\"database\"").expect("a database")..]).collect();
        assert_eq!(
            words,
            [
                r#""database":0,"words":["SELECT","0"]}"#,
                r#""database":0,"words":["SET","a","1"]}"#,
                r#""database":0,"words":["INCR","a"]}"#,
                r#""database":0,"words":["RPUSH","l","x"]}"#,
                r#""database":3,"words":["SELECT","3"]}"#,
                r#""database":3,"words":["SET","b","2"]}"#,
            ]
        );
        assert_eq!(
            commands.iter().filter(|line| line.contains("\"transaction\":")).count(),
            2,
            "{commands:?}"
        );
        let batches: Vec<&String> = lines.iter().filter(|line| line.contains("\"kind\":\"batch\"")).collect();
        assert_eq!(batches.len(), 3, "{batches:?}");
        assert!(batches[2].contains(&format!("\"offset\":{offset},")), "{} is not at {offset}", batches[2]);
        assert!(lines.last().is_some_and(|line| line.starts_with("{\"kind\":\"log_end\",\"commands\":6,")));
    }
    let output = dump(&[text(&log.join("appendonly.aof.1.incr.aof")), "--json"]);
    let alone = lines(&output);
    assert!(
        alone[0].starts_with("{\"kind\":\"file\",\"name\":\"appendonly.aof.1.incr.aof\",\"bytes\":"),
        "{alone:?}"
    );
    assert_eq!(alone.iter().filter(|line| line.contains("\"kind\":\"command\"")).count(), 6);
}

#[test]
fn commands_behind_a_dump_are_shown_too() {
    let directory = after(&["--save", ""], &["SET a 1", "SAVE"]);
    let path = directory.path().join("dump.rdb");
    let mut bytes = fs::read(&path).expect("the dump is there");
    bytes.extend_from_slice(b"#TS:1700000000\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n");
    fs::write(&path, &bytes).expect("the dump can be written");
    let output = dump(&[text(&path), "--json"]);
    assert!(output.status.success(), "{}", complaint(&output));
    let lines = lines(&output);
    assert_eq!(keys(&lines).len(), 1, "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("\"unix_seconds\":1700000000}")), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("\"words\":[\"DEL\",\"a\"]}")), "{lines:?}");
}

#[test]
fn damage_is_told_with_its_place_after_what_was_sound() {
    let directory =
        after(&["--save", "", "--rdbcompression", "no"], &["SET a 1", "RPUSH list x y z", "SAVE"]);
    let path = directory.path().join("dump.rdb");
    let whole = fs::read(&path).expect("the dump is there");
    let sound = lines(&dump(&[text(&path), "--json"]));
    for at in (0..whole.len()).step_by(5) {
        fs::write(&path, &whole[..at]).expect("the dump can be written");
        let output = dump(&[text(&path), "--json"]);
        assert_eq!(output.status.code(), Some(1), "cut at {at}");
        let told = complaint(&output);
        let expected = match at {
            0 => "is empty".to_owned(),
            1..5 => "is neither a dump nor an append-only file".to_owned(),
            _ => format!("RDB offset {at}"),
        };
        assert!(told.contains(&expected), "cut at {at}: {told}");
        let lines = lines(&output);
        assert_eq!(lines, sound[..lines.len()], "cut at {at}");
    }
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        fs::write(&path, &bytes).expect("the dump can be written");
        let output = dump(&[text(&path), "--json"]);
        assert_eq!(output.status.code(), Some(1), "changed at {at}: {:?}", lines(&output));
    }
}

#[test]
fn a_torn_log_is_shown_up_to_the_tear() {
    let directory = after(&["--appendonly", "yes", "--save", ""], &["SET a 1", "SET b 2"]);
    let log = directory.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let whole = fs::read(&log).expect("the log is there");
    fs::write(&log, &whole[..whole.len() - 1]).expect("the log can be written");
    let output = dump(&[text(&directory.path().join("appendonlydir")), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("Unexpected end of file"), "{}", complaint(&output));
    let lines = lines(&output);
    assert!(lines.last().is_some_and(|line| line.ends_with("\"words\":[\"SET\",\"a\",\"1\"]}")), "{lines:?}");
    assert_eq!(
        fs::metadata(&log).expect("the log is there").len(),
        whole.len() as u64 - 1,
        "nothing is changed"
    );
}

#[test]
fn words_that_are_not_understood_are_answered_with_the_usage() {
    for words in [&["file"][..], &["--json"], &["--json", "one", "two"], &[]] {
        let output = dump(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(complaint(&output).starts_with("Usage: tenon dump FILE --json"), "{}", complaint(&output));
    }
    let output = dump(&["/nonexistent", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaint(&output).starts_with("/nonexistent cannot be read: No such file"),
        "{}",
        complaint(&output)
    );
    assert!(dump(&["--help"]).status.success());
}

/// A number that INFO tells.
fn info(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {field} in {text}"))
}
