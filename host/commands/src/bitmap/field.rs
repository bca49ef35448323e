//! Whole numbers of 1 to 64 bits at any bit of a string: BITFIELD and BITFIELD_RO.
//! Always: every operation of a request has been read before the first one runs, and each is read twice rather
//! than kept, so that a request of any length needs no memory.

use tenon_keyspace::{Expiry, INTEGER_TEXT_BYTES};
use tenon_resp::{Args, Reply};

use super::{BAD_OFFSET, bit_offset, check_offset};
use crate::string::string_bytes_max;
use crate::{CommandError, Context, Event, Outcome, Words};

const BAD_ENCODING: CommandError = CommandError::text(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

/// Bytes that a number of 64 bits touches at most.
const WINDOW_BYTES: usize = 9;

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Operation {
    field: Field,
    act: Act,
    overflow: Overflow,
}

/// Where a number lies, and how.
#[derive(Clone, Copy, Debug)]
struct Field {
    is_signed: bool,
    /// 1 to 64, or to 63 if unsigned.
    bits: u32,
    /// Its first, highest bit.
    offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Get,
    Set(i64),
    Add(i64),
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// Its high bits are lost.
    Wrap,
    /// It stays at the largest or smallest that fits.
    Saturate,
    /// It is not stored.
    Fail,
}

/// What all operations of a request come to.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    operations: usize,
    /// Bytes that the string must have, if anything is to be written.
    length: Option<usize>,
}

pub(super) fn bitfield(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let bytes_max = string_bytes_max(ctx);
    let plan = Plan::of(args, bytes_max)?;
    match plan.length {
        None => read(ctx, args, plan),
        Some(length) => write(ctx, args, plan, length),
    }
}

pub(super) fn bitfield_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let plan = Plan::of(args, string_bytes_max(ctx))?;
    if plan.length.is_some() {
        return Err(CommandError::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, args, plan)
}

fn read(ctx: &mut Context<'_>, args: Args<'_>, plan: Plan) -> Outcome {
    let operations = Operations::of(args, string_bytes_max(ctx));
    let text = ctx.db.text(args.get(1))?;
    let mut scratch = [0; INTEGER_TEXT_BYTES];
    let bytes = text.as_ref().map_or(&[][..], |text| text.bytes(&mut scratch));
    ctx.reply.array(plan.operations);
    operations.flatten().for_each(|operation| ctx.reply.integer(operation.field.read(bytes)));
    Ok(())
}

fn write(ctx: &mut Context<'_>, args: Args<'_>, plan: Plan, length: usize) -> Outcome {
    let key = args.get(1);
    let operations = Operations::of(args, string_bytes_max(ctx));
    ctx.db.prepare_write(key);
    let database = ctx.db.database();
    let found = database.string_mut(key)?;
    let is_new = found.is_none();
    let mut slot = match found {
        Some(slot) => slot,
        None => {
            database.set_string(key, b"", Expiry::Never);
            database.string_mut(key)?.expect("it was just set")
        }
    };
    let has_grown = slot.text().len() < length;
    let mut changes = 0;
    ctx.reply.array(plan.operations);
    slot.change(length, |bytes| {
        for operation in operations.flatten() {
            let stored = operation.run(bytes, &mut ctx.reply);
            changes += usize::from(stored.is_some_and(|is_another| is_another || has_grown));
        }
    });
    if is_new {
        ctx.created(key);
    }
    // Where no number fitted, the string may have grown all the same: followers must hear of it.
    if changes > 0 || has_grown {
        ctx.wrote(key, Event::SETBIT, changes.max(1));
    }
    Ok(())
}

impl Plan {
    fn of(args: Args<'_>, bytes_max: usize) -> Result<Plan, CommandError> {
        let mut plan = Plan::default();
        for operation in Operations::of(args, bytes_max) {
            let Operation { field, act, .. } = operation?;
            plan.operations += 1;
            if act != Act::Get {
                plan.length = plan.length.max(Some((field.offset + field.bits as usize).div_ceil(8)));
            }
        }
        Ok(plan)
    }
}

/// The operations of a request in order, or what is wrong with the first bad one.
struct Operations<'a> {
    args: Args<'a>,
    bytes_max: usize,
    /// The next word.
    at: usize,
    overflow: Overflow,
}

impl<'a> Operations<'a> {
    fn of(args: Args<'a>, bytes_max: usize) -> Operations<'a> {
        Operations { args, bytes_max, at: 2, overflow: Overflow::Wrap }
    }

    fn parse(&mut self) -> Result<Option<Operation>, CommandError> {
        let args = self.args;
        while args.is(self.at, "OVERFLOW") && self.at + 1 < args.len() {
            self.overflow = Overflow::parse(args, self.at + 1)?;
            self.at += 2;
        }
        if self.at >= args.len() {
            return Ok(None);
        }
        let (at, operands) = (self.at, args.len() - self.at - 1);
        let (is_get, is_set) = (args.is(at, "GET"), args.is(at, "SET"));
        let needed = if is_get { 2 } else { 3 };
        if !(is_get || is_set || args.is(at, "INCRBY")) || operands < needed {
            return Err(CommandError::Syntax);
        }
        let field = Field::parse(args.get(at + 1), args.get(at + 2), self.bytes_max)?;
        let act = if is_get {
            Act::Get
        } else if is_set {
            Act::Set(args.integer(at + 3)?)
        } else {
            Act::Add(args.integer(at + 3)?)
        };
        self.at += 1 + needed;
        Ok(Some(Operation { field, act, overflow: self.overflow }))
    }
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation, CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.parse().transpose()
    }
}

impl Overflow {
    fn parse(args: Args<'_>, index: usize) -> Result<Overflow, CommandError> {
        if args.is(index, "WRAP") {
            Ok(Overflow::Wrap)
        } else if args.is(index, "SAT") {
            Ok(Overflow::Saturate)
        } else if args.is(index, "FAIL") {
            Ok(Overflow::Fail)
        } else {
            Err(CommandError::text("ERR Invalid OVERFLOW type specified"))
        }
    }
}

impl Operation {
    /// Changes the bytes, which are long enough, and replies. Says whether another number than before was stored;
    /// `None` if none was.
    fn run(self, bytes: &mut [u8], reply: &mut Reply<'_>) -> Option<bool> {
        let former = self.field.read(bytes);
        let (fitted, returned) = match self.act {
            Act::Get => {
                reply.integer(former);
                return None;
            }
            Act::Set(number) => (self.field.fit(number, 0, self.overflow), Some(former)),
            Act::Add(amount) => (self.field.fit(former, amount, self.overflow), None),
        };
        let Some(number) = fitted else {
            reply.null();
            return None;
        };
        reply.integer(returned.unwrap_or(number));
        self.field.write(bytes, number);
        Some(former != number)
    }
}

impl Field {
    fn parse(encoding: &[u8], offset: &[u8], bytes_max: usize) -> Result<Field, CommandError> {
        let (is_signed, digits) = match encoding {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return Err(BAD_ENCODING),
        };
        let widest = if is_signed { 64 } else { 63 };
        let bits = tenon_resp::parse_integer(digits).filter(|bits| (1..=widest).contains(bits));
        let bits = bits.ok_or(BAD_ENCODING)?;
        let offset = match offset {
            [b'#', index @ ..] => {
                let offset = tenon_resp::parse_integer(index).and_then(|index| index.checked_mul(bits));
                check_offset(offset.ok_or(BAD_OFFSET)?, bytes_max)?
            }
            offset => bit_offset(offset, bytes_max)?,
        };
        Ok(Field { is_signed, bits: bits as u32, offset })
    }

    /// The number, of which what lies behind the end is zero.
    fn read(self, bytes: &[u8]) -> i64 {
        let number = (self.window(bytes) >> self.shift()) as u64 & self.mask();
        self.extended(number)
    }

    /// Writes the low bits of a number; the bytes are long enough.
    fn write(self, bytes: &mut [u8], number: i64) {
        let mask = u128::from(self.mask()) << self.shift();
        let number = u128::from(number as u64 & self.mask()) << self.shift();
        let window = (self.window(bytes) & !mask) | number;
        let window_bytes = &window.to_be_bytes()[size_of::<u128>() - WINDOW_BYTES..];
        bytes[self.offset / 8..].iter_mut().zip(window_bytes).for_each(|(byte, new)| *byte = *new);
    }

    /// The bytes from the number's first one on, as many as it may touch, the first one highest.
    fn window(self, bytes: &[u8]) -> u128 {
        let bytes = bytes.get(self.offset / 8..).unwrap_or_default();
        let mut window = [0; size_of::<u128>()];
        let start = window.len() - WINDOW_BYTES;
        window[start..].iter_mut().zip(bytes).for_each(|(byte, found)| *byte = *found);
        u128::from_be_bytes(window)
    }

    /// How many bits of the window lie below the number.
    fn shift(self) -> u32 {
        WINDOW_BYTES as u32 * 8 - (self.offset % 8) as u32 - self.bits
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// The number that these bits stand for.
    fn extended(self, number: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.is_signed { (number << unused) as i64 >> unused } else { number as i64 }
    }

    /// What is stored for `number + amount`; `None` if nothing is.
    fn fit(self, number: i64, amount: i64, overflow: Overflow) -> Option<i64> {
        let excess = if self.is_signed {
            self.excess_signed(number, amount)
        } else {
            self.excess_unsigned(number as u64, amount)
        };
        let sum = self.extended(number.wrapping_add(amount) as u64 & self.mask());
        match (excess, overflow) {
            (None, _) | (Some(_), Overflow::Wrap) => Some(sum),
            (Some(_), Overflow::Fail) => None,
            (Some(Excess::Above), Overflow::Saturate) => Some(self.largest()),
            (Some(Excess::Below), Overflow::Saturate) => Some(self.smallest()),
        }
    }

    fn largest(self) -> i64 {
        (if self.is_signed { self.mask() >> 1 } else { self.mask() }) as i64
    }

    fn smallest(self) -> i64 {
        if self.is_signed { !self.largest() } else { 0 }
    }

    fn excess_unsigned(self, number: u64, amount: i64) -> Option<Excess> {
        let largest = self.mask();
        if number > largest || (amount > 0 && amount as u64 > largest - number) {
            Some(Excess::Above)
        } else if amount < 0 && amount.unsigned_abs() > number {
            Some(Excess::Below)
        } else {
            None
        }
    }

    /// As Redis decides it, which counts the room above a number in 64 bits: below about minus 2^63 that room is
    /// itself too large for them, and such a number is taken for one too large.
    fn excess_signed(self, number: i64, amount: i64) -> Option<Excess> {
        let (above, below) = (self.largest().wrapping_sub(number), self.smallest().wrapping_sub(number));
        let is_narrow = self.bits < 64;
        if number > self.largest() || ((is_narrow || (number >= 0 && amount > 0)) && amount > above) {
            Some(Excess::Above)
        } else if number < self.smallest() || ((is_narrow || (number < 0 && amount < 0)) && amount < below) {
            Some(Excess::Below)
        } else {
            None
        }
    }
}

/// On which side a number does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    Above,
    Below,
}
