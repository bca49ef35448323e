//! Wire scripts: what clients say and what they must hear, as text that reads like redis-cli.
//! No server is named here: the same script is spoken to Tenon and to its judge.
//!
//! ```text
//! # a comment
//! > SET k v              one request on connection `a`
//! < OK                   the whole reply, a line each; `~` instead of `<`: elements in any order
//! ? (integer)            instead of `<`: how the reply begins, where the rest varies
//! b> GET k               the same on a connection named `b` (one lower-case letter)
//! < "v"
//! 200> RPUSH l e{}       sent 200 times with {} = 1, 2, ...; the last reply counts
//! < (integer) 200
//! raw> "PING\r\nx\r\n"   bytes as they are, on a connection of their own
//! < PONG                 replies are read until there are as many lines as here
//! < (closed)             the server closed the connection
//! b>> BLPOP q 0          sent without waiting; `b<` lines read the reply later
//! ! sleep 20             milliseconds
//! ```
//!
//! Always: a step without expectation lines is an error, so nothing is said unheard.
//! `UPDATE=1 cargo test --test wire redis` rewrites the expectations from what redis-server says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tenon_base::split_words;

use super::client::{Client, encoded};
use super::reply::Reply;

/// A parsed script: its lines in order.
pub(crate) struct Script {
    name: String,
    lines: Vec<Line>,
}

enum Line {
    /// A comment or an empty line, kept for rewriting.
    Prose(String),
    Sleep(Duration),
    Step(Step),
}

struct Step {
    number: usize,
    /// As written: the part up to and with `>`, and the rest.
    written: String,
    connection: String,
    /// Encoded requests; empty when the step only listens.
    payload: Vec<u8>,
    replies_skipped: usize,
    listens: bool,
    mark: char,
    expected: Vec<String>,
}

impl Script {
    /// Reads a script; an error names the line, what was found and what was expected.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Script, String> {
        let mut lines: Vec<Line> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at = |sentence: String| format!("{name}:{}: {sentence}", index + 1);
            if line.is_empty() || line.starts_with('#') {
                lines.push(Line::Prose(line.to_owned()));
            } else if let Some(sleep) = line.strip_prefix("! sleep ") {
                let ms = sleep.parse().map_err(|_| at(format!("found {sleep:?}; expected milliseconds")))?;
                lines.push(Line::Sleep(Duration::from_millis(ms)));
            } else if let Some((connection, mark, text)) = expectation(line) {
                expect(&mut lines, index + 1, connection, mark, text).map_err(at)?;
            } else {
                lines.push(Line::Step(parse_step(index + 1, line).map_err(at)?));
            }
        }
        let script = Script { name: name.to_owned(), lines };
        let updating = std::env::var_os("UPDATE").is_some();
        let unheard =
            script.steps().find(|step| step.listens && step.expected.is_empty()).map(|step| step.number);
        match unheard {
            Some(number) if !updating => Err(format!("{name}:{number}: found no expected reply")),
            _ => Ok(script),
        }
    }

    /// Says everything to the server on `port`; the error lists each reply that differs.
    pub(crate) fn run(&self, port: u16) -> Result<(), String> {
        let mut differences = String::new();
        for (step, heard) in self.perform(port)? {
            if !step.accepts(&heard) {
                let (said, expected) = (&step.written, step.expected.join("\n    "));
                let (name, number) = (&self.name, step.number);
                write!(
                    differences,
                    "{name}:{number}: {said}\n  expected\n    {expected}\n  heard\n    {}\n",
                    heard.join("\n    ")
                )
                .expect("a String takes everything");
            }
        }
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    /// The script's text with the replies that the server on `port` gives.
    pub(crate) fn rewritten(&self, port: u16) -> Result<String, String> {
        let heard: BTreeMap<usize, Vec<String>> =
            self.perform(port)?.into_iter().map(|(step, heard)| (step.number, heard)).collect();
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Prose(prose) => text += &format!("{prose}\n"),
                Line::Sleep(time) => text += &format!("! sleep {}\n", time.as_millis()),
                Line::Step(step) => {
                    if !step.written.is_empty() {
                        text += &format!("{}\n", step.written);
                    }
                    let replies =
                        heard.get(&step.number).filter(|_| step.mark != '?').unwrap_or(&step.expected);
                    let prefix = if step.written.is_empty() { step.connection.as_str() } else { "" };
                    for reply in replies {
                        text += &format!("{prefix}{} {reply}\n", step.mark);
                    }
                }
            }
        }
        Ok(text)
    }

    /// The names of the commands that it calls: `get`, or `xgroup` and `xgroup|create`.
    pub(crate) fn called(&self) -> Vec<String> {
        let mut names = Vec::new();
        for step in self.steps() {
            let Some((_, said)) = step.written.split_once("> ") else { continue };
            let words = split_words(said.as_bytes()).unwrap_or_default();
            let mut words = words.iter().map(|word| String::from_utf8_lossy(word).to_lowercase());
            if let Some(name) = words.next() {
                names.extend(words.next().map(|second| format!("{name}|{second}")));
                names.push(name);
            }
        }
        names
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.lines.iter().filter_map(|line| if let Line::Step(step) = line { Some(step) } else { None })
    }

    /// What was heard, for each step that listens.
    fn perform(&self, port: u16) -> Result<Vec<(&Step, Vec<String>)>, String> {
        let mut clients: BTreeMap<String, Client> = BTreeMap::new();
        let mut heard = Vec::new();
        for line in &self.lines {
            match line {
                Line::Prose(_) => {}
                Line::Sleep(time) => std::thread::sleep(*time),
                Line::Step(step) => {
                    let client =
                        clients.entry(step.connection.clone()).or_insert_with(|| Client::connect(port));
                    if let Some(lines) = step.perform(client) {
                        heard.push((step, lines));
                    }
                }
            }
        }
        Ok(heard)
    }
}

impl Step {
    fn perform(&self, client: &mut Client) -> Option<Vec<String>> {
        // A server that has closed the connection may refuse bytes; what it said before is still there to read.
        let _ = client.send_bytes(&self.payload);
        if !self.listens {
            return None;
        }
        let mut lines = Vec::new();
        for _ in 0..self.replies_skipped {
            if let Err(error) = client.receive() {
                return Some(vec![closed_or(&error)]);
            }
        }
        let is_raw = self.connection.starts_with("raw");
        loop {
            match client.receive() {
                Ok(reply) => lines.extend(self.ordered(reply).to_string().split('\n').map(visible)),
                Err(error) => {
                    lines.push(closed_or(&error));
                    return Some(lines);
                }
            }
            if !is_raw || lines.len() >= self.expected.len() {
                return Some(lines);
            }
        }
    }

    fn ordered(&self, reply: Reply) -> Reply {
        if self.mark == '~' { reply.sorted() } else { reply }
    }

    fn accepts(&self, heard: &[String]) -> bool {
        match self.mark {
            '?' => {
                heard.len() >= self.expected.len()
                    && heard.iter().zip(&self.expected).all(|(a, b)| a.starts_with(b.as_str()))
            }
            _ => heard == self.expected,
        }
    }
}

/// A space at the end of a line would be lost in editors and in review.
fn visible(line: &str) -> String {
    line.strip_suffix(' ').map_or(line.to_owned(), |rest| format!("{rest}\\x20"))
}

fn closed_or(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error.kind() {
        UnexpectedEof | ConnectionReset | BrokenPipe => "(closed)".to_owned(),
        _ => format!("(no reply: {error})"),
    }
}

/// Splits `< text`, `~ text`, `? text` or `b< text`.
fn expectation(line: &str) -> Option<(Option<char>, char, &str)> {
    let named = line.chars().next().filter(char::is_ascii_lowercase);
    let rest = &line[named.map_or(0, char::len_utf8)..];
    let mark = rest.chars().next().filter(|mark| ['<', '~', '?'].contains(mark))?;
    let text = &rest[1..];
    Some((named, mark, text.strip_prefix(' ').unwrap_or(text)))
}

/// Adds an expectation line to the step it belongs to, or makes one that only listens.
fn expect(
    lines: &mut Vec<Line>,
    number: usize,
    named: Option<char>,
    mark: char,
    text: &str,
) -> Result<(), String> {
    let last = lines.last_mut();
    if let Some(Line::Step(step)) = last
        && named.is_none_or(|name| step.written.is_empty() && step.connection == name.to_string())
    {
        if !step.listens {
            return Err("found a reply to a request sent with `>>`; expected it under the connection's name"
                .to_owned());
        }
        step.mark = mark;
        step.expected.push(text.to_owned());
        return Ok(());
    }
    let connection = named.ok_or("found a reply; expected a request before it")?.to_string();
    lines.push(Line::Step(Step {
        number,
        written: String::new(),
        connection,
        payload: Vec::new(),
        replies_skipped: 0,
        listens: true,
        mark,
        expected: vec![text.to_owned()],
    }));
    Ok(())
}

fn parse_step(number: usize, line: &str) -> Result<Step, String> {
    let unknown =
        || format!("found {line:?}; expected a request (`> ...`), a reply (`< ...`), `! sleep` or a comment");
    let (head, rest) = line.split_once('>').ok_or_else(unknown)?;
    let (listens, rest) = match rest.strip_prefix('>') {
        Some(rest) => (false, rest),
        None => (true, rest),
    };
    let arguments = split_words(rest.as_bytes())
        .ok_or_else(|| format!("found an open quote, or text right after a quote, in {rest:?}"))?;
    let name = Some(head).filter(|head| head.len() == 1 && head.as_bytes()[0].is_ascii_lowercase());
    let times: usize = if head.is_empty() || name.is_some() || head == "raw" {
        1
    } else {
        head.parse().map_err(|_| unknown())?
    };
    let payload = match (head, arguments.as_slice()) {
        (_, []) => return Err(unknown()),
        ("raw", [bytes]) => bytes.clone(),
        ("raw", _) => return Err(format!("found {} words; expected one in quotes", arguments.len())),
        _ if times == 1 => encoded(&arguments),
        _ => (1..=times).flat_map(|turn| encoded(&counted(&arguments, turn))).collect(),
    };
    let connection = match head {
        "raw" => format!("raw {number}"),
        _ => name.unwrap_or("a").to_owned(),
    };
    let written = line.to_owned();
    Ok(Step {
        number,
        written,
        connection,
        payload,
        replies_skipped: times - 1,
        listens,
        mark: '<',
        expected: Vec::new(),
    })
}

fn counted(arguments: &[Vec<u8>], turn: usize) -> Vec<Vec<u8>> {
    let replace = |word: &Vec<u8>| match word.windows(2).position(|pair| pair == b"{}") {
        Some(at) => [&word[..at], turn.to_string().as_bytes(), &word[at + 2..]].concat(),
        None => word.clone(),
    };
    arguments.iter().map(replace).collect()
}
