//! COMMAND over an engine in process.

use tenon_resp::Value;

use crate::testing::Bench;

#[test]
fn a_command_is_described_in_both_protocols() {
    let mut bench = Bench::new(&[]);
    assert_eq!(
        bench.run(1, "COMMAND INFO ping nonsense"),
        "[[\"ping\", -1, [fast], 0, 0, 0, [@fast, @connection], [\"request_policy:all_shards\", \
         \"response_policy:all_succeeded\"], [], []], (nil)]"
    );
    bench.run(1, "HELLO 3");
    assert_eq!(
        bench.run(1, "COMMAND INFO CLIENT|id"),
        "[[\"client|id\", 2, ~[noscript, loading, stale], 0, 0, 0, ~[@slow, @connection], ~[], ~[], ~[]]]"
    );
    assert_eq!(bench.run(1, "COMMAND INFO client|no client|id|x"), "[(nil), (nil)]");
    let container = bench.run(1, "COMMAND INFO client");
    assert!(
        container.starts_with(r#"[["client", -2, ~[], 0, 0, 0, ~[@slow], ~[], ~[], [["client|"#),
        "{container}"
    );
}

#[test]
fn all_commands_are_counted_listed_and_described_alike() {
    let mut bench = Bench::new(&[]);
    let count = |replies: Vec<Value>| replies[0].as_elements().map(<[Value]>::len);
    let top = bench.engine.commands.top().len();
    assert_eq!(bench.run(1, "COMMAND COUNT"), top.to_string());
    assert_eq!(count(bench.send(1, "COMMAND")), Some(top));
    assert_eq!(count(bench.send(1, "COMMAND INFO")), Some(top));
    assert_eq!(count(bench.send(1, "COMMAND DOCS")), Some(2 * top));
    let all = bench.engine.commands.count();
    assert_eq!(count(bench.send(1, "COMMAND LIST")), Some(all));
    assert!(all > top);
}

#[test]
fn lists_are_filtered() {
    let mut bench = Bench::new(&[]);
    assert_eq!(
        bench.run(1, "COMMAND LIST FILTERBY PATTERN client|no-*"),
        r#"["client|no-evict", "client|no-touch"]"#
    );
    assert_eq!(bench.run(1, "COMMAND LIST filterby module any"), "[]");
    assert_eq!(bench.run(1, "COMMAND LIST FILTERBY ACLCAT nonsense"), "[]");
    let dangerous = bench.run(1, "COMMAND LIST FILTERBY ACLCAT DANGEROUS");
    assert!(dangerous.contains(r#""client|kill""#) && !dangerous.contains("ping"), "{dangerous}");
    for line in ["COMMAND LIST FILTERBY", "COMMAND LIST x y z", "COMMAND LIST FILTERBY x y"] {
        assert_eq!(bench.run(1, line), "(error) ERR syntax error");
    }
}

#[test]
fn docs_show_arguments_and_subcommands() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "HELLO 3");
    assert_eq!(
        bench.run(1, "COMMAND DOCS ping nonsense"),
        "{\"ping\": {\"summary\": \"Shows that the server answers.\", \"since\": \"1.0.0\", \"group\": \"connection\", \
         \"complexity\": \"O(1)\", \"arguments\": [{\"name\": \"message\", \"type\": \"string\", \"display_text\": \
         \"message\", \"flags\": ~[optional]}]}}"
    );
    let docs = bench.run(1, "COMMAND DOCS client|no-touch");
    assert!(docs.contains(
        "{\"name\": \"enabled\", \"type\": \"oneof\", \"arguments\": [{\"name\": \"on\", \"type\": \"pure-token\", \
         \"display_text\": \"on\", \"token\": \"ON\"}, "
    ));
    assert!(bench.run(1, "COMMAND DOCS client").contains(r#""subcommands": {"client|caching": {"#));
}

#[test]
fn what_has_no_keys_is_refused() {
    let mut bench = Bench::new(&[]);
    for command in ["GETKEYS", "GETKEYSANDFLAGS"] {
        for (request, error) in [
            ("nonsense", "Invalid command specified"),
            ("client nonsense", "Invalid command specified"),
            ("client id", "The command has no key arguments"),
            ("ping x", "The command has no key arguments"),
        ] {
            assert_eq!(bench.run(1, &format!("COMMAND {command} {request}")), format!("(error) ERR {error}"));
        }
    }
}
