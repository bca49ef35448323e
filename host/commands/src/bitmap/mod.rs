//! Strings as rows of bits: the rows of these commands here, their handlers beside, by what they do. Not a type of
//! its own: the keys hold strings. Always: bit 0 is the highest bit of the first byte, and what lies behind the end
//! of a string reads as zero.

mod bit; // read me first
mod combine;
mod count;
mod field;
mod words;

#[cfg(test)]
mod tests;

use crate::{Argument, Categories, CommandError, Flags, Group, Handler, KeyFlags, KeySpec, Row};

const READ_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))];
const CHANGED_KEY: KeyFlags = KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE);

const ENCODING: Argument = Argument::string("encoding");
const OFFSET: Argument = Argument::integer("offset");
const UNIT: Argument =
    Argument::one_of("unit", &[Argument::word("byte", "BYTE"), Argument::word("bit", "BIT")])
        .optional()
        .since("7.0.0");

/// The bitmap commands.
pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "bitcount",
        run: count::bitcount,
        arity: -2,
        flags: Flags::READONLY,
        keys: READ_KEY,
        categories: Categories::BITMAP,
        tips: &[],
        group: Group::Bitmap,
        since: "2.6.0",
        complexity: "O(N) in the bytes counted",
        summary: "Counts the bits that are set in a string, or in a part of it.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block("range", &[Argument::integer("start"), Argument::integer("end"), UNIT])
                .optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "bitfield",
        run: field::bitfield,
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::at(1, CHANGED_KEY.and(KeyFlags::VARIABLE_FLAGS))],
        categories: Categories::BITMAP,
        tips: &[],
        group: Group::Bitmap,
        since: "3.2.0",
        complexity: "O(1) for each operation",
        summary: "Reads, sets and counts up whole numbers of any width within a string.",
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of(
                "operation",
                &[
                    Argument::block("get-block", &[ENCODING, OFFSET]).after("GET"),
                    Argument::block("write", FIELD_WRITE),
                ],
            )
            .optional()
            .multiple(),
        ],
        subcommands: &[],
    },
    Row {
        name: "bitfield_ro",
        run: field::bitfield_ro,
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: READ_KEY,
        categories: Categories::BITMAP,
        tips: &[],
        group: Group::Bitmap,
        since: "6.0.0",
        complexity: "O(1) for each operation",
        summary: "Reads whole numbers of any width within a string.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block("get-block", &[ENCODING, OFFSET]).after("GET").optional().multiple_token(),
        ],
        subcommands: &[],
    },
    Row {
        name: "bitop",
        run: combine::bitop,
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            KeySpec::at(2, KeyFlags::OW.and(KeyFlags::UPDATE)),
            KeySpec::range(3, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        ],
        categories: Categories::BITMAP,
        tips: &[],
        group: Group::Bitmap,
        since: "2.6.0",
        complexity: "O(N) in the bytes of all strings",
        summary: "Combines strings bit by bit and stores the result.",
        arguments: &[
            Argument::one_of(
                "operation",
                &[
                    Argument::word("and", "AND"),
                    Argument::word("or", "OR"),
                    Argument::word("xor", "XOR"),
                    Argument::word("not", "NOT"),
                ],
            ),
            Argument::key("destkey", 0),
            Argument::key("key", 1).multiple(),
        ],
        subcommands: &[],
    },
    Row {
        name: "bitpos",
        run: count::bitpos,
        arity: -3,
        flags: Flags::READONLY,
        keys: READ_KEY,
        categories: Categories::BITMAP,
        tips: &[],
        group: Group::Bitmap,
        since: "2.8.7",
        complexity: "O(N) in the bytes looked at",
        summary: "Finds the first bit of a string, or of a part of it, that is set or clear.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("bit"),
            Argument::block(
                "range",
                &[
                    Argument::integer("start"),
                    Argument::block("end-unit-block", &[Argument::integer("end"), UNIT]).optional(),
                ],
            )
            .optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "getbit",
        run: bit::getbit,
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: READ_KEY,
        categories: Categories::BITMAP,
        tips: &[],
        group: Group::Bitmap,
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Reads one bit of a string.",
        arguments: &[Argument::key("key", 0), OFFSET],
        subcommands: &[],
    },
    Row {
        name: "setbit",
        run: bit::setbit,
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::at(1, CHANGED_KEY)],
        categories: Categories::BITMAP,
        tips: &[],
        group: Group::Bitmap,
        since: "2.2.0",
        complexity: "O(1), apart from the bytes added",
        summary: "Sets or clears one bit of a string, which grows as far as that bit, and returns the former one.",
        arguments: &[Argument::key("key", 0), OFFSET, Argument::integer("value")],
        subcommands: &[],
    },
];

const FIELD_WRITE: &[Argument] = &[
    Argument::one_of(
        "overflow-block",
        &[Argument::word("wrap", "WRAP"), Argument::word("sat", "SAT"), Argument::word("fail", "FAIL")],
    )
    .after("OVERFLOW")
    .optional(),
    Argument::one_of(
        "write-operation",
        &[
            Argument::block("set-block", &[ENCODING, OFFSET, Argument::integer("value")]).after("SET"),
            Argument::block("incrby-block", &[ENCODING, OFFSET, Argument::integer("increment")])
                .after("INCRBY"),
        ],
    ),
];

const BAD_OFFSET: CommandError = CommandError::text("ERR bit offset is not an integer or out of range");

/// The place of a bit: a whole number that is not negative, within a string of at most `bytes_max` bytes.
fn bit_offset(word: &[u8], bytes_max: usize) -> Result<usize, CommandError> {
    check_offset(tenon_resp::parse_integer(word).ok_or(BAD_OFFSET)?, bytes_max)
}

fn check_offset(offset: i64, bytes_max: usize) -> Result<usize, CommandError> {
    usize::try_from(offset).ok().filter(|offset| offset / 8 < bytes_max).ok_or(BAD_OFFSET)
}

/// Whether bit `offset` is set.
fn is_set(bytes: &[u8], offset: usize) -> bool {
    bytes.get(offset / 8).is_some_and(|byte| byte & (0x80 >> (offset % 8)) != 0)
}
