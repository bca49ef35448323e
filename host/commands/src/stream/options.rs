//! The options of XADD and XTRIM: how far to trim, and which ID. Changes nothing.
//! Always: what comes from a log or a primary trims as far as it says, whatever its LIMIT.

use tenon_keyspace::{StreamKeep, StreamTrim};
use tenon_resp::Args;

use super::id::{NewId, parse_id, parse_new_id};
use crate::{CommandError, Context, Origin, Words};

/// How many entries an approximate trim removes at once unless told otherwise: so many full nodes.
const TRIMMED_NODES_MAX: u64 = 100;
/// The same where nodes have no bound, and the most it ever is.
const TRIMMED_ENTRIES: u64 = 10_000;
const TRIMMED_ENTRIES_MAX: u64 = 1_000_000;

/// The options of XADD.
pub(super) struct AddOptions {
    pub(super) id: NewId,
    /// Where the ID is among the words; fields and values follow it.
    pub(super) id_at: usize,
    pub(super) may_create: bool,
    pub(super) trim: Option<Trim>,
}

/// How far to trim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trim {
    pub(super) amount: StreamTrim,
    /// Where the threshold is among the words; the operator, if any, is before it.
    pub(super) at: usize,
}

/// What was read so far.
struct Parse<'a> {
    args: Args<'a>,
    next: usize,
    trim: Option<Trim>,
    limit: Option<i64>,
}

/// Reads the options of XADD.
pub(super) fn parse_add(ctx: &Context<'_>, args: Args<'_>) -> Result<AddOptions, CommandError> {
    let mut parse = Parse { args, next: 2, trim: None, limit: None };
    let mut may_create = true;
    let mut id = None;
    while let Some(word) = args.try_get(parse.next) {
        if word == b"*" {
            id = Some(NewId::Auto);
            break;
        } else if parse.option()? {
        } else if word.eq_ignore_ascii_case(b"NOMKSTREAM") {
            may_create = false;
        } else {
            id = Some(parse_new_id(word)?);
            break;
        }
        parse.next += 1;
    }
    let id_at = parse.next;
    let trim = parse.finish(ctx, None)?;
    let fields = args.len().saturating_sub(id_at + 1);
    match id {
        Some(id) if fields >= 2 && fields.is_multiple_of(2) => Ok(AddOptions { id, id_at, may_create, trim }),
        _ => Err(CommandError::arity("xadd")),
    }
}

/// Reads the options of XTRIM.
pub(super) fn parse_trim(ctx: &Context<'_>, args: Args<'_>) -> Result<Trim, CommandError> {
    let mut parse = Parse { args, next: 2, trim: None, limit: None };
    while parse.next < args.len() {
        if !parse.option()? {
            return Err(CommandError::Syntax);
        }
        parse.next += 1;
    }
    const NOTHING: CommandError =
        CommandError::text("ERR syntax error, XTRIM must be called with a trimming strategy");
    parse.finish(ctx, Some(NOTHING))?.ok_or(NOTHING)
}

impl Parse<'_> {
    /// Reads the option at `next`, and leaves `next` at its last word. `false` if there is none.
    fn option(&mut self) -> Result<bool, CommandError> {
        let (args, at) = (self.args, self.next);
        if at + 1 == args.len() {
            return Ok(false);
        }
        if args.is(at, "MAXLEN") {
            self.threshold(|args, at| {
                let len = args.integer(at)?;
                let refusal = CommandError::text("ERR The MAXLEN argument must be >= 0.");
                Ok(StreamKeep::Newest(u64::try_from(len).map_err(|_| refusal)?))
            })?;
        } else if args.is(at, "MINID") {
            self.threshold(|args, at| parse_id(args.get(at)).map(StreamKeep::From))?;
        } else if args.is(at, "LIMIT") {
            let limit = args.integer(at + 1)?;
            if limit < 0 {
                return Err(CommandError::text("ERR The LIMIT argument must be >= 0."));
            }
            self.limit = Some(limit);
            self.next += 1;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn threshold(
        &mut self,
        read: impl FnOnce(Args<'_>, usize) -> Result<StreamKeep, CommandError>,
    ) -> Result<(), CommandError> {
        if self.trim.is_some() {
            return Err(CommandError::text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let operator = self.args.get(self.next + 1);
        let has_operator = self.next + 2 < self.args.len() && (operator == b"~" || operator == b"=");
        let approximate = has_operator && operator == b"~";
        self.next += if has_operator { 2 } else { 1 };
        let keep = read(self.args, self.next)?;
        self.trim = Some(Trim { amount: StreamTrim { keep, approximate, limit: 0 }, at: self.next });
        Ok(())
    }

    /// Puts the options together. `untrimmed` is what is said if there is nothing to trim, if that is wrong.
    fn finish(
        self,
        ctx: &Context<'_>,
        untrimmed: Option<CommandError>,
    ) -> Result<Option<Trim>, CommandError> {
        let Some(mut trim) = self.trim else {
            return match (self.limit, untrimmed) {
                (Some(1..), _) => Err(CommandError::text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
                (_, Some(refusal)) => Err(refusal),
                (Some(_), None) if ctx.db.origin() == Origin::Client => Err(LIMIT_OF_EXACT),
                _ => Ok(None),
            };
        };
        if ctx.db.origin() == Origin::Client {
            let amount = &mut trim.amount;
            amount.limit = match self.limit {
                Some(_) if !amount.approximate => return Err(LIMIT_OF_EXACT),
                Some(limit) => limit.unsigned_abs(),
                None if amount.approximate => default_limit(ctx.limits.stream.node_entries_max),
                None => 0,
            };
        }
        Ok(Some(trim))
    }
}

const LIMIT_OF_EXACT: CommandError =
    CommandError::text("ERR syntax error, LIMIT cannot be used without the special ~ option");

fn default_limit(node_entries_max: usize) -> u64 {
    match (node_entries_max as u64).saturating_mul(TRIMMED_NODES_MAX) {
        0 => TRIMMED_ENTRIES,
        limit => limit.min(TRIMMED_ENTRIES_MAX),
    }
}
