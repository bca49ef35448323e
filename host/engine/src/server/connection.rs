//! PING, ECHO, SELECT, QUIT, RESET, HELLO, AUTH: what a client says about its own connection.

use tenon_acl::UserId;
use tenon_commands::{Argument, ArgumentKind, Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_resp::{Args, Proto};

use super::{ServerContext, ServerHandler};
use crate::session::ReplyMode;

/// In alphabetical order.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[
    Row {
        name: "auth",
        run: auth,
        arity: -2,
        flags: ANY_TIME.and(Flags::NO_AUTH).and(Flags::SENTINEL),
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(N) where N is the number of passwords defined for the user",
        summary: "Logs the connection in.",
        arguments: &[Argument::string("username").optional().since("6.0.0"), Argument::string("password")],
        subcommands: &[],
    },
    Row {
        name: "echo",
        run: echo,
        arity: 2,
        flags: Flags::FAST.and(Flags::LOADING).and(Flags::STALE),
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Gives back the string it was given.",
        arguments: &[Argument::string("message")],
        subcommands: &[],
    },
    Row {
        name: "hello",
        run: hello,
        arity: -1,
        flags: ANY_TIME.and(Flags::NO_AUTH).and(Flags::SENTINEL),
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Connection,
        since: "6.0.0",
        complexity: "O(1)",
        summary: "Agrees on a protocol version, and tells who the server is.",
        arguments: &[Argument::block(
            "arguments",
            &[
                Argument::integer("protover"),
                Argument::block("auth", &[Argument::string("username"), Argument::string("password")])
                    .after("AUTH")
                    .optional(),
                Argument::string("clientname").after("SETNAME").optional(),
            ],
        )
        .optional()],
        subcommands: &[],
    },
    Row {
        name: "ping",
        run: ping,
        arity: -1,
        flags: Flags::FAST.and(Flags::SENTINEL),
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Shows that the server answers.",
        arguments: &[Argument::string("message").optional()],
        subcommands: &[],
    },
    Row {
        name: "quit",
        run: quit,
        arity: -1,
        flags: ANY_TIME.and(Flags::NO_AUTH),
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Ends the connection.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "reset",
        run: reset,
        arity: 1,
        flags: ANY_TIME.and(Flags::NO_AUTH),
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Connection,
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Makes the connection as it was when it began.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "select",
        run: select,
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Connection,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Chooses the database that the next commands work on.",
        arguments: &[Argument::new("index", ArgumentKind::Integer)],
        subcommands: &[],
    },
];

/// Allowed in every state of the server.
const ANY_TIME: Flags =
    Flags(Flags::NOSCRIPT.0 | Flags::LOADING.0 | Flags::STALE.0 | Flags::FAST.0 | Flags::ALLOW_BUSY.0);

fn auth(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let (user, password) = match args.len() {
        2 if context.engine.users[UserId::DEFAULT].needs_no_password() => {
            return Err(CommandError::text(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure \
                 your configuration is correct?",
            ));
        }
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err(CommandError::Syntax),
    };
    log_in(context, args, user, password)?;
    context.reply().ok();
    Ok(())
}

fn log_in(context: &mut ServerContext<'_, '_>, args: Args<'_>, user: &[u8], password: &[u8]) -> Outcome {
    let command = context.command;
    context.session().last_command = Some(command);
    context.engine.log_in(context.now, context.connection, args.get(0), user, password, context.world)
}

fn echo(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.reply().bulk(args.get(1));
    Ok(())
}

fn hello(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let proto = match args.try_get(1) {
        None => None,
        Some(word) => Some(match tenon_resp::parse_integer(word) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(CommandError::text("NOPROTO unsupported protocol version")),
            None => {
                return Err(CommandError::text("ERR Protocol version is not an integer or out of range"));
            }
        }),
    };
    let (mut login, mut name) = (None, None);
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        if args.is(at, "AUTH") && left >= 2 {
            login = Some((args.get(at + 1), args.get(at + 2)));
            at += 3;
        } else if args.is(at, "SETNAME") && left >= 1 {
            name = Some(checked_name(args.get(at + 1))?);
            at += 2;
        } else {
            let option = String::from_utf8_lossy(args.get(at)).into_owned();
            return Err(CommandError::Text(format!("ERR Syntax error in HELLO option '{option}'").into()));
        }
    }
    if let Some((user, password)) = login {
        log_in(context, args, user, password)?;
    }
    let session = context.engine.sessions.get(context.connection);
    if session.is_some_and(|session| context.engine.must_log_in(session)) {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
             the same time",
        ));
    }
    if let Some(name) = name {
        context.session().name = name.to_vec();
    }
    if let Some(proto) = proto {
        context.session().proto = proto;
    }
    greet(context);
    Ok(())
}

fn greet(context: &mut ServerContext<'_, '_>) {
    let (serial, proto) = (context.connection.serial, context.session().proto);
    let role: &[u8] = if context.engine.replication.is_following { b"replica" } else { b"master" };
    let mut reply = context.reply();
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(crate::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if proto == Proto::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(serial as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(role);
    reply.bulk(b"modules");
    reply.array(0);
}

/// A client's name may not break the lines of CLIENT LIST.
pub(super) fn checked_name(name: &[u8]) -> Result<&[u8], CommandError> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(name);
    }
    Err(CommandError::text("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn ping(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let session = context.session();
    if session.subscriptions.is_some() && session.proto == Proto::Resp2 && args.len() <= 2 {
        // So that a subscriber can tell it from a message.
        let mut reply = context.reply();
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(args.try_get(1).unwrap_or_default());
        return Ok(());
    }
    match args.len() {
        1 => context.reply().simple("PONG"),
        2 => context.reply().bulk(args.get(1)),
        _ => return Err(CommandError::arity("ping")),
    }
    Ok(())
}

fn quit(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.reply().ok();
    context.engine.close(context.connection, false, context.world);
    Ok(())
}

fn reset(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let connection = context.connection;
    context.engine.end_transaction(connection);
    context.engine.unsubscribe_all(connection);
    context.engine.untrack(connection);
    context.engine.stop_monitoring(connection);
    let session = context.session();
    session.proto = Proto::Resp2;
    session.database = 0;
    session.name.clear();
    session.replies = ReplyMode::On;
    session.no_evict = false;
    session.no_touch = false;
    context.engine.log_out(connection);
    context.reply().simple("RESET");
    Ok(())
}

fn select(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let index =
        args.integer(1).map_err(|_| CommandError::text("ERR value is not an integer or out of range"))?;
    let databases = context.engine.keyspace.databases();
    let index = usize::try_from(index)
        .ok()
        .filter(|&index| index < databases)
        .ok_or(CommandError::text("ERR DB index is out of range"))?;
    context.session().database = index;
    context.reply().ok();
    Ok(())
}
