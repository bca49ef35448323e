//! Server commands: what concerns connections, configuration, persistence, policies and introspection. One
//! file a family, each with its table and its handlers in table order.

pub(crate) mod acl;
pub(crate) mod backup;
mod client;
mod cluster;
mod command;
pub(crate) mod config;
mod connection; // read me first
mod debug;
mod failover;
pub(crate) mod info;
mod latency;
mod lolwut;
mod memory;
mod migrate;
mod modules;
mod monitor;
mod persistence;
pub(crate) mod policy;
mod pubsub;
mod replication;
mod scripting;
pub(crate) mod shutdown;
pub(crate) mod slowlog;
mod time;
mod transactions;

pub(crate) use client::client_line;

use tenon_base::{ConnectionId, Now, World};
use tenon_commands::{CommandError, Outcome, Row};
use tenon_resp::{Args, Reply};

use crate::engine::Engine;
use crate::session::Session;
use crate::table::{CommandId, CommandTable};

/// What runs a server command.
pub(crate) type ServerHandler = for<'a, 'b, 'c> fn(&'a mut ServerContext<'b, '_>, Args<'c>) -> Outcome;

/// The table of server commands, family by family.
pub(crate) static TABLES: &[&[Row<ServerHandler>]] = &[
    connection::COMMANDS,
    acl::COMMANDS,
    backup::COMMANDS,
    client::COMMANDS,
    cluster::COMMANDS,
    command::COMMANDS,
    config::COMMANDS,
    debug::COMMANDS,
    failover::COMMANDS,
    info::COMMANDS,
    memory::COMMANDS,
    migrate::COMMANDS,
    modules::COMMANDS,
    monitor::COMMANDS,
    persistence::COMMANDS,
    policy::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    replication::COMMANDS,
    shutdown::COMMANDS,
    slowlog::COMMANDS,
    lolwut::COMMANDS,
    latency::COMMANDS,
    time::COMMANDS,
    transactions::COMMANDS,
];

/// Runs a command that exists for its subcommands only: a word too few.
pub(crate) fn container(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    Err(CommandError::arity(&context.engine.commands[context.command].full_name))
}

/// Everything a server command may touch: the whole engine.
pub(crate) struct ServerContext<'a, 'w> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) connection: ConnectionId,
    /// The row that runs.
    pub(crate) command: CommandId,
    pub(crate) now: Now,
    pub(crate) world: &'a mut World<'w>,
}

impl ServerContext<'_, '_> {
    /// The session that asked.
    pub(crate) fn session(&mut self) -> &mut Session {
        self.engine.sessions.get_mut(self.connection).expect("a request comes from a session")
    }

    /// Where its reply is written.
    pub(crate) fn reply(&mut self) -> Reply<'_> {
        let proto = self.session().proto;
        Reply::new(self.world.outputs.writer(self.connection), proto)
    }

    /// Where its reply is written, and the commands that it may be about.
    pub(crate) fn reply_and_commands(&mut self) -> (Reply<'_>, &CommandTable) {
        let proto = self.session().proto;
        (Reply::new(self.world.outputs.writer(self.connection), proto), &self.engine.commands)
    }

    /// Answers HELP: the lines, then how to ask for them.
    pub(crate) fn help(&mut self, name: &str, lines: &[&str]) -> Outcome {
        let mut reply = self.reply();
        reply.array(lines.len() + 3);
        reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        for line in lines {
            reply.simple(line);
        }
        reply.simple("HELP");
        reply.simple("    Print this help.");
        Ok(())
    }
}
