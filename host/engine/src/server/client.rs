//! CLIENT: what a connection is called, who else is connected, the end of those who should not be, and what a client
//! wants to be told of the keys that it caches.

mod kill;
mod line;
mod table;
mod tracking;

pub(crate) use line::client_line;
pub(super) use table::COMMANDS;

use tenon_commands::{CommandError, Outcome, Words, timeout_in_milliseconds};
use tenon_resp::Args;

use self::line::write_line;
use super::ServerContext;
use super::connection::checked_name;
use crate::pause::Scope;
use crate::session::{ClientType, ReplyMode};

fn id(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let serial = context.connection.serial;
    context.reply().integer(serial as i64);
    Ok(())
}

fn name(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let name = std::mem::take(&mut context.session().name);
    context.reply().bulk_or_null(Some(&*name).filter(|name| !name.is_empty()));
    context.session().name = name;
    Ok(())
}

fn set_name(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.session().name = checked_name(args.get(2))?.to_vec();
    context.reply().ok();
    Ok(())
}

fn set_info(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let (attribute, value) = (args.get(2), args.get(3));
    let is_library_name = args.is(2, "lib-name");
    if !is_library_name && !args.is(2, "lib-ver") {
        return Err(quoting("ERR Unrecognized option '", attribute, "'"));
    }
    if checked_name(value).is_err() {
        return Err(quoting("ERR ", attribute, " cannot contain spaces, newlines or special characters."));
    }
    let session = context.session();
    let kept = if is_library_name { &mut session.library_name } else { &mut session.library_version };
    *kept = value.to_vec();
    context.reply().ok();
    Ok(())
}

/// The line of the client that asks.
fn info(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut text = String::new();
    if let Some(session) = context.engine.sessions.get(context.connection) {
        write_line(&mut text, context, session, args);
    }
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn list(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut text = String::new();
    if args.len() == 2 {
        let everybody = context.engine.sessions.present();
        everybody.for_each(|session| write_line(&mut text, context, session, args));
    } else if args.len() == 4 && args.is(2, "TYPE") {
        let kind = client_type(args.get(3))?;
        let alike = context.engine.sessions.present().filter(|session| ClientType::of(session) == kind);
        alike.for_each(|session| write_line(&mut text, context, session, args));
    } else if args.len() > 3 && args.is(2, "ID") {
        for word in args.rest(3) {
            let serial =
                tenon_resp::parse_integer(word).ok_or(CommandError::text("ERR Invalid client ID"))?;
            let found = context.engine.sessions.present().find(|session| session.id.serial as i64 == serial);
            if let Some(session) = found {
                write_line(&mut text, context, session, args);
            }
        }
    } else {
        return Err(CommandError::Syntax);
    }
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn client_type(word: &[u8]) -> Result<ClientType, CommandError> {
    ClientType::parse(word).ok_or_else(|| quoting("ERR Unknown client type '", word, "'"))
}

/// Whether this reply and the following ones are sent is the executor's to see to; here it is only noted.
fn reply(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.is(2, "ON") {
        context.session().replies = ReplyMode::On;
        context.reply().ok();
    } else if args.is(2, "OFF") {
        context.session().replies = ReplyMode::Off;
    } else if args.is(2, "SKIP") {
        let session = context.session();
        if session.replies != ReplyMode::Off {
            session.replies = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn no_evict(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.session().no_evict = switch(args)?;
    context.reply().ok();
    Ok(())
}

fn no_touch(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.session().no_touch = switch(args)?;
    context.reply().ok();
    Ok(())
}

/// ON or OFF.
fn switch(args: Args<'_>) -> Result<bool, CommandError> {
    match (args.is(2, "ON"), args.is(2, "OFF")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// Ends the waiting of a client, as if its time were up or with an error.
fn unblock(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    const UNBLOCKED: CommandError = CommandError::text("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    let error = match args.len() {
        3 => None,
        4 if args.is(3, "TIMEOUT") => None,
        4 if args.is(3, "ERROR") => Some(UNBLOCKED),
        4 => return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(subcommand_syntax(args)),
    };
    let serial = u64::try_from(args.integer(2)?).ok();
    let (engine, now) = (&mut *context.engine, context.now);
    let waited = serial.is_some_and(|serial| engine.unblock(now, serial, error.as_ref(), context.world));
    context.reply().integer(i64::from(waited));
    Ok(())
}

/// Keeps the requests of clients for a while instead of running them.
fn pause(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let scope = match args.len() {
        3 => Scope::All,
        4 if args.is(3, "WRITE") => Scope::Writes,
        4 if args.is(3, "ALL") => Scope::All,
        4 => return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(subcommand_syntax(args)),
    };
    let length_ms = timeout_in_milliseconds(args, 2, context.now.unix())?;
    context.engine.pause.begin(context.now.steady, length_ms, scope);
    context.reply().ok();
    Ok(())
}

fn unpause(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.engine.pause.end();
    context.reply().ok();
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "CLIENT",
        &[
            "CACHING (YES|NO)",
            "    Whether keys that the next command reads are tracked, in the modes OPTIN and OPTOUT.",
            "GETNAME",
            "    The name of this connection.",
            "GETREDIR",
            "    The client that invalidations of this connection go to; -1 for none.",
            "ID",
            "    The number of this connection.",
            "INFO",
            "    What CLIENT LIST says of this connection.",
            "KILL <ip:port>",
            "    Closes the connection that came from this address.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Closes connections that meet every condition. Options are:",
            "    * ADDR (<ip:port>|<unixsocket>:0)",
            "      Came from this address.",
            "    * ID <client-id>",
            "      Has this number.",
            "    * LADDR (<ip:port>|<unixsocket>:0)",
            "      Came to this address of the server.",
            "    * MAXAGE <seconds>",
            "      Has been connected for as long or longer.",
            "    * SKIPME (YES|NO)",
            "      Spares the connection that asks (default: yes).",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Is of this type.",
            "    * USER <username>",
            "      Is logged in as this user.",
            "LIST [options ...]",
            "    A line for each connection. Options are:",
            "    * ID <client-id> [<client-id> ...]",
            "      Only these.",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Only those of this type.",
            "NO-EVICT (ON|OFF)",
            "    Whether this connection is spared when clients take too much memory.",
            "NO-TOUCH (ON|OFF)",
            "    Whether commands of this connection leave the access times of keys alone.",
            "PAUSE <timeout> [WRITE|ALL]",
            "    Keeps requests of clients for so many milliseconds instead of running them.",
            "REPLY (ON|OFF|SKIP)",
            "    Whether commands of this connection, or the next one, are answered.",
            "SETINFO <option> <value>",
            "    Says what speaks over this connection. Options are:",
            "    * LIB-NAME: the client library.",
            "    * LIB-VER: its version.",
            "SETNAME <name>",
            "    Names this connection.",
            "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
            "         [OPTIN] [OPTOUT] [NOLOOP]",
            "    Whether this connection is told when keys change that it has read, or that begin with a prefix.",
            "TRACKINGINFO",
            "    How keys are tracked for this connection.",
            "UNBLOCK <client-id> [TIMEOUT|ERROR]",
            "    Ends the waiting of another connection: as if its time were up, or with an error.",
            "UNPAUSE",
            "    Ends the pause, and runs what was kept.",
        ],
    )
}

fn subcommand_syntax(args: Args<'_>) -> CommandError {
    quoting("ERR unknown subcommand or wrong number of arguments for '", args.get(1), "'. Try CLIENT HELP.")
}

/// A sentence that quotes what the client sent.
fn quoting(before: &str, word: &[u8], behind: &str) -> CommandError {
    CommandError::Text(format!("{before}{}{behind}", String::from_utf8_lossy(word)).into())
}

#[cfg(test)]
mod tests;
