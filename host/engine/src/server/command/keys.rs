//! COMMAND GETKEYS and GETKEYSANDFLAGS: the keys of a request that is not run.

use tenon_commands::{CommandError, Flags, KeyFlags, Outcome};
use tenon_resp::Args;

use super::entry::write_key_flags;
use crate::keys;
use crate::server::ServerContext;
use crate::table::{Command, CommandTable};

pub(super) fn keys(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let request = args.rest(2);
    let (mut reply, table) = context.reply_and_commands();
    let found = find(table, request)?;
    reply.array(found.len());
    found.iter().for_each(|&(at, _)| reply.bulk(request.get(at)));
    Ok(())
}

pub(super) fn keys_and_flags(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let request = args.rest(2);
    let (mut reply, table) = context.reply_and_commands();
    let found = find(table, request)?;
    reply.array(found.len());
    for (at, flags) in found {
        reply.array(2);
        reply.bulk(request.get(at));
        write_key_flags(&mut reply, flags);
    }
    Ok(())
}

/// Where the keys of `request` are, and what it does with them.
fn find(table: &CommandTable, request: Args<'_>) -> Result<Vec<(usize, KeyFlags)>, CommandError> {
    let command = resolve(table, request).ok_or(CommandError::text("ERR Invalid command specified"))?;
    if command.keys.iter().all(|spec| spec.flags.has(KeyFlags::NOT_KEY)) {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !command.accepts(request.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    let found: Vec<(usize, KeyFlags)> = keys::keys(command, request).collect();
    if found.is_empty() && !command.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(CommandError::text("ERR Invalid arguments specified for command"));
    }
    Ok(found)
}

fn resolve<'a>(table: &'a CommandTable, request: Args<'_>) -> Option<&'a Command> {
    let id = table.find(request.get(0))?;
    match request.try_get(1) {
        Some(word) if !table[id].subcommands.is_empty() => table.find_subcommand(id, word),
        _ => Some(id),
    }
    .map(|id| &table[id])
}

#[cfg(test)]
mod tests {
    use tenon_commands::{Categories, Context, Group, Handler, KeySpec, Row};
    use tenon_resp::OwnedArgs;

    use super::*;

    fn never(_: &mut Context<'_>, _: Args<'_>) -> Outcome {
        unreachable!("nothing is run")
    }

    const fn row(name: &'static str, arity: i16, flags: Flags, keys: &'static [KeySpec]) -> Row<Handler> {
        Row {
            name,
            run: never,
            arity,
            flags,
            keys,
            categories: Categories::NONE,
            tips: &[],
            group: Group::Generic,
            since: "1.0.0",
            complexity: "",
            summary: "",
            arguments: &[],
            subcommands: &[],
        }
    }

    const READ: KeyFlags = KeyFlags::RO.and(KeyFlags::ACCESS);
    const CHANGE: KeyFlags = KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE);
    const REPLACE: KeyFlags = KeyFlags::OW.and(KeyFlags::UPDATE);

    static ROWS: &[Row<Handler>] = &[
        row("set", -3, Flags::WRITE, &[KeySpec::at(1, CHANGE.and(KeyFlags::VARIABLE_FLAGS))]),
        row("bitfield", -2, Flags::WRITE, &[KeySpec::at(1, CHANGE.and(KeyFlags::VARIABLE_FLAGS))]),
        row("store", -4, Flags::WRITE, &[KeySpec::at(1, REPLACE), KeySpec::number(2, READ)]),
        row("pairs", -3, Flags::WRITE, &[KeySpec::range(1, -1, 2, REPLACE)]),
        row("perhaps", -2, Flags::NO_MANDATORY_KEYS, &[KeySpec::number(1, READ)]),
        row("channel", -2, Flags::PUBSUB, &[KeySpec::at(1, KeyFlags::NOT_KEY)]),
    ];

    fn found(request: &str) -> Result<Vec<(String, KeyFlags)>, String> {
        let table = CommandTable::new(&[ROWS], &[], &[]);
        let mut words = OwnedArgs::new();
        request.split(' ').for_each(|word| words.push(word.as_bytes()));
        let args = words.as_args();
        let found = find(&table, args).map_err(|error| error.to_string())?;
        Ok(found
            .iter()
            .map(|&(at, flags)| (String::from_utf8_lossy(args.get(at)).into_owned(), flags))
            .collect())
    }

    #[test]
    fn keys_are_found_with_what_is_done_to_them() {
        let key = |name: &str, flags| (name.to_owned(), flags);
        assert_eq!(found("SET k v"), Ok(vec![key("k", REPLACE)]));
        assert_eq!(found("set get v"), Ok(vec![key("get", REPLACE)]));
        assert_eq!(found("set k v ex 10 Get"), Ok(vec![key("k", CHANGE)]));
        assert_eq!(found("bitfield k overflow sat get u8 0 GET i8 set"), Ok(vec![key("k", READ)]));
        assert_eq!(found("bitfield k get u8 0 set u8 0 1"), Ok(vec![key("k", CHANGE)]));
        assert_eq!(found("bitfield k get u8"), Ok(vec![key("k", CHANGE)]));
        assert_eq!(found("store d 2 a b c"), Ok(vec![key("d", REPLACE), key("a", READ), key("b", READ)]));
        assert_eq!(found("pairs a 1 b 2"), Ok(vec![key("a", REPLACE), key("b", REPLACE)]));
        assert_eq!(found("perhaps 0"), Ok(Vec::new()));
    }

    #[test]
    fn requests_without_keys_are_refused_by_what_is_wrong() {
        for (request, error) in [
            ("nonsense a", "ERR Invalid command specified"),
            ("channel a", "ERR The command has no key arguments"),
            ("set k", "ERR Invalid number of arguments specified for command"),
            ("store d x a b", "ERR Invalid arguments specified for command"),
            ("store d 3 a b", "ERR Invalid arguments specified for command"),
        ] {
            assert_eq!(found(request), Err(error.to_owned()));
        }
    }
}
