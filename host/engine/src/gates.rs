//! What a request passes before it runs: a constant list of small questions, in Redis's order. The first that
//! objects answers.

use tenon_acl::Denied;
use tenon_base::ConnectionId;
use tenon_commands::{CommandError, Flags, Group, Outcome, quoted};
use tenon_config::Directive;
use tenon_resp::{Args, Proto};

use crate::engine::Engine;
use crate::loading::{self, Loading};
use crate::table::{Command, CommandId};

type Gate = fn(&Engine, ConnectionId, &Command) -> Outcome;

/// In this order; between them it is asked whether the user may do that.
const GATES_BEFORE: [Gate; 3] = [may_debug, authenticated, fits_transaction];
const GATES_BEHIND: [Gate; 9] = [
    not_busy,
    has_room,
    snapshots_work,
    log_works,
    enough_replicas,
    not_a_follower,
    data_is_fresh,
    fits_subscriber,
    not_loading,
];

/// What is answered where writes need replicas that are not there.
pub(crate) const NO_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";

/// Why a request is not run.
pub(crate) enum Refusal {
    /// Its user may not do that.
    Denied(Denied),
    /// Nobody may, as things are.
    Other(CommandError),
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Refusal {
        Refusal::Other(error)
    }
}

/// Resolves a request to a command, or a subcommand.
pub(crate) fn known(
    engine: &Engine,
    command: Option<CommandId>,
    args: Args<'_>,
) -> Result<CommandId, CommandError> {
    let id = command.ok_or_else(|| unknown_command(args))?;
    let table = &engine.commands;
    table.resolve_subcommand(id, args).map_err(|_| unknown_subcommand(table[id].name, args.get(1)))
}

/// Lets a command through, or says why not: first of all, it needs a right number of words.
pub(crate) fn pass(
    engine: &Engine,
    connection: ConnectionId,
    id: CommandId,
    args: Args<'_>,
) -> Result<(), Refusal> {
    let command = &engine.commands[id];
    if !command.accepts(args.len()) {
        return Err(CommandError::arity(&command.full_name).into());
    }
    GATES_BEFORE.iter().try_for_each(|gate| gate(engine, connection, command))?;
    let session = engine.sessions.get(connection).expect("a request comes from a session");
    engine.check_access(session.user, id, args).map_err(Refusal::Denied)?;
    Ok(GATES_BEHIND.iter().try_for_each(|gate| gate(engine, connection, command))?)
}

/// Whether a script may write, as things are.
pub(crate) fn may_persist(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    let gates: [Gate; 5] = [not_a_follower, snapshots_work, log_works, enough_replicas, not_loading];
    gates.iter().try_for_each(|gate| gate(engine, connection, command))
}

/// Whether what a script asks for may be shown, though it may be old.
pub(crate) fn may_show(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    let refusal = CommandError::text("ERR Can not execute the command on a stale replica");
    data_is_fresh(engine, connection, command).map_err(|_| refusal)
}

impl Engine {
    /// Why a script that says that it may write is not run, if what it writes is not its to change or could not be
    /// kept.
    pub(crate) fn cannot_write(&self) -> Option<String> {
        if self.replication.is_following && self.config.bool(Directive::ReplicaReadOnly) {
            return Some("READONLY Can not run script with write flag on readonly replica".to_owned());
        }
        self.cannot_persist()
    }

    /// Whether too few replicas were heard for writes to be taken.
    pub(crate) fn lacks_replicas(&self) -> bool {
        !self.replication.is_following && self.replication.primary.lacks_replicas()
    }

    fn cannot_persist(&self) -> Option<String> {
        const ADVICE: &str = "Writable scripts are blocked. Use 'no-writes' flag for read only scripts.";
        if self.snapshots.refuses_writes(&self.config) {
            let what = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.";
            return Some(format!("{what} {ADVICE}"));
        }
        let failure = self.durability.failure()?;
        let what = "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk.";
        Some(format!("{what} {ADVICE} AOF error: {failure}"))
    }
}

/// DEBUG needs a configuration switch.
fn may_debug(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    if !command.flags.has(Flags::PROTECTED) || command.name != "debug" {
        return Ok(());
    }
    let session = engine.sessions.get(connection).expect("a request comes from a session");
    if engine.config.guarded(Directive::EnableDebugCommand).allows(session.peer.is_local) {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
         from a local connection, otherwise you need to set this option in the configuration file, and then \
         restart the server.",
    ))
}

fn authenticated(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    let session = engine.sessions.get(connection).expect("a request comes from a session");
    if !engine.must_log_in(session) || command.flags.has(Flags::NO_AUTH) {
        return Ok(());
    }
    Err(CommandError::text("NOAUTH Authentication required."))
}

/// Some commands cannot be part of a transaction.
fn fits_transaction(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    let is_outside = !command.flags.has(Flags::NO_MULTI)
        || engine.sessions.get(connection).is_none_or(|session| session.transaction.is_none());
    if is_outside { Ok(()) } else { Err(CommandError::text("ERR Command not allowed inside a transaction")) }
}

/// While a script runs for too long, little else does.
fn not_busy(engine: &Engine, _: ConnectionId, command: &Command) -> Outcome {
    match &engine.scripts.running {
        Some(running) if running.is_slow && !command.flags.has(Flags::ALLOW_BUSY) => Err(running.busy()),
        _ => Ok(()),
    }
}

/// While data is loaded, what needs it is refused; while other is loaded beside it, what would be lost or is about
/// files and replication.
fn not_loading(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    let session = engine.sessions.get(connection);
    let is_refused = match engine.loading() {
        _ if engine.is_over => true,
        None => false,
        Some(Loading::InPlace) => session.is_none_or(|session| session.needs_data(command)),
        Some(Loading::Beside) => {
            let flags = session.map_or(command.flags, |session| session.effective_flags(command));
            flags.has(Flags::NO_ASYNC_LOADING) || (engine.load.is_some() && flags.has(Flags::WRITE))
        }
    };
    if is_refused { Err(loading::refusal()) } else { Ok(()) }
}

/// A subscriber that speaks RESP2 could not tell a reply from a message, so few commands are left to it.
fn fits_subscriber(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    if engine.pubsub.is_empty() {
        return Ok(());
    }
    let session = engine.sessions.get(connection).expect("a request comes from a session");
    if session.subscriptions.is_none()
        || session.proto == Proto::Resp3
        || matches!(command.full_name.as_str(), "ping" | "quit" | "reset")
        || (command.group == Group::Pubsub && command.name.ends_with("subscribe"))
    {
        return Ok(());
    }
    Err(CommandError::Text(
        format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
             this context",
            command.full_name
        )
        .into(),
    ))
}

/// What needs memory is refused when there is too much and nothing may be removed.
fn has_room(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    if !engine.eviction.is_exhausted() {
        return Ok(());
    }
    let session = engine.sessions.get(connection).expect("a request comes from a session");
    if !session.effective_flags(command).has(Flags::DENYOOM) {
        return Ok(());
    }
    Err(CommandError::text("OOM command not allowed when used memory > 'maxmemory'."))
}

/// After a failed save, and while `save` is configured, writes are refused if so configured.
fn snapshots_work(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    if is_write_or_ping(engine, connection, command) && engine.snapshots.refuses_writes(&engine.config) {
        return Err(CommandError::text(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
             Commands that may modify the data set are disabled, because this instance is configured to report \
             errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check \
             the Redis logs for details about the RDB error.",
        ));
    }
    Ok(())
}

/// While the log cannot be written, writes are refused; reads go on.
fn log_works(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    if !is_write_or_ping(engine, connection, command) {
        return Ok(());
    }
    match engine.durability.failure() {
        Some(failure) => {
            Err(CommandError::Text(format!("MISCONF Errors writing to the AOF file: {failure}").into()))
        }
        None => Ok(()),
    }
}

/// Where writes are to be kept by several, they are refused while too few were heard.
fn enough_replicas(engine: &Engine, _: ConnectionId, command: &Command) -> Outcome {
    if command.flags.has(Flags::WRITE) && engine.lacks_replicas() {
        return Err(CommandError::text(NO_REPLICAS));
    }
    Ok(())
}

/// What a follower has is its primary's to change.
fn not_a_follower(engine: &Engine, _: ConnectionId, command: &Command) -> Outcome {
    let is_asked = engine.replication.is_following && command.flags.has(Flags::WRITE);
    if is_asked && engine.config.bool(Directive::ReplicaReadOnly) {
        return Err(CommandError::text("READONLY You can't write against a read only replica."));
    }
    Ok(())
}

/// A follower without its primary may be configured to show nothing that may be old.
fn data_is_fresh(engine: &Engine, _: ConnectionId, command: &Command) -> Outcome {
    let Some(following) = &engine.replication.following else { return Ok(()) };
    if command.flags.has(Flags::READONLY)
        && engine.is_unsynced()
        && !engine.config.bool(Directive::ReplicaServeUnsynced)
    {
        return Err(CommandError::text(
            "MASTERDOWN This replica has never been synchronized with its master, and replica-serve-unsynced is set \
             to 'no'.",
        ));
    }
    let may_be_old = following.upstream.is_up() || engine.config.bool(Directive::ReplicaServeStaleData);
    if may_be_old || command.flags.has(Flags::STALE) {
        return Ok(());
    }
    Err(CommandError::text(
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    ))
}

/// PING tells a health check that writes would fail; EXEC is what it runs.
fn is_write_or_ping(engine: &Engine, connection: ConnectionId, command: &Command) -> bool {
    let is_exec_of_writes = || {
        let session = engine.sessions.get(connection);
        session.is_some_and(|session| session.effective_flags(command).has(Flags::WRITE))
    };
    command.flags.has(Flags::WRITE)
        || command.name == "ping"
        || (command.name == "exec" && is_exec_of_writes())
}

fn unknown_command(args: Args<'_>) -> CommandError {
    const SHOWN_BYTES: usize = 128;
    let mut shown = String::new();
    for word in args.rest(1) {
        if shown.len() >= SHOWN_BYTES {
            break;
        }
        let room = SHOWN_BYTES - shown.len();
        shown.push_str(&format!("'{}' ", printable(&word[..word.len().min(room)])));
    }
    let name = args.get(0);
    let name = printable(&name[..name.len().min(SHOWN_BYTES)]);
    CommandError::Text(format!("ERR unknown command '{name}', with args beginning with: {shown}").into())
}

fn unknown_subcommand(parent: &str, word: &[u8]) -> CommandError {
    let word = printable(&word[..word.len().min(128)]);
    let parent = parent.to_ascii_uppercase();
    CommandError::Text(format!("ERR unknown subcommand '{word}'. Try {parent} HELP.").into())
}

/// Line breaks would end the reply early.
fn printable(bytes: &[u8]) -> String {
    quoted(bytes).replace(['\r', '\n'], " ")
}
