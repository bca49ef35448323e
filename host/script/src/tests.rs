//! Scripts as they run, told as redis-cli would show what they return.

use tenon_resp::{Args, OwnedArgs, Proto, Reply};

use crate::{Called, Ended, Flavor, Host, Interpreter};

/// Echoes what it is called with, and ends scripts that ask too often.
#[derive(Default)]
struct Echo {
    reply: Vec<u8>,
    log: Vec<String>,
    polls_left: Option<usize>,
}

impl Host for Echo {
    fn call(&mut self, args: Args<'_>, proto: Proto) -> Called<'_> {
        self.reply.clear();
        let mut reply = Reply::new(&mut self.reply, proto);
        match args.get(0) {
            b"fail" => reply.error("WRONG it is wrong"),
            b"refuse" => return Called::Refused("ERR not from here".to_owned()),
            b"nil" => reply.null(),
            b"count" => reply.integer(args.len() as i64),
            b"status" => reply.simple(&String::from_utf8_lossy(args.get(1))),
            b"map" => {
                reply.map(1);
                reply.bulk(b"field");
                reply.double(1.5);
            }
            b"set" => {
                reply.set(1);
                reply.boolean(true);
            }
            _ => {
                reply.array(args.len());
                args.iter().for_each(|word| reply.bulk(word));
            }
        }
        Called::Reply(&self.reply)
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        (args.get(0) != b"unknown").then_some(args.len() > 1)
    }

    fn set_targets(&mut self, log: bool, replicas: bool) {
        self.log.push(format!("targets {log} {replicas}"));
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.log.push(format!("{level} {}", text.escape_ascii()));
    }

    fn goes_on(&mut self) -> bool {
        match &mut self.polls_left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

/// A reply's bytes, or the error and where it was raised.
fn run_in(interpreter: &mut Interpreter, host: &mut Echo, proto: Proto, script: &str) -> String {
    let code = match interpreter.compile(script.as_bytes()) {
        Ok(code) => code,
        Err(error) => return format!("does not compile: {error}"),
    };
    let keys = OwnedArgs::from(&[b"k1".as_slice(), b"k2"]);
    let arguments = OwnedArgs::from(&[b"a1".as_slice()]);
    match interpreter.run(&code, keys.as_args(), arguments.as_args(), host) {
        Ended::Returned(returned) => {
            let mut out = Vec::new();
            returned.write(&mut Reply::new(&mut out, proto));
            out.escape_ascii().to_string().replace("\\r\\n", " ").trim_end().to_owned()
        }
        Ended::Failed(failure) => {
            let place = failure.place.map(|place| format!(" on {}:{}", place.source, place.line));
            format!("{}{}", String::from_utf8_lossy(&failure.text), place.unwrap_or_default())
        }
        Ended::Stopped(place) => format!("stopped on line {}", place.map_or(0, |place| place.line)),
    }
}

fn run(script: &str) -> String {
    run_in(&mut Interpreter::new(Flavor::Scripts, 1), &mut Echo::default(), Proto::Resp2, script)
}

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
fn lines_for_the_log_and_targets_reach_the_host() {
    let mut host = Echo::default();
    let mut interpreter = Interpreter::new(Flavor::Scripts, 1);
    let script = "redis.log(redis.LOG_WARNING, 'a', 2) redis.set_repl(redis.REPL_AOF)";
    run_in(&mut interpreter, &mut host, Proto::Resp2, script);
    assert_eq!(host.log, ["3 a 2", "targets true false"]);
}

#[test]
fn a_library_registers_functions_and_nothing_else() {
    let mut interpreter = Interpreter::new(Flavor::Functions, 1);
    let mut load = |code: &str| match interpreter.load_library(code.as_bytes(), &mut Echo::default()) {
        Ok(functions) => functions.iter().map(|function| function.name.clone()).collect::<Vec<_>>().join(","),
        Err(error) => error,
    };
    let cases = [
        ("redis.register_function('f', function(keys, args) return keys end)", "f"),
        (
            "redis.register_function{function_name='f', callback=function() end, description='d', flags={'no-writes'}}",
            "f",
        ),
        ("", ""),
        (
            "redis.register_function()",
            "ERR Error registering functions: ERR wrong number of arguments to redis.register_function",
        ),
        (
            "redis.register_function('a b', function() end)",
            "ERR Error registering functions: ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            "return redis.call('x')",
            "ERR Error registering functions: ERR user_function:1: Script attempted to access nonexistent global variable 'call'",
        ),
        (
            "return math.abs(1)",
            "ERR Error registering functions: ERR user_function:1: Script attempted to access nonexistent global variable 'math'",
        ),
        ("x = 1", "ERR Error registering functions: ERR user_function:1: Attempt to modify a readonly table"),
        ("foo(", "ERR Error compiling function: user_function:1: unexpected symbol near '<eof>'"),
        (
            "redis.register_function{function_name='f', callback=function() end, flags={'what'}}",
            "ERR Error registering functions: ERR unknown flag given",
        ),
    ];
    for (code, expected) in cases {
        assert_eq!(load(code), expected, "{code}");
    }
    let mut stuck = Echo { polls_left: Some(1), ..Echo::default() };
    let error = interpreter.load_library(b"while true do end", &mut stuck).err();
    assert_eq!(error.as_deref(), Some("ERR Error registering functions: ERR FUNCTION LOAD timeout"));
    let code =
        b"redis.register_function('f', function(keys, args) return {keys[1], args[1], math.abs(-2)} end)";
    let functions = interpreter.load_library(code, &mut Echo::default()).unwrap_or_default();
    let (keys, arguments) = (OwnedArgs::from(&[b"k".as_slice()]), OwnedArgs::from(&[b"a".as_slice()]));
    let ended =
        interpreter.call(&functions[0].code, keys.as_args(), arguments.as_args(), &mut Echo::default());
    let Ended::Returned(returned) = ended else { panic!("a function that returns") };
    let mut out = Vec::new();
    returned.write(&mut Reply::new(&mut out, Proto::Resp2));
    assert_eq!(out.escape_ascii().to_string(), "*3\\r\\n$1\\r\\nk\\r\\n$1\\r\\na\\r\\n:2\\r\\n");
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

#[test]
fn functions_are_given_their_own_words() {
    let mut interpreter = Interpreter::new(Flavor::Functions, 1);
    let libraries = [
        "redis.register_function('f', function(keys, args) return redis.call('x', keys[1] or '', keys[2] or '', args[1] or '') end)",
        "redis.register_function('f', function(keys, args) return {#keys, #args} end)",
        "local kept = {} redis.register_function('f', function(keys, args) kept[#kept + 1] = keys return kept[1][1] end)",
        "redis.register_function('f', redis.log)",
        "local own = redis redis.register_function('f', function() own.register_function('g', redis.log) end)",
    ];
    let codes = libraries.map(|library| {
        let functions = interpreter.load_library(library.as_bytes(), &mut Echo::default());
        functions.unwrap_or_else(|error| panic!("{error}")).remove(0).code
    });
    let mut call = |which: usize, keys: &[&[u8]], arguments: &[&[u8]]| {
        let (keys, arguments) = (OwnedArgs::from(keys), OwnedArgs::from(arguments));
        match interpreter.call(&codes[which], keys.as_args(), arguments.as_args(), &mut Echo::default()) {
            Ended::Returned(returned) => {
                let mut out = Vec::new();
                returned.write(&mut Reply::new(&mut out, Proto::Resp2));
                out.escape_ascii().to_string().replace("\\r\\n", " ").trim_end().to_owned()
            }
            Ended::Failed(failure) => failure.text.escape_ascii().to_string(),
            Ended::Stopped(_) => "stopped".to_owned(),
        }
    };
    assert_eq!(call(0, &[b"a", b"b"], &[b"x"]), "*4 $1 x $1 a $1 b $1 x");
    assert_eq!(call(0, &[b"c"], &[]), "*4 $1 x $1 c $0  $0");
    assert_eq!(call(0, &[b"a", b"b", b"c"], &[b"x"]), "*4 $1 x $1 a $1 b $1 x");
    assert_eq!(call(1, &[b"a"], &[b"x", b"y"]), "*2 :1 :2");
    assert_eq!(call(1, &[], &[b"x", b"y", b"z"]), "*2 :0 :3");
    assert_eq!(call(2, &[b"first"], &[]), "$5 first");
    assert_eq!(call(2, &[b"second"], &[]), "$5 first");
    let late = "ERR redis.register_function can only be called on FUNCTION LOAD command";
    assert_eq!(call(4, &[], &[]), late);
    assert_eq!(call(3, &[], &[]), "ERR First argument must be a number (log level).");
}
