//! What SET and GETEX may be told about a key's lifetime, and what SET may be told besides.
//! Always: an option may be repeated, the last one counts; two that contradict each other are a syntax error.

use tenon_base::UnixMillis;
use tenon_keyspace::Expiry;
use tenon_resp::Args;

use crate::generic::invalid_expire_time;
use crate::{CommandError, Words};

/// Options of SET.
#[derive(Clone, Copy, Debug)]
pub(super) struct SetOptions {
    /// NX or XX.
    pub(super) condition: Option<Condition>,
    /// GET.
    pub(super) returns_former: bool,
    /// What becomes of the lifetime.
    pub(super) lifetime: Lifetime,
}

/// When SET sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// NX
    IfMissing,
    /// XX
    IfPresent,
}

/// What becomes of a key's lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// Nothing was said.
    Unsaid,
    /// KEEPTTL
    Kept,
    /// PERSIST
    Endless,
    /// A time, told by the word at this position.
    Until(Measure, usize),
}

/// How a time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// EX: seconds from now.
    Seconds,
    /// PX: milliseconds from now.
    Millis,
    /// EXAT: seconds since 1970.
    UnixSeconds,
    /// PXAT: milliseconds since 1970.
    UnixMillis,
}

impl SetOptions {
    /// Reads them from the fourth word on.
    pub(super) fn parse(args: Args<'_>) -> Result<SetOptions, CommandError> {
        let mut options = SetOptions { condition: None, returns_former: false, lifetime: Lifetime::Unsaid };
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "NX") && options.condition != Some(Condition::IfPresent) {
                options.condition = Some(Condition::IfMissing);
            } else if args.is(index, "XX") && options.condition != Some(Condition::IfMissing) {
                options.condition = Some(Condition::IfPresent);
            } else if args.is(index, "GET") {
                options.returns_former = true;
            } else if args.is(index, "KEEPTTL") && !matches!(options.lifetime, Lifetime::Until(..)) {
                options.lifetime = Lifetime::Kept;
            } else {
                options.lifetime = options.lifetime.then(args, index)?;
                index += 1;
            }
            index += 1;
        }
        Ok(options)
    }
}

impl Lifetime {
    /// Reads the options of GETEX.
    pub(super) fn parse(args: Args<'_>) -> Result<Lifetime, CommandError> {
        let mut lifetime = Lifetime::Unsaid;
        let mut index = 2;
        while index < args.len() {
            if args.is(index, "PERSIST") && !matches!(lifetime, Lifetime::Until(..)) {
                lifetime = Lifetime::Endless;
            } else {
                lifetime = lifetime.then(args, index)?;
                index += 1;
            }
            index += 1;
        }
        Ok(lifetime)
    }

    /// The moment that was told, if one was. `command` is named in the error.
    pub(super) fn deadline(
        self,
        args: Args<'_>,
        now: UnixMillis,
        command: &str,
    ) -> Result<Option<UnixMillis>, CommandError> {
        let Lifetime::Until(measure, index) = self else { return Ok(None) };
        let number = args.integer(index)?;
        measure.moment(number, now).map(Some).ok_or_else(|| invalid_expire_time(command))
    }

    /// As the keyspace takes it, with the deadline read before.
    pub(super) fn expiry(self, deadline: Option<UnixMillis>) -> Expiry {
        match deadline {
            Some(deadline) => Expiry::At(deadline),
            None if self == Lifetime::Kept => Expiry::Keep,
            None => Expiry::Never,
        }
    }

    /// This, followed by EX, PX, EXAT or PXAT at word `index` and its number behind it.
    fn then(self, args: Args<'_>, index: usize) -> Result<Lifetime, CommandError> {
        let measure = Measure::named(args.get(index)).ok_or(CommandError::Syntax)?;
        let fits = match self {
            Lifetime::Unsaid => true,
            Lifetime::Until(before, _) => before == measure,
            Lifetime::Kept | Lifetime::Endless => false,
        };
        if !fits || index + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        Ok(Lifetime::Until(measure, index + 1))
    }
}

impl Measure {
    /// The moment that a number tells; `None` if it is not after 1970, or out of range.
    pub(super) fn moment(self, number: i64, now: UnixMillis) -> Option<UnixMillis> {
        let millis = match self {
            Measure::Seconds | Measure::UnixSeconds => number.checked_mul(1_000)?,
            Measure::Millis | Measure::UnixMillis => number,
        };
        if millis <= 0 {
            return None;
        }
        match self {
            Measure::Seconds | Measure::Millis => millis.checked_add(now.0).map(UnixMillis),
            Measure::UnixSeconds | Measure::UnixMillis => Some(UnixMillis(millis)),
        }
    }

    /// Whether the moment was told as such, and may lie in the past.
    pub(super) fn is_absolute(self) -> bool {
        matches!(self, Measure::UnixSeconds | Measure::UnixMillis)
    }

    fn named(word: &[u8]) -> Option<Measure> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match word.len() {
            2 if is("EX") => Some(Measure::Seconds),
            2 if is("PX") => Some(Measure::Millis),
            4 if is("EXAT") => Some(Measure::UnixSeconds),
            4 if is("PXAT") => Some(Measure::UnixMillis),
            _ => None,
        }
    }
}
