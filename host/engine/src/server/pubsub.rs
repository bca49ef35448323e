//! SUBSCRIBE and its kin, PUBLISH, PUBSUB. Who listens to what is kept in `crate::pubsub`.
//! Always: each name that is subscribed to, or no more, is answered by a message of its own, in either protocol.

mod table;

pub(super) use table::COMMANDS;

use tenon_base::glob_matches;
use tenon_commands::{CommandError, Outcome};
use tenon_journal::Targets;
use tenon_resp::{Args, Proto};

use super::ServerContext;
use crate::pubsub::Space;

fn psubscribe(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    listen(context, args, Space::Patterns, "psubscribe");
    Ok(())
}

fn publish(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    speak(context, args, Space::Channels)
}

fn punsubscribe(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    stop(context, args, Space::Patterns, "punsubscribe");
    Ok(())
}

fn spublish(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    speak(context, args, Space::ShardChannels)
}

fn ssubscribe(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if context.engine.is_in_exec {
        return Err(CommandError::text("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(context, args, Space::ShardChannels, "ssubscribe");
    Ok(())
}

fn subscribe(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    listen(context, args, Space::Channels, "subscribe");
    Ok(())
}

fn sunsubscribe(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    stop(context, args, Space::ShardChannels, "sunsubscribe");
    Ok(())
}

fn unsubscribe(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    stop(context, args, Space::Channels, "unsubscribe");
    Ok(())
}

fn channels(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    write_names(context, args, Space::Channels)
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    Names the channels that anybody listens to, all or those that match.",
            "NUMPAT",
            "    Counts the patterns that anybody listens to.",
            "NUMSUB [<channel> ...]",
            "    Counts those who listen to each channel, patterns left aside.",
            "SHARDCHANNELS [<pattern>]",
            "    Names the shard channels that anybody listens to, all or those that match.",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Counts those who listen to each shard channel.",
        ],
    )
}

fn patterns(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let count = context.engine.pubsub.count(Space::Patterns);
    context.reply().integer(count as i64);
    Ok(())
}

fn subscribers(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    write_counts(context, args, Space::Channels);
    Ok(())
}

fn shard_channels(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    write_names(context, args, Space::ShardChannels)
}

fn shard_subscribers(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    write_counts(context, args, Space::ShardChannels);
    Ok(())
}

fn listen(context: &mut ServerContext<'_, '_>, args: Args<'_>, space: Space, kind: &str) {
    for name in args.rest(1) {
        context.engine.subscribe(context.connection, space, name);
        confirm(context, space, kind, Some(name));
    }
}

fn stop(context: &mut ServerContext<'_, '_>, args: Args<'_>, space: Space, kind: &str) {
    let connection = context.connection;
    if args.len() > 1 {
        for name in args.rest(1) {
            context.engine.unsubscribe(connection, space, name);
            confirm(context, space, kind, Some(name));
        }
        return;
    }
    let names = context.engine.subscribed_names(connection, space);
    for name in &names {
        context.engine.unsubscribe(connection, space, name);
        confirm(context, space, kind, Some(name));
    }
    if names.is_empty() {
        confirm(context, space, kind, None);
    }
}

/// Answers with what was done, and how many subscriptions there are now: channels and patterns are counted together.
fn confirm(context: &mut ServerContext<'_, '_>, space: Space, kind: &str, name: Option<&[u8]>) {
    let session = context.session();
    let count = match space {
        Space::Channels | Space::Patterns => {
            session.subscription_count(Space::Channels) + session.subscription_count(Space::Patterns)
        }
        Space::ShardChannels => session.subscription_count(Space::ShardChannels),
    };
    let mut reply = context.reply();
    if reply.proto() == Proto::Resp3 {
        reply.push(3);
    } else {
        reply.array(3);
    }
    reply.bulk(kind.as_bytes());
    reply.bulk_or_null(name);
    reply.integer(count as i64);
}

/// A message goes to the replicas, too, and to no log.
fn speak(context: &mut ServerContext<'_, '_>, args: Args<'_>, space: Space) -> Outcome {
    let engine = &mut *context.engine;
    let receivers = engine.publish(space, args.get(1), args.get(2), context.now, context.world);
    if engine.journal.readers().replicas {
        let database = engine.sessions.get(context.connection).map_or(0, |session| session.database);
        engine.unit.propagate_to(database, args, Targets::REPLICAS);
    }
    context.reply().integer(receivers as i64);
    Ok(())
}

fn write_names(context: &mut ServerContext<'_, '_>, args: Args<'_>, space: Space) -> Outcome {
    if args.len() > 3 {
        return Err(unknown_form(args));
    }
    let pattern = args.try_get(2);
    let names = context.engine.pubsub.names(space);
    let names: Vec<&[u8]> =
        names.filter(|name| pattern.is_none_or(|pattern| glob_matches(pattern, name))).collect();
    let out = context.world.outputs.writer(context.connection);
    tenon_resp::write_array_header(out, names.len());
    names.iter().for_each(|name| tenon_resp::write_bulk(out, name));
    Ok(())
}

fn write_counts(context: &mut ServerContext<'_, '_>, args: Args<'_>, space: Space) {
    context.reply().array((args.len() - 2) * 2);
    for name in args.rest(2) {
        let count = context.engine.pubsub.subscribers(space, name);
        let mut reply = context.reply();
        reply.bulk(name);
        reply.integer(count as i64);
    }
}

fn unknown_form(args: Args<'_>) -> CommandError {
    let word = String::from_utf8_lossy(&args.get(1)[..args.get(1).len().min(128)]).into_owned();
    CommandError::Text(
        format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP.").into(),
    )
}

#[cfg(test)]
mod tests;
