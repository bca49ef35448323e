//! Stepping through a script: where it stops, what whoever debugs it is told there, and what they may ask for. The
//! words and the answers are those of Redis's debugger, which `redis-cli --ldb-sync-mode` speaks.
//! Not a way to talk: lines go out and words come in through [`Host::converse`](crate::Host::converse). Touches no value
//! of Lua's: see `stops`.
//! Always: a script whose debugger is gone runs to its end by itself, or fails if it has none.

mod stops; // what happens at a stop

mod marks; // where a script can be stopped
mod show;
mod tokens;

use mlua::Function;
use tenon_resp::Args;

use self::show::show_reply;
use crate::Called;

pub(crate) use self::marks::with_marks;
pub(crate) use self::stops::install;

/// Breakpoints at once.
const BREAKPOINTS_MAX: usize = 64;
/// Bytes shown of a value or reply, unless asked otherwise, and the fewest that may be asked for.
const SHOWN_BYTES: usize = 256;
const SHOWN_BYTES_MIN: usize = 60;
/// Bytes that wait to be told; what comes then is left out.
const SAID_BYTES_MAX: usize = 8 << 20;
/// Lines around the current one that `list` shows.
const LISTED_AROUND: usize = 5;
/// Words of a command that are shown.
const WORDS_SHOWN: usize = 10;

/// One session.
pub(crate) struct Debugger {
    /// The script's lines.
    source: Vec<Vec<u8>>,
    breakpoints: Vec<usize>,
    /// Stop at the next line. While it is run, commands and their replies are shown.
    steps: bool,
    /// `redis.breakpoint()` was called.
    breaks: bool,
    here: Spot,
    /// Functions of the script that are running, innermost last: how deep, and what tells their variables.
    frames: Vec<(usize, Option<Function>)>,
    said: Vec<Vec<u8>>,
    said_bytes: usize,
    left_out: usize,
    /// Zero for no limit.
    shown_bytes: usize,
    was_hinted: bool,
    /// Why the script was ended.
    failure: Option<&'static str>,
}

/// A statement that is about to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spot {
    line: usize,
    /// Among all statements.
    index: usize,
    /// Functions on the stack.
    depth: usize,
}

/// Why it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Step,
    Breakpoint,
    Called,
    Lingers,
}

/// What comes of a command.
enum Next {
    Stay,
    Go,
    Abort,
    /// One variable, or all of this function.
    Print(Option<Vec<u8>>),
    Trace,
    Evaluate(Vec<u8>),
    Command,
}

impl Debugger {
    /// For a script's whole text. It stops at the first line.
    pub(crate) fn new(text: &[u8]) -> Debugger {
        let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        Debugger {
            source: text[..end].split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
            breakpoints: Vec::new(),
            steps: true,
            breaks: false,
            here: Spot::default(),
            frames: Vec::new(),
            said: Vec::new(),
            said_bytes: 0,
            left_out: 0,
            shown_bytes: SHOWN_BYTES,
            was_hinted: false,
            failure: None,
        }
    }

    /// Why it ended the script, if it did.
    pub(crate) fn take_failure(&mut self) -> Option<&'static str> {
        self.failure.take()
    }

    /// Lines that are to be told.
    pub(crate) fn take_said(&mut self) -> Vec<Vec<u8>> {
        self.said_bytes = 0;
        let mut said = std::mem::take(&mut self.said);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            said.push(format!("<hint> {left_out} more lines were left out.").into_bytes());
        }
        said
    }

    /// Tells a line.
    pub(crate) fn say(&mut self, line: impl Into<Vec<u8>>) {
        let mut line = line.into();
        if self.said_bytes + line.len() > SAID_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        line.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
        self.said_bytes += line.len();
        self.said.push(line);
    }

    /// Tells a line, or the beginning of one that is long.
    fn say_shortly(&mut self, mut line: Vec<u8>) {
        let is_long = self.shown_bytes > 0 && line.len() > self.shown_bytes;
        if is_long {
            line.truncate(self.shown_bytes);
            line.extend_from_slice(b" ...");
        }
        self.say(line);
        if is_long && !std::mem::replace(&mut self.was_hinted, true) {
            self.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    /// Tells of a command and what it came to, while steps are made.
    pub(crate) fn note_call(&mut self, words: Args<'_>, called: &Called<'_>) {
        if !self.steps {
            return;
        }
        let mut line = b"<redis>".to_vec();
        for word in words.first(words.len().min(WORDS_SHOWN)).iter() {
            line.push(b' ');
            line.extend_from_slice(&word[..word.len().min(SAID_BYTES_MAX / 16)]);
        }
        if words.len() > WORDS_SHOWN {
            line.extend_from_slice(format!(" ... ({} more)", words.len() - WORDS_SHOWN - 1).as_bytes());
        }
        self.say(line);
        match called {
            Called::Refused(text) => self.say(format!("<error> {text}")),
            Called::Reply(reply) => {
                let mut line = b"<reply> ".to_vec();
                show_reply(&mut line, reply);
                self.say_shortly(line);
            }
        }
    }

    /// A statement is about to run. Says why to stop, if it is to.
    fn arrive(&mut self, spot: Spot, variables: Option<Function>, lingers: bool) -> Option<Reason> {
        self.frames.retain(|(depth, _)| *depth < spot.depth);
        self.frames.push((spot.depth, variables));
        let before = std::mem::replace(&mut self.here, spot);
        // Behind another one of the same line nothing new begins.
        if before.line == spot.line && before.depth == spot.depth && before.index < spot.index {
            return None;
        }
        let breaks = std::mem::take(&mut self.breaks);
        if breaks {
            Some(Reason::Called)
        } else if self.breakpoints.contains(&spot.line) {
            Some(Reason::Breakpoint)
        } else if std::mem::take(&mut self.steps) {
            Some(Reason::Step)
        } else {
            lingers.then_some(Reason::Lingers)
        }
    }

    fn say_stop(&mut self, reason: Reason) {
        self.steps = false;
        let reason = match reason {
            Reason::Step => "step over",
            Reason::Breakpoint => "break point",
            Reason::Called => "redis.breakpoint() called",
            Reason::Lingers => "timeout reached, infinite loop?",
        };
        let line = self.here.line;
        self.say(format!("* Stopped at {line}, stop reason = {reason}"));
        self.say_line(line);
    }

    fn say_line(&mut self, number: usize) {
        let mark = match (number == self.here.line, self.breakpoints.contains(&number)) {
            (true, true) => "->#",
            (true, false) => "-> ",
            (false, true) => "  #",
            (false, false) => "   ",
        };
        let mut line = format!("{mark}{number:<3} ").into_bytes();
        let source = number.checked_sub(1).and_then(|index| self.source.get(index));
        line.extend_from_slice(source.map_or(b"<out of range source code line>", |source| source));
        self.say(line);
    }

    fn list(&mut self, around: usize, context: usize) {
        for number in 1..=self.source.len() {
            if number.abs_diff(around) <= context {
                self.say_line(number);
            }
        }
    }

    /// Nobody is there any more: nothing stops it.
    fn leave(&mut self) {
        (self.steps, self.breaks) = (false, false);
        self.breakpoints.clear();
    }

    /// Does what takes no Lua, and tells what else is to be done.
    fn obey(&mut self, words: Args<'_>) -> Next {
        let first = words.get(0);
        let is = |short: &str, long: &str| {
            first.eq_ignore_ascii_case(short.as_bytes()) || first.eq_ignore_ascii_case(long.as_bytes())
        };
        let number = |index: usize| {
            let word = words.try_get(index).and_then(|word| std::str::from_utf8(word).ok());
            word.and_then(|word| word.parse::<usize>().ok()).unwrap_or(0)
        };
        match () {
            () if is("s", "step") || is("n", "next") => {
                self.steps = true;
                return Next::Go;
            }
            () if is("c", "continue") => return Next::Go,
            () if is("a", "abort") => return Next::Abort,
            () if is("t", "trace") => return Next::Trace,
            () if is("p", "print") => {
                return Next::Print(words.try_get(1).filter(|_| words.len() == 2).map(<[u8]>::to_vec));
            }
            () if is("e", "eval") => {
                let code: Vec<&[u8]> = words.rest(1).iter().collect();
                return Next::Evaluate(code.join(&b' '));
            }
            () if is("r", "redis") && words.len() > 1 => return Next::Command,
            () if is("b", "break") => self.set_breakpoints(words),
            () if is("m", "maxlen") => self.set_shown_bytes(&words),
            () if is("w", "whole") => self.list(1, usize::MAX),
            () if is("l", "list") => {
                let around = Some(number(1)).filter(|line| *line > 0).unwrap_or(self.here.line);
                self.list(around, if words.len() > 2 { number(2) } else { LISTED_AROUND });
            }
            () if is("h", "help") => HELP.iter().for_each(|line| self.say(*line)),
            () => self.say("<error> Unknown Redis Lua debugger command or wrong number of arguments."),
        }
        Next::Stay
    }

    fn set_breakpoints(&mut self, words: Args<'_>) {
        if words.len() == 1 {
            if self.breakpoints.is_empty() {
                return self.say("No breakpoints set. Use 'b <line>' to add one.");
            }
            self.say(format!("{} breakpoints set:", self.breakpoints.len()));
            return self.breakpoints.clone().into_iter().for_each(|line| self.say_line(line));
        }
        for word in words.rest(1).iter() {
            let text = String::from_utf8_lossy(word);
            let Ok(number) = text.parse::<i64>() else {
                self.say(format!("Invalid argument:'{text}'"));
                continue;
            };
            let line = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
            if number == 0 {
                self.breakpoints.clear();
                self.say("All breakpoints removed.");
            } else if number < 0 {
                let before = self.breakpoints.len();
                self.breakpoints.retain(|other| *other != line);
                let is_removed = self.breakpoints.len() < before;
                self.say(if is_removed {
                    "Breakpoint removed."
                } else {
                    "No breakpoint in the specified line."
                });
            } else if self.breakpoints.len() == BREAKPOINTS_MAX {
                self.say("Too many breakpoints set.");
            } else if line > self.source.len() {
                self.say("Wrong line number.");
            } else {
                if !self.breakpoints.contains(&line) {
                    self.breakpoints.push(line);
                }
                self.list(line, 1);
            }
        }
    }

    fn set_shown_bytes(&mut self, words: &Args<'_>) {
        if words.len() == 2 {
            let asked = std::str::from_utf8(words.get(1)).ok().and_then(|word| word.parse::<usize>().ok());
            self.was_hinted = true;
            self.shown_bytes = match asked.unwrap_or(0) {
                0 => 0,
                bytes => bytes.max(SHOWN_BYTES_MIN),
            };
        }
        self.say(match self.shown_bytes {
            0 => "<value> replies are unlimited.".to_owned(),
            bytes => format!("<value> replies are truncated at {bytes} bytes."),
        });
    }
}

static HELP: &[&str] = &[
    "Commands, by their first letter or in full:",
    "  help                 Tell this.",
    "  step, next           Run this line and stop at the next one.",
    "  continue             Run up to a breakpoint, or to the end.",
    "  list [line [count]]  Show the lines around this one, or another; so many on each side.",
    "  whole                Show the whole script.",
    "  print [name]         Show the local variables, or the nearest of this name; or KEYS, or ARGV.",
    "  break                Show all breakpoints.",
    "  break line           Stop at this line; break -line takes that back, break 0 all of them.",
    "  trace                Show which functions are running.",
    "  eval code            Run some Lua. It sees no local variables.",
    "  redis command        Run a command of the server.",
    "  maxlen [bytes]       Show so much of a value at most; 0 shows all of it.",
    "  abort                End the script here. What it has written stays.",
    "",
    "In a script, redis.debug(...) tells values, and redis.breakpoint() stops at the line behind it.",
];

#[cfg(test)]
mod tests;
