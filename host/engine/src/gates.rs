//! What a request passes before it runs: a constant list of small questions, in Redis's order. The first that
//! objects answers.

use tenon_acl::Denied;
use tenon_base::ConnectionId;
use tenon_commands::{CommandError, Flags, Group, Outcome, quoted};
use tenon_config::Directive;
use tenon_resp::{Args, Proto};
use tenon_script::ScriptFlags;

use crate::engine::Engine;
use crate::loading::{self, Loading};
use crate::session::Session;
use crate::table::{Command, CommandId};

/// A request as the gates look at it.
pub(crate) struct Asked<'a> {
    connection: ConnectionId,
    command: &'a Command,
    /// What it may do: see [`Engine::flags_of`].
    flags: Flags,
}

type Gate = fn(&Engine, &Asked<'_>) -> Outcome;

/// In this order; between them it is asked whether the user may do that.
const GATES_BEFORE: [Gate; 3] = [may_be_asked, authenticated, fits_transaction];
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

const STALE: CommandError =
    CommandError::text("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");
const FEW_REPLICAS: CommandError = CommandError::text("NOREPLICAS Not enough good replicas to write.");

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

/// Lets a command through, and tells what it may do, or says why not: first of all, it needs a right number of words.
pub(crate) fn pass(
    engine: &Engine,
    connection: ConnectionId,
    id: CommandId,
    args: Args<'_>,
) -> Result<Flags, Refusal> {
    let command = &engine.commands[id];
    if !command.accepts(args.len()) {
        return Err(CommandError::arity(&command.full_name).into());
    }
    let session = engine.sessions.get(connection).expect("a request comes from a session");
    let asked = Asked { connection, command, flags: engine.flags_of(session, command, args) };
    GATES_BEFORE.iter().try_for_each(|gate| gate(engine, &asked))?;
    engine.check_access(session.user, id, args).map_err(Refusal::Denied)?;
    GATES_BEHIND.iter().try_for_each(|gate| gate(engine, &asked))?;
    Ok(asked.flags)
}

impl Engine {
    /// What a request of a session may do, for the gates: what its command may, or what the script says that it runs;
    /// EXEC is all that it runs, and queueing takes memory.
    pub(crate) fn flags_of(&self, session: &Session, command: &Command, args: Args<'_>) -> Flags {
        session.effective_flags(command, self.own_flags_of(command, args))
    }

    /// The same of the request by itself, wherever it runs.
    pub(crate) fn own_flags_of(&self, command: &Command, args: Args<'_>) -> Flags {
        let Some(kind) = command.runs else { return command.flags };
        match self.scripts.flags_of(kind, args) {
            Some(said) if !said.has(ScriptFlags::COMPATIBLE) => flags_said(command.flags, said),
            _ => command.flags,
        }
    }
}

/// What a script may do that says so itself.
fn flags_said(flags: Flags, said: ScriptFlags) -> Flags {
    let mut flags =
        flags.without(Flags::STALE.and(Flags::DENYOOM).and(Flags::WRITE).and(Flags::MAY_REPLICATE));
    if !said.has(ScriptFlags::NO_WRITES) {
        flags = flags.and(Flags::WRITE);
        if !said.has(ScriptFlags::ALLOW_OOM) {
            flags = flags.and(Flags::DENYOOM);
        }
    }
    if said.has(ScriptFlags::ALLOW_STALE) { flags.and(Flags::STALE) } else { flags }
}

/// Lets a command of a script through, which may have reason to be refused as things are.
pub(crate) fn pass_in_script(
    engine: &Engine,
    connection: ConnectionId,
    command: &Command,
    allows_oom: bool,
) -> Outcome {
    let asked = Asked { connection, command, flags: command.flags };
    if command.flags.has(Flags::WRITE) {
        let gates: [Gate; 5] = [not_a_follower, snapshots_work, log_works, enough_replicas, not_loading];
        gates.iter().try_for_each(|gate| gate(engine, &asked))?;
    }
    if allows_oom { Ok(()) } else { has_room(engine, &asked) }
}

/// Whether what a script asks for may be shown, though it may be old.
pub(crate) fn may_show(engine: &Engine, connection: ConnectionId, command: &Command) -> Outcome {
    let refusal = CommandError::text("ERR Can not execute the command on a stale replica");
    let asked = Asked { connection, command, flags: command.flags };
    data_is_fresh(engine, &asked).map_err(|_| refusal)
}

/// Lets a script run that says what it does, or says why not. It was let through as a request; but what EXEC runs, and
/// what was not known when it was queued, was not.
pub(crate) fn pass_script(engine: &Engine, flags: ScriptFlags, is_read_only: bool) -> Outcome {
    let is_stale = engine.shows_nothing_old();
    if flags.has(ScriptFlags::COMPATIBLE) {
        return if is_stale { Err(STALE) } else { Ok(()) };
    }
    if is_stale && !flags.has(ScriptFlags::ALLOW_STALE) {
        return Err(CommandError::text(
            "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag is \
             not set on the script.",
        ));
    }
    if flags.has(ScriptFlags::NO_WRITES) {
        return Ok(());
    }
    if engine.replication.is_following && engine.config.bool(Directive::ReplicaReadOnly) {
        let text = "READONLY Can not run script with write flag on readonly replica";
        return Err(CommandError::text(text));
    }
    if let Some(reason) = engine.cannot_persist() {
        return Err(CommandError::Text(reason.into()));
    }
    if is_read_only {
        return Err(CommandError::text("ERR Can not execute a script with write flag using *_ro command."));
    }
    if engine.lacks_replicas() {
        return Err(FEW_REPLICAS);
    }
    if engine.eviction.is_exhausted() && !flags.has(ScriptFlags::ALLOW_OOM) {
        return Err(CommandError::text(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
        ));
    }
    Ok(())
}

impl Engine {
    /// Why a script that says that it may write is not run, if what it writes could not be kept.
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

    /// Whether writes are to be kept by more replicas than were heard.
    fn lacks_replicas(&self) -> bool {
        !self.replication.is_following && self.replication.primary.lacks_replicas()
    }

    /// Whether this is a follower without its primary that is configured to show nothing that may be old.
    fn shows_nothing_old(&self) -> bool {
        let Some(following) = &self.replication.following else { return false };
        !following.upstream.is_up() && !self.config.bool(Directive::ReplicaServeStaleData)
    }
}

/// DEBUG and loading modules need a configuration switch.
fn may_be_asked(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    if !asked.command.flags.has(Flags::PROTECTED) {
        return Ok(());
    }
    let (name, directive) = match asked.command.name {
        "debug" => ("DEBUG", Directive::EnableDebugCommand),
        _ if asked.command.full_name.starts_with("module|") => ("MODULE", Directive::EnableModuleCommand),
        _ => return Ok(()),
    };
    let session = engine.sessions.get(asked.connection).expect("a request comes from a session");
    if engine.config.guarded(directive).allows(session.peer.is_local) {
        return Ok(());
    }
    let option = directive.name();
    Err(CommandError::Text(
        format!(
            "ERR {name} command not allowed. If the {option} option is set to \"local\", you can run it from a local \
             connection, otherwise you need to set this option in the configuration file, and then restart the server."
        )
        .into(),
    ))
}

fn authenticated(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    let session = engine.sessions.get(asked.connection).expect("a request comes from a session");
    if !engine.must_log_in(session) || asked.command.flags.has(Flags::NO_AUTH) {
        return Ok(());
    }
    Err(CommandError::text("NOAUTH Authentication required."))
}

/// Some commands cannot be part of a transaction.
fn fits_transaction(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    let is_outside = !asked.command.flags.has(Flags::NO_MULTI)
        || engine.sessions.get(asked.connection).is_none_or(|session| session.transaction.is_none());
    if is_outside { Ok(()) } else { Err(CommandError::text("ERR Command not allowed inside a transaction")) }
}

/// While a script runs for too long, little else does.
fn not_busy(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    match &engine.scripts.running {
        Some(running) if running.is_slow && !asked.command.flags.has(Flags::ALLOW_BUSY) => {
            Err(running.busy())
        }
        _ => Ok(()),
    }
}

/// While data is loaded, what needs it is refused; while other is loaded beside it, what would be lost or is about
/// files and replication.
fn not_loading(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    // What a script says that it may do is not what it does; its writes come by here, too.
    let writes = asked.flags.has(Flags::WRITE) && asked.command.runs.is_none();
    let is_refused = match engine.loading() {
        _ if engine.is_over => true,
        // What ran before the load would be in the data, and in no record.
        None if !engine.is_started => !asked.flags.has(Flags::LOADING),
        // What is written would be lost.
        None => engine.arriving().is_some() && writes,
        Some(Loading::InPlace) => !asked.flags.has(Flags::LOADING),
        Some(Loading::Beside) => asked.flags.has(Flags::NO_ASYNC_LOADING) || writes,
    };
    if is_refused { Err(loading::refusal()) } else { Ok(()) }
}

/// A subscriber that speaks RESP2 could not tell a reply from a message, so few commands are left to it.
fn fits_subscriber(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    if engine.pubsub.is_empty() {
        return Ok(());
    }
    let session = engine.sessions.get(asked.connection).expect("a request comes from a session");
    if session.subscriptions.is_none()
        || session.proto == Proto::Resp3
        || matches!(asked.command.full_name.as_str(), "ping" | "quit" | "reset")
        || (asked.command.group == Group::Pubsub && asked.command.name.ends_with("subscribe"))
    {
        return Ok(());
    }
    Err(CommandError::Text(
        format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
             this context",
            asked.command.full_name
        )
        .into(),
    ))
}

/// What needs memory is refused when there is too much and nothing may be removed.
fn has_room(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    if !engine.eviction.is_exhausted() || !asked.flags.has(Flags::DENYOOM) {
        return Ok(());
    }
    Err(CommandError::text("OOM command not allowed when used memory > 'maxmemory'."))
}

/// After a failed save, and while `save` is configured, writes are refused if so configured.
fn snapshots_work(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    if asked.is_write_or_ping() && engine.snapshots.refuses_writes(&engine.config) {
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
fn log_works(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    if !asked.is_write_or_ping() {
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
fn enough_replicas(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    if asked.flags.has(Flags::WRITE) && engine.lacks_replicas() { Err(FEW_REPLICAS) } else { Ok(()) }
}

/// What a follower has is its primary's to change.
fn not_a_follower(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    let is_asked = engine.replication.is_following && asked.flags.has(Flags::WRITE);
    if is_asked && engine.config.bool(Directive::ReplicaReadOnly) {
        return Err(CommandError::text("READONLY You can't write against a read only replica."));
    }
    Ok(())
}

/// A follower without its primary may be configured to show nothing that may be old.
fn data_is_fresh(engine: &Engine, asked: &Asked<'_>) -> Outcome {
    if engine.replication.following.is_none() {
        return Ok(());
    }
    if asked.flags.has(Flags::READONLY)
        && engine.is_unsynced()
        && !engine.config.bool(Directive::ReplicaServeUnsynced)
    {
        return Err(CommandError::text(
            "MASTERDOWN This replica has never been synchronized with its master, and replica-serve-unsynced is set \
             to 'no'.",
        ));
    }
    if asked.flags.has(Flags::STALE) || !engine.shows_nothing_old() { Ok(()) } else { Err(STALE) }
}

impl Asked<'_> {
    /// PING tells a health check that writes would fail.
    fn is_write_or_ping(&self) -> bool {
        self.flags.has(Flags::WRITE) || self.command.name == "ping"
    }
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
