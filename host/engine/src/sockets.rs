//! Where the server listens, and how: the directives about addresses and TLS as a wish to the world, and what became
//! of it. Opens nothing itself.
//! Always: addresses and certificates come into force together or stay as they were.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use tenon_base::{
    ClientCertificates, ConnectionId, ListenError, Listener, Listening, Now, Output, Protocol, SessionCache,
    Tls, World,
};
use tenon_config::{Config, Directive, SetError};

use crate::engine::{Engine, Purpose};

/// Directives that say where to listen.
const ADDRESSES: [Directive; 6] = [
    Directive::Port,
    Directive::TlsPort,
    Directive::Bind,
    Directive::TcpKeepalive,
    Directive::MetricsPort,
    Directive::MetricsBind,
];

/// Directives that say what encrypted connections are made with.
const ENCRYPTION: [Directive; 13] = [
    Directive::TlsCertFile,
    Directive::TlsKeyFile,
    Directive::TlsKeyFilePass,
    Directive::TlsCaCertFile,
    Directive::TlsCaCertDir,
    Directive::TlsAuthClients,
    Directive::TlsProtocols,
    Directive::TlsCiphers,
    Directive::TlsCipherSuites,
    Directive::TlsPreferServerCiphers,
    Directive::TlsSessionCaching,
    Directive::TlsSessionCacheSize,
    Directive::TlsSessionCacheTimeout,
];

/// Whether a change of these directives asks for other sockets, or for other certificates on those there are.
pub(crate) fn needs_sockets(mut changed: impl Iterator<Item = Directive>) -> bool {
    changed.any(|directive| ADDRESSES.contains(&directive) || ENCRYPTION.contains(&directive))
}

/// What is answered when a change cannot be served.
fn refusal(changed: impl Iterator<Item = Directive>, error: &ListenError) -> SetError {
    let changed: Vec<Directive> = changed.collect();
    let first_of =
        |wanted: &[Directive]| changed.iter().copied().find(|directive| wanted.contains(directive));
    match error {
        ListenError::Tls(_) => SetError::refused(
            first_of(&ENCRYPTION).or(first_of(&ADDRESSES)).unwrap_or(Directive::TlsPort),
            "Unable to update TLS configuration. Check server logs.",
        ),
        ListenError::Address(_) => match first_of(&ADDRESSES) {
            Some(bind @ (Directive::Bind | Directive::MetricsBind)) => {
                SetError::refused(bind, "Failed to bind to specified addresses.")
            }
            other => SetError::refused(
                other.unwrap_or(Directive::Port),
                "Unable to listen on this port. Check server logs.",
            ),
        },
    }
}

impl Engine {
    /// Asks for the sockets that a configuration names, with certificates read anew if they `renew`; `client` waits.
    pub(crate) fn listen(
        &mut self,
        config: &Config,
        renew: bool,
        client: Option<ConnectionId>,
        world: &mut World<'_>,
    ) {
        self.listening.tls_revision += u64::from(renew);
        let listening = listening(config, self.listening.tls_revision);
        let ticket = self.ticket(Purpose::Listen(client));
        world.outputs.request(Output::Listen { ticket, listening });
    }

    /// What became of the sockets that were asked for.
    pub(crate) fn listened(
        &mut self,
        now: Now,
        client: Option<ConnectionId>,
        result: Result<(), ListenError>,
        world: &mut World<'_>,
    ) {
        match (client, result) {
            (Some(_), result) => self.sockets_opened(now, result, world),
            (None, Ok(())) if !self.listening.is_ready => {
                self.listening.is_ready = true;
                self.load_and_serve(now, world);
            }
            (None, Ok(())) => {}
            (None, Err(error)) if !self.listening.is_ready => {
                match error {
                    ListenError::Tls(sentence) => {
                        tracing::warn!("{sentence}");
                        tracing::warn!("Failed to configure TLS. Check logs for more info.");
                    }
                    ListenError::Address(sentence) => {
                        let port = self.config.integer(Directive::Port);
                        tracing::warn!("Failed listening on port {port} (tcp), aborting: {sentence}");
                    }
                }
                world.outputs.request(Output::Exit { code: 1 });
            }
            (None, Err(error)) => tracing::warn!("The addresses cannot be served again: {error}"),
        }
    }

    /// The change of `changed` failed at the sockets: the log's line and the client's answer.
    pub(crate) fn refusal_of_sockets(
        &self,
        changed: impl Iterator<Item = Directive>,
        error: &ListenError,
    ) -> SetError {
        tracing::warn!("The new addresses or certificates cannot be served, the old ones still are: {error}");
        refusal(changed, error)
    }
}

/// Whether a change of these directives has certificates read again.
pub(crate) fn renews_certificates(mut changed: impl Iterator<Item = Directive>) -> bool {
    changed.any(|directive| ENCRYPTION.contains(&directive))
}

fn listening(config: &Config, tls_revision: u64) -> Listening {
    let port = |directive| u16::try_from(config.integer(directive)).unwrap_or(0);
    let mut listeners = Vec::new();
    for (port, bind, protocol) in [
        (port(Directive::Port), Directive::Bind, Protocol::Resp),
        (port(Directive::TlsPort), Directive::Bind, Protocol::RespOverTls),
        (port(Directive::MetricsPort), Directive::MetricsBind, Protocol::Http),
    ] {
        if port == 0 {
            continue;
        }
        for word in config.words(bind) {
            let word = String::from_utf8_lossy(word);
            let (optional, host) = word.strip_prefix('-').map_or((false, &*word), |host| (true, host));
            listeners.push(Listener::Tcp { host: host.to_owned(), port, optional, protocol });
        }
    }
    if let Some(path) = file(config, Directive::UnixSocket) {
        let permissions = u32::try_from(config.integer(Directive::UnixSocketPerm)).unwrap_or(0);
        listeners.push(Listener::Unix { path, permissions });
    }
    Listening {
        listeners,
        backlog: u32::try_from(config.integer(Directive::TcpBacklog)).unwrap_or(511),
        keepalive_seconds: u32::try_from(config.integer(Directive::TcpKeepalive)).unwrap_or(300),
        tls: tls_settings(config).map(|tls| Box::new(Tls { revision: tls_revision, ..tls })),
    }
}

/// What a configuration says about TLS; `None` where nothing is encrypted.
pub fn tls_settings(config: &Config) -> Option<Tls> {
    (config.integer(Directive::TlsPort) > 0).then(|| tls(config))
}

/// The directives about TLS, as the driver takes them.
fn tls(config: &Config) -> Tls {
    let text = |directive| config.text_lossy(directive).into_owned();
    let number = |directive| u64::try_from(config.integer(directive)).unwrap_or(0);
    Tls {
        revision: 0,
        certificate_file: file(config, Directive::TlsCertFile),
        key_file: file(config, Directive::TlsKeyFile),
        key_password: config.text(Directive::TlsKeyFilePass).to_vec(),
        authority_file: file(config, Directive::TlsCaCertFile),
        authority_directory: file(config, Directive::TlsCaCertDir),
        clients: match config.choice(Directive::TlsAuthClients).as_str() {
            "no" => ClientCertificates::Unasked,
            "optional" => ClientCertificates::Optional,
            _ => ClientCertificates::Required,
        },
        protocols: text(Directive::TlsProtocols),
        ciphers: text(Directive::TlsCiphers),
        cipher_suites: text(Directive::TlsCipherSuites),
        prefers_own_order: config.bool(Directive::TlsPreferServerCiphers),
        session_cache: config.bool(Directive::TlsSessionCaching).then(|| SessionCache {
            sessions_max: usize::try_from(number(Directive::TlsSessionCacheSize)).unwrap_or(0),
            seconds: number(Directive::TlsSessionCacheTimeout),
        }),
    }
}

/// What connections to other servers are encrypted with, where `tls-replication` says that they are: with the
/// certificate that is for clients, if there is one.
pub(crate) fn outgoing_tls(config: &Config) -> Option<Box<Tls>> {
    if !config.bool(Directive::TlsReplication) {
        return None;
    }
    let mut settings = tls(config);
    if let Some(certificate) = file(config, Directive::TlsClientCertFile) {
        settings.certificate_file = Some(certificate);
        settings.key_file = file(config, Directive::TlsClientKeyFile);
        settings.key_password = config.text(Directive::TlsClientKeyFilePass).to_vec();
    }
    Some(Box::new(settings))
}

/// A file that a directive names, from `dir` on; `None` where it names none.
fn file(config: &Config, directive: Directive) -> Option<PathBuf> {
    let name = config.text(directive);
    let directory = PathBuf::from(OsStr::from_bytes(config.text(Directive::Dir)));
    (!name.is_empty()).then(|| directory.join(OsStr::from_bytes(name)))
}
