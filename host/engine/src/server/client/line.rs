//! One client as CLIENT LIST shows it: fields, order and units are Redis's. What has no meaning here shows what an idle
//! client of Redis shows.

use std::fmt::Write;

use tenon_base::{Outputs, Transport};
use tenon_resp::{Args, Proto, write_request};

use crate::server::ServerContext;
use crate::session::Session;

/// Bytes of pending replies that Redis keeps in a client's own buffer (`obl`); what is beyond is `omem`.
const STATIC_BUFFER_BYTES: usize = 16 * 1024;
/// Size of that buffer for a client that is idle (`rbs`).
const IDLE_BUFFER_BYTES: usize = 1024;

/// Classes of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    Primary,
    Replica,
    Pubsub,
}

impl ClientType {
    /// By the word for it, in letters of either case.
    pub(super) fn parse(word: &[u8]) -> Option<ClientType> {
        let words = [
            ("normal", ClientType::Normal),
            ("master", ClientType::Primary),
            ("slave", ClientType::Replica),
            ("replica", ClientType::Replica),
            ("pubsub", ClientType::Pubsub),
        ];
        let found = words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, kind)| kind)
    }

    /// The class of a session: nobody subscribes yet.
    pub(super) fn of(session: &Session) -> ClientType {
        if session.is_replica { ClientType::Replica } else { ClientType::Normal }
    }
}

/// Bytes that a session takes: its state, what it has sent and is not run yet, what it is yet to be sent.
pub(in crate::server) fn memory_bytes(session: &Session, outputs: &Outputs) -> usize {
    let waiting = session.decoder.pending_bytes() + outputs.pending_bytes(session.id.slot);
    size_of::<Session>() + IDLE_BUFFER_BYTES + waiting
}

/// Appends a client's line, with its line end. `args` is the request that asks.
pub(super) fn write_line(
    out: &mut String,
    context: &ServerContext<'_, '_>,
    session: &Session,
    args: Args<'_>,
) {
    let asks = session.id == context.connection;
    let pending = context.world.outputs.pending_bytes(session.id.slot);
    let beyond = pending.saturating_sub(STATIC_BUFFER_BYTES);
    let (request, wire) = if asks { (args.total_bytes(), wire_bytes(args)) } else { (0, 0) };
    let received = session.decoder.pending_bytes() + wire;
    let now = context.now.steady;
    let command = session.last_command.map_or("NULL", |id| &context.engine.commands[id].full_name);
    // A string takes everything.
    let _ = writeln!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0 multi=-1 qbuf={received} \
         qbuf-free=0 argv-mem={request} multi-mem=0 rbs={IDLE_BUFFER_BYTES} rbp=0 obl={} oll={} omem={beyond} \
         tot-mem={} events={} cmd={command} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        session.id.serial,
        session.peer.address,
        session.peer.local,
        session.peer.descriptor,
        String::from_utf8_lossy(&session.name),
        now.since(session.connected_at.steady).millis() / 1_000,
        now.since(session.last_heard).millis() / 1_000,
        flags(session),
        session.database,
        pending - beyond,
        beyond.div_ceil(STATIC_BUFFER_BYTES),
        memory_bytes(session, context.world.outputs) + request + wire,
        if pending > 0 && !asks { "rw" } else { "r" },
        if session.proto == Proto::Resp3 { 3 } else { 2 },
        String::from_utf8_lossy(&session.library_name),
        String::from_utf8_lossy(&session.library_version),
    );
}

/// The request that runs is in the buffer still, as in Redis.
fn wire_bytes(request: Args<'_>) -> usize {
    let mut wire = Vec::new();
    write_request(&mut wire, request);
    wire.len()
}

/// Letters, in Redis's order; `N` for none.
fn flags(session: &Session) -> String {
    let letters = [
        ('S', session.is_replica),
        ('b', session.parked.is_some()),
        ('c', session.is_closing),
        ('U', session.peer.transport == Transport::Unix),
        ('e', session.no_evict),
        ('T', session.no_touch),
    ];
    let set: String = letters.into_iter().filter(|(_, is_set)| *is_set).map(|(letter, _)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
