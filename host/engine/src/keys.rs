//! The keys of a request and what it does with them, by its row's key specifications: for COMMAND GETKEYS, and for the
//! permissions of users.

use tenon_commands::{Begin, Find, KeyFlags, KeySpec, key_positions};
use tenon_resp::Args;

use crate::table::Command;

/// The words that are keys. There are none if a number of keys is none, or too large: the command will refuse that.
pub(crate) fn keys<'a>(
    command: &'a Command,
    args: Args<'a>,
) -> impl Iterator<Item = (usize, KeyFlags)> + Clone + 'a {
    // The word that would announce other keys may be missing.
    let is_sound =
        |spec: &KeySpec| !matches!(spec.begin, Begin::Index(_)) || key_positions(spec, args).is_some();
    let are_sound = specs(command).all(is_sound);
    specs(command).filter(move |_| are_sound).flat_map(move |spec| {
        let flags = flags_in(command, spec, args);
        let positions = key_positions(spec, args).into_iter().flat_map(|range| range.positions());
        positions.map(move |at| (at, flags))
    })
}

/// As [`keys`], and the words behind further occurrences of a keyword: of several STORE options the last one counts.
pub(crate) fn all_keys<'a>(
    command: &'a Command,
    args: Args<'a>,
) -> impl Iterator<Item = (usize, KeyFlags)> + Clone + 'a {
    let repeated = specs(command).flat_map(move |spec| {
        let (keyword, from) = match (spec.begin, spec.find) {
            (Begin::Keyword { keyword, from }, Find::Range { last: 0, .. }) => (keyword, from),
            _ => ("", -1),
        };
        let from = usize::try_from(from).unwrap_or(args.len());
        let is_keyword = move |&at: &usize| args.get(at).eq_ignore_ascii_case(keyword.as_bytes());
        (from..args.len().saturating_sub(1)).filter(is_keyword).skip(1).map(|at| (at + 1, spec.flags))
    });
    keys(command, args).chain(repeated)
}

/// Whether a command also looks at keys that its words do not name.
pub(crate) fn has_unknown(command: &Command) -> bool {
    command.keys.iter().any(|spec| spec.begin == Begin::Unknown)
}

fn specs(command: &Command) -> impl Iterator<Item = &'static KeySpec> + Clone + use<> {
    command.keys.iter().filter(|spec| !spec.flags.has(KeyFlags::NOT_KEY))
}

/// What depends on other arguments is narrowed down to what this request does.
fn flags_in(command: &Command, spec: &KeySpec, request: Args<'_>) -> KeyFlags {
    const CHANGES: KeyFlags = KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE);
    if !spec.flags.has(KeyFlags::VARIABLE_FLAGS) {
        return spec.flags;
    }
    match command.name {
        // It reads the old value only if that is asked for.
        "set" if request.rest(3).iter().any(|word| word.eq_ignore_ascii_case(b"GET")) => CHANGES,
        "set" => KeyFlags::OW.and(KeyFlags::UPDATE),
        "bitfield" if only_reads_bits(request) => KeyFlags::RO.and(KeyFlags::ACCESS),
        "bitfield" => CHANGES,
        _ => spec.flags,
    }
}

/// Whether a BITFIELD does nothing but GET. What is not understood counts as a change.
fn only_reads_bits(request: Args<'_>) -> bool {
    let mut at = 2;
    while at < request.len() {
        let (word, behind) = (request.get(at), request.len() - at - 1);
        at += match () {
            () if word.eq_ignore_ascii_case(b"GET") && behind >= 2 => 3,
            () if word.eq_ignore_ascii_case(b"OVERFLOW") && behind >= 1 => 2,
            () => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use tenon_resp::OwnedArgs;

    use super::*;
    use crate::server;
    use crate::table::CommandTable;

    fn found(request: &str) -> String {
        let table = CommandTable::new(tenon_commands::TABLES, server::TABLES, &[]);
        let mut words = OwnedArgs::new();
        request.split(' ').for_each(|word| words.push(word.as_bytes()));
        let args = words.as_args();
        let id = table.find(args.get(0)).expect("a known command");
        let shown = all_keys(&table[id], args)
            .map(|(at, flags)| format!("{at}:{}", flags.names().collect::<Vec<_>>().join("+")));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_done_with_keys_may_depend_on_options() {
        for (request, expected) in [
            ("set k v", "1:OW+update"),
            ("set k v get", "1:RW+access+update"),
            ("set get v", "1:OW+update"),
            ("bitfield k get u4 0", "1:RO+access"),
            ("bitfield k overflow sat get u4 0", "1:RO+access"),
            ("bitfield k get u4 0 set u4 0 1", "1:RW+access+update"),
            ("bitfield k get u4", "1:RW+access+update"),
            ("bitfield k", "1:RO+access"),
            ("zunionstore d 2 a b", "1:OW+update 3:RO+access 4:RO+access"),
            ("zunionstore d 3 a b", ""),
            ("sort l by w* store d store e", "1:RO+access 7:OW+update"),
            ("georadius k 0 0 1 m", "1:RO+access"),
            ("georadius k 0 0 1 m store a", "1:RO+access 7:OW+update"),
            ("georadius k 0 0 1 m store a store b", "1:RO+access 7:OW+update 9:OW+update"),
            ("georadius k 0 0 1 m store a storedist b store", "1:RO+access 7:OW+update 9:OW+update"),
            ("publish c m", ""),
            ("ssubscribe c", ""),
        ] {
            assert_eq!(found(request), expected, "{request}");
        }
    }
}
