//! Switches of DEBUG: what the server leaves undone, or does slowly, so that a test can look. Some have no meaning here
//! and are checked and accepted.

use tenon_base::Micros;
use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::Args;

use super::{ServerContext, unknown};

/// A number of bytes with a unit, below 4 GiB; 0 and 1 mean the default in Redis.
pub(super) fn packed_threshold(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let word = String::from_utf8_lossy(args.get(2)).to_ascii_lowercase();
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: Option<u64> = match &word[digits.len()..] {
        "" | "b" => Some(1),
        "k" => Some(1_000),
        "kb" => Some(1 << 10),
        "m" => Some(1_000_000),
        "mb" => Some(1 << 20),
        "g" => Some(1_000_000_000),
        "gb" => Some(1 << 30),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    if bytes.is_none_or(|bytes| bytes >= 1 << 32) {
        return Err(CommandError::text(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        ));
    }
    context.reply().ok();
    Ok(())
}

pub(super) fn reply_buffer(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.is(2, "PEAK-RESET-TIME") {
        if !args.is(3, "NEVER") && !args.is(3, "RESET") {
            args.integer(3)?;
        }
    } else if !args.is(2, "RESIZING") {
        return Err(unknown(args.get(1)));
    }
    context.reply().ok();
    Ok(())
}

pub(super) fn pause_cron(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.cron.is_paused = args.integer(2).unwrap_or(0) != 0;
    context.reply().ok();
    Ok(())
}

pub(super) fn set_disable_deny_scripts(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.scripts.allows_all = args.get(2) == b"1";
    context.reply().ok();
    Ok(())
}

pub(super) fn set_active_expire(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.active_expire = args.integer(2).unwrap_or(0) != 0;
    context.reply().ok();
    Ok(())
}

pub(super) fn set_skip_checksums(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.limits.skips_checksums = args.integer(2).unwrap_or(0) != 0;
    context.reply().ok();
    Ok(())
}

pub(super) fn set_flush_sleep(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let span = args.integer(2)?;
    context.engine.durability.flush_sleep = Micros(u64::try_from(span).unwrap_or(0));
    context.reply().ok();
    Ok(())
}

pub(super) fn accept(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.reply().ok();
    Ok(())
}
