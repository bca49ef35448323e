//! Libraries: what loading one registers, and what its functions are given.

use tenon_resp::{OwnedArgs, Proto, Reply};

use super::Echo;
use crate::{Ended, Flavor, Interpreter};

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
