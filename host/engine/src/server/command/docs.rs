//! One command as COMMAND DOCS documents it to people. What its row leaves empty is left out.

use tenon_commands::{Argument, ArgumentKind, Docs, docs};
use tenon_resp::Reply;

use crate::table::{CommandId, CommandTable};

pub(super) fn write_docs(reply: &mut Reply<'_>, table: &CommandTable, id: CommandId) {
    let command = &table[id];
    let map = reply.defer_map();
    let texts = [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", command.complexity),
    ];
    let mut count = 0;
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
        count += 1;
    }
    count += docs(&command.full_name).map_or(0, |docs| write_beyond_row(reply, docs));
    if !command.arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, command.arguments);
        count += 1;
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for &id in &command.subcommands {
            reply.bulk(table[id].full_name.as_bytes());
            write_docs(reply, table, id);
        }
        count += 1;
    }
    reply.finish(map, count);
}

/// How many pairs were written.
fn write_beyond_row(reply: &mut Reply<'_>, docs: &Docs) -> usize {
    let mut count = 0;
    let flags = [("deprecated", docs.deprecated.is_some()), ("syscmd", docs.is_internal)];
    let set = flags.into_iter().filter(|(_, is_set)| *is_set);
    if set.clone().count() > 0 {
        reply.bulk(b"doc_flags");
        reply.set(set.clone().count());
        set.for_each(|(name, _)| reply.simple(name));
        count += 1;
    }
    if let Some((since, instead)) = docs.deprecated {
        for (name, text) in [("deprecated_since", since), ("replaced_by", instead)] {
            reply.bulk(name.as_bytes());
            reply.bulk(text.as_bytes());
        }
        count += 2;
    }
    if !docs.history.is_empty() {
        reply.bulk(b"history");
        reply.set(docs.history.len());
        for (since, change) in docs.history {
            reply.array(2);
            reply.bulk(since.as_bytes());
            reply.bulk(change.as_bytes());
        }
        count += 1;
    }
    count
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    arguments.iter().for_each(|argument| write_argument(reply, argument));
}

fn write_argument(reply: &mut Reply<'_>, argument: &Argument) {
    let map = reply.defer_map();
    let mut count = 2;
    let has_parts = matches!(argument.kind, ArgumentKind::OneOf | ArgumentKind::Block);
    let text = |reply: &mut Reply<'_>, name: &str, text: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    };
    text(reply, "name", argument.name);
    text(reply, "type", argument.kind.name());
    if !has_parts {
        text(reply, "display_text", argument.shown_as.unwrap_or(argument.name));
        count += 1;
    }
    if let Some(spec) = argument.key_spec {
        reply.bulk(b"key_spec_index");
        reply.integer(i64::from(spec));
        count += 1;
    }
    for (name, value) in [("token", argument.token), ("since", argument.since)] {
        if let Some(value) = value {
            text(reply, name, value);
            count += 1;
        }
    }
    count += write_argument_flags(reply, argument);
    if has_parts {
        reply.bulk(b"arguments");
        write_arguments(reply, argument.parts);
        count += 1;
    }
    reply.finish(map, count);
}

/// How many pairs were written: none if there is no flag.
fn write_argument_flags(reply: &mut Reply<'_>, argument: &Argument) -> usize {
    let flags = [
        ("optional", argument.is_optional),
        ("multiple", argument.is_multiple),
        ("multiple_token", argument.is_multiple_token),
    ];
    let set = flags.into_iter().filter(|(_, is_set)| *is_set);
    if set.clone().count() == 0 {
        return 0;
    }
    reply.bulk(b"flags");
    reply.set(set.clone().count());
    set.for_each(|(name, _)| reply.simple(name));
    1
}
