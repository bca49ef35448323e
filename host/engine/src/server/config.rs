//! CONFIG, and the sockets that follow from it.

use std::path::PathBuf;

use tenon_base::{ConnectionId, Listener, Listening, Now, Output, World};
use tenon_commands::Row;
use tenon_config::{Change, Config, Directive};

use super::ServerHandler;
use crate::engine::{Engine, Purpose};

pub(super) static COMMANDS: &[Row<ServerHandler>] = &[];

/// Puts a prepared change in force and answers who asked for it.
pub(crate) fn finish_set(engine: &mut Engine, _now: Now, client: ConnectionId, change: Change, world: &mut World<'_>) {
    engine.config.commit(change);
    engine.answer(client, world, |reply| reply.ok());
}

/// Asks for the sockets that the configuration names.
pub(crate) fn listen(engine: &mut Engine, client: Option<ConnectionId>, world: &mut World<'_>) {
    let listening = listening(&engine.config);
    let ticket = engine.ticket(Purpose::Listen(client));
    world.outputs.request(Output::Listen { ticket, listening });
}

fn listening(config: &Config) -> Listening {
    let port = u16::try_from(config.integer(Directive::Port)).unwrap_or(0);
    let mut listeners = Vec::new();
    if port > 0 {
        for word in config.words(Directive::Bind) {
            let word = String::from_utf8_lossy(word);
            let (optional, host) = word.strip_prefix('-').map_or((false, &*word), |host| (true, host));
            listeners.push(Listener::Tcp { host: host.to_owned(), port, optional });
        }
    }
    let socket = config.text_lossy(Directive::UnixSocket);
    if !socket.is_empty() {
        let permissions = u32::try_from(config.integer(Directive::UnixSocketPerm)).unwrap_or(0);
        listeners.push(Listener::Unix { path: PathBuf::from(&*socket), permissions });
    }
    Listening {
        listeners,
        backlog: u32::try_from(config.integer(Directive::TcpBacklog)).unwrap_or(511),
        keepalive_seconds: u32::try_from(config.integer(Directive::TcpKeepalive)).unwrap_or(300),
    }
}

/// What became of the sockets.
pub(crate) fn listened(
    engine: &mut Engine,
    _now: Now,
    client: Option<ConnectionId>,
    result: Result<(), String>,
    world: &mut World<'_>,
) {
    match (result, client) {
        (Ok(()), None) if !engine.listening.is_ready => {
            engine.listening.is_ready = true;
            tracing::info!("Ready to accept connections");
        }
        (Err(sentence), None) => {
            tracing::warn!("Failed listening on port {} (tcp), aborting: {sentence}", engine.config.integer(Directive::Port));
            world.outputs.request(Output::Exit { code: 1 });
        }
        _ => {}
    }
}
