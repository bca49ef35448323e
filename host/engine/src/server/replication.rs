//! PSYNC, SYNC, REPLCONF, REPLICAOF, ROLE, WAIT, WAITAOF: what replicas say, and what clients ask about them.

use core::net::SocketAddr;

use tenon_base::Micros;
use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_config::Directive;
use tenon_replication::{Answer, Filter, Handshake, Request, State, Target};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};
use crate::replication::{NO_LOG, Wait};

/// Longest address that a replica may announce (bytes).
const ADDRESS_BYTES_MAX: usize = 255;

/// From so much data on, a snapshot is worth a link of its own. What gathers while less is sent is little.
const TWO_LINKS_FROM_BYTES: usize = 32 * 1024 * 1024;

/// In alphabetical order.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[
    Row {
        name: "psync",
        run: psync,
        arity: -3,
        flags: SYNC,
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "2.8.0",
        complexity: "",
        summary: "Begins, or goes on with, the stream to a replica.",
        arguments: &[Argument::string("replicationid"), Argument::integer("offset")],
        subcommands: &[],
    },
    Row {
        name: "replconf",
        run: replconf,
        arity: -1,
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE).and(Flags::ALLOW_BUSY),
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "3.0.0",
        complexity: "O(1)",
        summary: "What a replica says of itself, and how far it is.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "replicaof",
        run: replicaof,
        arity: 3,
        flags: FOLLOW,
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "5.0.0",
        complexity: "O(1)",
        summary: "Makes this server a replica of another one, or a primary.",
        arguments: FOLLOW_ARGUMENTS,
        subcommands: &[],
    },
    Row {
        name: "role",
        run: role,
        arity: 1,
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::SENTINEL),
        keys: &[],
        categories: Categories(Categories::ADMIN.0 | Categories::DANGEROUS.0),
        tips: &[],
        group: Group::Server,
        since: "2.8.12",
        complexity: "O(1)",
        summary: "Tells whether this is a primary or a replica, and of whom.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "slaveof",
        run: replicaof,
        arity: 3,
        flags: FOLLOW,
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Makes this server a replica of another one, or a primary.",
        arguments: FOLLOW_ARGUMENTS,
        subcommands: &[],
    },
    Row {
        name: "sync",
        run: sync,
        arity: 1,
        flags: SYNC,
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "1.0.0",
        complexity: "",
        summary: "Begins the stream to a replica, as it was done before PSYNC.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "wait",
        run: wait,
        arity: 3,
        flags: Flags::NONE,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        group: Group::Generic,
        since: "3.0.0",
        complexity: "O(1)",
        summary: "Waits until replicas have what this connection wrote.",
        arguments: &[Argument::integer("numreplicas"), Argument::integer("timeout")],
        subcommands: &[],
    },
    Row {
        name: "waitaof",
        run: waitaof,
        arity: 4,
        flags: Flags::NOSCRIPT,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        group: Group::Generic,
        since: "7.2.0",
        complexity: "O(1)",
        summary: "Waits until what this connection wrote is in append-only files, here and on replicas.",
        arguments: &[
            Argument::integer("numlocal"),
            Argument::integer("numreplicas"),
            Argument::integer("timeout"),
        ],
        subcommands: &[],
    },
];

const SYNC: Flags = Flags(Flags::NO_ASYNC_LOADING.0 | Flags::ADMIN.0 | Flags::NO_MULTI.0 | Flags::NOSCRIPT.0);

const FOLLOW: Flags = Flags(Flags::NO_ASYNC_LOADING.0 | Flags::ADMIN.0 | Flags::NOSCRIPT.0 | Flags::STALE.0);

static FOLLOW_ARGUMENTS: &[Argument] = &[Argument::one_of(
    "args",
    &[
        Argument::block("host-port", &[Argument::string("host"), Argument::integer("port")]),
        Argument::block("no-one", &[Argument::word("no", "NO"), Argument::word("one", "ONE")]),
    ],
)];

fn psync(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if context.session().is_replica {
        return Ok(());
    }
    if args.len() > 3 && args.is(3, "FAILOVER") {
        take_over(context, args.get(1))?;
    }
    may_sync(context)?;
    let first = args.integer(2).inspect_err(|_| {
        let id = context.connection.serial;
        tracing::warn!("Replica client id #{id} asks for synchronization but with a wrong offset");
    })?;
    begin(context, Some(Target { id: args.get(1), first }));
    Ok(())
}

/// Our primary wants us to be the primary in its place.
fn take_over(context: &mut ServerContext<'_, '_>, id: &[u8]) -> Outcome {
    tracing::info!("Failover request received for replid {}.", String::from_utf8_lossy(id).escape_default());
    if !context.engine.replication.is_following {
        return Err(CommandError::text("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    if !context.engine.replication_id().0.eq_ignore_ascii_case(id) {
        return Err(CommandError::text("ERR PSYNC FAILOVER replid must match my replid."));
    }
    context.engine.stop_following(context.now, context.world);
    remember(context, &[b"no", b"one"])?;
    tracing::info!("MASTER MODE enabled (failover request from client {})", context.connection.serial);
    Ok(())
}

fn sync(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    if context.session().is_replica {
        return Ok(());
    }
    may_sync(context)?;
    begin(context, None);
    Ok(())
}

fn may_sync(context: &mut ServerContext<'_, '_>) -> Outcome {
    if context.engine.failover.is_running() {
        return Err(CommandError::text("NOMASTERLINK Can't SYNC while failing over"));
    }
    let following = &context.engine.replication.following;
    if following.as_ref().is_some_and(|following| !following.upstream.is_up()) {
        return Err(CommandError::text("NOMASTERLINK Can't SYNC while not connected with my master"));
    }
    if context.world.outputs.pending_bytes(context.connection.slot) > 0 {
        // What was answered before would be taken for a part of the stream.
        return Err(CommandError::text("ERR SYNC and PSYNC are invalid with pending output"));
    }
    let handshake = context.session().handshake.as_deref();
    if handshake.is_some_and(|handshake| handshake.filter.is_any() && !handshake.takes_marked) {
        return Err(CommandError::text("ERR Filtered replica requires EOF capability"));
    }
    Ok(())
}

fn begin(context: &mut ServerContext<'_, '_>, target: Option<Target<'_>>) {
    let connection = context.connection;
    let session = context.session();
    session.is_replica = true;
    let handshake = session.handshake.take().map_or_else(Handshake::default, |handshake| *handshake);
    let peer_address = host_of(&session.peer.address);
    let is_large = context.engine.keyspace.used_memory() >= TWO_LINKS_FROM_BYTES;
    let request = Request { connection, peer_address: &peer_address, handshake, target, is_large };
    let primary = &mut context.engine.replication.primary;
    match primary.request(context.now.steady, request, context.world.outputs) {
        Answer::Continues => context.engine.replication.was_told = true,
        Answer::Waits => tracing::debug!("Client {} waits for a full synchronization", connection.serial),
        Answer::TwoLinks(handshake) => {
            let session = context.session();
            session.is_replica = false;
            session.handshake = Some(Box::new(handshake));
        }
    }
}

/// An address without its port.
fn host_of(address: &str) -> String {
    address.parse::<SocketAddr>().map_or_else(|_| "?".to_owned(), |address| address.ip().to_string())
}

fn replconf(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    for at in (1..args.len()).step_by(2) {
        let value = args.get(at + 1);
        if args.is(at, "ACK") {
            acknowledge(context, args, at);
            return Ok(());
        }
        if args.is(at, "GETACK") {
            // The word is our primary's, and what it says does not come this way.
            return Ok(());
        }
        let handshake = context.session().handshake.get_or_insert_default();
        if args.is(at, "LISTENING-PORT") {
            handshake.listening_port = args.integer(at + 1)?;
        } else if args.is(at, "IP-ADDRESS") {
            handshake.address = address(value)?;
        } else if args.is(at, "CAPA") {
            handshake.takes_marked |= value.eq_ignore_ascii_case(b"eof");
            handshake.takes_new_id |= value.eq_ignore_ascii_case(b"psync2");
            handshake.takes_two_links |= value.eq_ignore_ascii_case(b"dual-channel");
        } else if args.is(at, "RDB-ONLY") {
            handshake.wants_snapshot_only = match args.integer(at + 1)? {
                0 => false,
                1 => true,
                _ => return Err(out_of_range(0, 1)),
            };
        } else if args.is(at, "RDB-CHANNEL") {
            handshake.is_snapshot_link = match args.integer(at + 1)? {
                0 => false,
                1 => true,
                _ => return Err(out_of_range(0, 1)),
            };
        } else if args.is(at, "SET-RDB-CLIENT-ID") {
            let serial = u64::try_from(args.integer(at + 1)?).ok();
            let serial = serial.filter(|&serial| context.engine.replication.primary.expects(serial));
            let Some(serial) = serial else {
                let text = String::from_utf8_lossy(args.get(at + 1)).into_owned();
                return Err(CommandError::Text(format!("ERR Unrecognized RDB client id {text}").into()));
            };
            context.session().handshake.get_or_insert_default().snapshot_link = Some(serial);
        } else if args.is(at, "RDB-FILTER-ONLY") {
            filter(handshake, value)?;
        } else if !args.is(at, "VERSION") {
            let option = String::from_utf8_lossy(args.get(at)).into_owned();
            return Err(CommandError::Text(format!("ERR Unrecognized REPLCONF option: {option}").into()));
        }
    }
    context.reply().ok();
    Ok(())
}

/// A replica says how far it is. Nobody answers, whatever it says.
fn acknowledge(context: &mut ServerContext<'_, '_>, args: Args<'_>, at: usize) {
    if !context.session().is_replica {
        return;
    }
    let Some(offset) = tenon_resp::parse_integer(args.get(at + 1)) else { return };
    let synced = args.try_get(at + 3).filter(|_| args.is(at + 2, "FACK")).and_then(tenon_resp::parse_integer);
    let primary = &mut context.engine.replication.primary;
    let (now, connection) = (context.now.steady, context.connection);
    primary.acknowledged(now, connection, Some(offset), synced, context.world.outputs);
}

fn address(value: &[u8]) -> Result<Option<String>, CommandError> {
    if value.len() > ADDRESS_BYTES_MAX {
        let text = format!(
            "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
            value.len()
        );
        return Err(CommandError::Text(text.into()));
    }
    // It is shown in lines, which it must not break.
    let text = String::from_utf8_lossy(value).replace(|letter: char| letter.is_control(), "_");
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// What a snapshot is to hold: nothing but what is named.
fn filter(handshake: &mut Handshake, value: &[u8]) -> Outcome {
    let words =
        tenon_base::split_words(value).ok_or(CommandError::text("ERR Missing rdb-filter-only values"))?;
    handshake.filter = Filter { excludes_data: true, excludes_functions: true };
    for word in words {
        if !word.eq_ignore_ascii_case(b"functions") {
            let word = String::from_utf8_lossy(&word).into_owned();
            return Err(CommandError::Text(format!("ERR Unsupported rdb-filter-only option: {word}").into()));
        }
        handshake.filter.excludes_functions = false;
    }
    Ok(())
}

fn replicaof(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if context.engine.failover.is_running() {
        return Err(CommandError::text("ERR REPLICAOF not allowed while failing over."));
    }
    let (engine, now) = (&mut *context.engine, context.now);
    if args.is(1, "NO") && args.is(2, "ONE") {
        if engine.replication.is_following {
            engine.stop_following(now, context.world);
            remember(context, &[b"no", b"one"])?;
            tracing::info!("MASTER MODE enabled (user request from client {})", context.connection.serial);
        }
        context.reply().ok();
        return Ok(());
    }
    if context.session().is_replica {
        return Err(CommandError::text("ERR Command is not valid when client is a replica."));
    }
    let port = tenon_resp::parse_integer(args.get(2)).ok_or(CommandError::text("ERR Invalid master port"))?;
    let port = u16::try_from(port).map_err(|_| CommandError::text("ERR Invalid master port"))?;
    let host = String::from_utf8_lossy(args.get(1)).into_owned();
    let following = context.engine.replication.following.as_ref();
    // Whoever names one again that is not followed any more, or was found empty, insists.
    let followed = following.filter(|following| !following.upstream.is_halted() && !following.is_refused);
    let known = followed.map(|following| following.upstream.address());
    if known.is_some_and(|(own, own_port)| own.eq_ignore_ascii_case(&host) && own_port == port) {
        if let Some(following) = &mut context.engine.replication.following {
            // Not connected, perhaps: then whoever says so does not want to wait for the next attempt.
            following.upstream.hurry(now.steady);
        }
        context.reply().simple("OK Already connected to specified master");
        return Ok(());
    }
    remember(context, &[args.get(1), args.get(2)])?;
    tracing::info!(
        "REPLICAOF {host}:{port} enabled (user request from client {})",
        context.connection.serial
    );
    context.engine.follow(now, host, port, context.world);
    context.reply().ok();
    Ok(())
}

/// Keeps the choice where CONFIG GET and CONFIG REWRITE find it.
fn remember(context: &mut ServerContext<'_, '_>, words: &[&[u8]]) -> Outcome {
    let kept = context.engine.config.replace(Directive::ReplicaOf, words);
    kept.map_err(|reason| CommandError::Text(format!("ERR {reason}").into()))
}

fn role(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    if let Some(following) = &context.engine.replication.following {
        let upstream = &following.upstream;
        let (host, port) = upstream.address();
        let (host, port, state, is_up) = (host.to_owned(), port, upstream.state_name(), upstream.is_up());
        let offset = context.engine.journal.offset().0 as i64;
        let mut reply = context.reply();
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(host.as_bytes());
        reply.integer(i64::from(port));
        reply.bulk(state.as_bytes());
        reply.integer(if is_up { offset } else { -1 });
        return Ok(());
    }
    let offset = context.engine.journal.offset().0;
    let online = context.engine.replication.primary.replicas().iter();
    let online: Vec<(String, String, String)> = online
        .filter(|replica| replica.state == State::Online)
        .map(|replica| {
            let port = replica.handshake.listening_port;
            (replica.address.clone(), port.to_string(), replica.acked.to_string())
        })
        .collect();
    let mut reply = context.reply();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(offset as i64);
    reply.array(online.len());
    for (address, port, acked) in online {
        reply.array(3);
        reply.bulk(address.as_bytes());
        reply.bulk(port.as_bytes());
        reply.bulk(acked.as_bytes());
    }
    Ok(())
}

fn wait(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if context.engine.replication.is_following {
        return Err(CommandError::text(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not \
             propagated.",
        ));
    }
    let replicas = args.integer(1)?;
    let until = deadline(context.now.unix_us, context.now.steady, args.get(2))?;
    let wait = wait_of(context, replicas, None, until);
    if context.engine.is_in_exec || context.engine.is_satisfied(&wait) {
        let (_, reached) = context.engine.reached_by(&wait);
        context.reply().integer(reached as i64);
        return Ok(());
    }
    context.engine.park_wait(wait);
    Ok(())
}

fn waitaof(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let local = match args.integer(1)? {
        0 => false,
        1 => true,
        _ => return Err(out_of_range(0, 1)),
    };
    let replicas = args.integer(2)?;
    if replicas < 0 {
        return Err(CommandError::text("ERR value is out of range, must be positive"));
    }
    let until = deadline(context.now.unix_us, context.now.steady, args.get(3))?;
    if context.engine.replication.is_following {
        return Err(CommandError::text(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just \
             local and are not propagated.",
        ));
    }
    if local && !context.engine.config.bool(Directive::AppendOnly) {
        return Err(CommandError::text(NO_LOG));
    }
    let wait = wait_of(context, replicas, Some(local), until);
    if context.engine.is_in_exec || context.engine.is_satisfied(&wait) {
        let (own, reached) = context.engine.reached_by(&wait);
        let mut reply = context.reply();
        reply.array(2);
        reply.integer(i64::from(own));
        reply.integer(reached as i64);
        return Ok(());
    }
    context.engine.park_wait(wait);
    Ok(())
}

fn wait_of(
    context: &mut ServerContext<'_, '_>,
    replicas: i64,
    local: Option<bool>,
    until: Option<Micros>,
) -> Wait {
    let connection = context.connection;
    let session = context.session();
    Wait {
        connection,
        replicas: usize::try_from(replicas).unwrap_or(0),
        local,
        position: session.written_position,
        offset: session.written_offset,
        until,
    }
}

/// The moment that a span in milliseconds ends at; None for 0, which is for ever.
fn deadline(unix_us: i64, now: Micros, word: &[u8]) -> Result<Option<Micros>, CommandError> {
    let span_ms = tenon_resp::parse_integer(word)
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let span_ms = u64::try_from(span_ms).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    if span_ms > (i64::MAX - unix_us.div_euclid(1_000)) as u64 {
        return Err(CommandError::text("ERR timeout is out of range"));
    }
    Ok((span_ms > 0).then(|| now + Micros::from_millis(span_ms)))
}

fn out_of_range(least: i64, most: i64) -> CommandError {
    CommandError::Text(format!("ERR value is out of range, value must between {least} and {most}").into())
}
