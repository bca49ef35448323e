//! SORT through the harness: what is stored and propagated, what is bounded. Replies are compared with Redis's in
//! `tests/scripts/sort.resp`.

use crate::testing::Bench;
use tenon_base::Dice;

#[test]
fn results_are_stored_as_lists() {
    let mut bench = Bench::new();
    bench.run("RPUSH l 3 1 2");
    bench.run("SET d text");
    assert_eq!(bench.run("SORT l STORE d"), "3");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("sortstore d", 3));
    assert_eq!(bench.effects(), "SORT l STORE d");
    assert_eq!(bench.run("LRANGE d 0 -1"), r#"["1", "2", "3"]"#);
    assert_eq!(bench.run("SORT l BY nosort GET none_* STORE l"), "3");
    assert_eq!(bench.run("LRANGE l 0 -1"), r#"["", "", ""]"#);
    assert_eq!(bench.run("SORT none STORE d"), "0");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("del d", 1));
    assert_eq!(bench.run("SORT l"), r#"["", "", ""]"#);
    assert_eq!(bench.effects(), "");
}

#[test]
fn what_is_stored_of_a_set_does_not_depend_on_how_it_lies() {
    let mut bench = Bench::new();
    for member in 0..1_000 {
        bench.run(&format!("SADD s m{member}"));
    }
    // The follower's set lies differently; the bench compares both keyspaces in the end.
    bench.run("MSET w_m1 b w_m500 a");
    assert_eq!(bench.run("SORT s BY nosort STORE a"), "1000");
    assert_eq!(bench.run("SORT s BY w_* ALPHA STORE b"), "1000");
    assert_eq!(bench.run("SORT s BY w_* ALPHA LIMIT 10 300 STORE c"), "300");
    assert_eq!(bench.run("LRANGE b -2 -1"), r#"["m500", "m1"]"#);
}

#[test]
fn expired_keys_have_no_weight() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a b");
    bench.run("SET w_a 7 PX 5");
    bench.run("SET w_b 3");
    assert_eq!(bench.run("SORT l BY w_*"), r#"["b", "a"]"#);
    bench.sleep(10);
    assert_eq!(bench.run("SORT l BY w_* GET # GET w_*"), r#"["a", (nil), "b", "3"]"#);
    assert_eq!(bench.effects(), "DEL w_a");
}

#[test]
fn windows_are_parts_of_the_whole() {
    let mut bench = Bench::new();
    let mut dice = Dice::seeded(31);
    for _ in 0..300 {
        bench.run(&format!("RPUSH l {}", dice.below(100)));
    }
    for weight in 0..100 {
        bench.run(&format!("SET w_{weight} {}", dice.below(20)));
    }
    for options in ["", "DESC", "ALPHA", "BY w_*", "BY w_* DESC", "BY nosort", "BY nosort DESC"] {
        let whole = bench.run(&format!("SORT l {options} GET # GET w_*"));
        let whole: Vec<&str> = whole.trim_matches(['[', ']']).split(", ").collect();
        for (start, count) in [(0, 1), (5, 50), (290, 100), (300, 1)] {
            let end = (start + count).min(300);
            let part = bench.run(&format!("SORT l {options} GET # GET w_* LIMIT {start} {count}"));
            assert_eq!(part, format!("[{}]", whole[2 * start..2 * end].join(", ")), "{options} {start}");
        }
    }
}

#[test]
fn results_that_multiply_one_value_are_bounded() {
    let mut bench = Bench::new();
    bench.limits.string_bytes_max = 10_000;
    bench.run("RPUSH l a a a a a a a a a a a a a a a a a a a a a a");
    bench.run(&format!("SET big_a {}", "x".repeat(1_000)));
    let refused = "(error) ERR the result of SORT would be too long";
    assert_eq!(bench.run("SORT l BY nosort GET big_*"), refused);
    assert_eq!(bench.run("SORT l BY nosort GET big_* STORE d"), refused);
    assert_eq!(
        bench.run("SORT l BY big_* ALPHA"),
        "(error) ERR the strings to sort by are too long together"
    );
    assert_eq!(bench.run("SORT l BY nosort LIMIT 0 1"), r#"["a"]"#);
}
