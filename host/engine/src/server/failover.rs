//! FAILOVER: its words. What comes of them is in `failover`.

use tenon_base::Micros;
use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_replication::State;
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};
use crate::failover::Failover;

/// FAILOVER alone.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "failover",
    run: failover,
    arity: -1,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE),
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Hands the place of the primary to one of its replicas.",
    arguments: &[
        Argument::block(
            "target",
            &[
                Argument::string("host"),
                Argument::integer("port"),
                Argument::word("force", "FORCE").optional(),
            ],
        )
        .after("TO")
        .optional(),
        Argument::word("abort", "ABORT").optional(),
        Argument::integer("milliseconds").after("TIMEOUT").optional(),
    ],
    subcommands: &[],
}];

#[derive(Default)]
struct Options {
    timeout_ms: u64,
    target: Option<(String, i64)>,
    is_forced: bool,
}

fn failover(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.len() == 2 && args.is(1, "ABORT") {
        if !context.engine.failover.is_running() {
            return Err(CommandError::text("ERR No failover in progress."));
        }
        context.engine.abort_failover(context.now, "Failover manually aborted", context.world);
        context.reply().ok();
        return Ok(());
    }
    let options = parse(args)?;
    may_begin(context, &options)?;
    let deadline =
        (options.timeout_ms > 0).then(|| context.now.steady + Micros::from_millis(options.timeout_ms));
    let target = options.target.map(|(host, port)| (host, u16::try_from(port).unwrap_or(0)));
    context.engine.begin_failover(Failover::new(target, deadline, options.is_forced));
    context.reply().ok();
    Ok(())
}

fn parse(args: Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut at = 1;
    while at < args.len() {
        if args.is(at, "TIMEOUT") && at + 1 < args.len() && options.timeout_ms == 0 {
            let timeout = u64::try_from(args.integer(at + 1)?).ok().filter(|&timeout| timeout > 0);
            options.timeout_ms =
                timeout.ok_or(CommandError::text("ERR FAILOVER timeout must be greater than 0"))?;
            at += 2;
        } else if args.is(at, "TO") && at + 2 < args.len() && options.target.is_none() {
            let host = String::from_utf8_lossy(args.get(at + 1)).into_owned();
            options.target = Some((host, args.integer(at + 2)?));
            at += 3;
        } else if args.is(at, "FORCE") && !options.is_forced {
            options.is_forced = true;
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

fn may_begin(context: &mut ServerContext<'_, '_>, options: &Options) -> Outcome {
    let refuse = |text| Err(CommandError::text(text));
    let engine = &context.engine;
    let replicas = engine.replication.primary.replicas();
    if engine.failover.is_running() {
        return refuse("ERR FAILOVER already in progress.");
    }
    if engine.replication.is_following {
        return refuse("ERR FAILOVER is not valid when server is a replica.");
    }
    if replicas.is_empty() {
        return refuse("ERR FAILOVER requires connected replicas.");
    }
    if options.is_forced && (options.timeout_ms == 0 || options.target.is_none()) {
        return refuse("ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
    }
    let Some((host, port)) = &options.target else { return Ok(()) };
    let is_meant = |replica: &&tenon_replication::Replica| {
        replica.address == *host && replica.handshake.listening_port == *port
    };
    match replicas.iter().find(is_meant) {
        None => refuse("ERR FAILOVER target HOST and PORT is not a replica."),
        Some(replica) if replica.state != State::Online => {
            refuse("ERR FAILOVER target replica is not online.")
        }
        Some(_) => Ok(()),
    }
}
