//! ACL LOG: what was denied to whom, the newest first. What happens again within a minute is counted, not listed again.
//! Always: at most `acllog-max-len` entries, and of each a bounded part of what was denied.

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Now, World};
use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::Args;

use crate::engine::Engine;
use crate::server::ServerContext;
use crate::server::client::client_line;

/// Entries looked at for one that is alike.
const ALIKE_AMONG: usize = 10;
/// How long after its last time an entry takes up another.
const ALIKE_WITHIN_MS: u64 = 60_000;
/// Bytes kept of a key, a channel or a name.
const OBJECT_BYTES_MAX: usize = 1024;
/// Entries shown if nobody says how many.
const SHOWN: usize = 10;

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Command,
    Key,
    Channel,
    Login,
}

/// In what surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    AtOnce,
    InTransaction,
}

/// The log.
#[derive(Default)]
pub(crate) struct AccessLog {
    kept_max: usize,
    next_id: u64,
    /// Newest first.
    entries: VecDeque<Entry>,
}

struct Entry {
    id: u64,
    count: u64,
    reason: Reason,
    happened: Happened,
    object: Vec<u8>,
    user: Vec<u8>,
    created_ms: i64,
    updated_ms: i64,
    client: String,
}

impl AccessLog {
    pub(crate) fn new(kept_max: usize) -> AccessLog {
        AccessLog { kept_max, ..AccessLog::default() }
    }

    pub(crate) fn set_kept_max(&mut self, kept_max: usize) {
        self.kept_max = kept_max;
        self.entries.truncate(kept_max);
    }

    fn add(&mut self, entry: Entry) {
        let alike = self.entries.iter().take(ALIKE_AMONG).position(|known| {
            known.reason == entry.reason
                && known.happened == entry.happened
                && known.object == entry.object
                && known.user == entry.user
                && known.updated_ms.abs_diff(entry.updated_ms) <= ALIKE_WITHIN_MS
        });
        if let Some(mut known) = alike.and_then(|at| self.entries.remove(at)) {
            known.count += 1;
            known.updated_ms = entry.updated_ms;
            known.client = entry.client;
            self.entries.push_front(known);
            return;
        }
        self.entries.push_front(Entry { id: self.next_id, ..entry });
        self.next_id += 1;
        self.entries.truncate(self.kept_max);
    }
}

impl Engine {
    /// Takes note of something that was denied.
    #[expect(clippy::too_many_arguments, reason = "each is a field of the entry")]
    pub(crate) fn log_denial(
        &mut self,
        now: Now,
        connection: ConnectionId,
        reason: Reason,
        happened: Happened,
        object: &[u8],
        user: &[u8],
        world: &mut World<'_>,
    ) {
        *match reason {
            Reason::Command => &mut self.stats.commands_denied,
            Reason::Key => &mut self.stats.keys_denied,
            Reason::Channel => &mut self.stats.channels_denied,
            Reason::Login => &mut self.stats.logins_refused,
        } += 1;
        let Some(session) = self.sessions.get(connection) else { return };
        let client = client_line(self, world.outputs, now, session);
        let kept = |bytes: &[u8]| bytes[..bytes.len().min(OBJECT_BYTES_MAX)].to_vec();
        let now_ms = now.unix().0;
        self.access_log.add(Entry {
            id: 0,
            count: 1,
            reason,
            happened,
            object: kept(object),
            user: kept(user),
            created_ms: now_ms,
            updated_ms: now_ms,
            client,
        });
    }
}

pub(super) fn log(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(super::subcommand_syntax(args));
    }
    if args.is(2, "RESET") {
        context.engine.access_log.entries.clear();
        context.reply().ok();
        return Ok(());
    }
    let count = match args.try_get(2) {
        None => SHOWN,
        Some(word) => {
            let number = tenon_resp::parse_integer(word).ok_or(CommandError::NotInteger)?;
            usize::try_from(number).unwrap_or(0)
        }
    };
    let now_ms = context.now.unix().0;
    let session = context.engine.sessions.get(context.connection).expect("a request comes from a session");
    let mut reply = tenon_resp::Reply::new(context.world.outputs.writer(context.connection), session.proto);
    let entries = &context.engine.access_log.entries;
    reply.array(count.min(entries.len()));
    for entry in entries.iter().take(count) {
        write_entry(&mut reply, entry, now_ms);
    }
    Ok(())
}

fn write_entry(reply: &mut tenon_resp::Reply<'_>, entry: &Entry, now_ms: i64) {
    reply.map(10);
    reply.bulk(b"count");
    reply.integer(entry.count as i64);
    reply.bulk(b"reason");
    reply.bulk(match entry.reason {
        Reason::Command => b"command",
        Reason::Key => b"key",
        Reason::Channel => b"channel",
        Reason::Login => b"auth",
    });
    reply.bulk(b"context");
    reply.bulk(match entry.happened {
        Happened::AtOnce => b"toplevel",
        Happened::InTransaction => b"multi",
    });
    reply.bulk(b"object");
    reply.bulk(&entry.object);
    reply.bulk(b"username");
    reply.bulk(&entry.user);
    reply.bulk(b"age-seconds");
    reply.double((now_ms - entry.updated_ms) as f64 / 1_000.0);
    reply.bulk(b"client-info");
    reply.bulk(entry.client.as_bytes());
    reply.bulk(b"entry-id");
    reply.integer(entry.id as i64);
    reply.bulk(b"timestamp-created");
    reply.integer(entry.created_ms);
    reply.bulk(b"timestamp-last-updated");
    reply.integer(entry.updated_ms);
}
