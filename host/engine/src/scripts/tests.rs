//! Scripts as clients run them: one record each, and nothing left behind.

use crate::testing::Bench;

fn bench() -> Bench {
    Bench::new(&[("enable-debug-command", "yes"), ("save", "")])
}

#[test]
fn a_script_leaves_its_session_as_it_was() {
    let mut bench = bench();
    bench.run(1, "HELLO 3");
    assert_eq!(
        bench.run(1, r#"EVAL "redis.call('SELECT', 5) return redis.call('SET', KEYS[1], 'v')" 1 k"#),
        "OK"
    );
    assert_eq!(bench.run(1, "EXISTS k"), "0");
    bench.run(1, "SELECT 5");
    assert_eq!(bench.run(1, "GET k"), "\"v\"");
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('HGETALL', 'none')" 0"#), "[]");
    assert_eq!(bench.run(1, r#"EVAL "redis.setresp(3) return redis.call('HGETALL', 'none')" 0"#), "{}");
}

#[test]
fn errors_are_counted_once_and_name_the_line() {
    let mut bench = bench();
    let error = bench.run(1, r#"EVAL "return redis.call('INCR', 'a', 'b')" 0"#);
    assert!(
        error.starts_with("(error) ERR Wrong number of args calling Redis command from script script: "),
        "{error}"
    );
    assert!(error.ends_with(", on @user_script:1."), "{error}");
    let stats = bench.text(1, "INFO stats");
    assert!(stats.contains("total_error_replies:1\r\n"), "{stats}");
    let stats = bench.text(1, "INFO commandstats");
    assert!(
        stats
            .lines()
            .any(|line| line.starts_with("cmdstat_incr:calls=0") && line.contains("rejected_calls=1"))
    );
    assert!(
        stats.lines().any(|line| line.starts_with("cmdstat_eval:calls=1") && line.contains("failed_calls=1"))
    );
}

#[test]
fn nobody_waits_in_a_script_and_sets_are_sorted() {
    let mut bench = bench();
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('BLPOP', 'l', 0)" 0"#), "(nil)");
    let error = bench.run(1, r#"EVAL "return redis.pcall('xread', 'BLOCK', 0, 'STREAMS', 's', '$')" 0"#);
    assert_eq!(error, "(error) ERR xread command is not allowed with BLOCK option from scripts");
    bench.run(1, "SADD s c a b");
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('SORT', 's', 'BY', '_')" 0"#), r#"["a", "b", "c"]"#);
}

#[test]
fn what_only_clients_may_call_is_refused() {
    let mut bench = bench();
    for command in ["'EVAL', 'return 1', 0", "'MULTI'", "'SUBSCRIBE', 'c'", "'DEBUG', 'SLEEP', 0"] {
        let shown = bench.run(1, &format!(r#"EVAL "return redis.pcall({command})" 0"#));
        assert_eq!(shown, "(error) ERR This Redis command is not allowed from script", "{command}");
    }
    bench.run(1, "DEBUG SET-DISABLE-DENY-SCRIPTS 1");
    assert_eq!(bench.run(1, r#"EVAL "return redis.call('DEBUG', 'SLEEP', 0)" 0"#), "OK");
}

#[test]
fn libraries_outlive_a_reload() {
    let mut bench = bench();
    let library =
        r#"FUNCTION LOAD "\x23!lua name=lib\nredis.register_function('f', function(k, a) return a[1] end)""#;
    assert_eq!(bench.run(1, library), "\"lib\"");
    assert_eq!(bench.run(1, "DEBUG RELOAD"), "OK");
    assert_eq!(bench.run(1, "FCALL f 0 x"), "\"x\"");
    assert_eq!(bench.run(1, "FUNCTION FLUSH"), "OK");
    assert_eq!(bench.run(1, "FCALL f 0 x"), "(error) ERR Function not found");
}

#[test]
fn a_transaction_takes_scripts_in() {
    let mut bench = bench();
    bench.run(1, "MULTI");
    bench.run(1, r#"EVAL "return redis.call('INCR', 'n')" 0"#);
    bench.run(1, "INCR n");
    assert_eq!(bench.run(1, "EXEC"), "[1, 2]");
}
