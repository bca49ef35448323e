//! What scripts cannot do: change what is shared, outlive their host's patience, take more memory than there is.

use tenon_resp::Proto;

use super::{Echo, run, run_in};
use crate::{Flavor, Interpreter};

#[test]
fn nothing_shared_can_be_written() {
    const READONLY: &str = "Attempt to modify a readonly table";
    let scripts = [
        "a = 1",
        "KEYS = {}",
        "_G = {}",
        "redis = nil",
        "redis.call = 1",
        "string.rep = 1",
        "cjson.encode = 1",
        "bit.band = 1",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'x', 1)",
        "setmetatable(_G, {})",
        "setmetatable(redis, {})",
        "getmetatable(_G).__index = {}",
        "getmetatable('').__index = {}",
        "getmetatable('').__index.rep = 1",
        "table.insert(redis, 1)",
        "setfenv(0, {})",
        "getfenv(1).x = 1",
        "getfenv(redis.call).x = 1",
        "getfenv(2).x = 1",
        "getfenv(0).x = 1",
        "getfenv(xpcall).x = 1",
        "loadstring('x = 1')()",
        "coroutine.wrap(function() x = 1 end)()",
    ];
    for script in scripts {
        let ended = run(script);
        assert!(ended.contains(READONLY), "{script}: {ended}");
    }
    let harmless = [
        ("for name in pairs(redis) do if name == 'call' then return 1 end end", ":1"),
        ("local _, t = pairs(redis) t.call = nil return type(redis.call)", "$8 function"),
        ("return type(next(redis))", "$6 string"),
        ("return type(rawget(redis, 'call'))", "$8 function"),
        ("return rawget(_G, 'nothing')", "$-1"),
        ("return loadstring(string.dump(function() end)) == nil", ":1"),
        ("return load(function() return nil end) ~= nil", ":1"),
        ("setfenv(1, {}) return x", "$-1"),
        (
            "return {type(newproxy()), collectgarbage('stop'), type(collectgarbage('count'))}",
            "*3 $8 userdata :0 $6 number",
        ),
        (
            "return {type(os), type(io)}",
            "ERR user_script:1: Script attempted to access nonexistent global variable 'os' on @user_script:1",
        ),
    ];
    for (script, expected) in harmless {
        assert_eq!(run(script), expected, "{script}");
    }
}

#[test]
fn whatever_a_script_catches_it_ends_when_its_host_says_so() {
    let scripts = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do end end while true do xpcall(f, f) end",
        "local function f() while true do end end while true do coroutine.resume(coroutine.create(f)) end",
        "while true do pcall(redis.call, 'x') end",
    ];
    for script in scripts {
        let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
        let mut host = Echo { polls_left: Some(3), ..Echo::default() };
        assert!(run_in(&mut interpreter, &mut host, Proto::Resp2, script).starts_with("stopped"), "{script}");
        assert_eq!(run_in(&mut interpreter, &mut Echo::default(), Proto::Resp2, "return 7"), ":7");
    }
}

#[test]
fn memory_is_bounded() {
    let ended = run("local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 6e7) .. i end");
    assert!(ended.contains("not enough memory"), "{ended}");
    let ended = run("local a = {} local b = {a} a[1] = b return a");
    assert!(ended.ends_with("-ERR reached lua stack limit"), "{}", &ended[ended.len() - 60..]);
}

#[test]
fn chance_follows_its_seed() {
    let script = "math.randomseed(10) return tostring(math.random()) .. ' ' .. math.random(10) .. ' ' .. math.random(5, 6)";
    assert_eq!(run(script), run(script));
    assert_eq!(
        run("return math.random(0)"),
        "ERR user_script:1: bad argument #1 to 'random' (interval is empty) on @user_script:1"
    );
}

#[test]
fn replies_count_for_what_a_script_may_hold() {
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let mut host = Echo::default();
    let gather = "local t = {} while true do t[#t + 1] = redis.call('x', ('y'):rep(50000) .. #t) end";
    let ended = run_in(&mut interpreter, &mut host, Proto::Resp2, gather);
    assert!(ended.contains("not enough memory"), "{ended}");
    assert!(interpreter.used_memory() <= 513 << 20, "{}", interpreter.used_memory());
    interpreter.tidy();
    assert_eq!(run_in(&mut interpreter, &mut host, Proto::Resp2, "return #redis.call('x')"), ":1");
}

#[test]
fn what_leaves_the_interpreter_is_in_c() {
    let cases = [
        // Called last of all, it does not take the place of its caller.
        (
            "local function f()\nreturn redis.call('fail')\nend\nreturn f()",
            "WRONG it is wrong on @user_script:2",
        ),
        ("local call = redis.call\nreturn call('refuse')", "ERR not from here on @user_script:2"),
        ("return {pcall(setfenv, redis.call, {})}", "*2 $-1"),
        ("return getfenv(redis.call) == _G and getfenv(redis.pcall) == _G", ":1"),
        ("return pcall(string.dump, redis.pcall)", "$-1"),
        ("return coroutine.wrap(function() return redis.call('x', 'y') end)()", "*2 $1 x $1 y"),
    ];
    for (script, expected) in cases {
        let found = run(script);
        assert!(found.starts_with(expected), "{script}: {found}");
    }
}
