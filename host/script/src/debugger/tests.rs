//! Sessions, as they are spoken: what is said, and what is told in answer.

use tenon_resp::{Args, OwnedArgs, Proto, Reply};

use crate::{Called, Ended, Host, Parting, Stepping};

/// Says one line after the other, and keeps what it is told.
struct Person {
    says: Vec<&'static str>,
    told: Vec<String>,
    reply: Vec<u8>,
    lingers: bool,
    parting: Parting,
}

impl Host for Person {
    fn call(&mut self, args: Args<'_>, proto: Proto) -> Called<'_> {
        if args.get(0) == b"refuse" {
            return Called::Refused("ERR not from here".to_owned());
        }
        self.reply.clear();
        Reply::new(&mut self.reply, proto).bulk(args.get(args.len() - 1));
        Called::Reply(&self.reply)
    }

    fn may_call(&mut self, _: Args<'_>) -> Option<bool> {
        Some(true)
    }

    fn set_targets(&mut self, _: bool, _: bool) {}

    fn log(&mut self, _: u8, _: &[u8]) {}

    fn goes_on(&mut self) -> bool {
        true
    }

    fn converse(&mut self, lines: &[Vec<u8>]) -> Result<OwnedArgs, Parting> {
        self.told.extend(lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()));
        if self.says.is_empty() {
            return Err(self.parting);
        }
        let line = self.says.remove(0);
        self.told.push(format!("> {line}"));
        let mut words = OwnedArgs::new();
        line.split(' ').for_each(|word| words.push(word.as_bytes()));
        Ok(words)
    }

    fn lingers(&mut self) -> bool {
        self.lingers
    }
}

/// Steps through a script; returns everything that was said, and what came of it.
fn session(script: &str, says: &[&'static str], adjust: impl FnOnce(&mut Person)) -> (Vec<String>, String) {
    let mut person = Person {
        says: says.to_vec(),
        told: Vec::new(),
        reply: Vec::new(),
        lingers: false,
        parting: Parting::Gone,
    };
    adjust(&mut person);
    let mut stepping = Stepping::new(script.as_bytes(), 0, 0).expect("a script");
    let (mut keys, none) = (OwnedArgs::new(), OwnedArgs::new());
    keys.push(b"key");
    let ended = match stepping.run(keys.as_args(), none.as_args(), &mut person) {
        Ended::Returned(returned) => {
            let mut reply = Vec::new();
            returned.write(&mut Reply::new(&mut reply, Proto::Resp2));
            String::from_utf8_lossy(&reply).replace("\r\n", " ").trim_end().to_owned()
        }
        Ended::Failed(failure) => {
            let line = failure.place.map_or(0, |place| place.line);
            format!("{} at {line}", String::from_utf8_lossy(&failure.text))
        }
        Ended::Stopped(place) => format!("stopped at {}", place.map_or(0, |place| place.line)),
    };
    let rest = stepping.last_lines();
    person.told.extend(rest.iter().map(|line| String::from_utf8_lossy(line).into_owned()));
    (person.told, ended)
}

#[test]
fn steps_show_lines_commands_and_replies() {
    let script = "local a = redis.call('get', KEYS[1])\nlocal b = 2; local c = 3\n\nreturn a\n";
    let (told, ended) = session(script, &["s", "next", "c"], |_| {});
    assert_eq!(
        told,
        [
            "* Stopped at 1, stop reason = step over",
            "-> 1   local a = redis.call('get', KEYS[1])",
            "> s",
            "<redis> get key",
            "<reply> \"key\"",
            "* Stopped at 2, stop reason = step over",
            "-> 2   local b = 2; local c = 3",
            "> next",
            "* Stopped at 4, stop reason = step over",
            "-> 4   return a",
            "> c",
            "<endsession>"
        ]
    );
    assert_eq!(ended, "$3 key");
}

#[test]
fn breakpoints_are_set_shown_and_removed() {
    let script = "local n = 0\nfor i = 1, 2 do\n  n = n + i\nend\nreturn n";
    let says = &["b 3 9 x", "b", "c", "c", "b -3", "b -3", "b", "b 1 0", "c"];
    let (told, ended) = session(script, says, |_| {});
    assert_eq!(
        told,
        [
            "* Stopped at 1, stop reason = step over",
            "-> 1   local n = 0",
            "> b 3 9 x",
            "   2   for i = 1, 2 do",
            "  #3     n = n + i",
            "   4   end",
            "Wrong line number.",
            "Invalid argument:'x'",
            "> b",
            "1 breakpoints set:",
            "  #3     n = n + i",
            "> c",
            "* Stopped at 3, stop reason = break point",
            "->#3     n = n + i",
            "> c",
            "* Stopped at 3, stop reason = break point",
            "->#3     n = n + i",
            "> b -3",
            "Breakpoint removed.",
            "> b -3",
            "No breakpoint in the specified line.",
            "> b",
            "No breakpoints set. Use 'b <line>' to add one.",
            "> b 1 0",
            "  #1   local n = 0",
            "   2   for i = 1, 2 do",
            "All breakpoints removed.",
            "> c",
            "<endsession>"
        ]
    );
    assert_eq!(ended, ":3");
}

#[test]
fn variables_are_printed_wherever_they_are_seen() {
    let script = "local t = {1, 'x'}\nlocal function f(x, t)\n  redis.breakpoint()\n  return x\nend\nlocal y = f(5)\nreturn t";
    let says = &["p", "c", "p", "p x", "p t", "p y", "p KEYS", "t", "c"];
    let (told, ended) = session(script, says, |_| {});
    assert_eq!(
        told[2..],
        [
            "> p",
            "No local variables in the current context.",
            "> c",
            "* Stopped at 4, stop reason = redis.breakpoint() called",
            "-> 4     return x",
            "> p",
            "<value> x = 5",
            "<value> t = nil",
            "> p x",
            "<value> 5",
            "> p t",
            "<value> nil",
            "> p y",
            "No such variable.",
            "> p KEYS",
            "<value> {\"key\"}",
            "> t",
            "In f:",
            "-> 4     return x",
            "From top level:",
            "   6   local y = f(5)",
            "> c",
            "<endsession>"
        ]
    );
    assert_eq!(ended, "*2 :1 $1 x");
    let (told, _) = session(
        "local t = {1}\nlocal f = function(x)\n  return x\nend\nreturn f(2)",
        &["b 3", "c", "p t", "c"],
        |_| {},
    );
    assert_eq!(told[9..11], ["> p t", "<value> {1}"]);
}

#[test]
fn code_and_commands_run_at_a_stop() {
    let says = &[
        "e 1 + 1",
        "e x = ",
        "e error('no')",
        "e {a=1}",
        "r get k",
        "r refuse",
        "r",
        "m 10",
        "r echo 0123456789012345678901234567890123456789012345678901234567890123456789",
        "c",
    ];
    let (told, ended) = session("redis.debug('at', {1})\nreturn redis.call('get', 'k')", says, |_| {});
    assert_eq!(
        told[2..],
        [
            "> e 1 + 1",
            "<retval> 2",
            "> e x = ",
            "<error> ldb_eval:1: unexpected symbol near '<eof>'",
            "> e error('no')",
            "<error> ldb_eval:1: no",
            "> e {a=1}",
            "<retval> {[\"a\"]=1}",
            "> r get k",
            "<redis> get k",
            "<reply> \"k\"",
            "> r refuse",
            "<redis> refuse",
            "<error> ERR not from here",
            "> r",
            "<error> Unknown Redis Lua debugger command or wrong number of arguments.",
            "> m 10",
            "<value> replies are truncated at 60 bytes.",
            "> r echo 0123456789012345678901234567890123456789012345678901234567890123456789",
            "<redis> echo 0123456789012345678901234567890123456789012345678901234567890123456789",
            "<reply> \"012345678901234567890123456789012345678901234567890 ...",
            "> c",
            "<debug> line 1: \"at\", {1}",
            "<endsession>"
        ]
    );
    assert_eq!(ended, "$1 k");
}

#[test]
fn the_source_is_listed() {
    let script = (1..=20).map(|line| format!("local v{line}\n")).collect::<String>();
    let listed = |says: &'static str| {
        let (told, _) = session(&script, &[says, "c"], |_| {});
        let is_source =
            |line: &&String| line.contains(" local v") && line.ends_with(|last: char| last.is_ascii_digit());
        told.iter().filter(is_source).count() - 1
    };
    assert_eq!([listed("l"), listed("l 10"), listed("l 10 2"), listed("w"), listed("h")], [6, 11, 5, 20, 0]);
}

#[test]
fn a_session_can_be_given_up() {
    let (told, ended) = session("local a\nreturn 1", &["s", "a"], |_| {});
    assert_eq!((told.len(), ended.as_str()), (7, "ERR script aborted for user request at 2"));
    assert_eq!(session("local a\nreturn 1", &["s"], |_| {}).1, ":1", "they are gone");
    let garbled = session("return pcall(error)", &[], |person| person.parting = Parting::Garbled);
    assert_eq!(garbled.1, "ERR protocol error at 1");
    let ended = session("return 1", &[], |person| person.parting = Parting::Ended);
    assert_eq!(ended.1, "stopped at 1");
    let endless = "while true do\n  local x = 1\nend";
    let (told, ended) = session(endless, &["c"], |person| person.lingers = true);
    assert!(
        told.contains(&"* Stopped at 2, stop reason = timeout reached, infinite loop?".to_owned()),
        "{told:?}"
    );
    assert_eq!(ended, "ERR timeout during Lua debugging with client closing connection at 2");
}

#[test]
fn an_error_ends_it_as_it_would_without() {
    let (told, ended) = session("local t\nt.x = 1", &["c"], |_| {});
    assert_eq!(ended, "ERR user_script:2: attempt to index local 't' (a nil value) at 2");
    assert_eq!(told.last().map(String::as_str), Some("<endsession>"));
    let many: String = (0..199).map(|number| format!("local v{number}\n")).collect();
    assert!(Stepping::new((many.clone() + "return 1").as_bytes(), 0, 0).is_ok());
    assert!(Stepping::new((many + "local w").as_bytes(), 0, 0).is_err(), "no room for one of ours");
    assert!(Stepping::new(b"x = = 1", 0, 0).is_err_and(|error| error.contains("unexpected symbol")));
}
