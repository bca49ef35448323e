//! The rows of SORT and SORT_RO, and where SORT has its second key.

use tenon_resp::Args;

use crate::{
    Argument, ArgumentKind, Categories, Flags, Group, Handler, KeyFlags, KeyRange, KeySpec, Row, Words,
};

const SOURCE: KeySpec = KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS));
/// The keys that BY and GET lead to follow from the elements.
const OTHERS: KeySpec = KeySpec::unknown(KeyFlags::RO.and(KeyFlags::ACCESS), |_| None);
const TARGET: KeySpec = KeySpec::unknown(KeyFlags::OW.and(KeyFlags::UPDATE), stored);

const CATEGORIES: Categories =
    Categories::SET.and(Categories::SORTED_SET).and(Categories::LIST).and(Categories::DANGEROUS);
const COMPLEXITY: &str = "O(N+M*log(M)) with N elements, M of them returned; O(N) where nothing is sorted";

const KEY: Argument = Argument::key("key", 0);
const BY: Argument = Argument {
    key_spec: Some(1),
    ..Argument::new("by-pattern", ArgumentKind::Pattern).shown_as("pattern").after("BY").optional()
};
const LIMIT: Argument = Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
    .after("LIMIT")
    .optional();
const GET: Argument = Argument {
    key_spec: Some(1),
    ..Argument::new("get-pattern", ArgumentKind::Pattern)
        .shown_as("pattern")
        .after("GET")
        .optional()
        .multiple_token()
};
const ORDER: Argument =
    Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional();
const SORTING: Argument = Argument::word("sorting", "ALPHA").optional();

/// SORT and SORT_RO.
pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "sort",
        run: super::sort,
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[SOURCE, OTHERS, TARGET],
        categories: CATEGORIES,
        tips: &[],
        group: Group::Generic,
        since: "1.0.0",
        complexity: COMPLEXITY,
        summary: "Sorts the elements of a list, a set or a sorted set, and may store the result.",
        arguments: &[
            KEY,
            BY,
            LIMIT,
            GET,
            ORDER,
            SORTING,
            Argument::key("destination", 2).after("STORE").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "sort_ro",
        run: super::sort_ro,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[SOURCE, OTHERS],
        categories: CATEGORIES,
        tips: &[],
        group: Group::Generic,
        since: "7.0.0",
        complexity: COMPLEXITY,
        summary: "Sorts the elements of a list, a set or a sorted set.",
        arguments: &[KEY, BY, LIMIT, GET, ORDER, SORTING],
        subcommands: &[],
    },
];

/// The key behind the last STORE that is no other option's word.
fn stored(args: Args<'_>) -> Option<KeyRange> {
    let (mut index, mut found) = (2, None);
    while index < args.len() {
        if args.is(index, "LIMIT") {
            index += 2;
        } else if args.is(index, "GET") || args.is(index, "BY") {
            index += 1;
        } else if args.is(index, "STORE") && index + 1 < args.len() {
            found = Some(index + 1);
        }
        index += 1;
    }
    found.map(|at| KeyRange { first: at, last: at, step: 1 })
}

#[cfg(test)]
mod tests {
    use tenon_resp::OwnedArgs;

    use super::*;

    #[test]
    fn the_last_store_counts() {
        let found = |request: &str| {
            let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
            stored(OwnedArgs::from(&words[..]).as_args()).map(|range| range.first)
        };
        assert_eq!(found("sort k"), None);
        assert_eq!(found("sort k store d"), Some(3));
        assert_eq!(found("sort k store a alpha Store b"), Some(6));
        assert_eq!(found("sort k by store get store"), None);
        assert_eq!(found("sort k limit store store store d"), Some(6));
        assert_eq!(found("sort k store"), None);
    }
}
