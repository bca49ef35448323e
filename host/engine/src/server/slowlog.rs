//! SLOWLOG: the commands that took longest to run, the newest first. Waiting does not count as running.
//! Always: what is kept of a command is short, however long it was, and holds no password.

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Micros, Now};
use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_config::Directive;
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};
use crate::engine::Engine;
use crate::table::{Command, CommandId};

/// SLOWLOG and its subcommands.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "slowlog",
    run: super::container,
    arity: -2,
    flags: Flags::NONE,
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "2.2.12",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about slow commands.",
    arguments: &[],
    subcommands: &[
        Row {
            name: "get",
            run: get,
            arity: -2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["request_policy:all_nodes", "nondeterministic_output"],
            group: Group::Server,
            since: "2.2.12",
            complexity: "O(N) where N is the number of entries returned",
            summary: "Shows the newest slow commands.",
            arguments: &[Argument::integer("count").optional()],
            subcommands: &[],
        },
        Row::help(help, Group::Server, "6.2.0"),
        Row {
            name: "len",
            run: len,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
            group: Group::Server,
            since: "2.2.12",
            complexity: "O(1)",
            summary: "Counts the slow commands that are kept.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "reset",
            run: reset,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            group: Group::Server,
            since: "2.2.12",
            complexity: "O(N) where N is the number of entries in the slowlog",
            summary: "Forgets all slow commands.",
            arguments: &[],
            subcommands: &[],
        },
    ],
}];

const ADMINISTRATION: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);

/// Words kept of a command; of more, the last one tells how many.
const WORDS_MAX: usize = 32;
/// Bytes kept of a word.
const WORD_BYTES_MAX: usize = 128;
/// Entries shown if nobody says how many.
const SHOWN: usize = 10;

/// The slow commands.
pub(crate) struct SlowLog {
    /// Commands that take so long are kept; [`Micros::NEVER`]: none is.
    pub(crate) threshold: Micros,
    kept_max: usize,
    next_id: u64,
    /// Newest first.
    entries: VecDeque<Entry>,
}

struct Entry {
    id: u64,
    unix_seconds: i64,
    spent: Micros,
    words: Vec<Vec<u8>>,
    peer: String,
    client_name: Vec<u8>,
}

impl SlowLog {
    pub(crate) fn new(threshold: Micros, kept_max: usize) -> SlowLog {
        SlowLog { threshold, kept_max, next_id: 0, entries: VecDeque::new() }
    }

    pub(crate) fn set_limits(&mut self, threshold: Micros, kept_max: usize) {
        (self.threshold, self.kept_max) = (threshold, kept_max);
        self.entries.truncate(kept_max);
    }

    /// How many are kept; of the newest its number and how long it took.
    pub(crate) fn figures(&self) -> (usize, Option<(u64, Micros)>) {
        (self.entries.len(), self.entries.front().map(|entry| (entry.id, entry.spent)))
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push_front(entry);
        self.entries.truncate(self.kept_max);
    }
}

impl Engine {
    /// Keeps a command that took `spent`.
    #[cold]
    pub(crate) fn note_slow(
        &mut self,
        now: Now,
        client: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        spent: Micros,
    ) {
        let command = &self.commands[id];
        let Some(session) = self.sessions.get(client) else { return };
        if command.flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let entry = Entry {
            id: self.slow_log.next_id,
            unix_seconds: now.unix().seconds(),
            spent,
            words: shortened(command, args),
            peer: session.peer.address.clone(),
            client_name: session.name.clone(),
        };
        self.slow_log.next_id += 1;
        self.slow_log.push(entry);
    }
}

fn shortened(command: &Command, args: Args<'_>) -> Vec<Vec<u8>> {
    let shown = if args.len() > WORDS_MAX { WORDS_MAX - 1 } else { args.len() };
    let mut words: Vec<Vec<u8>> = (0..shown)
        .map(|at| match args.get(at) {
            _ if is_secret(command, args, at) => b"(redacted)".to_vec(),
            word if word.len() > WORD_BYTES_MAX => {
                let more = format!("... ({} more bytes)", word.len() - WORD_BYTES_MAX);
                [&word[..WORD_BYTES_MAX], more.as_bytes()].concat()
            }
            word => word.to_vec(),
        })
        .collect();
    if shown < args.len() {
        words.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
    }
    words
}

/// Whether a word is a password, or stands where one does.
pub(super) fn is_secret(command: &Command, args: Args<'_>, at: usize) -> bool {
    match command.full_name.as_str() {
        "auth" => at > 0,
        "acl|setuser" => at > 1,
        "hello" => (2..at).any(|word| args.is(word, "AUTH") && at - word <= 2),
        "config|set" => {
            at >= 3 && at % 2 == 1 && Directive::find(args.get(at - 1)).is_some_and(Directive::is_sensitive)
        }
        "migrate" => super::migrate::is_secret(args, at),
        _ => false,
    }
}

fn get(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let entries = &context.engine.slow_log.entries;
    let count = match args.len() {
        2 => SHOWN,
        3 => match args.integer(2) {
            Ok(-1) => entries.len(),
            Ok(count) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
            _ => return Err(CommandError::text("ERR count should be greater than or equal to -1")),
        },
        _ => return Err(CommandError::arity("slowlog|get")),
    };
    let count = count.min(entries.len());
    let session = context.engine.sessions.get(context.connection).expect("a request comes from a session");
    let mut reply = tenon_resp::Reply::new(context.world.outputs.writer(context.connection), session.proto);
    reply.array(count);
    for entry in entries.iter().take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.unix_seconds);
        reply.integer(i64::try_from(entry.spent.0).unwrap_or(i64::MAX));
        reply.array(entry.words.len());
        entry.words.iter().for_each(|word| reply.bulk(word));
        reply.bulk(entry.peer.as_bytes());
        reply.bulk(&entry.client_name);
    }
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Show the newest entries (default: 10, -1: all). Each is an id, a unix time, the",
            "    microseconds it took, its words, the client's address and the client's name.",
            "LEN",
            "    Count the entries.",
            "RESET",
            "    Forget them.",
        ],
    )
}

fn len(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let count = context.engine.slow_log.entries.len();
    context.reply().integer(count as i64);
    Ok(())
}

fn reset(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.engine.slow_log.entries.clear();
    context.reply().ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn slow_commands_are_kept_shortened_and_without_secrets() {
        let mut bench = Bench::new(&[("slowlog-log-slower-than", "0"), ("slowlog-max-len", "3")]);
        assert_eq!(bench.run(1, "CONFIG SET hz 20 requirepass hush"), "OK");
        assert_eq!(bench.run(1, "AUTH hush"), "OK");
        assert_eq!(bench.run(1, "HELLO 2 AUTH default hush").matches("error").count(), 0);
        let kept = bench.run(1, "SLOWLOG GET -1");
        assert!(!kept.contains("hush"), "{kept}");
        for shown in [
            r#"["CONFIG", "SET", "hz", "20", "requirepass", "(redacted)"]"#,
            r#"["AUTH", "(redacted)"]"#,
            r#"["HELLO", "2", "AUTH", "(redacted)", "(redacted)"]"#,
        ] {
            assert!(kept.contains(shown), "{kept}");
        }
        bench.run(1, &format!("ECHO {}", "x".repeat(200)));
        bench.run(1, &format!("CONFIG GET {}", "y ".repeat(40)));
        let kept = bench.run(1, "SLOWLOG GET");
        assert!(kept.contains(&format!("{}... (72 more bytes)", "x".repeat(128))), "{kept}");
        assert!(kept.contains(r#""y", "... (11 more arguments)"]"#), "{kept}");
        assert_eq!(bench.run(1, "SLOWLOG LEN"), "3");
        assert_eq!(bench.run(1, "CONFIG SET slowlog-max-len 1"), "OK");
        assert_eq!(bench.run(1, "SLOWLOG LEN"), "1");
        assert_eq!(bench.run(1, "CONFIG SET slowlog-log-slower-than -1"), "OK");
        assert_eq!(bench.run(1, "SLOWLOG RESET"), "OK");
        assert_eq!(bench.run(1, "SLOWLOG LEN"), "0");
    }
}
