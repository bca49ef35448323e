//! What is raised, caught and told, and where.

use super::run;

#[test]
fn errors_say_where_they_were_raised() {
    let cases = [
        ("\nreturn redis.call('fail')", "WRONG it is wrong on @user_script:2"),
        ("return redis.pcall('fail')", "-WRONG it is wrong"),
        ("return redis.call('refuse')", "ERR not from here on @user_script:1"),
        (
            "return redis.call()",
            "ERR Please specify at least one argument for this redis lib call on @user_script:1",
        ),
        (
            "return redis.call({})",
            "ERR Lua redis lib command arguments must be strings or integers on @user_script:1",
        ),
        ("error('mine')", "ERR user_script:1: mine on @user_script:1"),
        ("error({err='MY own'})", "MY own on @user_script:1"),
        ("local f = function()\n error({}) end\n f()", "ERR execution failure on @user_script:2"),
        (
            "return nil + 1",
            "ERR user_script:1: attempt to perform arithmetic on a nil value on @user_script:1",
        ),
        ("return", "$-1"),
        ("retrun", "does not compile: user_script:1: '=' expected near '<eof>'"),
        ("return redis.error_reply('x')", "-ERR x"),
        ("return redis.error_reply('-MY x y')", "-MY x y"),
        ("return redis.error_reply('')", "-ERR "),
        ("return redis.status_reply('GOOD x')", "+GOOD x"),
        ("return redis.status_reply()", "-ERR wrong number or type of arguments"),
        ("return {pcall(function() error('x', 0) end)}", "*2 $-1 $1 x"),
        ("local _, e = pcall(redis.call, 'fail') return e", "$17 WRONG it is wrong"),
        ("local _, e = pcall(error, {err='a b'}) return e", "$3 a b"),
        ("return redis.sha1hex('')", "$40 da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("redis.sha1hex()", "ERR wrong number of arguments on @user_script:1"),
        ("return {redis.acl_check_cmd('x', 'y'), redis.acl_check_cmd('x')}", "*2 :1 $-1"),
        (
            "redis.acl_check_cmd('unknown')",
            "ERR Invalid command passed to redis.acl_check_cmd() on @user_script:1",
        ),
        (
            "redis.set_repl(12)",
            "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. on @user_script:1",
        ),
        (
            "cjson.decode('[')",
            "ERR user_script:1: Expected value but found T_END at character 2 on @user_script:1",
        ),
        (
            "bit.band()",
            "ERR user_script:1: bad argument #1 to 'band' (number expected, got no value) on @user_script:1",
        ),
    ];
    for (script, expected) in cases {
        assert_eq!(run(script), expected.trim_end(), "{script}");
    }
}

#[test]
fn what_is_raised_is_caught_as_it_is() {
    let cases = [
        ("local t = {} local _, e = pcall(error, t) return e == t", ":1"),
        ("local t = setmetatable({}, {__tostring = error}) local _, e = pcall(error, t) return e == t", ":1"),
        (
            "local f = {err = 'MY own'}\nerror(setmetatable(f, {__tostring = error}))",
            "MY own on @user_script:2",
        ),
        ("local _, e = pcall(function() error('x') end) return e", "$16 user_script:1: x"),
        (
            "local function f() error('x', 2) end\nlocal _, e = pcall(function()\nf() end) return e",
            "$16 user_script:3: x",
        ),
        ("local _, e = pcall(function() error('\\255', 0) end) return e", "$1 \\xff"),
        ("local _, e = pcall(function() error(5, 0) end) return e", ":5"),
        ("local _, e = pcall(error) return e == nil", ":1"),
        ("return select(2, xpcall(function() error({7}) end, function(e) return e[1] end))", ":7"),
        ("return select(2, coroutine.resume(coroutine.create(function() error({7}) end)))[1]", ":7"),
        ("local f = error\nreturn f('x')", "ERR user_script:2: x on @user_script:2"),
        ("error(nil)", "ERR nil on @user_script:1"),
        ("error(true)", "ERR true on @user_script:1"),
        ("error('x', 0)", "ERR x on @user_script:1"),
        (
            "local f = coroutine.wrap(function()\nerror({err = 'IN deep'}) end)\nf()",
            "IN deep on @user_script:3",
        ),
        ("pcall(error, {err = 'MY a'}) error('table: x', 0)", "ERR table: x on @user_script:1"),
        (
            "pcall(error, {err = 'MY a'}) pcall(redis.call, 'fail') error({err = 'MY b'})",
            "MY b on @user_script:1",
        ),
        (
            "local function f() return 1 + f() end\nreturn f()",
            "ERR user_script:1: stack overflow on @user_script:1",
        ),
    ];
    for (script, expected) in cases {
        assert_eq!(run(script), expected, "{script}");
    }
}
