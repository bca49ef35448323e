//! How a transfer ends: what the other server has is removed here, and the client is told.
//! Always: who waited for the transfer is looked at again, however it ended.

use tenon_base::{Now, World};
use tenon_commands::{CommandError, Context, Db, Event, Origin};
use tenon_resp::{Args, OwnedArgs, Proto, Reply};

use super::link::{Link, State};
use super::transfer::Transfer;
use crate::engine::Engine;
use crate::execute::write_error;
use crate::waiting::FORCED;

const NO_CONNECTION: &str = "IOERR error or timeout connecting to the client";
const NOT_WRITTEN: &str = "IOERR error or timeout writing to target instance";
const NOT_READ: &str = "IOERR error or timeout reading to target instance";
const CHANGED: &str = "IOERR a key was written to while it was on its way. It is still here, and its former value is \
at the target instance";

/// Why a transfer has not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The other server lets nobody connect.
    Refused,
    /// The connection is dead, or what comes of it makes no sense.
    Broken,
    /// Nothing was heard for too long.
    Late,
    /// What is here is no longer ours to move.
    Forced,
}

impl Engine {
    /// Lets go of the keys that were taken, and answers.
    pub(super) fn conclude_transfer(
        &mut self,
        now: Now,
        place: usize,
        trouble: Option<Trouble>,
        world: &mut World<'_>,
    ) {
        let link = &mut self.migrations.links[place];
        let Some(transfer) = link.transfer.take() else { return };
        let error = error_of(&transfer, trouble, link, world);
        link.used_at = now.steady;
        link.selected = Some(transfer.order.database).filter(|_| error.is_none());
        if trouble.is_some() {
            self.close_link(place, world);
        }
        self.migrations.on_their_way -= 1;
        self.migrations.is_released = true;
        let lets_go = !transfer.order.copies && trouble != Some(Trouble::Forced);
        let has_changed = lets_go && self.let_go(now, &transfer, world);
        self.listen_to_units();
        let error = error.or_else(|| has_changed.then_some(CommandError::text(CHANGED)));
        self.answer_migrate(now, &transfer, error, world);
    }

    /// Removes the keys that the other server has. Says whether one of them stays, because it has changed.
    fn let_go(&mut self, now: Now, transfer: &Transfer, world: &mut World<'_>) -> bool {
        let database = self.keyspace.db(transfer.source);
        let (mut request, mut has_changed) = (OwnedArgs::from(&[&b"DEL"[..]]), false);
        for item in transfer.items.iter().filter(|item| item.is_taken) {
            if !item.is_changed {
                request.push(&item.key);
            } else {
                has_changed |= database.find(&item.key).is_some();
            }
        }
        if request.as_args().len() > 1 {
            self.remove_moved(now, transfer, request.as_args(), world);
        }
        has_changed
    }

    /// Removes keys as a unit of its own, which is told as `request`.
    fn remove_moved(&mut self, now: Now, transfer: &Transfer, request: Args<'_>, world: &mut World<'_>) {
        let mut unread = Vec::new();
        let mut db = Db::new(
            &mut self.keyspace,
            transfer.source,
            now,
            Origin::Client,
            &mut self.lookups,
            &mut self.unit,
        );
        db.lazy_expire = self.lazy_expire;
        let mut context = Context {
            db,
            reply: Reply::new(&mut unread, Proto::Resp2),
            dice: &mut self.dice,
            limits: &self.limits,
            garbage: &mut self.garbage,
        };
        for key in request.rest(1) {
            if let Some(value) = context.db.delete(key) {
                context.discard(value);
                context.wrote(key, Event::DEL, 1);
            }
        }
        self.seal(now, transfer.source, Some(request), world);
        self.note_written(transfer.client);
    }

    fn answer_migrate(
        &mut self,
        now: Now,
        transfer: &Transfer,
        error: Option<CommandError>,
        world: &mut World<'_>,
    ) {
        let client = transfer.client;
        let Some(session) = self.sessions.get_mut(client) else {
            self.reply_stamp = None;
            return;
        };
        session.parked = None;
        let start = world.outputs.writer(client).len();
        let mut reply = Reply::new(world.outputs.writer(client), session.proto);
        match error {
            None => reply.ok(),
            Some(error) => {
                write_error(&mut reply, &error);
                self.stats.count_error(&error);
            }
        }
        self.end_reply(now, client, Some(transfer.command), start, world);
        self.run_kept(now, client, world);
    }
}

/// What the client is told, if not that all is well.
fn error_of(
    transfer: &Transfer,
    trouble: Option<Trouble>,
    link: &Link,
    world: &World<'_>,
) -> Option<CommandError> {
    if let Some(refusal) = transfer.refusal() {
        let text = format!("ERR Target instance replied with error: {refusal}");
        return Some(CommandError::Text(text.into()));
    }
    let has_unsent = match link.state {
        State::Open(connection) => Some(world.outputs.pending_bytes(connection.slot) > 0),
        State::Connecting(_) => None,
    };
    Some(match (trouble?, has_unsent) {
        (Trouble::Forced, _) => FORCED,
        (Trouble::Refused, _) | (_, Some(true)) => CommandError::text(NOT_WRITTEN),
        (Trouble::Broken | Trouble::Late, Some(false)) => CommandError::text(NOT_READ),
        (Trouble::Broken | Trouble::Late, None) => CommandError::text(NO_CONNECTION),
    })
}
