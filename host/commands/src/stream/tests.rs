//! Stream commands against what Redis 7.2 answers, counts, notifies and propagates.

use super::COMMANDS;
use crate::testing::{Bench, START_MS};
use tenon_base::Dice;
use tenon_keyspace::StreamLimits;
use tenon_resp::Proto;

/// Runs each line and compares its reply.
fn speak(bench: &mut Bench, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(bench.run(line), *expected, "{line}");
    }
}

/// The entries `1-1`, `1-2` ... of a stream, and a group that has had none of them.
fn filled(key: &str, entries: usize) -> Bench {
    let mut bench = Bench::new();
    for entry in 1..=entries {
        bench.run(&format!("XADD {key} 1-{entry} n {entry}"));
    }
    bench.run(&format!("XGROUP CREATE {key} g 0 ENTRIESREAD 0"));
    bench
}

#[test]
fn rows_are_in_order_and_hold_together() {
    assert!(COMMANDS.is_sorted_by(|one, next| one.name < next.name));
    for row in COMMANDS {
        assert!(row.subcommands.is_sorted_by(|one, next| one.name < next.name), "{}", row.name);
    }
    let all = COMMANDS.iter().chain(COMMANDS.iter().flat_map(|row| row.subcommands));
    for row in all.filter(|row| !row.name.starts_with("xread")) {
        let specs = row.arguments.iter().filter_map(|argument| argument.key_spec).count();
        assert_eq!(specs, row.keys.len(), "{}", row.name);
    }
}

#[test]
fn the_keys_of_a_read_are_the_first_half_behind_streams() {
    let row = COMMANDS.iter().find(|row| row.name == "xread").expect("XREAD has a row");
    let words: Vec<&[u8]> = b"XREAD COUNT 2 STREAMS a b c 0 0 0".split(|&byte| byte == b' ').collect();
    let request = tenon_resp::OwnedArgs::from(words.as_slice());
    let found = crate::key_positions(&row.keys[0], request.as_args()).expect("there are keys");
    assert_eq!((found.first, found.last, found.step), (4, 6, 1));
}

#[test]
fn an_id_that_was_chosen_is_propagated() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("XADD s * a b"), format!("\"{START_MS}-0\""));
    assert_eq!((bench.dirty(), bench.events()), (1, "new s; xadd s".to_owned()));
    assert_eq!(bench.effects(), format!("XADD s {START_MS}-0 a b"));
    assert_eq!(bench.run("xadd s * a b"), format!("\"{START_MS}-1\""));
    assert_eq!(bench.effects(), format!("xadd s {START_MS}-1 a b"));
    bench.sleep(5);
    assert_eq!(bench.run("XADD s NOMKSTREAM * a b"), format!("\"{}-0\"", START_MS + 5));
    assert_eq!(bench.effects(), format!("XADD s NOMKSTREAM {}-0 a b", START_MS + 5));
    assert_eq!(bench.run("XADD s 9999999999999-* a b"), "\"9999999999999-0\"");
    assert_eq!(bench.effects(), "XADD s 9999999999999-0 a b");
    // The clock is behind the last ID now.
    assert_eq!(bench.run("XADD s * a b"), "\"9999999999999-1\"");
    assert_eq!(bench.run("XADD s 9999999999999-5 a b"), "\"9999999999999-5\"");
    assert_eq!((bench.effects(), bench.events()), ("XADD s 9999999999999-5 a b".into(), "xadd s".into()));
    assert_eq!(bench.run("XADD none NOMKSTREAM * a b"), "(nil)");
    assert_eq!((bench.dirty(), bench.effects()), (0, String::new()));
}

#[test]
fn a_refused_entry_leaves_no_stream_behind() {
    let mut bench = Bench::new();
    let smaller = "(error) ERR The ID specified in XADD is equal or smaller than the target stream top item";
    speak(
        &mut bench,
        &[
            ("XADD s 0-0 a b", "(error) ERR The ID specified in XADD must be greater than 0-0"),
            ("XADD s x a b", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XADD s * a", "(error) ERR wrong number of arguments for 'xadd' command"),
            ("XADD s MAXLEN 1", "(error) ERR wrong number of arguments for 'xadd' command"),
            ("EXISTS s", "0"),
            ("XADD s 0-* a b", "\"0-1\""),
            ("XADD s 0-1 a b", smaller),
            (
                "XADD s 18446744073709551615-18446744073709551615 a b",
                "\"18446744073709551615-18446744073709551615\"",
            ),
            (
                "XADD s * a b",
                "(error) ERR The stream has exhausted the last possible ID, unable to add more items",
            ),
        ],
    );
}

#[test]
fn an_approximate_trim_is_propagated_as_what_it_came_to() {
    let mut bench = Bench::new();
    bench.limits.stream = StreamLimits { node_entries_max: 10, ..StreamLimits::default() };
    for entry in 1..=55 {
        bench.run(&format!("XADD s {entry}-1 a b"));
    }
    assert_eq!(bench.run("XADD s MAXLEN ~ 38 56-1 a b"), "\"56-1\"");
    assert_eq!((bench.dirty(), bench.events()), (1, "xadd s; xtrim s".to_owned()));
    assert_eq!(bench.effects(), "XADD s MAXLEN = 46 56-1 a b");
    assert_eq!(bench.run("XADD s MAXLEN ~ 40 * a b"), format!("\"{START_MS}-0\""));
    assert_eq!(
        (bench.events(), bench.effects()),
        ("xadd s".into(), format!("XADD s MAXLEN = 47 {START_MS}-0 a b"))
    );
    assert_eq!(bench.run("XTRIM s MAXLEN ~ 5 LIMIT 15"), "10");
    assert_eq!((bench.dirty(), bench.events()), (10, "xtrim s".to_owned()));
    assert_eq!(bench.effects(), "XTRIM s MAXLEN = 37 LIMIT 15");
    assert_eq!(bench.run("XTRIM s MINID ~ 35"), "10");
    assert_eq!(bench.effects(), "XTRIM s MINID = 31-1");
    assert_eq!(bench.run("XTRIM s MINID ~ 35"), "0");
    assert_eq!((bench.dirty(), bench.effects()), (0, String::new()));
    assert_eq!(bench.run("XTRIM s MINID = 35"), "4");
    assert_eq!(bench.effects(), "XTRIM s MINID = 35");
    assert_eq!(bench.run("XTRIM s MINID ~ 99999999999999"), "23");
    assert_eq!(bench.effects(), "XTRIM s MINID = 18446744073709551615-18446744073709551615");
    assert_eq!(bench.run("EXISTS s"), "1");
}

#[test]
fn unless_told_otherwise_an_approximate_trim_stops_after_a_hundred_nodes() {
    let mut bench = Bench::new();
    bench.limits.stream = StreamLimits { node_entries_max: 1, ..StreamLimits::default() };
    for entry in 1..=103 {
        bench.run(&format!("XADD s {entry}-1 a b"));
    }
    assert_eq!(bench.run("XTRIM s MAXLEN ~ 1"), "100");
    assert_eq!(bench.effects(), "XTRIM s MAXLEN = 3");
    assert_eq!(bench.run("XTRIM s MAXLEN ~ 1 LIMIT 0"), "2");
}

#[test]
fn entries_are_deleted_and_the_stream_stays() {
    let mut bench = filled("s", 3);
    assert_eq!(bench.run("XDEL s 1-1 1-1 9 1-3"), "2");
    assert_eq!(
        (bench.dirty(), bench.events(), bench.effects()),
        (2, "xdel s".into(), "XDEL s 1-1 1-1 9 1-3".into())
    );
    assert_eq!(
        bench.run("XDEL s 1-2 x"),
        "(error) ERR Invalid stream ID specified as stream command argument"
    );
    assert_eq!(bench.run("XDEL s 1-2"), "1");
    assert_eq!((bench.run("EXISTS s"), bench.run("XLEN s")), ("1".into(), "0".into()));
    assert_eq!(bench.run("XDEL s 1-2"), "0");
    assert_eq!((bench.dirty(), bench.effects()), (0, String::new()));
    assert_eq!(bench.run("XSETID s 5-5 ENTRIESADDED 9 MAXDELETEDID 1-3"), "OK");
    assert_eq!((bench.dirty(), bench.events()), (1, "xsetid s".to_owned()));
    assert_eq!(
        bench.run("XSETID s 1-1"),
        "(error) ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
    );
}

#[test]
fn a_group_read_is_propagated_as_what_the_consumer_was_given() {
    let mut bench = filled("s", 3);
    assert_eq!(
        bench.run("XREADGROUP GROUP g alice COUNT 2 STREAMS s >"),
        r#"[["s", [["1-1", ["n", "1"]], ["1-2", ["n", "2"]]]]]"#
    );
    assert_eq!((bench.dirty(), bench.events()), (2, "xgroup-createconsumer s".to_owned()));
    assert_eq!(
        bench.effects(),
        format!(
            "XCLAIM s g alice 0 1-1 1-2 TIME {START_MS} RETRYCOUNT 1 FORCE JUSTID LASTID 1-2; \
             XGROUP SETID s g 1-2 ENTRIESREAD 2"
        )
    );
    bench.sleep(10);
    assert_eq!(bench.run("XREADGROUP GROUP g bob NOACK STREAMS s >"), r#"[["s", [["1-3", ["n", "3"]]]]]"#);
    assert_eq!(bench.effects(), "XGROUP SETID s g 1-3 ENTRIESREAD 3; XGROUP CREATECONSUMER s g bob");
    assert_eq!(bench.run("XREADGROUP GROUP g bob STREAMS s >"), "(nil array)");
    assert_eq!((bench.dirty(), bench.events(), bench.effects()), (0, String::new(), String::new()));
    assert_eq!(bench.run("XREADGROUP GROUP g carol STREAMS s >"), "(nil array)");
    assert_eq!((bench.dirty(), bench.effects()), (1, "XGROUP CREATECONSUMER s g carol".to_owned()));
    assert_eq!(bench.run("XREADGROUP GROUP g carol STREAMS s 0"), r#"[["s", []]]"#);
    assert_eq!((bench.dirty(), bench.effects()), (1, String::new()));
}

#[test]
fn what_is_pending_can_be_read_again() {
    let mut bench = filled("s", 3);
    bench.run("XREADGROUP GROUP g alice STREAMS s >");
    bench.run("XDEL s 1-2");
    bench.sleep(1_000);
    assert_eq!(
        bench.run("XREADGROUP GROUP g alice COUNT 2 STREAMS s 0"),
        r#"[["s", [["1-1", ["n", "1"]], ["1-2", (nil array)]]]]"#
    );
    let now = START_MS + 1_000;
    assert_eq!(
        bench.effects(),
        format!("XCLAIM s g alice 0 1-1 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 1-3")
    );
    bench.sleep(500);
    assert_eq!(
        bench.run("XPENDING s g - + 10"),
        r#"[["1-1", "alice", 500, 2], ["1-2", "alice", 1500, 1], ["1-3", "alice", 1500, 1]]"#
    );
    assert_eq!(bench.run("XPENDING s g IDLE 600 - + 1"), r#"[["1-2", "alice", 1500, 1]]"#);
    assert_eq!(bench.run("XPENDING s g"), r#"[3, "1-1", "1-3", [["alice", "3"]]]"#);
    assert_eq!(bench.run("XACK s g 1-1 1-2 7 1-2"), "2");
    assert_eq!((bench.dirty(), bench.touched(), bench.events()), (2, 1, String::new()));
    assert_eq!(bench.effects(), "XACK s g 1-1 1-2 7 1-2");
    assert_eq!(bench.run("XGROUP DELCONSUMER s g alice"), "1");
    assert_eq!(bench.run("XPENDING s g"), "[0, (nil), (nil), (nil array)]");
}

#[test]
fn many_deliveries_are_propagated_in_few_requests() {
    let mut bench = filled("s", 300);
    bench.run("XREADGROUP GROUP g alice STREAMS s >");
    let effects = bench.effects();
    assert_eq!(effects.matches("XCLAIM").count(), 3);
    assert!(effects.ends_with("LASTID 1-300; XGROUP SETID s g 1-300 ENTRIESREAD 300"), "{effects}");
}

#[test]
fn claims_tell_the_new_owner_and_count() {
    let mut bench = filled("s", 4);
    bench.run("XREADGROUP GROUP g alice COUNT 3 STREAMS s >");
    bench.sleep(100);
    let now = START_MS + 100;
    assert_eq!(bench.run("XCLAIM s g bob 50 1-1"), r#"[["1-1", ["n", "1"]]]"#);
    assert_eq!((bench.dirty(), bench.events()), (2, "xgroup-createconsumer s".to_owned()));
    assert_eq!(
        bench.effects(),
        format!("XCLAIM s g bob 0 1-1 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 1-3")
    );
    assert_eq!(bench.run("XCLAIM s g bob 50 1-1 1-2 IDLE 20 JUSTID LASTID 1-4"), r#"["1-2"]"#);
    assert_eq!(
        bench.effects(),
        format!("XCLAIM s g bob 0 1-2 TIME {} RETRYCOUNT 1 FORCE JUSTID LASTID 1-4", now - 20)
    );
    assert_eq!(bench.run("XCLAIM s g carol 500 1-3"), "[]");
    assert_eq!((bench.dirty(), bench.effects()), (1, "XGROUP CREATECONSUMER s g carol".to_owned()));
    assert_eq!(bench.run("XCLAIM s g carol 0 1-4 9-9 FORCE"), r#"[["1-4", ["n", "4"]]]"#);
    assert!(bench.effects().contains("RETRYCOUNT 2"), "{}", bench.effects());
    assert_eq!(bench.run("XCLAIM s g carol 0 9-9 LASTID 7-7"), "[]");
    assert_eq!((bench.dirty(), bench.effects()), (1, "XGROUP SETID s g 7-7 ENTRIESREAD 3".to_owned()));
    bench.run("XDEL s 1-1");
    assert_eq!(bench.run("XCLAIM s g carol 0 1-1"), "[]");
    assert_eq!(
        bench.effects(),
        format!("XCLAIM s g carol 0 1-1 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 7-7")
    );
    assert_eq!(
        bench.run("XPENDING s g"),
        r#"[3, "1-2", "1-4", [["alice", "1"], ["bob", "1"], ["carol", "1"]]]"#
    );
}

#[test]
fn claims_go_through_what_is_pending_a_page_at_a_time() {
    let mut bench = filled("s", 5);
    bench.run("XREADGROUP GROUP g alice STREAMS s >");
    bench.run("XDEL s 1-2 1-4");
    assert_eq!(bench.run("XAUTOCLAIM s g bob 0 - COUNT 2"), r#"["1-3", [["1-1", ["n", "1"]]], ["1-2"]]"#);
    assert_eq!(
        bench.effects(),
        format!("XCLAIM s g bob 0 1-1 1-2 TIME {START_MS} RETRYCOUNT 2 FORCE JUSTID LASTID 1-5")
    );
    assert_eq!(bench.dirty(), 3);
    assert_eq!(bench.run("XAUTOCLAIM s g bob 0 1-3 JUSTID"), r#"["0-0", ["1-3", "1-5"], ["1-4"]]"#);
    assert_eq!(bench.run("XAUTOCLAIM s g dave 10 -"), r#"["0-0", [], []]"#);
    assert_eq!(bench.effects(), "XGROUP CREATECONSUMER s g dave");
}

#[test]
fn the_lag_is_known_as_long_as_nothing_was_deleted_ahead() {
    let mut bench = filled("s", 5);
    let progress = |bench: &mut Bench| {
        let groups = bench.run("XINFO GROUPS s");
        groups[groups.find("\"entries-read\"").expect("a figure")..groups.len() - 2].to_owned()
    };
    assert_eq!(progress(&mut bench), r#""entries-read", 0, "lag", 5"#);
    bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    assert_eq!(progress(&mut bench), r#""entries-read", 1, "lag", 4"#);
    bench.run("XDEL s 1-3");
    assert_eq!(progress(&mut bench), r#""entries-read", 1, "lag", (nil)"#);
    bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    assert_eq!(progress(&mut bench), r#""entries-read", (nil), "lag", (nil)"#);
    bench.run("XREADGROUP GROUP g c STREAMS s >");
    assert_eq!(progress(&mut bench), r#""entries-read", 5, "lag", 0"#);
    bench.run("XTRIM s MAXLEN 0");
    assert_eq!(progress(&mut bench), r#""entries-read", 5, "lag", 0"#);
    bench.run("XGROUP SETID s g 1-2");
    assert_eq!(progress(&mut bench), r#""entries-read", (nil), "lag", 0"#);
}

#[test]
fn the_greatest_counts_can_still_be_told() {
    let mut bench = filled("s", 2);
    bench.run("XGROUP SETID s g 0 ENTRIESREAD 9223372036854775807");
    bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    assert!(bench.effects().ends_with("XGROUP SETID s g 1-1 ENTRIESREAD 1"), "{}", bench.effects());
    bench.run("XCLAIM s g c 0 1-1 RETRYCOUNT 9223372036854775807");
    bench.run("XCLAIM s g c 0 1-1");
    assert!(bench.effects().contains("RETRYCOUNT 9223372036854775807"), "{}", bench.effects());
    bench.run("XDEL s 1-1 1-2");
    bench.run("XSETID s 1-2 ENTRIESADDED 9223372036854775807");
    bench.run("XGROUP SETID s g 1-2");
    bench.run("XADD s 2-1 a b");
    bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    assert!(
        bench.effects().ends_with("XGROUP SETID s g 2-1 ENTRIESREAD 9223372036854775807"),
        "{}",
        bench.effects()
    );
}

#[test]
fn groups_and_consumers_come_and_go() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("XGROUP CREATE s g $ MKSTREAM"), "OK");
    assert_eq!((bench.dirty(), bench.events()), (1, "new s; xgroup-create s".to_owned()));
    assert_eq!(bench.run("XGROUP CREATE s g 0"), "(error) BUSYGROUP Consumer Group name already exists");
    assert_eq!(bench.run("XGROUP SETID s g 5-5 ENTRIESREAD 3"), "OK");
    assert_eq!((bench.dirty(), bench.events()), (1, "xgroup-setid s".to_owned()));
    assert_eq!(bench.run("XGROUP CREATECONSUMER s g c"), "1");
    assert_eq!((bench.dirty(), bench.events()), (1, "xgroup-createconsumer s".to_owned()));
    assert_eq!(bench.run("XGROUP CREATECONSUMER s g c"), "0");
    assert_eq!((bench.dirty(), bench.events()), (0, String::new()));
    assert_eq!(bench.run("XGROUP DELCONSUMER s g c"), "0");
    assert_eq!((bench.dirty(), bench.events()), (1, "xgroup-delconsumer s".to_owned()));
    assert_eq!(bench.run("XGROUP DELCONSUMER s g c"), "0");
    assert_eq!(bench.dirty(), 0);
    assert_eq!(bench.run("XGROUP DESTROY s g"), "1");
    assert_eq!((bench.dirty(), bench.touched(), bench.events()), (1, 1, "xgroup-destroy s".to_owned()));
    assert_eq!(bench.run("XGROUP DESTROY s g"), "0");
    assert_eq!(
        bench.run("XGROUP SETID s g 0"),
        "(error) NOGROUP No such consumer group 'g' for key name 's'"
    );
    assert_eq!(
        bench.run("XREADGROUP GROUP g c STREAMS s >"),
        "(error) NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"
    );
}

/// What Redis tells since 7.2 and did not tell before.
#[test]
fn consumers_tell_when_they_were_seen_and_when_active() {
    let mut bench = filled("s", 1);
    bench.run("XREADGROUP GROUP g c STREAMS s >");
    bench.sleep(100);
    bench.run("XREADGROUP GROUP g c STREAMS s >");
    bench.run("XGROUP CREATECONSUMER s g d");
    bench.sleep(50);
    assert_eq!(
        bench.run("XINFO CONSUMERS s g"),
        r#"[["name", "c", "pending", 1, "idle", 50, "inactive", 150], ["name", "d", "pending", 0, "idle", 50, "inactive", -1]]"#
    );
    bench.proto = Proto::Resp3;
    let full = bench.run("XINFO STREAM s FULL");
    let (seen, active) = (START_MS + 100, START_MS);
    assert!(
        full.contains(&format!(r#""seen-time": {seen}, "active-time": {active}, "pel-count": 1"#)),
        "{full}"
    );
    assert!(full.contains(&format!(r#""seen-time": {seen}, "active-time": -1"#)), "{full}");
}

#[test]
fn reads_that_are_wrong_are_told_in_the_words_of_7_2() {
    let mut bench = filled("s", 1);
    speak(
        &mut bench,
        &[
            (
                "XREAD STREAMS s s 0",
                "(error) ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
            ),
            (
                "XREADGROUP GROUP g c STREAMS s s 0",
                "(error) ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
            ),
            ("XREAD BLOCK 9223372036854775807 STREAMS s 0", "(error) ERR timeout is out of range"),
            ("XREAD BLOCK 0 STREAMS s $", "(nil array)"),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS s s 0 0", r#"[["s", []], ["s", []]]"#),
        ],
    );
}

#[test]
fn help_tells_every_subcommand() {
    let mut bench = Bench::new();
    for (command, count) in [("XGROUP", 6), ("XINFO", 4)] {
        let row = COMMANDS.iter().find(|row| row.name.eq_ignore_ascii_case(command)).expect("a row");
        let help = bench.run(&format!("{command} HELP"));
        assert_eq!(row.subcommands.len(), count);
        for subcommand in row.subcommands {
            let name = subcommand.name.to_ascii_uppercase();
            assert!(help.contains(&format!(", {name}")), "{name} in {help}");
        }
    }
}

/// The bench compares both keyspaces when it goes.
#[test]
fn random_histories_replay_to_equal_streams() {
    for seed in 1..=8 {
        let mut dice = Dice::seeded(seed);
        let mut bench = Bench::new();
        bench.limits.stream = StreamLimits { node_entries_max: 5, ..StreamLimits::default() };
        let (mut newest, mut refused) = (1, 0);
        for _ in 0..1_500 {
            let mut one_of = |words: &[&'static str]| words[dice.below(words.len() as u64) as usize];
            let mut line = one_of(SHAPES).to_owned();
            for (place, words) in
                [("{k}", ["s", "s", "t"]), ("{g}", ["g", "g", "h"]), ("{c}", ["a", "b", "c"])]
            {
                line = line.replace(place, one_of(&words));
            }
            newest += u64::from(line.contains("{n}"));
            line = line.replace("{n}", &format!("{newest}-*"));
            while line.contains("{i}") {
                let id = format!("{}-0", newest.saturating_sub(dice.below(30)));
                line = line.replacen("{i}", &id, 1);
            }
            bench.sleep(dice.below(50) as i64);
            refused += usize::from(bench.run(&line).starts_with("(error)"));
        }
        assert!(refused < 500, "seed {seed}: {refused} of 1500 commands were refused");
    }
}

/// Commands with places for a key, a group, a consumer, an ID not far from the newest, and a new one.
const SHAPES: &[&str] = &[
    "XADD {k} {n} a b",
    "XADD {k} {n} a b",
    "XADD {k} {n} a 1 c 2",
    "XADD {k} MAXLEN ~ 12 {n} a b",
    "XADD {k} MINID ~ {i} LIMIT 20 {n} c d",
    "XTRIM {k} MAXLEN 20",
    "XTRIM {k} MINID ~ {i}",
    "XDEL {k} {i} {i}",
    "XGROUP CREATE {k} {g} 0 MKSTREAM",
    "XGROUP SETID {k} {g} {i}",
    "XGROUP SETID {k} {g} {i} ENTRIESREAD 3",
    "XGROUP DELCONSUMER {k} {g} {c}",
    "XREADGROUP GROUP {g} {c} COUNT 3 STREAMS {k} >",
    "XREADGROUP GROUP {g} {c} COUNT 2 STREAMS {k} >",
    "XREADGROUP GROUP {g} {c} COUNT 1 NOACK STREAMS {k} >",
    "XREADGROUP GROUP {g} {c} COUNT 2 STREAMS {k} {i}",
    "XACK {k} {g} {i} {i} {i}",
    "XCLAIM {k} {g} {c} 20 {i} {i}",
    "XCLAIM {k} {g} {c} 0 {i} {i} FORCE LASTID {i}",
    "XCLAIM {k} {g} {c} 0 {i} JUSTID IDLE 10",
    "XAUTOCLAIM {k} {g} {c} 30 {i} COUNT 3",
];
