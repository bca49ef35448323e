//! One command as COMMAND and COMMAND INFO describe it to programs: ten fields, shaped as Redis 7 shapes them.

use tenon_commands::{Begin, Find, Flags, KeyFlags, KeySpec, docs};
use tenon_resp::Reply;

use crate::table::{Command, CommandId, CommandTable};

/// Flags that are for the server alone.
const HIDDEN: Flags = Flags::MAY_REPLICATE
    .and(Flags::SENTINEL)
    .and(Flags::ONLY_SENTINEL)
    .and(Flags::PROTECTED)
    .and(Flags::TOUCHES_ARBITRARY_KEYS);

/// Where old clients look for keys: from `first` to `last`, every `step`-th word; and whether that is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LegacyRange {
    first: i32,
    last: i32,
    step: i32,
    is_movable: bool,
}

pub(super) fn write_entry(reply: &mut Reply<'_>, table: &CommandTable, id: CommandId) {
    let command = &table[id];
    let range = legacy_range(command.keys);
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.integer(i64::from(command.arity));
    write_flags(reply, command, range.is_movable);
    reply.integer(i64::from(range.first));
    reply.integer(i64::from(range.last));
    reply.integer(i64::from(range.step));
    reply.set(command.categories.names().count());
    command.categories.names().for_each(|name| write_category(reply, name));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    let docs = docs(&command.full_name);
    for (place, spec) in command.keys.iter().enumerate() {
        write_key_spec(reply, spec, docs.and_then(|docs| docs.key_note(place)));
    }
    if command.subcommands.is_empty() {
        return reply.set(0);
    }
    reply.array(command.subcommands.len());
    command.subcommands.iter().for_each(|&id| write_entry(reply, table, id));
}

fn write_category(reply: &mut Reply<'_>, name: &str) {
    reply.simple(&format!("@{name}"));
}

fn write_flags(reply: &mut Reply<'_>, command: &Command, is_movable: bool) {
    let shown = Flags(command.flags.0 & !HIDDEN.0);
    reply.set(shown.names().count() + usize::from(is_movable));
    if is_movable {
        reply.simple("movablekeys");
    }
    shown.names().for_each(|name| reply.simple(name));
}

/// What a command does with a key, as a set of names.
pub(super) fn write_key_flags(reply: &mut Reply<'_>, flags: KeyFlags) {
    reply.set(flags.names().count());
    flags.names().for_each(|name| reply.simple(name));
}

fn write_key_spec(reply: &mut Reply<'_>, spec: &KeySpec, note: Option<&str>) {
    reply.map(3 + usize::from(note.is_some()));
    if let Some(note) = note {
        reply.bulk(b"notes");
        reply.bulk(note.as_bytes());
    }
    reply.bulk(b"flags");
    write_key_flags(reply, spec.flags);
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_search(reply, "index", &[("index", Number(index))]),
        Begin::Keyword { keyword, from } => {
            write_search(reply, "keyword", &[("keyword", Word(keyword)), ("startfrom", Number(from))]);
        }
        Begin::Unknown => write_search(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { .. } | Find::Checked { .. } => {
            let (last, step, limit) = spec.find.as_range().unwrap_or_default();
            let fields = [("lastkey", Number(last)), ("keystep", Number(step)), ("limit", Number(limit))];
            write_search(reply, "range", &fields);
        }
        Find::Number { at, first, step } => {
            let fields = [("keynumidx", Number(at)), ("firstkey", Number(first)), ("keystep", Number(step))];
            write_search(reply, "keynum", &fields);
        }
        Find::Unknown(_) => write_search(reply, "unknown", &[]),
    }
}

enum Field {
    Number(i32),
    Word(&'static str),
}
use Field::{Number, Word};

fn write_search(reply: &mut Reply<'_>, kind: &str, fields: &[(&str, Field)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, field) in fields {
        reply.bulk(name.as_bytes());
        match field {
            Number(number) => reply.integer(i64::from(*number)),
            Word(word) => reply.bulk(word.as_bytes()),
        }
    }
}

/// Derives the old range from key specifications as Redis does: those that are ranges of step 1 and follow upon one
/// another make it up, any other makes the keys movable.
fn legacy_range(specs: &[KeySpec]) -> LegacyRange {
    if let [KeySpec { flags, begin: Begin::Index(first), find: Find::Range { last, step, .. } }] = *specs {
        let last = if last >= 0 { last + first } else { last };
        return LegacyRange { first, last, step, is_movable: flags.has(KeyFlags::INCOMPLETE) };
    }
    let mut range = LegacyRange::default();
    for spec in specs {
        let (Begin::Index(first), Some((last, 1, _))) = (spec.begin, spec.find.as_range()) else {
            range.is_movable = true;
            continue;
        };
        if range.last != 0 && range.last != first - 1 {
            range.is_movable = true;
            continue;
        }
        range.is_movable |= spec.flags.has(KeyFlags::INCOMPLETE);
        range.first = if range.first == 0 { first } else { range.first.min(first) };
        let last = if last >= 0 { last + first } else { last };
        // Negative ends count from the end: they are behind every other.
        range.last = if (last as u32) > (range.last as u32) { last } else { range.last };
        range.step = 1;
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARE: KeyFlags = KeyFlags::RO;

    fn range(first: i32, last: i32, step: i32, is_movable: bool) -> LegacyRange {
        LegacyRange { first, last, step, is_movable }
    }

    #[test]
    fn old_clients_see_ranges() {
        let keyword =
            KeySpec { begin: Begin::Keyword { keyword: "STORE", from: 6 }, ..KeySpec::at(0, SPARE) };
        let cases: [(&[KeySpec], LegacyRange); 9] = [
            (&[], range(0, 0, 0, false)),
            (&[KeySpec::at(1, SPARE)], range(1, 1, 1, false)),
            (&[KeySpec::range(1, -1, 2, SPARE)], range(1, -1, 2, false)),
            (&[KeySpec::at(1, SPARE), KeySpec::at(2, SPARE)], range(1, 2, 1, false)),
            (&[KeySpec::at(1, SPARE), KeySpec::range(2, -1, 1, SPARE)], range(1, -1, 1, false)),
            (&[KeySpec::number(1, SPARE)], range(0, 0, 0, true)),
            (&[KeySpec::at(1, SPARE), KeySpec::number(2, SPARE)], range(1, 1, 1, true)),
            (&[KeySpec::at(1, SPARE), keyword], range(1, 1, 1, true)),
            (&[KeySpec::at(1, SPARE), KeySpec::unknown(SPARE, |_| None)], range(1, 1, 1, true)),
        ];
        for (specs, expected) in cases {
            assert_eq!(legacy_range(specs), expected, "{specs:?}");
        }
    }
}
