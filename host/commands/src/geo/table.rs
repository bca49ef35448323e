//! The rows of the geo commands.

use super::{add, look, search};
use crate::{Argument, Begin, Categories, Find, Flags, Group, Handler, KeyFlags, KeySpec, Row};

const READ_KEY: KeySpec = KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS));

/// The key behind `keyword`, which is looked for from word `from` on.
const fn stored_behind(keyword: &'static str, from: i32) -> KeySpec {
    KeySpec {
        flags: KeyFlags::OW.and(KeyFlags::UPDATE),
        begin: Begin::Keyword { keyword, from },
        find: Find::Range { last: 0, step: 1, limit: 0 },
    }
}

const KEY: Argument = Argument::key("key", 0);
const LONGITUDE: Argument = Argument::double("longitude");
const LATITUDE: Argument = Argument::double("latitude");
const RADIUS: Argument = Argument::double("radius");
const MEMBER: Argument = Argument::string("member");
const UNIT: Argument = Argument::one_of(
    "unit",
    &[
        Argument::word("m", "M"),
        Argument::word("km", "KM"),
        Argument::word("ft", "FT"),
        Argument::word("mi", "MI"),
    ],
);
const FROM: Argument = Argument::one_of(
    "from",
    &[MEMBER.after("FROMMEMBER"), Argument::block("fromlonlat", &[LONGITUDE, LATITUDE]).after("FROMLONLAT")],
);
const BY: Argument = Argument::one_of(
    "by",
    &[
        Argument::block("circle", &[RADIUS.after("BYRADIUS"), UNIT]),
        Argument::block("box", &[Argument::double("width").after("BYBOX"), Argument::double("height"), UNIT]),
    ],
);
const ORDER: Argument =
    Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")]).optional();
const COUNT: Argument = Argument::integer("count").after("COUNT");
const ANY: Argument = Argument::word("any", "ANY").optional();
const COUNT_BLOCK: Argument = Argument::block("count-block", &[COUNT, ANY]).optional();
/// For the commands that are older than ANY, and say so.
const COUNT_BLOCK_GROWN: Argument = Argument::block("count-block", &[COUNT, ANY.since("6.2.0")]).optional();
const WITH_POSITION: Argument = Argument::word("withcoord", "WITHCOORD").optional();
const WITH_DISTANCE: Argument = Argument::word("withdist", "WITHDIST").optional();
const WITH_HASH: Argument = Argument::word("withhash", "WITHHASH").optional();
const STORE: Argument = Argument::one_of(
    "store",
    &[
        Argument::key("storekey", 1).shown_as("key").after("STORE"),
        Argument::key("storedistkey", 2).shown_as("key").after("STOREDIST"),
    ],
)
.optional();

const SEARCH_COMPLEXITY: &str = "O(N+log(M)) with N members in the cells around the shape, M of them within";
const RADIUS_COMPLEXITY: &str = "O(N+log(M)) with N members in the cells around the circle, M of all";

/// The geo commands.
pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "geoadd",
        run: add::geoadd,
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.0",
        complexity: "O(log(N)) for each member, in a set of N",
        summary: "Puts members where they are on the earth.",
        arguments: &[
            KEY,
            Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")])
                .optional()
                .since("6.2.0"),
            Argument::word("change", "CH").optional().since("6.2.0"),
            Argument::block("data", &[LONGITUDE, LATITUDE, MEMBER]).multiple(),
        ],
        subcommands: &[],
    },
    Row {
        name: "geodist",
        run: look::geodist,
        arity: -4,
        flags: Flags::READONLY,
        keys: &[READ_KEY],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.0",
        complexity: "O(1)",
        summary: "Tells how far two members are apart.",
        arguments: &[KEY, Argument::string("member1"), Argument::string("member2"), UNIT.optional()],
        subcommands: &[],
    },
    Row {
        name: "geohash",
        run: look::geohash,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[READ_KEY],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.0",
        complexity: "O(1) for each member",
        summary: "Tells the geohashes of members, as other tools write them.",
        arguments: &[KEY, MEMBER.multiple().optional()],
        subcommands: &[],
    },
    Row {
        name: "geopos",
        run: look::geopos,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[READ_KEY],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.0",
        complexity: "O(1) for each member",
        summary: "Tells the longitudes and latitudes of members.",
        arguments: &[KEY, MEMBER.multiple().optional()],
        subcommands: &[],
    },
    Row {
        name: "georadius",
        run: search::georadius,
        arity: -6,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[READ_KEY, stored_behind("STORE", 6), stored_behind("STOREDIST", 6)],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.0",
        complexity: RADIUS_COMPLEXITY,
        summary: "Finds members around a position, and may store what it found.",
        arguments: &[
            KEY,
            LONGITUDE,
            LATITUDE,
            RADIUS,
            UNIT,
            WITH_POSITION,
            WITH_DISTANCE,
            WITH_HASH,
            COUNT_BLOCK_GROWN,
            ORDER,
            STORE,
        ],
        subcommands: &[],
    },
    Row {
        name: "georadius_ro",
        run: search::georadius_ro,
        arity: -6,
        flags: Flags::READONLY,
        keys: &[READ_KEY],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.10",
        complexity: RADIUS_COMPLEXITY,
        summary: "Finds members around a position.",
        arguments: &[
            KEY,
            LONGITUDE,
            LATITUDE,
            RADIUS,
            UNIT,
            WITH_POSITION,
            WITH_DISTANCE,
            WITH_HASH,
            COUNT_BLOCK_GROWN,
            ORDER,
        ],
        subcommands: &[],
    },
    Row {
        name: "georadiusbymember",
        run: search::georadiusbymember,
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[READ_KEY, stored_behind("STORE", 5), stored_behind("STOREDIST", 5)],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.0",
        complexity: RADIUS_COMPLEXITY,
        summary: "Finds members around one of them, and may store what it found.",
        arguments: &[
            KEY,
            MEMBER,
            RADIUS,
            UNIT,
            WITH_POSITION,
            WITH_DISTANCE,
            WITH_HASH,
            COUNT_BLOCK,
            ORDER,
            STORE,
        ],
        subcommands: &[],
    },
    Row {
        name: "georadiusbymember_ro",
        run: search::georadiusbymember_ro,
        arity: -5,
        flags: Flags::READONLY,
        keys: &[READ_KEY],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "3.2.10",
        complexity: RADIUS_COMPLEXITY,
        summary: "Finds members around one of them.",
        arguments: &[KEY, MEMBER, RADIUS, UNIT, WITH_POSITION, WITH_DISTANCE, WITH_HASH, COUNT_BLOCK, ORDER],
        subcommands: &[],
    },
    Row {
        name: "geosearch",
        run: search::geosearch,
        arity: -7,
        flags: Flags::READONLY,
        keys: &[READ_KEY],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "6.2.0",
        complexity: SEARCH_COMPLEXITY,
        summary: "Finds members within a circle or a box.",
        arguments: &[KEY, FROM, BY, ORDER, COUNT_BLOCK, WITH_POSITION, WITH_DISTANCE, WITH_HASH],
        subcommands: &[],
    },
    Row {
        name: "geosearchstore",
        run: search::geosearchstore,
        arity: -8,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            KeySpec::at(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
            KeySpec::at(2, KeyFlags::RO.and(KeyFlags::ACCESS)),
        ],
        categories: Categories::GEO,
        tips: &[],
        group: Group::Geo,
        since: "6.2.0",
        complexity: SEARCH_COMPLEXITY,
        summary: "Stores the members within a circle or a box.",
        arguments: &[
            Argument::key("destination", 0),
            Argument::key("source", 1),
            FROM,
            BY,
            ORDER,
            COUNT_BLOCK,
            Argument::word("storedist", "STOREDIST").optional(),
        ],
        subcommands: &[],
    },
];
