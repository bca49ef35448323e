//! CLIENT CACHING, GETREDIR, TRACKING and TRACKINGINFO: what a client says about the copies of keys that it keeps. How it
//! is told of changes is in `crate::tracking`.

use std::sync::Arc;

use tenon_base::ConnectionId;
use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::Args;

use super::line::redirection_of;
use super::quoting;
use crate::server::ServerContext;
use crate::tracking::{Mode, SessionTracking};

pub(super) fn caching(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let Some(tracking) = &mut context.session().tracking else {
        return Err(CommandError::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        ));
    };
    match (args.is(2, "YES"), args.is(2, "NO")) {
        (true, _) if tracking.mode != Mode::OptIn => {
            return Err(CommandError::text(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
        (_, true) if tracking.mode != Mode::OptOut => {
            return Err(CommandError::text(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
        (false, false) => return Err(CommandError::Syntax),
        _ => tracking.is_exception = true,
    }
    context.reply().ok();
    Ok(())
}

pub(super) fn redirection(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let redirection = redirection_of(context.session());
    context.reply().integer(redirection);
    Ok(())
}

pub(super) fn tracking(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let options = Options::parse(context, args)?;
    if args.is(2, "ON") {
        let mode = options.mode(context.session().tracking.as_deref())?;
        let connection = context.connection;
        context.engine.track(connection, mode, options.redirect, options.skips_own, &options.prefixes);
    } else if args.is(2, "OFF") {
        context.engine.untrack(context.connection);
    } else {
        return Err(CommandError::Syntax);
    }
    context.reply().ok();
    Ok(())
}

/// What CLIENT TRACKING was told beside ON or OFF.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<ConnectionId>,
    is_broadcast: bool,
    is_opt_in: bool,
    is_opt_out: bool,
    skips_own: bool,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(context: &ServerContext<'_, '_>, args: Args<'a>) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        let mut at = 3;
        while at < args.len() {
            let has_more = at + 1 < args.len();
            if args.is(at, "REDIRECT") && has_more {
                at += 1;
                if options.redirect.is_some() {
                    return Err(CommandError::text(
                        "ERR A client can only redirect to a single other client",
                    ));
                }
                options.redirect = Some(redirect_target(context, args.integer(at)?)?);
            } else if args.is(at, "BCAST") {
                options.is_broadcast = true;
            } else if args.is(at, "OPTIN") {
                options.is_opt_in = true;
            } else if args.is(at, "OPTOUT") {
                options.is_opt_out = true;
            } else if args.is(at, "NOLOOP") {
                options.skips_own = true;
            } else if args.is(at, "PREFIX") && has_more {
                at += 1;
                options.prefixes.push(args.get(at));
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(options)
    }

    /// The mode asked for, if it goes with the other options and with what is on already.
    fn mode(&self, current: Option<&SessionTracking>) -> Result<Mode, CommandError> {
        let was = |mode: Mode| current.is_some_and(|tracking| tracking.mode == mode);
        if !self.is_broadcast && !self.prefixes.is_empty() {
            return Err(CommandError::text("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        if current.is_some() && was(Mode::Broadcast) != self.is_broadcast {
            return Err(CommandError::text(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
                 re-enabling it with a different mode.",
            ));
        }
        if self.is_broadcast && (self.is_opt_in || self.is_opt_out) {
            return Err(CommandError::text("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.is_opt_in && self.is_opt_out {
            return Err(CommandError::text("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        if (self.is_opt_in && was(Mode::OptOut)) || (self.is_opt_out && was(Mode::OptIn)) {
            return Err(CommandError::text(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                 re-enabling it with a different mode.",
            ));
        }
        self.check_prefixes(current)?;
        Ok(match (self.is_broadcast, self.is_opt_in, self.is_opt_out) {
            (true, ..) => Mode::Broadcast,
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::Reads,
        })
    }

    /// No key may be told of twice.
    fn check_prefixes(&self, current: Option<&SessionTracking>) -> Outcome {
        let existing: Vec<Arc<[u8]>> =
            current.map_or(Vec::new(), |tracking| tracking.prefixes.iter().cloned().collect());
        for (index, prefix) in self.prefixes.iter().enumerate() {
            if let Some(other) = existing.iter().find(|other| overlaps(prefix, other)) {
                return Err(overlap(prefix, "an existing", other));
            }
            if let Some(other) = self.prefixes[index + 1..].iter().find(|other| overlaps(prefix, other)) {
                return Err(overlap(prefix, "another provided", other));
            }
        }
        Ok(())
    }
}

fn redirect_target(context: &ServerContext<'_, '_>, serial: i64) -> Result<ConnectionId, CommandError> {
    let found = context.engine.sessions.present().find(|session| session.id.serial as i64 == serial);
    found
        .map(|session| session.id)
        .ok_or(CommandError::text("ERR The client ID you want redirect to does not exist"))
}

fn overlaps(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn overlap(prefix: &[u8], which: &str, other: &[u8]) -> CommandError {
    let other = String::from_utf8_lossy(other);
    quoting(
        "ERR Prefix '",
        prefix,
        &format!("' overlaps with {which} prefix '{other}'. Prefixes for a single client must not overlap."),
    )
}

pub(super) fn information(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let redirection = redirection_of(context.session());
    let tracking = context.session().tracking.take();
    let mut flags = vec!["off"];
    if let Some(tracking) = tracking.as_deref() {
        flags = vec!["on"];
        let (mode, exception) = match tracking.mode {
            Mode::Reads => (None, None),
            Mode::Broadcast => (Some("bcast"), None),
            Mode::OptIn => (Some("optin"), Some("caching-yes")),
            Mode::OptOut => (Some("optout"), Some("caching-no")),
        };
        flags.extend(mode);
        flags.extend(exception.filter(|_| tracking.is_exception));
        flags.extend(Some("noloop").filter(|_| tracking.skips_own));
        flags.extend(Some("broken_redirect").filter(|_| tracking.is_broken));
    }
    let mut reply = context.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirection);
    reply.bulk(b"prefixes");
    let prefixes = tracking.as_ref().map(|tracking| &tracking.prefixes);
    reply.array(prefixes.map_or(0, |prefixes| prefixes.len()));
    prefixes.into_iter().flatten().for_each(|prefix| reply.bulk(prefix));
    context.session().tracking = tracking;
    Ok(())
}
