//! Scripts from outside: arbitrary texts as scripts and as libraries of functions, and arbitrary arguments for the
//! libraries that read bytes. Whatever runs ends when its host says so, returns one well-formed reply, and leaves nothing
//! behind that the next script could see.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tenon_fuzz::{Choices, parts};
use tenon_resp::{Args, OwnedArgs, Proto, Reply, ReplyDecoder};
use tenon_script::{Called, Ended, Flavor, Host, Interpreter, library_head, script_head};

/// Levels that a reader of replies takes.
const READER_DEPTH: usize = 32;
/// Inputs that an interpreter is used for: to make one takes longer than most of them.
const USES_MAX: u32 = 100;
/// An interpreter that holds more is not used again.
const USED_BYTES_MAX: usize = 4 << 20;
/// Times that a script is let go on, each 100,000 instructions, of which some take long.
const TURNS: usize = 3;
/// What an interpreter may hold, as it promises, and what its figures do not count.
const BYTES_MAX: usize = (512 << 20) + (8 << 20);

/// Calls one function of the libraries with what comes; what a codec has read, it must be able to write and read again.
const CALL: &str = "
local functions = {
  cjson.decode, cjson.encode, cmsgpack.unpack, cmsgpack.pack, cmsgpack.unpack_one, cmsgpack.unpack_limit,
  struct.pack, struct.unpack, struct.size, bit.tobit, bit.bnot, bit.band, bit.lshift, bit.arshift, bit.rol, bit.tohex,
  bit.bswap, redis.sha1hex, redis.error_reply, redis.status_reply, redis.log, redis.setresp, redis.set_repl, redis.pcall,
  redis.acl_check_cmd, string.format, string.rep, tonumber, loadstring, table.concat, cjson.encode_max_depth,
}
local values = {}
for index, word in ipairs(ARGV) do
  local number = tonumber(word)
  values[index] = number or word
  if word == 'table' then values[index] = { word, [word] = index, nested = { 1, 2, {} } } end
end
local pick = functions[tonumber(KEYS[1]) % #functions + 1]
local returned = { pcall(pick, unpack(values)) }
if returned[1] and pick == cjson.decode then
  local text = { pcall(cjson.encode, returned[2]) }
  if text[1] then cjson.decode(text[2]) end
elseif returned[1] and pick == cmsgpack.unpack then
  local text = { pcall(cmsgpack.pack, unpack(returned, 2)) }
  if text[1] and #returned > 1 then cmsgpack.unpack(text[2]) end
end
return returned
";
/// Tells whether a script sees what every script should.
const PROBE: &str = "
local count = 0
for _ in pairs(_G) do count = count + 1 end
return { count, redis.sha1hex(''), cjson.encode({ 1, 'a' }), #KEYS, ('x'):rep(3), math.max(1, 2), type(next), tostring(nil) }
";

/// Answers in a form that the first word's length chooses, and lets scripts run for a while.
struct World {
    reply: Vec<u8>,
    turns: usize,
}

impl Host for World {
    fn call(&mut self, args: Args<'_>, proto: Proto) -> Called<'_> {
        self.reply.clear();
        let mut reply = Reply::new(&mut self.reply, proto);
        match args.get(0).len() % 8 {
            0 => return Called::Refused("ERR refused".to_owned()),
            1 => reply.error("WRONG it is wrong"),
            2 => reply.null(),
            3 => reply.double(args.len() as f64 / 3.0),
            4 => {
                reply.map(1);
                reply.bulk(args.get(0));
                reply.null();
            }
            5 => reply.ok(),
            6 => reply.integer(args.len() as i64),
            _ => {
                reply.array(args.len());
                args.iter().for_each(|word| reply.bulk(word));
            }
        }
        Called::Reply(&self.reply)
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        (args.len() > 1).then_some(args.len() > 2)
    }

    fn set_targets(&mut self, _: bool, _: bool) {}

    fn log(&mut self, level: u8, _: &[u8]) {
        assert!(level <= 3, "a level that there is not");
    }

    fn goes_on(&mut self) -> bool {
        let goes_on = self.turns > 0;
        self.turns = self.turns.saturating_sub(1);
        goes_on
    }
}

// The text of a script, or of a library, or words for `CALL`, one a line; then, in parts of their own, keys and arguments.
fuzz_target!(|input: &[u8]| {
    let Some((bytes, choices)) = Choices::split(input) else { return };
    let proto = if choices.is_on(0) { Proto::Resp3 } else { Proto::Resp2 };
    let mut world = World { reply: Vec::new(), turns: TURNS };
    if choices.is_on(1) {
        return load_library(bytes, proto, &mut world);
    }
    KEPT.with_borrow_mut(|kept| {
        let (mut interpreter, uses) =
            kept.take().unwrap_or_else(|| (Interpreter::new(Flavor::Scripts, 1), 0));
        let before = probe(&mut interpreter);
        if choices.is_on(2) {
            let words: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
            let pick = choices.seed().to_string();
            run(&mut interpreter, CALL.as_bytes(), &[pick.as_bytes()], &words, proto, &mut world);
        } else if let [text, words @ ..] = parts(bytes, 8).as_slice() {
            let (keys, arguments) = words.split_at(words.len() / 2);
            if let Ok((_, code)) = script_head(text) {
                run(&mut interpreter, &text[code], keys, arguments, proto, &mut world);
            }
        }
        assert!(interpreter.used_memory() <= BYTES_MAX, "{} bytes", interpreter.used_memory());
        assert_eq!(probe(&mut interpreter), before, "a script changed what the next one sees");
        *kept = Some((interpreter, uses + 1))
            .filter(|(interpreter, uses)| *uses < USES_MAX && interpreter.used_memory() < USED_BYTES_MAX);
    });
});

thread_local! {
    /// The interpreter of the last input. What it has run must not show: that is asserted.
    static KEPT: RefCell<Option<(Interpreter, u32)>> = const { RefCell::new(None) };
}

fn load_library(text: &[u8], proto: Proto, world: &mut World) {
    let Ok(head) = library_head(text) else { return };
    let mut interpreter = Interpreter::new(Flavor::Functions, 1);
    let Ok(functions) = interpreter.load_library(&text[head.code], world) else { return };
    for function in functions.iter().take(4) {
        let words = OwnedArgs::from(&[b"one".as_slice(), b"2"]);
        let ended = interpreter.call(&function.code, words.as_args(), words.as_args(), world);
        check(ended, proto);
    }
    assert!(interpreter.used_memory() <= BYTES_MAX, "{} bytes", interpreter.used_memory());
}

fn run(
    interpreter: &mut Interpreter,
    text: &[u8],
    keys: &[&[u8]],
    arguments: &[&[u8]],
    proto: Proto,
    world: &mut World,
) {
    let Ok(code) = interpreter.compile(text) else { return };
    let (keys, arguments) = (OwnedArgs::from(keys), OwnedArgs::from(arguments));
    let ended = interpreter.run(&code, keys.as_args(), arguments.as_args(), world);
    check(ended, proto);
}

/// What a script returned is one reply, and nothing is behind it.
fn check(ended: Ended, proto: Proto) {
    match ended {
        Ended::Returned(returned) => {
            let mut bytes = Vec::new();
            returned.write(&mut Reply::new(&mut bytes, proto));
            let mut decoder = ReplyDecoder::new();
            decoder.feed(&bytes);
            if let Ok(first) = decoder.next_reply() {
                assert!(first.is_some(), "half a reply: {}", bytes.escape_ascii());
                assert!(matches!(decoder.next_reply(), Ok(None)), "two replies: {}", bytes.escape_ascii());
            } else {
                // Only nesting is refused: more than a reader of replies takes, at four bytes a level.
                assert!(bytes.len() > 4 * READER_DEPTH, "no reply: {}", bytes.escape_ascii());
            }
        }
        Ended::Failed(failure) => assert!(failure.place.is_none_or(|place| place.line > 0)),
        Ended::Stopped(_) => {}
    }
}

fn probe(interpreter: &mut Interpreter) -> Vec<u8> {
    let code = interpreter.compile(PROBE.as_bytes()).expect("the probe compiles");
    let mut world = World { reply: Vec::new(), turns: TURNS };
    let none = OwnedArgs::new();
    let mut bytes = Vec::new();
    match interpreter.run(&code, none.as_args(), none.as_args(), &mut world) {
        Ended::Returned(returned) => drop(returned.write(&mut Reply::new(&mut bytes, Proto::Resp2))),
        Ended::Failed(failure) => panic!("the probe failed: {}", failure.text.escape_ascii()),
        Ended::Stopped(_) => panic!("the probe was stopped"),
    }
    bytes
}
