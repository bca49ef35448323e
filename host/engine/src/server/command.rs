//! COMMAND: what commands there are, what they take and where their keys are. All of it is read from the merged table.

mod docs;
mod entry;
mod keys;
mod table;

pub(super) use table::COMMANDS;

use tenon_base::glob_matches_ignore_case;
use tenon_commands::{Categories, CommandError, Outcome, Words};
use tenon_resp::Args;

use self::docs::write_docs;
use self::entry::write_entry;
use super::ServerContext;
use crate::table::{Command, CommandId};

/// Every command, or with names behind INFO those.
fn entries(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let names = args.rest(2);
    let (mut reply, table) = context.reply_and_commands();
    if names.is_empty() {
        reply.array(table.top().len());
        table.top().iter().for_each(|&id| write_entry(&mut reply, table, id));
        return Ok(());
    }
    reply.array(names.len());
    for name in names {
        match table.find_full_name(name) {
            Some(id) => write_entry(&mut reply, table, id),
            None => reply.null(),
        }
    }
    Ok(())
}

fn count(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let count = context.engine.commands.top().len();
    context.reply().integer(count as i64);
    Ok(())
}

/// Names that are no command are left out.
fn docs(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let names = args.rest(2);
    let (mut reply, table) = context.reply_and_commands();
    let wanted: Vec<CommandId> = if names.is_empty() {
        table.top().to_vec()
    } else {
        names.iter().filter_map(|name| table.find_full_name(name)).collect()
    };
    reply.map(wanted.len());
    for id in wanted {
        reply.bulk(table[id].full_name.as_bytes());
        write_docs(&mut reply, table, id);
    }
    Ok(())
}

fn list(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let filter = Filter::parse(args)?;
    let (mut reply, table) = context.reply_and_commands();
    let deferred = reply.defer_array();
    let mut count = 0;
    for command in table.ids().map(|id| &table[id]).filter(|command| filter.lets_through(command)) {
        reply.bulk(command.full_name.as_bytes());
        count += 1;
    }
    reply.finish(deferred, count);
    Ok(())
}

/// What COMMAND LIST shows.
enum Filter<'a> {
    Everything,
    /// There are no modules, nor names of categories that do not exist.
    Nothing,
    Category(Categories),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, CommandError> {
        if args.len() == 2 {
            return Ok(Filter::Everything);
        }
        if args.len() != 5 || !args.is(2, "FILTERBY") {
            return Err(CommandError::Syntax);
        }
        let word = args.get(4);
        if args.is(3, "MODULE") {
            Ok(Filter::Nothing)
        } else if args.is(3, "ACLCAT") {
            let is_it = |(_, name): &&(Categories, &str)| word.eq_ignore_ascii_case(name.as_bytes());
            let found = Categories::NAMES.iter().find(is_it);
            Ok(found.map_or(Filter::Nothing, |(category, _)| Filter::Category(*category)))
        } else if args.is(3, "PATTERN") {
            Ok(Filter::Pattern(word))
        } else {
            Err(CommandError::Syntax)
        }
    }

    fn lets_through(&self, command: &Command) -> bool {
        match self {
            Filter::Everything => true,
            Filter::Nothing => false,
            Filter::Category(category) => command.categories.has(*category),
            Filter::Pattern(pattern) => glob_matches_ignore_case(pattern, command.full_name.as_bytes()),
        }
    }
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "COMMAND",
        &[
            "(no subcommand)",
            "    Describes every command for programs.",
            "COUNT",
            "    How many commands there are.",
            "DOCS [<command-name> ...]",
            "    Documents these commands, or every one.",
            "GETKEYS <full-command>",
            "    The keys in this command.",
            "GETKEYSANDFLAGS <full-command>",
            "    The keys in this command, and what it does with each.",
            "INFO [<command-name> ...]",
            "    Describes these commands for programs, or every one.",
            "LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]",
            "    The names of commands.",
        ],
    )
}

#[cfg(test)]
mod tests;
