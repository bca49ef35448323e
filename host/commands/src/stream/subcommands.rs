//! The rows of the subcommands of XGROUP and XINFO. Facts only; what runs them is in `group`, `info` and `help`.

use super::{group, help, info};
use crate::{Argument, Categories, Flags, Group, Handler, KeyFlags, KeySpec, Row};

const ADDED_TO: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RW.and(KeyFlags::INSERT))];
const READ: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RO.and(KeyFlags::ACCESS))];
const REMOVED_FROM: &[KeySpec] = &[KeySpec::at(2, KeyFlags::RW.and(KeyFlags::DELETE))];

const KEY: Argument = Argument::key("key", 0);
const GROUP: Argument = Argument::string("group");
const CONSUMER: Argument = Argument::string("consumer");
const ID_SELECTOR: Argument =
    Argument::one_of("id-selector", &[Argument::string("id"), Argument::word("new-id", "$")]);

/// The subcommands of XGROUP, by name.
pub(super) const XGROUP: &[Row<Handler>] = &[
    Row {
        name: "create",
        run: group::create,
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: ADDED_TO,
        categories: Categories::STREAM,
        tips: &[],
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(1)",
        summary: "Creates a group that begins behind an ID.",
        arguments: &[
            KEY,
            GROUP,
            ID_SELECTOR,
            Argument::word("mkstream", "MKSTREAM").optional(),
            Argument::integer("entries-read").after("ENTRIESREAD").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "createconsumer",
        run: group::create_consumer,
        arity: 5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: ADDED_TO,
        categories: Categories::STREAM,
        tips: &[],
        group: Group::Stream,
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Creates a consumer in a group.",
        arguments: &[KEY, GROUP, CONSUMER],
        subcommands: &[],
    },
    Row {
        name: "delconsumer",
        run: group::delete_consumer,
        arity: 5,
        flags: Flags::WRITE,
        keys: REMOVED_FROM,
        categories: Categories::STREAM,
        tips: &[],
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(N), N being the entries pending for the consumer",
        summary: "Removes a consumer from a group, and with it what is pending for it.",
        arguments: &[KEY, GROUP, CONSUMER],
        subcommands: &[],
    },
    Row {
        name: "destroy",
        run: group::destroy,
        arity: 4,
        flags: Flags::WRITE,
        keys: REMOVED_FROM,
        categories: Categories::STREAM,
        tips: &[],
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(N), N being the entries pending in the group",
        summary: "Removes a group with its consumers and pending entries.",
        arguments: &[KEY, GROUP],
        subcommands: &[],
    },
    Row {
        categories: Categories::STREAM,
        summary: "Lists the subcommands.",
        ..Row::help(help::xgroup, Group::Stream, "5.0.0")
    },
    Row {
        name: "setid",
        run: group::set_id,
        arity: -5,
        flags: Flags::WRITE,
        keys: &[KeySpec::at(2, KeyFlags::RW.and(KeyFlags::UPDATE))],
        categories: Categories::STREAM,
        tips: &[],
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(1)",
        summary: "Sets the ID behind which a group goes on.",
        arguments: &[
            KEY,
            GROUP,
            ID_SELECTOR,
            Argument::integer("entriesread").after("ENTRIESREAD").optional(),
        ],
        subcommands: &[],
    },
];

/// The subcommands of XINFO, by name.
pub(super) const XINFO: &[Row<Handler>] = &[
    Row {
        name: "consumers",
        run: info::consumers,
        arity: 4,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::STREAM,
        tips: &["nondeterministic_output"],
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(N), N being the consumers",
        summary: "Tells about the consumers of a group.",
        arguments: &[KEY, GROUP],
        subcommands: &[],
    },
    Row {
        name: "groups",
        run: info::groups,
        arity: 3,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::STREAM,
        tips: &[],
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(N), N being the groups",
        summary: "Tells about the groups of a stream.",
        arguments: &[KEY],
        subcommands: &[],
    },
    Row {
        categories: Categories::STREAM,
        summary: "Lists the subcommands.",
        ..Row::help(help::xinfo, Group::Stream, "5.0.0")
    },
    Row {
        name: "stream",
        run: info::stream,
        arity: -3,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::STREAM,
        tips: &[],
        group: Group::Stream,
        since: "5.0.0",
        complexity: "O(1); in full, O(N) in what is shown",
        summary: "Tells about a stream.",
        arguments: &[
            KEY,
            Argument::block(
                "full-block",
                &[Argument::word("full", "FULL"), Argument::integer("count").after("COUNT").optional()],
            )
            .optional(),
        ],
        subcommands: &[],
    },
];
