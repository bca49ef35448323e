//! CLIENT KILL: conditions, and the end of the connections that meet all of them.

use tenon_acl::{UserId, Users};
use tenon_base::{ConnectionId, Now};
use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::Args;

use super::{client_type, quoting};
use crate::following::Following;
use crate::server::ServerContext;
use crate::session::{ClientType, Session};

/// Whom to close: those who meet every condition that is set.
#[derive(Debug, Default)]
struct Filter<'a> {
    serial: Option<u64>,
    address: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    kind: Option<ClientType>,
    user: Option<UserId>,
    age_seconds_min: Option<u64>,
    spares: Option<ConnectionId>,
}

pub(super) fn kill(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let is_old_form = args.len() == 3;
    let filter = if is_old_form {
        Filter { address: Some(args.get(2)), ..Filter::default() }
    } else {
        Filter::parse(args, context.connection, &context.engine.users)?
    };
    let victims: Vec<ConnectionId> = context
        .engine
        .sessions
        .present()
        .filter(|session| filter.meets(session, context.now))
        .map(|session| session.id)
        .collect();
    // The link to the primary that is followed is nobody's session.
    let following = &context.engine.replication.following;
    let kills_link = following.as_ref().is_some_and(|following| filter.meets_link(following));
    match (is_old_form, victims.len() + usize::from(kills_link)) {
        (true, 0) => return Err(CommandError::text("ERR No such client")),
        (true, _) => context.reply().ok(),
        (false, count) => context.reply().integer(count as i64),
    }
    if kills_link {
        context.engine.drop_upstream(context.now, context.world);
    }
    for victim in victims {
        // Who asks for its own end is told that it has come.
        let at_once = victim != context.connection;
        context.engine.close(victim, at_once, context.world);
    }
    Ok(())
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>, asking: ConnectionId, users: &Users) -> Result<Filter<'a>, CommandError> {
        let mut filter = Filter { spares: Some(asking), ..Filter::default() };
        for at in (2..args.len()).step_by(2) {
            let value = args.try_get(at + 1).ok_or(CommandError::Syntax)?;
            if args.is(at, "ID") {
                filter.serial = Some(positive(value, "ERR client-id should be greater than 0")?);
            } else if args.is(at, "TYPE") {
                filter.kind = Some(client_type(value)?);
            } else if args.is(at, "ADDR") {
                filter.address = Some(value);
            } else if args.is(at, "LADDR") {
                filter.local = Some(value);
            } else if args.is(at, "USER") {
                let user = users.find(value).ok_or_else(|| quoting("ERR No such user '", value, "'"))?;
                filter.user = Some(user);
            } else if args.is(at, "MAXAGE") {
                filter.age_seconds_min = Some(positive(value, "ERR maxage should be greater than 0")?);
            } else if args.is(at, "SKIPME") && args.is(at + 1, "YES") {
                filter.spares = Some(asking);
            } else if args.is(at, "SKIPME") && args.is(at + 1, "NO") {
                filter.spares = None;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(filter)
    }

    fn meets_link(&self, following: &Following) -> bool {
        let (Some(link), Some(peer)) = (following.upstream.link(), &following.peer) else { return false };
        let is_named = self.serial.is_some() || self.address.is_some() || self.kind.is_some();
        is_named
            && self.serial.is_none_or(|serial| link.serial == serial)
            && self.address.is_none_or(|address| peer.address.as_bytes() == address)
            && self.local.is_none_or(|local| peer.local.as_bytes() == local)
            && self.kind.is_none_or(|kind| kind == ClientType::Primary)
            && self.age_seconds_min.is_none()
    }

    fn meets(&self, session: &Session, now: Now) -> bool {
        let age_seconds = now.steady.since(session.connected_at.steady).millis() / 1_000;
        self.serial.is_none_or(|serial| session.id.serial == serial)
            && self.address.is_none_or(|address| session.peer.address.as_bytes() == address)
            && self.local.is_none_or(|local| session.peer.local.as_bytes() == local)
            && self.kind.is_none_or(|kind| ClientType::of(session) == kind)
            && self.user.is_none_or(|user| session.user == user)
            && self.age_seconds_min.is_none_or(|seconds| age_seconds >= seconds)
            && self.spares != Some(session.id)
    }
}

fn positive(word: &[u8], refusal: &'static str) -> Result<u64, CommandError> {
    let number = tenon_resp::parse_integer(word).and_then(|number| u64::try_from(number).ok());
    number.filter(|&number| number > 0).ok_or(CommandError::text(refusal))
}
