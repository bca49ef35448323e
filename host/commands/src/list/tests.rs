//! List commands against what Redis 7.2 answers, counts, notifies and propagates.

use super::COMMANDS;
use crate::testing::Bench;
use tenon_base::Dice;
use tenon_keyspace::ListLimits;
use tenon_resp::Proto;

/// Runs each line and compares its reply.
fn speak(bench: &mut Bench, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(bench.run(line), *expected, "{line}");
    }
}

const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "(error) ERR value is not an integer or out of range";
const SYNTAX: &str = "(error) ERR syntax error";

#[test]
fn rows_are_in_order_and_hold_together() {
    assert!(COMMANDS.is_sorted_by(|one, next| one.name < next.name));
    for row in COMMANDS {
        let specs = row.arguments.iter().filter_map(|argument| argument.key_spec).count();
        assert_eq!(specs, row.keys.len(), "{}", row.name);
    }
}

#[test]
fn pushes_count_and_notify_by_element() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("RPUSH l a"), "1");
    assert_eq!((bench.dirty(), bench.effects()), (1, "RPUSH l a".into()));
    assert_eq!(bench.run("RPUSH l b c"), "3");
    assert_eq!((bench.dirty(), bench.touched()), (2, 1));
    assert_eq!((bench.events(), bench.effects()), ("rpush l".into(), "RPUSH l b c".into()));
    assert_eq!(bench.run("LPUSH l y z"), "5");
    assert_eq!(bench.events(), "lpush l");
    assert_eq!(bench.run("LPUSHX none x"), "0");
    assert_eq!(bench.run("RPUSHX none x"), "0");
    assert_eq!((bench.dirty(), bench.events(), bench.effects()), (0, String::new(), String::new()));
    speak(
        &mut bench,
        &[
            ("LPUSHX l 1 2", "7"),
            ("RPUSHX l 3 4", "9"),
            ("LRANGE l 0 -1", r#"["2", "1", "z", "y", "a", "b", "c", "3", "4"]"#),
            ("LLEN l", "9"),
            ("LLEN none", "0"),
        ],
    );
}

#[test]
fn pops_take_one_or_some_and_remove_an_empty_key() {
    let mut bench = Bench::new();
    bench.run("RPUSH l 1 2 3 4 5 6");
    speak(
        &mut bench,
        &[
            ("LPOP l", r#""1""#),
            ("RPOP l", r#""6""#),
            ("LPOP l 0", "[]"),
            ("LPOP none", "(nil)"),
            ("LPOP none 0", "(nil array)"),
            ("RPOP none 2", "(nil array)"),
            ("LPOP none -1", "(error) ERR value is out of range, must be positive"),
            ("LPOP l x", "(error) ERR value is out of range, must be positive"),
            ("LPOP l 1 2", "(error) ERR wrong number of arguments for 'lpop' command"),
            ("RPOP l 1 2", "(error) ERR wrong number of arguments for 'rpop' command"),
            ("RPOP l 2", r#"["5", "4"]"#),
        ],
    );
    assert_eq!((bench.dirty(), bench.events()), (2, "rpop l".into()));
    assert_eq!(bench.run("LPOP l 9223372036854775807"), r#"["2", "3"]"#);
    assert_eq!((bench.dirty(), bench.events()), (2, "lpop l; del l".into()));
    bench.run("RPUSH l 1");
    assert_eq!(bench.run("RPOP l"), r#""1""#);
    assert_eq!((bench.dirty(), bench.events()), (1, "rpop l; del l".into()));
    assert_eq!(bench.run("RPUSHX l 1"), "0");
    bench.proto = Proto::Resp3;
    assert_eq!(bench.run("LPOP none 2"), "(nil)");
}

#[test]
fn the_first_list_with_elements_is_popped_and_its_pop_propagated() {
    let mut bench = Bench::new();
    bench.run("RPUSH b 1 2 3");
    assert_eq!(bench.run("LMPOP 3 none b c LEFT"), r#"["b", ["1"]]"#);
    assert_eq!((bench.effects(), bench.events()), ("LPOP b 1".into(), "lpop b".into()));
    assert_eq!(bench.run("LMPOP 2 none b right count 10"), r#"["b", ["3", "2"]]"#);
    assert_eq!((bench.effects(), bench.events()), ("RPOP b 2".into(), "rpop b; del b".into()));
    let count = "(error) ERR count should be greater than 0";
    let numkeys = "(error) ERR numkeys should be greater than 0";
    speak(
        &mut bench,
        &[
            ("LMPOP 2 none b LEFT", "(nil array)"),
            ("LMPOP 0 a LEFT", numkeys),
            ("LMPOP x a LEFT", numkeys),
            ("LMPOP 9223372036854775807 a LEFT", SYNTAX),
            ("LMPOP 2 a LEFT", SYNTAX),
            ("LMPOP 1 a UP", SYNTAX),
            ("LMPOP 1 a LEFT COUNT", SYNTAX),
            ("LMPOP 1 a LEFT COUNT 0", count),
            ("LMPOP 1 a LEFT COUNT x y", count),
            ("LMPOP 1 a LEFT COUNT 1 COUNT 2", SYNTAX),
            ("LMPOP 1 a LEFT LIMIT 1", SYNTAX),
            ("HSET h f v", "1"),
            ("LMPOP 2 none h LEFT", WRONG_TYPE),
        ],
    );
}

#[test]
fn moves_push_before_they_say_that_they_popped() {
    let mut bench = Bench::new();
    bench.run("RPUSH s 1 2 3");
    assert_eq!(bench.run("LMOVE s d LEFT RIGHT"), r#""1""#);
    assert_eq!((bench.dirty(), bench.touched()), (1, 2));
    assert_eq!(bench.effects(), "LMOVE s d LEFT RIGHT");
    assert_eq!(bench.run("RPOPLPUSH s d"), r#""3""#);
    assert_eq!((bench.events(), bench.effects()), ("lpush d; rpop s".into(), "RPOPLPUSH s d".into()));
    assert_eq!(bench.run("LMOVE s d left left"), r#""2""#);
    assert_eq!(bench.events(), "lpush d; lpop s; del s");
    speak(
        &mut bench,
        &[
            ("LRANGE d 0 -1", r#"["2", "3", "1"]"#),
            ("RPOPLPUSH d d", r#""1""#),
            ("LRANGE d 0 -1", r#"["1", "2", "3"]"#),
            ("LMOVE none d LEFT RIGHT", "(nil)"),
            ("LMOVE d d LEFT UP", SYNTAX),
            ("LMOVE d d UP LEFT", SYNTAX),
            ("HSET h f v", "1"),
            ("LMOVE none h LEFT RIGHT", "(nil)"),
            ("LMOVE d h LEFT RIGHT", WRONG_TYPE),
            ("RPOPLPUSH h d", WRONG_TYPE),
            ("LRANGE d 0 -1", r#"["1", "2", "3"]"#),
            ("RPUSH one 1", "1"),
            ("LMOVE one one LEFT RIGHT", r#""1""#),
            ("LLEN one", "1"),
        ],
    );
}

#[test]
fn a_moved_element_is_the_same_whatever_its_bytes() {
    let mut bench = Bench::new();
    let long = vec![b'\n'; 40_000];
    bench.run_words(&[b"RPUSH", b"s", b"", b"\r\n$3\r\n", b"-12", &long]);
    for _ in 0..4 {
        bench.run("LMOVE s d LEFT RIGHT");
    }
    assert_eq!(bench.run("LRANGE d 0 2"), r#"["", "\r\n$3\r\n", "-12"]"#);
    assert_eq!(bench.run("LLEN s"), "0");
    assert_eq!(bench.run_words(&[b"LINDEX", b"d", b"-1"]).as_bytes(), Some(&long[..]));
}

#[test]
fn ranges_and_positions_count_from_either_end() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a b c d");
    speak(
        &mut bench,
        &[
            ("LRANGE l 1 2", r#"["b", "c"]"#),
            ("LRANGE l -2 100", r#"["c", "d"]"#),
            ("LRANGE l -100 0", r#"["a"]"#),
            ("LRANGE l -100 -5", "[]"),
            ("LRANGE l 4 9", "[]"),
            ("LRANGE l 3 1", "[]"),
            ("LRANGE l -9223372036854775808 9223372036854775807", r#"["a", "b", "c", "d"]"#),
            ("LRANGE l 9223372036854775807 -9223372036854775808", "[]"),
            ("LRANGE none 0 -1", "[]"),
            ("LRANGE none 0 x", NOT_INTEGER),
            ("LINDEX l 0", r#""a""#),
            ("LINDEX l -1", r#""d""#),
            ("LINDEX l 4", "(nil)"),
            ("LINDEX l -5", "(nil)"),
            ("LINDEX l x", NOT_INTEGER),
            ("LINDEX none x", "(nil)"),
        ],
    );
    assert_eq!(bench.lookups(), (13, 2));
}

#[test]
fn lset_changes_one_element() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a b c");
    assert_eq!(bench.run("LSET l -1 z"), "OK");
    assert_eq!((bench.dirty(), bench.events()), (1, "lset l".into()));
    speak(
        &mut bench,
        &[
            ("LSET l 3 x", "(error) ERR index out of range"),
            ("LSET l -4 x", "(error) ERR index out of range"),
            ("LSET l 9223372036854775807 x", "(error) ERR index out of range"),
            ("LSET l x x", NOT_INTEGER),
            ("LSET none x x", "(error) ERR no such key"),
            ("LRANGE l 0 -1", r#"["a", "b", "z"]"#),
        ],
    );
}

#[test]
fn lrem_removes_from_either_end() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a b a c a b a");
    assert_eq!(bench.run("LREM l 2 a"), "2");
    assert_eq!((bench.dirty(), bench.events()), (2, "lrem l".into()));
    assert_eq!(bench.run("LREM l -1 b"), "1");
    assert_eq!(bench.run("LREM l 1 none"), "0");
    assert_eq!((bench.dirty(), bench.events(), bench.effects()), (0, String::new(), String::new()));
    assert_eq!(bench.run("LRANGE l 0 -1"), r#"["b", "c", "a", "a"]"#);
    bench.run("LREM l -9223372036854775808 a");
    assert_eq!(bench.effects(), "LREM l 0 a");
    bench.run("LREM l 0 b");
    assert_eq!(bench.run("LREM l 0 c"), "1");
    assert_eq!(bench.events(), "lrem l; del l");
    assert_eq!(bench.run("LREM l x c"), NOT_INTEGER);
    assert_eq!(bench.run("LREM l 0 c"), "0");
}

#[test]
fn ltrim_tells_watchers_even_when_nothing_goes() {
    let mut bench = Bench::new();
    bench.run("RPUSH l 1 2 3 4 5 6");
    assert_eq!(bench.run("LTRIM l 1 -2"), "OK");
    assert_eq!((bench.dirty(), bench.events()), (2, "ltrim l".into()));
    assert_eq!(bench.run("LTRIM l 0 -1"), "OK");
    assert_eq!((bench.dirty(), bench.touched(), bench.effects()), (0, 1, String::new()));
    assert_eq!(bench.run("LRANGE l 0 -1"), r#"["2", "3", "4", "5"]"#);
    assert_eq!(bench.run("LTRIM l 3 1"), "OK");
    assert_eq!((bench.dirty(), bench.events()), (4, "ltrim l; del l".into()));
    speak(&mut bench, &[("LTRIM l 0 0", "OK"), ("LTRIM l 0 x", NOT_INTEGER), ("LLEN l", "0")]);
}

#[test]
fn a_large_list_that_goes_at_once_is_freed_elsewhere() {
    let mut bench = Bench::new();
    let element = [b'x'; 1_000];
    let fill = |bench: &mut Bench| {
        for _ in 0..100 {
            bench.run_words(&[b"RPUSH", b"l", &element]);
        }
    };
    fill(&mut bench);
    bench.run("LTRIM l 1 0");
    assert_eq!((bench.take_garbage(), bench.events()), (1, "ltrim l; del l".into()));
    fill(&mut bench);
    bench.run("RPOP l 1000");
    assert_eq!((bench.take_garbage(), bench.dirty()), (1, 100));
    bench.run("RPUSH l a b");
    bench.run("LPOP l 2");
    assert_eq!(bench.take_garbage(), 0);
}

#[test]
fn linsert_puts_beside_the_first_pivot() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a c a");
    assert_eq!(bench.run("LINSERT l before a 1"), "4");
    assert_eq!((bench.dirty(), bench.events()), (1, "linsert l".into()));
    assert_eq!(bench.run("LINSERT l AFTER none x"), "-1");
    assert_eq!((bench.dirty(), bench.events()), (0, String::new()));
    speak(
        &mut bench,
        &[
            ("LINSERT l AFTER c d", "5"),
            ("LRANGE l 0 -1", r#"["1", "a", "c", "d", "a"]"#),
            ("LINSERT none AFTER a b", "0"),
            ("LINSERT none BESIDE a b", SYNTAX),
        ],
    );
}

#[test]
fn lpos_finds_from_either_end() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a b c 1 2 3 c c");
    let rank = "(error) ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                or use negative to start from the end of the list";
    let range =
        "(error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    speak(
        &mut bench,
        &[
            ("LPOS l c", "2"),
            ("LPOS l 2", "4"),
            ("LPOS l none", "(nil)"),
            ("LPOS l c RANK 2", "6"),
            ("LPOS l c RANK 4", "(nil)"),
            ("LPOS l c RANK 9223372036854775807", "(nil)"),
            ("LPOS l c RANK -1", "7"),
            ("LPOS l c rank -3", "2"),
            ("LPOS l c COUNT 0", "[2, 6, 7]"),
            ("LPOS l c COUNT 1", "[2]"),
            ("LPOS l c COUNT 2 RANK -1", "[7, 6]"),
            ("LPOS l c COUNT 0 RANK 2", "[6, 7]"),
            ("LPOS l none COUNT 2", "[]"),
            ("LPOS l c COUNT 0 MAXLEN 7", "[2, 6]"),
            ("LPOS l c COUNT 0 MAXLEN 1 RANK -1", "[7]"),
            ("LPOS l c MAXLEN 2", "(nil)"),
            ("LPOS l c MAXLEN 0", "2"),
            ("LPOS none c", "(nil)"),
            ("LPOS none c COUNT 1", "[]"),
            ("LPOS l c RANK 0", rank),
            ("LPOS l c RANK -9223372036854775808", range),
            ("LPOS l c RANK x", NOT_INTEGER),
            ("LPOS l c COUNT -1", "(error) ERR COUNT can't be negative"),
            ("LPOS l c MAXLEN x", "(error) ERR MAXLEN can't be negative"),
            ("LPOS l c COUNT", SYNTAX),
            ("LPOS l c FIRST 1", SYNTAX),
            ("LPOS none c FIRST", SYNTAX),
        ],
    );
}

#[test]
fn other_types_are_refused() {
    let mut bench = Bench::new();
    bench.run("HSET h f v");
    for line in [
        "LPUSH h x",
        "RPUSHX h x",
        "LPOP h",
        "LPOP h 0",
        "RPOP h 1",
        "LLEN h",
        "LRANGE h 0 -1",
        "LINDEX h x",
        "LSET h x x",
        "LREM h 0 x",
        "LTRIM h 0 0",
        "LINSERT h BEFORE a b",
        "LMOVE h h LEFT LEFT",
        "LPOS h x",
    ] {
        assert_eq!(bench.run(line), WRONG_TYPE, "{line}");
    }
}

/// Random histories on small nodes, so that lists often change their encoding: the bench replays what is
/// propagated, and a plain vector says what must come out.
#[test]
fn random_histories_agree_with_a_vector() {
    for seed in 0..8 {
        let mut dice = Dice::seeded(seed);
        let mut bench = Bench::new();
        bench.limits.list = ListLimits { listpack_size: 4, ..ListLimits::default() };
        let mut model: Vec<String> = Vec::new();
        for step in 0..400 {
            let word = ["a", "b", "7", "-300", "long-enough-to-count"][dice.below(5) as usize].to_owned();
            let len = model.len();
            let at = dice.below(len as u64 + 1) as usize;
            let line = match dice.below(9) {
                0 | 1 => {
                    model.insert(0, word.clone());
                    format!("LPUSH l {word}")
                }
                2 | 3 => {
                    model.extend([word.clone(), word.clone()]);
                    format!("RPUSH l {word} {word}")
                }
                4 => {
                    model.drain(..at);
                    format!("LPOP l {at}")
                }
                5 => {
                    model.truncate(len - at.min(3));
                    format!("RPOP l {}", at.min(3))
                }
                6 => {
                    model.rotate_right(usize::from(len > 0));
                    "RPOPLPUSH l l".to_owned()
                }
                7 => {
                    if let Some(found) = model.iter().rposition(|element| *element == word) {
                        model.remove(found);
                    }
                    format!("LREM l -1 {word}")
                }
                _ => {
                    if at < len {
                        model[at] = word.clone();
                    }
                    format!("LSET l {at} {word}")
                }
            };
            bench.run(&line);
            let shown: Vec<String> = model.iter().map(|element| format!("\"{element}\"")).collect();
            let expected = format!("[{}]", shown.join(", "));
            assert_eq!(bench.run("LRANGE l 0 -1"), expected, "seed {seed}, step {step}: {line}");
        }
    }
}

#[test]
fn forms_that_wait_pop_at_once_where_they_can() {
    let mut bench = Bench::new();
    bench.run("RPUSH l 1 2 3 4 5 6 7");
    assert_eq!(bench.run("BLPOP none l 0"), r#"["l", "1"]"#);
    assert_eq!((bench.dirty(), bench.effects(), bench.events()), (1, "LPOP l".into(), "lpop l".into()));
    assert_eq!(bench.run("BRPOP l none 1.5"), r#"["l", "7"]"#);
    assert_eq!(bench.effects(), "RPOP l");
    assert_eq!(bench.run("BLMPOP 0 2 none l left count 2"), r#"["l", ["2", "3"]]"#);
    assert_eq!(bench.effects(), "LPOP l 2");
    assert_eq!(bench.run("BLMOVE l m right left 0"), r#""6""#);
    assert_eq!(bench.effects(), "LMOVE l m right left");
    assert_eq!(bench.run("BRPOPLPUSH l m 0"), r#""5""#);
    assert_eq!((bench.dirty(), bench.effects()), (1, "RPOPLPUSH l m".into()));
    assert_eq!(bench.run("BLPOP l 0"), r#"["l", "4"]"#);
    assert_eq!(bench.events(), "lpop l; del l");
    assert_eq!(bench.run("BLMPOP 0 1 m RIGHT COUNT 9"), r#"["m", ["6", "5"]]"#);
    assert_eq!(bench.effects(), "RPOP m 2");
}

#[test]
fn where_nobody_may_wait_the_answer_is_nothing() {
    let mut bench = Bench::new();
    speak(
        &mut bench,
        &[
            ("BLPOP a b 0", "(nil array)"),
            ("BRPOP a 0", "(nil array)"),
            ("BLMPOP 0 1 a LEFT", "(nil array)"),
            ("BLMOVE a b LEFT RIGHT 0", "(nil)"),
            ("BRPOPLPUSH a b 0", "(nil)"),
        ],
    );
    assert_eq!((bench.dirty(), bench.effects()), (0, String::new()));
}

#[test]
fn forms_that_wait_refuse_before_they_do() {
    let mut bench = Bench::new();
    bench.run("SET text x");
    bench.run("RPUSH l 1");
    speak(
        &mut bench,
        &[
            ("BLPOP text l 0", WRONG_TYPE),
            ("BLPOP none text 0", WRONG_TYPE),
            ("BLPOP l x", "(error) ERR timeout is not a float or out of range"),
            ("BLPOP l -1", "(error) ERR timeout is negative"),
            ("BRPOP l 1e300", "(error) ERR timeout is out of range"),
            ("BLMOVE l m UP LEFT 0", SYNTAX),
            ("BLMOVE l m LEFT LEFT soon", "(error) ERR timeout is not a float or out of range"),
            ("BLMOVE text m LEFT LEFT 0", WRONG_TYPE),
            ("BLMOVE l text LEFT LEFT 0", WRONG_TYPE),
            ("BRPOPLPUSH l text 0", WRONG_TYPE),
            ("BRPOPLPUSH l m -0.1", "(error) ERR timeout is negative"),
            ("BLMPOP 0 0 l LEFT", "(error) ERR numkeys should be greater than 0"),
            ("BLMPOP 0 1 l UP", SYNTAX),
            ("BLMPOP 0 2 l LEFT", SYNTAX),
            ("BLMPOP 0 1 l LEFT COUNT 0", "(error) ERR count should be greater than 0"),
            ("BLMPOP x 1 l LEFT COUNT", SYNTAX),
            ("BLMPOP x 1 l LEFT", "(error) ERR timeout is not a float or out of range"),
            ("BLMPOP 0 1 text LEFT", WRONG_TYPE),
            ("LLEN l", "1"),
        ],
    );
}
