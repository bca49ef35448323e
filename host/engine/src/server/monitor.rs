//! MONITOR: a line for every command that anybody runs. Each line is formatted once, whoever reads it.
//! Always: no password is shown, and nothing of what is for administrators.

use std::io::Write;

use tenon_base::{ConnectionId, Now, Transport, World, write_quoted};
use tenon_commands::{Categories, CommandError, Flags, Group, Outcome, Row};
use tenon_resp::Args;

use super::slowlog::is_secret;
use super::{ServerContext, ServerHandler};
use crate::engine::Engine;
use crate::table::CommandId;

/// MONITOR alone.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "monitor",
    run: monitor,
    arity: 1,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "1.0.0",
    complexity: "",
    summary: "Shows the commands that the server runs, as it runs them.",
    arguments: &[],
    subcommands: &[],
}];

fn monitor(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    if context.engine.is_in_exec {
        return Err(CommandError::text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Whoever does so already is not answered, as in Redis.
    if !std::mem::replace(&mut context.session().is_monitor, true) {
        context.engine.monitors.push(context.connection);
        context.reply().ok();
    }
    Ok(())
}

impl Engine {
    /// Tells a client of no more commands.
    pub(crate) fn stop_monitoring(&mut self, connection: ConnectionId) {
        if let Some(session) = self.sessions.get_mut(connection)
            && std::mem::take(&mut session.is_monitor)
        {
            self.monitors.retain(|&monitor| monitor != connection);
        }
    }

    /// Tells monitors of a command that has run.
    #[cold]
    pub(crate) fn feed_monitors(
        &mut self,
        now: Now,
        client: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) {
        let flags = self.commands[id].flags;
        if !flags.has(Flags::ADMIN) && !flags.has(Flags::SKIP_MONITOR) {
            self.show_monitors(now, client, id, args, world);
        }
    }

    /// As [`Engine::feed_monitors`], whatever command it is.
    pub(crate) fn show_monitors(
        &mut self,
        now: Now,
        client: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) {
        let command = &self.commands[id];
        let Some(session) = self.sessions.get(client).filter(|_| !self.monitors.is_empty()) else { return };
        let (seconds, fraction) = (now.unix_us.div_euclid(1_000_000), now.unix_us.rem_euclid(1_000_000));
        let kind = if session.peer.transport == Transport::Unix { "unix:" } else { "" };
        let address = session.peer.address.strip_suffix(":0").filter(|_| !kind.is_empty());
        let address = address.unwrap_or(&session.peer.address);
        let (kind, address) = if self.scripts.running.is_some() { ("", "lua") } else { (kind, address) };
        let mut line = Vec::new();
        // A vector takes everything.
        let _ = write!(line, "+{seconds}.{fraction:06} [{} {kind}{address}]", session.database);
        for (at, word) in args.iter().enumerate() {
            line.push(b' ');
            write_quoted(&mut line, if is_secret(command, args, at) { b"(redacted)" } else { word });
        }
        line.extend_from_slice(b"\r\n");
        let monitors = std::mem::take(&mut self.monitors);
        monitors.iter().for_each(|&monitor| self.push_line(now, monitor, &line, world));
        self.monitors = monitors;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn words_are_quoted_as_in_c() {
        let mut out = Vec::new();
        write_quoted(&mut out, b"a\"\\\n\r\t\x07\x08\x00\xff ~");
        assert_eq!(out, br#""a\"\\\n\r\t\a\b\x00\xff ~""#);
    }

    #[test]
    fn monitors_see_commands_but_no_secrets() {
        let mut bench = Bench::new(&[("requirepass", "hush")]);
        bench.run(1, "AUTH hush");
        bench.run(2, "AUTH hush");
        assert_eq!(bench.run(1, "MONITOR"), "OK");
        assert_eq!(bench.run(1, "MONITOR"), "");
        bench.run(2, "SET k \"a b\"");
        bench.run(2, "AUTH default wrong");
        bench.run(2, "CONFIG SET requirepass hush");
        bench.run(2, "NOSUCH");
        bench.run(2, "SELECT 3");
        let seen: Vec<String> = bench.replies(1).iter().map(|line| format!("{line:?}")).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        let lines = bench_lines(&mut bench, "SET k 2");
        assert!(lines[0].ends_with(r#"[3 127.0.0.1:40002] "SET" "k" "2""#), "{lines:?}");
        // Its own commands come behind their replies.
        let own = bench.run(1, "GET k");
        assert!(own.starts_with("\"a b\"; 1700000000.000000 [0 127.0.0.1:40001] "), "{own}");
        assert_eq!(bench.run(1, "RESET"), "RESET");
        assert_eq!(bench.run(1, "AUTH hush"), "OK");
        assert!(bench_lines(&mut bench, "SET k 3").is_empty());
    }

    fn bench_lines(bench: &mut Bench, line: &str) -> Vec<String> {
        bench.run(2, line);
        let lines = bench.replies(1);
        lines.iter().map(|line| String::from_utf8(line.as_bytes().unwrap().to_vec()).unwrap()).collect()
    }
}
