//! One client as CLIENT LIST shows it: fields, order and units are Redis's. What has no meaning here shows what an idle
//! client of Redis shows.

use std::fmt::Write;

use tenon_base::{Now, Outputs, Transport};
use tenon_resp::{Args, OwnedArgs, Proto, write_request};

use crate::client_memory::client_bytes;
use crate::engine::Engine;
use crate::output_limits::OWN_BUFFER_BYTES;
use crate::pubsub::Space;
use crate::server::ServerContext;
use crate::session::Session;
use crate::tracking::Mode;

/// Appends a client's line, with its line end. `args` is the request that asks.
pub(super) fn write_line(
    out: &mut String,
    context: &ServerContext<'_, '_>,
    session: &Session,
    args: Args<'_>,
) {
    let none = OwnedArgs::new();
    let asked = if session.id == context.connection { args } else { none.as_args() };
    write_fields(out, context.engine, context.world.outputs, context.now, session, asked);
    out.push('\n');
}

/// A client as the log shows it.
pub(crate) fn client_line(engine: &Engine, outputs: &Outputs, now: Now, session: &Session) -> String {
    let mut line = String::new();
    write_fields(&mut line, engine, outputs, now, session, OwnedArgs::new().as_args());
    line
}

/// `request` is what of it runs; empty if nothing does.
fn write_fields(
    out: &mut String,
    engine: &Engine,
    outputs: &Outputs,
    now: Now,
    session: &Session,
    request: Args<'_>,
) {
    let pending = outputs.pending_bytes(session.id.slot);
    let beyond = pending.saturating_sub(OWN_BUFFER_BYTES);
    let own = pending - beyond;
    let asks = !request.is_empty();
    let (request, wire) = if !asks { (0, 0) } else { (request.total_bytes(), wire_bytes(request)) };
    let received = session.decoder.received_bytes() + wire;
    let now = now.steady;
    let command = session.last_command.map_or("NULL", |id| &engine.commands[id].full_name);
    let transaction = session.transaction.as_ref();
    let redirect = redirection_of(session);
    // A string takes everything.
    let _ = write!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={received} \
         qbuf-free=0 argv-mem={request} multi-mem={} rbs={own} rbp=0 obl={own} oll={} omem={beyond} \
         tot-mem={} events={} cmd={command} user={} redir={redirect} resp={} lib-name={} lib-ver={}",
        session.id.serial,
        session.peer.address,
        session.peer.local,
        session.peer.descriptor,
        String::from_utf8_lossy(&session.name),
        now.since(session.connected_at.steady).millis() / 1_000,
        now.since(session.last_heard).millis() / 1_000,
        flags(session),
        session.database,
        session.subscription_count(Space::Channels),
        session.subscription_count(Space::Patterns),
        session.subscription_count(Space::ShardChannels),
        transaction.map_or(-1, |transaction| transaction.count as i64),
        transaction.map_or(0, |transaction| transaction.bytes),
        beyond.div_ceil(OWN_BUFFER_BYTES),
        client_bytes(session, outputs) + request + wire,
        if pending > 0 && !asks { "rw" } else { "r" },
        String::from_utf8_lossy(engine.users.name(session.user)),
        if session.proto == Proto::Resp3 { 3 } else { 2 },
        String::from_utf8_lossy(&session.library_name),
        String::from_utf8_lossy(&session.library_version),
    );
}

/// The number of the connection that invalidations go to: 0 for its own, -1 if it tracks nothing.
pub(super) fn redirection_of(session: &Session) -> i64 {
    session
        .tracking
        .as_ref()
        .map_or(-1, |tracking| tracking.redirect.map_or(0, |target| target.serial as i64))
}

/// The request that runs is in the buffer still, as in Redis.
fn wire_bytes(request: Args<'_>) -> usize {
    let mut wire = Vec::new();
    write_request(&mut wire, request);
    wire.len()
}

/// Letters, in Redis's order; `N` for none.
fn flags(session: &Session) -> String {
    let tracking = session.tracking.as_ref();
    let letters = [
        ('O', session.is_monitor),
        ('P', session.subscriptions.is_some()),
        ('S', session.is_replica),
        ('x', session.transaction.is_some()),
        ('b', session.parked.is_some()),
        ('t', tracking.is_some()),
        ('R', tracking.is_some_and(|tracking| tracking.is_broken)),
        ('B', tracking.is_some_and(|tracking| tracking.mode == Mode::Broadcast)),
        ('d', session.is_dirty),
        ('c', session.is_closing),
        ('U', session.peer.transport == Transport::Unix),
        ('e', session.no_evict),
        ('T', session.no_touch),
    ];
    let set: String = letters.into_iter().filter(|(_, is_set)| *is_set).map(|(letter, _)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
