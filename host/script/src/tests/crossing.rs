//! What crosses between a script and its host: values, words of commands, tables, lines for the log.

use tenon_resp::{OwnedArgs, Proto, Reply};

use super::{Echo, run, run_in};
use crate::{Ended, Flavor, Interpreter};

#[test]
fn values_become_replies() {
    let cases = [
        ("return 'x'", "$1 x"),
        ("return 3.99", ":3"),
        ("return -3.99", ":-3"),
        ("return 0/0", ":-9223372036854775808"),
        ("return true", ":1"),
        ("return false", "$-1"),
        ("return", "$-1"),
        (
            "return print",
            "ERR user_script:1: Script attempted to access nonexistent global variable 'print' on @user_script:1",
        ),
        ("return {1, 'a', {2}, nil, 5}", "*3 :1 $1 a *1 :2"),
        ("return {ok='fine\\n'}", "+fine"),
        ("return {err='NO way'}", "-NO way"),
        ("return {double=3.5}", "$3 3.5"),
        ("return {map={a=1}}", "*2 $1 a :1"),
        ("return {set={a=1}}", "*1 $1 a"),
        ("return {big_number='1\\r2'}", "$3 1 2"),
        ("return {verbatim_string={string='s', format='txt'}}", "$1 s"),
        ("return _G", "*0"),
        ("return {KEYS[1], KEYS[2], ARGV[1], #KEYS}", "*4 $2 k1 $2 k2 $2 a1 :2"),
        ("local a = {} local b = setmetatable({}, {__index = function() return 1 end}) return b", "*0"),
        ("return redis.call('a', 1, 2.5, 1e20)", "*4 $1 a $1 1 $3 2.5 $5 1e+20"),
        ("return redis.call('nil') == false", ":1"),
    ];
    for (script, expected) in cases {
        assert_eq!(run(script), expected, "{script}");
    }
}

#[test]
fn a_script_that_speaks_resp3_gets_its_types() {
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let cases = [
        ("redis.setresp(3) return redis.call('map')", "%1 $5 field ,1.5"),
        ("redis.setresp(3) return redis.call('set')", "~1 #t"),
        ("redis.setresp(3) return redis.call('nil') == nil", "#t"),
        ("return redis.call('map')", "*2 $5 field $3 1.5"),
        ("return {verbatim_string={string='s', format='mkd'}}", "=5 mkd:s"),
        ("redis.setresp(4)", "ERR RESP version must be 2 or 3. on @user_script:1"),
    ];
    for (script, expected) in cases {
        assert_eq!(
            run_in(&mut interpreter, &mut Echo::default(), Proto::Resp3, script),
            expected,
            "{script}"
        );
    }
}

#[test]
fn lines_for_the_log_and_targets_reach_the_host() {
    let mut host = Echo::default();
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let script = "redis.log(redis.LOG_WARNING, 'a', 2) redis.set_repl(redis.REPL_AOF)";
    run_in(&mut interpreter, &mut host, Proto::Resp2, script);
    assert_eq!(host.log, ["3 a 2", "targets true false"]);
}

#[test]
fn short_texts_and_statuses_are_returned_as_they_are() {
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let mut run = |script: &str| run_in(&mut interpreter, &mut Echo::default(), Proto::Resp2, script);
    assert_eq!(run("return {ok = 'two\\r\\nlines'}"), "+two  lines");
    assert_eq!(run("return {ok = 'fine', err = 'ERR not'}"), "-ERR not");
    assert_eq!(run("return {ok = 1}"), "*0");
    assert_eq!(run("return '\\255\\0'"), "$2 \\xff\\x00");
    assert_eq!(run("return ('x'):rep(1024)"), format!("$1024 {}", "x".repeat(1024)));
    assert_eq!(run("return ('x'):rep(1025)"), format!("$1025 {}", "x".repeat(1025)));
    assert_eq!(
        run("return redis.call('x', '\\254', 1.5, 2^53)"),
        "*4 $1 x $1 \\xfe $3 1.5 $16 9007199254740992"
    );
}

#[test]
fn commands_of_any_number_of_words_are_called() {
    let cases = [
        (
            "return redis.call()",
            "ERR Please specify at least one argument for this redis lib call on @user_script:1",
        ),
        ("return redis.pcall()", "-ERR Please specify at least one argument for this redis lib call"),
        (
            "return redis.call('a', nil)",
            "ERR Lua redis lib command arguments must be strings or integers on @user_script:1",
        ),
        (
            "return redis.pcall('a', 'b', {})",
            "-ERR Lua redis lib command arguments must be strings or integers",
        ),
        (
            "return redis.pcall('a', 'b', 'c', 'd', 'e', false)",
            "-ERR Lua redis lib command arguments must be strings or integers",
        ),
        ("return redis.call(1, -0, 1e15, -1000)", "*4 $1 1 $1 0 $16 1000000000000000 $5 -1000"),
        (
            "return redis.call('a', 2.9999999999999996, 0/0 ~= 0/0 and 'nan')",
            "*3 $1 a $18 2.9999999999999996 $3 nan",
        ),
        ("local t = {} for i = 1, 500 do t[i] = i end return #redis.call(unpack(t))", ":500"),
        ("local t = {} for i = 1, 7999 do t[i] = i end return redis.call('count', 'b', unpack(t))", ":8001"),
        ("return redis.pcall('fail', ('x'):byte())", "-WRONG it is wrong"),
        ("local a = {'y'}\nreturn redis.call('fail', unpack(a))", "WRONG it is wrong on @user_script:2"),
        ("return redis.call('status', 'OK', unpack({}))", "+OK"),
        ("return redis.call('1', '2', '3', '4', '5', '6', '7', '8', '9', 10)[10]", "$2 10"),
        ("return redis.call('1', '2', '3', '4', '5', '6', '7', '8', '9')[9]", "$1 9"),
        ("return #redis.call('a', ('x'):rep(100000))[2]", ":100000"),
        ("local a = redis.call('nil', 'b') return redis.call('x')", "*1 $1 x"),
    ];
    for (script, expected) in cases {
        assert_eq!(run(script), expected, "{script}");
    }
}

#[test]
fn statuses_are_tables_that_scripts_may_change() {
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let mut run = |script: &str| run_in(&mut interpreter, &mut Echo::default(), Proto::Resp2, script);
    assert_eq!(run("return redis.call('status', 'OK')"), "+OK");
    assert_eq!(run("return redis.call('status', 'QUITE')"), "+QUITE");
    assert_eq!(run("return redis.call('status', 'OK').ok"), "$2 OK");
    assert_eq!(run("local a = redis.call('status', 'OK') a.ok = 'not' return a"), "+not");
    assert_eq!(run("local a = redis.call('status', 'OK') a.err = 'NO way' return a"), "-NO way");
    assert_eq!(run("local a = redis.call('status', 'OK') redis.call('status', 'b') return a"), "+OK");
    let equal = "local t = {__eq = function() error('called') end} \
        return setmetatable(redis.call('status', 'OK'), t) and setmetatable({ok = 'x'}, t)";
    assert_eq!(run(equal), "+x");
    assert_eq!(run("return {ok = 'OK'}"), "+OK");
}

#[test]
fn tables_that_are_used_again_hold_what_was_given() {
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let mut run = |keys: &[&[u8]], arguments: &[&[u8]], script: &str| {
        let code = interpreter.compile(script.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let (keys, arguments) = (OwnedArgs::from(keys), OwnedArgs::from(arguments));
        let ended = interpreter.run(&code, keys.as_args(), arguments.as_args(), &mut Echo::default());
        let returned = match ended {
            Ended::Returned(returned) => returned,
            Ended::Failed(failure) => panic!("{script}: {}", failure.text.escape_ascii()),
            Ended::Stopped(_) => panic!("{script}: nobody ends it"),
        };
        let mut out = Vec::new();
        returned.write(&mut Reply::new(&mut out, Proto::Resp2));
        out.escape_ascii().to_string().replace("\\r\\n", " ").trim_end().to_owned()
    };
    let all = "return redis.call('x', KEYS[1] or 'none', KEYS[2] or 'none', ARGV[1] or 'none')";
    assert_eq!(run(&[b"a", b"b"], &[b"c"], all), "*4 $1 x $1 a $1 b $1 c");
    assert_eq!(run(&[b"\xff"], &[], all), "*4 $1 x $1 \\xff $4 none $4 none");
    assert_eq!(run(&[b"a", b"b", b"c"], &[], "return KEYS[3]"), "$1 c");
    assert_eq!(run(&[b"a"], &[b"b"], "return #KEYS + #ARGV"), ":2");
    assert_eq!(run(&[], &[], "return {KEYS[1] == nil, ARGV[2] == nil}"), "*2 :1 :1");
}

#[test]
fn numbers_and_what_looks_like_them_are_sent_as_they_are() {
    let cases = [
        ("return redis.call('0', '007', '-0', '1.50')", "*4 $1 0 $3 007 $2 -0 $4 1.50"),
        (
            "return redis.call('1e5', '2024-01-01', '123456789012345678', '-12')",
            "*4 $3 1e5 $10 2024-01-01 $18 123456789012345678 $3 -12",
        ),
        (
            "return redis.call(12345678901234, 123456789012345, -5, 0.1)",
            "*4 $14 12345678901234 $15 123456789012345 $2 -5 $3 0.1",
        ),
        ("return redis.call('x', 3.0000000000000004, '-', 'e')", "*4 $1 x $18 3.0000000000000004 $1 - $1 e"),
    ];
    for (script, expected) in cases {
        assert_eq!(run(script), expected, "{script}");
    }
}

#[test]
fn scripts_of_all_kinds_find_their_own_tables() {
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let mut run = |keys: usize, script: &str| {
        let code = interpreter.compile(script.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let keys: Vec<&[u8]> = [b"a".as_slice(), b"b", b"c"].into_iter().take(keys).collect();
        let (keys, arguments) = (OwnedArgs::from(keys.as_slice()), OwnedArgs::from(&[b"x".as_slice()]));
        match interpreter.run(&code, keys.as_args(), arguments.as_args(), &mut Echo::default()) {
            Ended::Returned(returned) => {
                let mut out = Vec::new();
                returned.write(&mut Reply::new(&mut out, Proto::Resp2));
                out.escape_ascii().to_string().replace("\\r\\n", " ").trim_end().to_owned()
            }
            Ended::Failed(failure) => failure.text.escape_ascii().to_string(),
            Ended::Stopped(_) => "stopped".to_owned(),
        }
    };
    let lasting = "return redis.call('x', KEYS[1] or '', KEYS[2] or '', KEYS[3] or '')";
    let bare = "return #KEYS";
    let other = "local n = 0 n = #KEYS return n";
    let wide = "return redis.call(unpack(KEYS))";
    for _ in 0..2 {
        assert_eq!(run(3, lasting), "*4 $1 x $1 a $1 b $1 c");
        assert_eq!(run(1, lasting), "*4 $1 x $1 a $0  $0");
        assert_eq!(run(3, bare), ":3");
        assert_eq!(run(2, lasting), "*4 $1 x $1 a $1 b $0");
        assert_eq!(run(1, wide), "*1 $1 a");
        assert_eq!(run(0, lasting), "*4 $1 x $0  $0  $0");
        assert_eq!(run(2, other), ":2");
        assert_eq!(run(3, wide), "*3 $1 a $1 b $1 c");
        assert_eq!(run(1, bare), ":1");
    }
    let plain_yet_shared = [
        "rawset(redis, 'call', 1)",
        "table.insert(redis, 1)",
        "setmetatable(string, {})",
        "for _, library in next, {redis, string, math, cjson} do rawset(library, 1, 1) end",
    ];
    for script in plain_yet_shared {
        let ended = run(0, script);
        assert!(ended.contains("Attempt to modify a readonly table"), "{script}: {ended}");
    }
    assert_eq!(run(0, "for name in pairs(redis) do if name == 'call' then return 1 end end"), ":1");
    let unknown = run(0, "return nothing");
    assert!(unknown.contains("attempted to access nonexistent global variable"), "{unknown}");
}
