//! MULTI, EXEC, DISCARD, WATCH, UNWATCH. What is queued and how it runs is in `transaction`, what watching means in
//! `watch`.
//! Always: whatever becomes of an EXEC, the session is outside of a transaction afterwards and watches nothing.

use tenon_commands::{Argument, Categories, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome, Row};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};

const QUICK: Flags =
    Flags(Flags::NOSCRIPT.0 | Flags::LOADING.0 | Flags::STALE.0 | Flags::FAST.0 | Flags::ALLOW_BUSY.0);

/// In alphabetical order.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[
    Row {
        name: "discard",
        run: discard,
        arity: 1,
        flags: QUICK,
        keys: &[],
        categories: Categories::TRANSACTION,
        tips: &[],
        group: Group::Transactions,
        since: "2.0.0",
        complexity: "O(N), when N is the number of queued commands",
        summary: "Forgets the queued commands and ends the transaction.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "exec",
        run: exec,
        arity: 1,
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG),
        keys: &[],
        categories: Categories::TRANSACTION,
        tips: &[],
        group: Group::Transactions,
        since: "1.2.0",
        complexity: "Depends on commands in the transaction",
        summary: "Runs the queued commands with nothing between them.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "multi",
        run: multi,
        arity: 1,
        flags: QUICK,
        keys: &[],
        categories: Categories::TRANSACTION,
        tips: &[],
        group: Group::Transactions,
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Begins a transaction: what follows is queued.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "unwatch",
        run: unwatch,
        arity: 1,
        flags: QUICK,
        keys: &[],
        categories: Categories::TRANSACTION,
        tips: &[],
        group: Group::Transactions,
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Forgets the watched keys.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "watch",
        run: watch,
        arity: -2,
        flags: QUICK,
        keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO)],
        categories: Categories::TRANSACTION,
        tips: &[],
        group: Group::Transactions,
        since: "2.2.0",
        complexity: "O(1) for every key.",
        summary: "Lets the next transaction run only if these keys stay as they are.",
        arguments: &[Argument::key("key", 0).multiple()],
        subcommands: &[],
    },
];

fn discard(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    if context.session().transaction.is_none() {
        return Err(CommandError::text("ERR DISCARD without MULTI"));
    }
    context.engine.end_transaction(context.connection);
    context.reply().ok();
    Ok(())
}

fn exec(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let (now, connection) = (context.now, context.connection);
    let Some(transaction) = &context.session().transaction else {
        return Err(CommandError::text("ERR EXEC without MULTI"));
    };
    let is_broken = transaction.is_broken;
    let is_dirty = context.session().is_dirty || context.engine.watches_expired(now, connection);
    if is_broken || is_dirty {
        context.engine.end_transaction(connection);
        if is_broken {
            return Err(CommandError::text("EXECABORT Transaction discarded because of previous errors."));
        }
        context.reply().null_array();
        return Ok(());
    }
    // What it changes itself is nothing to be told of.
    context.engine.unwatch(connection);
    context.engine.run_queue(now, connection, context.world);
    context.engine.end_transaction(connection);
    Ok(())
}

fn multi(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let session = context.session();
    if session.transaction.is_some() {
        return Err(CommandError::text("ERR MULTI calls can not be nested"));
    }
    session.transaction = Some(Box::default());
    context.reply().ok();
    Ok(())
}

fn unwatch(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.engine.unwatch(context.connection);
    context.session().is_dirty = false;
    context.reply().ok();
    Ok(())
}

fn watch(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let session = context.session();
    if session.transaction.is_some() {
        return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
    }
    // Nothing can make a transaction fail more than it will already.
    if !session.is_dirty {
        for key in args.rest(1) {
            context.engine.watch(context.now, context.connection, key);
        }
    }
    context.reply().ok();
    Ok(())
}
