//! Sorted sets as clients see them, and what is propagated of them.

use tenon_resp::Proto;

use crate::testing::Bench;

fn with(commands: &[&str]) -> Bench {
    let mut bench = Bench::new();
    for command in commands {
        let reply = bench.run(command);
        assert!(!reply.starts_with("(error)"), "{command}: {reply}");
    }
    bench
}

#[test]
fn members_get_scores() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("ZADD z 1 a 2 b 3 a"), "2");
    assert_eq!((bench.events().as_str(), bench.dirty(), bench.touched()), ("new z; zadd z", 3, 1));
    assert_eq!(bench.run("ZADD z 3 a"), "0");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("ZADD z CH 4 a 5 c"), "2");
    assert_eq!(bench.run("ZADD z NX CH 9 a 9 d"), "1");
    assert_eq!(bench.run("ZADD z xx ch 8 a 9 e"), "1");
    assert_eq!(bench.run("ZADD z GT CH 7 a 10 d 1 new"), "2");
    assert_eq!(bench.run("ZADD z LT CH 7 a 11 d"), "1");
    assert_eq!(
        bench.run("ZRANGE z 0 -1 WITHSCORES"),
        r#"["new", "1", "b", "2", "c", "5", "a", "7", "d", "10"]"#
    );
    assert_eq!(bench.run("ZADD missing XX 1 a"), "0");
    assert_eq!(bench.run("ZADD missing XX INCR 1 a"), "(nil)");
    assert_eq!(bench.run("ZCARD missing"), "0");
}

#[test]
fn zadd_refuses_before_it_changes() {
    let mut bench = with(&["ZADD z 1 a"]);
    let cases = [
        ("ZADD z 1 b x c", "ERR value is not a valid float"),
        ("ZADD z nan b", "ERR value is not a valid float"),
        ("ZADD z 1 b 2", "ERR syntax error"),
        ("ZADD z NX XX", "ERR syntax error"),
        ("ZADD z NX XX 1 b", "ERR XX and NX options at the same time are not compatible"),
        ("ZADD z NX LT 1 b", "ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z GT LT 1 b", "ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z INCR 1 a 2 b", "ERR INCR option supports a single increment-element pair"),
        ("ZINCRBY z nx b", "ERR syntax error"),
        ("ZINCRBY z x b", "ERR value is not a valid float"),
    ];
    for (command, error) in cases {
        assert_eq!(bench.run(command), format!("(error) {error}"), "{command}");
    }
    assert_eq!(bench.run("ZRANGE z 0 -1"), r#"["a"]"#);
}

#[test]
fn scores_are_added_to() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("ZINCRBY z 1.5 a"), r#""1.5""#);
    assert_eq!(bench.events(), "new z; zincr z");
    assert_eq!(bench.run("ZADD z INCR 2 a"), r#""3.5""#);
    assert_eq!(bench.run("ZADD z NX INCR 2 a"), "(nil)");
    assert_eq!(bench.run("ZADD z NX INCR 2 b"), r#""2""#);
    assert_eq!(bench.run("ZADD z GT INCR -1 b"), "(nil)");
    assert_eq!(bench.run("ZADD z LT INCR -1 b"), r#""1""#);
    assert_eq!(bench.run("ZADD z GT INCR -1 new"), r#""-1""#);
    assert_eq!(bench.run("ZINCRBY z 0 b"), r#""1""#);
    assert_eq!(bench.effects(), "");
    bench.run("ZADD z inf top");
    assert_eq!(bench.run("ZINCRBY z -inf top"), "(error) ERR resulting score is not a number (NaN)");
    assert_eq!(bench.run("ZADD z NX INCR -inf top"), "(nil)");
    bench.proto = Proto::Resp3;
    assert_eq!(bench.run("ZINCRBY z 1 b"), "(double) 2");
    assert_eq!(bench.run("ZSCORE z top"), "(double) inf");
}

#[test]
fn ranks_and_scores_are_told() {
    let mut bench = with(&["ZADD z 1 a 2 b 3 c"]);
    assert_eq!(bench.run("ZRANK z c"), "2");
    assert_eq!(bench.run("ZREVRANK z c"), "0");
    assert_eq!(bench.run("ZRANK z b WITHSCORE"), r#"[1, "2"]"#);
    assert_eq!(bench.run("ZRANK z x WITHSCORE"), "(nil array)");
    assert_eq!(bench.run("ZRANK missing x WITHSCORE"), "(nil array)");
    assert_eq!(bench.run("ZRANK z x"), "(nil)");
    assert_eq!(bench.run("ZRANK z x WITHSCORES"), "(error) ERR syntax error");
    assert_eq!(
        bench.run("ZREVRANK z x WITHSCORE x"),
        "(error) ERR wrong number of arguments for 'zrevrank' command"
    );
    assert_eq!(bench.run("ZMSCORE z a x c"), r#"["1", (nil), "3"]"#);
    assert_eq!(bench.run("ZCOUNT z (1 +inf"), "2");
    assert_eq!(bench.run("ZCOUNT z x 1"), "(error) ERR min or max is not a float");
    assert_eq!(bench.run("ZLEXCOUNT z - +"), "3");
    assert_eq!(bench.run("ZLEXCOUNT z a +"), "(error) ERR min or max not valid string range item");
}

#[test]
fn ranges_go_both_ways() {
    let mut bench = with(&["ZADD z 1 a 2 b 3 c 4 d 5 e"]);
    let cases = [
        ("ZRANGE z 1 -2", r#"["b", "c", "d"]"#),
        ("ZRANGE z -100 1", r#"["a", "b"]"#),
        ("ZRANGE z 3 1", "[]"),
        ("ZRANGE z 5 9", "[]"),
        ("ZRANGE z 0 -6", "[]"),
        ("ZRANGE z 0 -9223372036854775808", "[]"),
        ("ZRANGE z -9223372036854775808 9223372036854775807", r#"["a", "b", "c", "d", "e"]"#),
        ("ZRANGE z 0 1 REV", r#"["e", "d"]"#),
        ("ZREVRANGE z 3 9 WITHSCORES", r#"["b", "2", "a", "1"]"#),
        ("ZRANGE z 2 (4 BYSCORE", r#"["b", "c"]"#),
        ("ZRANGE z (4 2 BYSCORE REV WITHSCORES", r#"["c", "3", "b", "2"]"#),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 1 2", r#"["b", "c"]"#),
        ("ZREVRANGEBYSCORE z +inf -inf LIMIT 1 2", r#"["d", "c"]"#),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 3 -1", r#"["d", "e"]"#),
        ("ZRANGEBYSCORE z -inf +inf LIMIT -1 3", "[]"),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 9 3", "[]"),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 0 0", "[]"),
        ("ZRANGE z 0 1 LIMIT 5 -1", r#"["a", "b"]"#),
        ("ZRANGEBYLEX z [b (d", r#"["b", "c"]"#),
        ("ZREVRANGEBYLEX z + - LIMIT 0 2", r#"["e", "d"]"#),
        ("ZRANGE z + [c BYLEX REV", r#"["e", "d", "c"]"#),
        ("ZRANGE missing 0 1", "[]"),
        ("ZRANGE z 0 1 REV REV", "(error) ERR syntax error"),
        ("ZREVRANGE z 0 1 REV", "(error) ERR syntax error"),
        ("ZRANGE z 0 1 BYSCORE BYLEX", "(error) ERR syntax error"),
        ("ZRANGE z 0 1 LIMIT 0", "(error) ERR syntax error"),
        ("ZRANGE z 0 1 BYSCORE LIMIT x 1", "(error) ERR value is not an integer or out of range"),
        ("ZRANGE z 0 x", "(error) ERR value is not an integer or out of range"),
        ("ZRANGE z 0 x BYSCORE", "(error) ERR min or max is not a float"),
        ("ZRANGEBYLEX z 0 x", "(error) ERR min or max not valid string range item"),
        (
            "ZRANGE z 0 1 LIMIT 0 1",
            "(error) ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        (
            "ZRANGEBYLEX z - + WITHSCORES",
            "(error) ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
    ];
    for (command, reply) in cases {
        assert_eq!(bench.run(command), reply, "{command}");
    }
    bench.proto = Proto::Resp3;
    assert_eq!(bench.run("ZRANGE z 0 1 WITHSCORES"), r#"[["a", (double) 1], ["b", (double) 2]]"#);
}

#[test]
fn ranges_are_stored() {
    let mut bench = with(&["ZADD z 1 a 2 b 3 c 4 d", "SADD d x"]);
    assert_eq!(bench.run("ZRANGESTORE d z 0 1 REV"), "2");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("zrangestore d", 1));
    assert_eq!(bench.run("ZRANGE d 0 -1 WITHSCORES"), r#"["c", "3", "d", "4"]"#);
    assert_eq!(bench.run("ZRANGESTORE d z (1 +inf BYSCORE LIMIT 0 2"), "2");
    assert_eq!(bench.run("ZRANGE d 0 -1"), r#"["b", "c"]"#);
    assert_eq!(bench.run("ZRANGESTORE d z 0 1 WITHSCORES"), "(error) ERR syntax error");
    assert_eq!(bench.run("ZRANGESTORE d missing 0 1"), "0");
    assert_eq!(bench.events(), "del d");
    assert_eq!(bench.run("ZRANGESTORE z z 0 0"), "1");
    assert_eq!(bench.run("ZCARD z"), "1");
}

#[test]
fn members_are_removed() {
    let mut bench = with(&["ZADD z 1 a 2 b 3 c 4 d 5 e 6 f"]);
    assert_eq!(bench.run("ZREM z a x"), "1");
    assert_eq!(bench.run("ZREMRANGEBYRANK z 0 0"), "1");
    assert_eq!(bench.events(), "zremrangebyrank z");
    assert_eq!(bench.run("ZREMRANGEBYRANK z 5 9"), "0");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("ZREMRANGEBYSCORE z (3 4"), "1");
    assert_eq!(bench.run("ZREMRANGEBYLEX z [c [c"), "1");
    assert_eq!(bench.run("ZRANGE z 0 -1"), r#"["e", "f"]"#);
    assert_eq!(bench.run("ZREMRANGEBYSCORE z -inf +inf"), "2");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("zremrangebyscore z; del z", 2));
    assert_eq!(bench.run("ZREMRANGEBYSCORE z x 1"), "(error) ERR min or max is not a float");
    assert_eq!(bench.run("ZREMRANGEBYLEX z x y"), "(error) ERR min or max not valid string range item");
}

#[test]
fn members_are_popped_from_either_end() {
    let mut bench = with(&["ZADD z 1 a 2 b 3 c 4 d 5 e"]);
    assert_eq!(bench.run("ZPOPMIN z"), r#"["a", "1"]"#);
    assert_eq!((bench.events().as_str(), bench.effects().as_str()), ("zpopmin z", "ZPOPMIN z"));
    assert_eq!(bench.run("ZPOPMAX z 2"), r#"["e", "5", "d", "4"]"#);
    assert_eq!(bench.run("ZPOPMAX z 0"), "[]");
    assert_eq!(bench.run("ZPOPMAX z x"), "(error) ERR value is out of range, must be positive");
    assert_eq!(bench.run("ZPOPMAX z 1 1"), "(error) ERR syntax error");
    bench.proto = Proto::Resp3;
    assert_eq!(bench.run("ZPOPMIN z"), r#"["b", (double) 2]"#);
    assert_eq!(bench.run("ZPOPMIN z 9"), r#"[["c", (double) 3]]"#);
    assert_eq!(bench.events(), "zpopmin z; del z");
    assert_eq!(bench.run("ZPOPMIN z"), "[]");
}

#[test]
fn the_first_sorted_set_that_is_there_is_popped_from() {
    let mut bench = with(&["ZADD z 1 a 2 b 3 c", "SADD s x"]);
    assert_eq!(bench.run("ZMPOP 2 missing z MAX COUNT 2"), r#"["z", [["c", "3"], ["b", "2"]]]"#);
    assert_eq!(bench.effects(), "ZPOPMAX z 2");
    assert_eq!(bench.run("ZMPOP 1 z min count 9"), r#"["z", [["a", "1"]]]"#);
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("ZPOPMIN z 1", "zpopmin z; del z"));
    assert_eq!(bench.run("ZMPOP 1 z MIN"), "(nil array)");
    assert!(bench.run("ZMPOP 1 s MIN").starts_with("(error) WRONGTYPE"));
    let cases = [
        ("ZMPOP 0 z MIN", "ERR numkeys should be greater than 0"),
        ("ZMPOP 9223372036854775807 z MIN", "ERR syntax error"),
        ("ZMPOP 1 z NONE", "ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT", "ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT 0", "ERR count should be greater than 0"),
        ("ZMPOP 1 z MIN COUNT 1 COUNT 1", "ERR syntax error"),
    ];
    for (command, error) in cases {
        assert_eq!(bench.run(command), format!("(error) {error}"), "{command}");
    }
}

#[test]
fn members_come_by_chance() {
    let mut bench = with(&["ZADD z 1 a"]);
    assert_eq!(bench.run("ZRANDMEMBER z"), r#""a""#);
    assert_eq!(bench.run("ZRANDMEMBER z 3 WITHSCORES"), r#"["a", "1"]"#);
    assert_eq!(bench.run("ZRANDMEMBER z -2 WITHSCORES"), r#"["a", "1", "a", "1"]"#);
    assert_eq!(bench.run("ZRANDMEMBER missing"), "(nil)");
    assert_eq!(bench.run("ZRANDMEMBER missing 3"), "[]");
    assert_eq!(bench.run("ZRANDMEMBER z 1 NONSENSE"), "(error) ERR syntax error");
    assert_eq!(
        bench.run("ZRANDMEMBER z -9223372036854775807 WITHSCORES"),
        "(error) ERR value is out of range"
    );
    bench.run("ZADD z 2 b 3 c 4 d 5 e");
    for count in 1..5 {
        let reply = bench.run(&format!("ZRANDMEMBER z {count}"));
        let mut found: Vec<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), count);
    }
    bench.proto = Proto::Resp3;
    assert!(bench.run("ZRANDMEMBER z 2 WITHSCORES").starts_with("[["));
}

#[test]
fn sorted_sets_are_combined() {
    let mut bench = with(&["ZADD x 1 a 2 b 3 c", "ZADD y 10 b 20 c 30 d", "SADD s c e"]);
    let cases = [
        ("ZUNION 2 x y WITHSCORES", r#"["a", "1", "b", "12", "c", "23", "d", "30"]"#),
        ("ZUNION 3 x y s AGGREGATE MIN WITHSCORES", r#"["a", "1", "c", "1", "e", "1", "b", "2", "d", "30"]"#),
        ("ZUNION 2 x x", r#"["a", "b", "c"]"#),
        ("ZINTER 2 x y WEIGHTS 2 0.5 WITHSCORES", r#"["b", "9", "c", "16"]"#),
        ("ZINTER 3 x y s aggregate max withscores", r#"["c", "20"]"#),
        ("ZINTER 2 x missing", "[]"),
        ("ZDIFF 2 x y WITHSCORES", r#"["a", "1"]"#),
        ("ZDIFF 2 x x", "[]"),
        ("ZDIFF 2 missing x", "[]"),
        ("ZINTERCARD 2 x y", "2"),
        ("ZINTERCARD 2 x y LIMIT 1", "1"),
        ("ZINTERCARD 2 x y LIMIT -1", "(error) ERR LIMIT can't be negative"),
        ("ZINTERCARD 2 x y WEIGHTS 1 1", "(error) ERR syntax error"),
        ("ZUNION 0 x", "(error) ERR at least 1 input key is needed for 'zunion' command"),
        ("ZUNION 3 x y", "(error) ERR syntax error"),
        ("ZUNION x y", "(error) ERR value is not an integer or out of range"),
        ("ZUNION 2 x y WEIGHTS 1", "(error) ERR syntax error"),
        ("ZUNION 2 x y WEIGHTS 1 a", "(error) ERR weight value is not a float"),
        ("ZUNION 2 x y AGGREGATE AVG", "(error) ERR syntax error"),
        ("ZDIFF 1 x WEIGHTS 1", "(error) ERR syntax error"),
        ("ZUNIONSTORE d 1 x WITHSCORES", "(error) ERR syntax error"),
    ];
    for (command, reply) in cases {
        assert_eq!(bench.run(command), reply, "{command}");
    }
    bench.run("ZADD infinite inf a -inf b 0 c");
    assert_eq!(bench.run("ZUNION 1 infinite WEIGHTS 0 WITHSCORES"), r#"["a", "0", "b", "0", "c", "0"]"#);
    assert_eq!(
        bench.run("ZUNION 2 infinite infinite WEIGHTS 1 -1 WITHSCORES"),
        r#"["a", "0", "b", "0", "c", "0"]"#
    );
}

#[test]
fn combinations_are_stored() {
    let mut bench = with(&["ZADD x 1 a 2 b", "ZADD y 10 b", "SADD d x"]);
    assert_eq!(bench.run("ZUNIONSTORE d 2 x y"), "2");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("zunionstore d", 1));
    assert_eq!(bench.run("ZRANGE d 0 -1 WITHSCORES"), r#"["a", "1", "b", "12"]"#);
    assert_eq!(bench.run("ZINTERSTORE d 2 d y WEIGHTS 1 2"), "1");
    assert_eq!(bench.run("ZRANGE d 0 -1 WITHSCORES"), r#"["b", "32"]"#);
    assert_eq!(bench.run("ZDIFFSTORE d 2 y x"), "0");
    assert_eq!(bench.events(), "del d");
    assert_eq!(
        bench.run("ZDIFFSTORE d 0 y"),
        "(error) ERR at least 1 input key is needed for 'zdiffstore' command"
    );
}

#[test]
fn both_ways_to_subtract_agree() {
    let mut bench = Bench::new();
    for member in 0..200 {
        bench.run(&format!("ZADD large {member} member:{member}"));
    }
    let mut keys = String::new();
    for number in 0..20 {
        bench.run(&format!("ZADD small:{number} 1 member:{number} 2 other"));
        keys += &format!(" small:{number}");
    }
    assert_eq!(bench.run(&format!("ZDIFFSTORE d 21 large{keys}")), "180");
    assert_eq!(bench.run("ZRANGE d 0 0 WITHSCORES"), r#"["member:20", "20"]"#);
    assert_eq!(bench.run("ZDIFFSTORE e 2 large small:0"), "199");
    assert_eq!(bench.run("ZINTERCARD 2 large d"), "180");
    assert_eq!(bench.run("ZUNIONSTORE u 2 large d"), "200");
    assert_eq!(bench.run("ZSCORE u member:100"), r#""200""#);
}

#[test]
fn other_types_are_refused() {
    let mut bench = with(&["SADD s a", "ZADD z 1 a"]);
    for command in [
        "ZADD s 1 a",
        "ZADD s XX 1 a",
        "ZINCRBY s 1 a",
        "ZREM s a",
        "ZSCORE s a",
        "ZMSCORE s a",
        "ZCARD s",
        "ZRANK s a",
        "ZREVRANK s a WITHSCORE",
        "ZRANGE s 0 1",
        "ZRANGEBYSCORE s 0 1",
        "ZRANGEBYLEX s - +",
        "ZRANGESTORE d s 0 1",
        "ZCOUNT s 0 1",
        "ZLEXCOUNT s - +",
        "ZPOPMIN s",
        "ZPOPMAX s 0",
        "ZRANDMEMBER s",
        "ZREMRANGEBYRANK s 0 1",
        "ZREMRANGEBYSCORE s 0 1",
        "ZREMRANGEBYLEX s - +",
        "ZSCAN s 0",
    ] {
        assert!(bench.run(command).starts_with("(error) WRONGTYPE"), "{command}");
    }
}

#[test]
fn a_walk_tells_scores() {
    let mut bench = with(&["ZADD z 0.1 a 2 b"]);
    assert_eq!(bench.run("ZSCAN z 0"), r#"["0", ["a", "0.1", "b", "2"]]"#);
    assert_eq!(bench.run("ZSCAN z 0 MATCH b"), r#"["0", ["b", "2"]]"#);
    assert_eq!(bench.run("ZSCAN missing 0"), r#"["0", []]"#);
    assert_eq!(bench.run("ZSCAN z 1x"), "(error) ERR invalid cursor");
    bench.limits.zset.entries = 1;
    bench.run("ZADD large 0.1 a 2 b");
    let reply = bench.run("ZSCAN large 0");
    assert!(reply.contains(r#""a", "0.10000000000000001""#) && reply.contains(r#""b", "2""#), "{reply}");
}

#[test]
fn forms_that_wait_pop_at_once_where_they_can() {
    let mut bench = with(&["ZADD z 1 a 2 b 3 c 4 d 5 e", "SET text x"]);
    assert_eq!(bench.run("BZPOPMIN none z 0"), r#"["z", "a", "1"]"#);
    assert_eq!((bench.dirty(), bench.effects(), bench.events()), (1, "ZPOPMIN z".into(), "zpopmin z".into()));
    bench.proto = Proto::Resp3;
    assert_eq!(bench.run("BZPOPMAX z 0.1"), r#"["z", "e", (double) 5]"#);
    assert_eq!(bench.effects(), "ZPOPMAX z");
    assert_eq!(bench.run("BZMPOP 0 1 z MIN COUNT 2"), r#"["z", [["b", (double) 2], ["c", (double) 3]]]"#);
    assert_eq!(bench.effects(), "ZPOPMIN z 2");
    bench.proto = Proto::Resp2;
    assert_eq!(bench.run("BZMPOP 0 2 y z MAX"), r#"["z", [["d", "4"]]]"#);
    assert_eq!((bench.effects(), bench.events()), ("ZPOPMAX z 1".into(), "zpopmax z; del z".into()));
    for (line, reply) in [
        ("BZPOPMIN z 0", "(nil array)"),
        ("BZMPOP 0 1 z MAX", "(nil array)"),
        ("BZPOPMIN z x", "(error) ERR timeout is not a float or out of range"),
        ("BZPOPMAX z -1", "(error) ERR timeout is negative"),
        ("BZPOPMAX z inf", "(error) ERR timeout is out of range"),
        ("BZMPOP 0 0 z MIN", "(error) ERR numkeys should be greater than 0"),
        ("BZMPOP 0 1 z MID", "(error) ERR syntax error"),
        ("BZMPOP x 1 z MIN", "(error) ERR timeout is not a float or out of range"),
        ("BZMPOP 0 1 z MIN COUNT 0", "(error) ERR count should be greater than 0"),
    ] {
        assert_eq!(bench.run(line), reply, "{line}");
    }
    assert!(bench.run("BZPOPMIN none text 0").contains("WRONGTYPE"));
}
