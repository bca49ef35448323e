//! CLUSTER and what clients of a cluster say: known, so that permissions and documents can name them, and refused,
//! because there is no cluster here.
//! Always: nothing of this changes anything.

use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler, container};

const CHANGE: Flags = Flags::NO_ASYNC_LOADING.and(Flags::ADMIN).and(Flags::STALE);
const LOOK: Flags = Flags::ADMIN.and(Flags::STALE);
const CONNECTION: Flags = Flags::FAST.and(Flags::LOADING).and(Flags::STALE);
const VARIES: &[&str] = &["nondeterministic_output"];
const NODE: &[Argument] = &[Argument::string("node-id")];
const SLOT: &[Argument] = &[Argument::integer("slot")];
const SLOTS: &[Argument] = &[Argument::integer("slot").multiple()];
const RANGES: &[Argument] =
    &[Argument::block("range", &[Argument::integer("start-slot"), Argument::integer("end-slot")]).multiple()];

fn disabled(_: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    Err(CommandError::text("ERR This instance has cluster support disabled"))
}

const fn row(name: &'static str, arity: i16, flags: Flags, summary: &'static str) -> Row<ServerHandler> {
    Row {
        name,
        run: disabled,
        arity,
        flags,
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Cluster,
        since: "3.0.0",
        complexity: "O(1)",
        summary,
        arguments: &[],
        subcommands: &[],
    }
}

/// In alphabetical order.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[
    Row {
        categories: Categories::CONNECTION,
        ..row("asking", 1, Flags::FAST, "Says that the next request follows an -ASK redirection.")
    },
    Row {
        run: container,
        complexity: "Depends on subcommand.",
        subcommands: SUBCOMMANDS,
        ..row("cluster", -2, Flags::NONE, "Commands about a cluster's nodes and slots.")
    },
    Row {
        categories: Categories::CONNECTION,
        ..row("readonly", 1, CONNECTION, "Lets a connection read from a replica of a cluster.")
    },
    Row {
        categories: Categories::CONNECTION,
        ..row("readwrite", 1, CONNECTION, "Has a connection redirected by a replica of a cluster again.")
    },
];

const SUBCOMMANDS: &[Row<ServerHandler>] = &[
    Row {
        complexity: "O(N) where N is the total number of hash slot arguments",
        arguments: SLOTS,
        ..row("addslots", -3, CHANGE, "Gives slots to this node.")
    },
    Row {
        since: "7.0.0",
        complexity: "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        arguments: RANGES,
        ..row("addslotsrange", -4, CHANGE, "Gives ranges of slots to this node.")
    },
    Row { tips: VARIES, ..row("bumpepoch", 2, CHANGE, "Raises the epoch of the configuration.") },
    Row {
        tips: VARIES,
        complexity: "O(N) where N is the number of failure reports",
        arguments: NODE,
        ..row("count-failure-reports", 3, LOOK, "Counts the nodes that take a node for failing.")
    },
    Row { arguments: SLOT, ..row("countkeysinslot", 3, Flags::STALE, "Counts the keys in a slot.") },
    Row {
        complexity: "O(N) where N is the total number of hash slot arguments",
        arguments: SLOTS,
        ..row("delslots", -3, CHANGE, "Takes slots from this node.")
    },
    Row {
        since: "7.0.0",
        complexity: "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        arguments: RANGES,
        ..row("delslotsrange", -4, CHANGE, "Takes ranges of slots from this node.")
    },
    Row {
        arguments: &[Argument::one_of(
            "options",
            &[Argument::word("force", "FORCE"), Argument::word("takeover", "TAKEOVER")],
        )
        .optional()],
        ..row("failover", -2, CHANGE, "Has this replica take the place of its primary.")
    },
    row("flushslots", 2, CHANGE, "Takes all slots from this node."),
    Row { arguments: NODE, ..row("forget", 3, CHANGE, "Removes a node from the known ones.") },
    Row {
        tips: VARIES,
        complexity: "O(N) where N is the number of requested keys",
        arguments: &[Argument::integer("slot"), Argument::integer("count")],
        ..row("getkeysinslot", 4, Flags::STALE, "Tells keys in a slot.")
    },
    Row { since: "5.0.0", ..row("help", 2, Flags::LOADING.and(Flags::STALE), "Explains the subcommands.") },
    Row { tips: VARIES, ..row("info", 2, Flags::STALE, "Tells how the cluster is.") },
    Row {
        complexity: "O(N) where N is the number of bytes in the key",
        arguments: &[Argument::string("key")],
        ..row("keyslot", 3, Flags::STALE, "Tells the slot of a key.")
    },
    Row {
        since: "7.0.0",
        tips: VARIES,
        complexity: "O(N) where N is the total number of Cluster nodes",
        ..row("links", 2, Flags::STALE, "Tells the links to other nodes.")
    },
    Row {
        arguments: &[
            Argument::string("ip"),
            Argument::integer("port"),
            Argument::integer("cluster-bus-port").optional(),
        ],
        ..row("meet", -4, CHANGE, "Has another node meet this one.")
    },
    row("myid", 2, Flags::STALE, "Tells the id of this node."),
    Row { since: "7.2.0", tips: VARIES, ..row("myshardid", 2, Flags::STALE, "Tells the id of this shard.") },
    Row {
        tips: VARIES,
        complexity: "O(N) where N is the total number of Cluster nodes",
        ..row("nodes", 2, Flags::STALE, "Tells all known nodes.")
    },
    Row {
        since: "5.0.0",
        tips: VARIES,
        complexity: "O(N) where N is the number of replicas.",
        arguments: NODE,
        ..row("replicas", 3, LOOK, "Tells the replicas of a node.")
    },
    Row { arguments: NODE, ..row("replicate", 3, CHANGE, "Makes this node a replica of another.") },
    Row {
        complexity: "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
        arguments: &[Argument::one_of(
            "reset-type",
            &[Argument::word("hard", "HARD"), Argument::word("soft", "SOFT")],
        )
        .optional()],
        ..row("reset", -2, LOOK.and(Flags::NOSCRIPT), "Makes this node a new one.")
    },
    row("saveconfig", 2, CHANGE, "Writes the configuration of the cluster to disk."),
    Row {
        arguments: &[Argument::integer("config-epoch")],
        ..row("set-config-epoch", 3, CHANGE, "Sets the epoch of a new node.")
    },
    Row {
        arguments: &[
            Argument::integer("slot"),
            Argument::one_of(
                "subcommand",
                &[
                    Argument::string("importing").after("IMPORTING"),
                    Argument::string("migrating").after("MIGRATING"),
                    Argument::string("node").after("NODE"),
                    Argument::word("stable", "STABLE"),
                ],
            ),
        ],
        ..row("setslot", -4, CHANGE, "Says whose a slot is, or on which way.")
    },
    Row {
        since: "7.0.0",
        tips: VARIES,
        complexity: "O(N) where N is the total number of cluster nodes",
        ..row("shards", 2, Flags::LOADING.and(Flags::STALE), "Tells the shards, with their slots and nodes.")
    },
    Row {
        tips: VARIES,
        complexity: "O(N) where N is the number of replicas.",
        arguments: NODE,
        ..row("slaves", 3, LOOK, "Tells the replicas of a node.")
    },
    Row {
        tips: VARIES,
        complexity: "O(N) where N is the total number of Cluster nodes",
        ..row("slots", 2, Flags::LOADING.and(Flags::STALE), "Tells the nodes of ranges of slots.")
    },
];
