//! Listening sockets: opened, kept or closed as the machine wishes.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tenon_base::{ListenError, Listener, Listening, Peer, Protocol, Tls, Transport, describe};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::connection::Stream;
use crate::tls::{self, Handshaken, Handshakes, Raw, TlsStream};

/// The sockets served now.
#[derive(Default)]
pub(crate) struct Listeners {
    serving: Vec<Serving>,
    /// `tcp-keepalive`, as the next connection gets it.
    keepalive_seconds: Rc<Cell<u32>>,
    tls: Option<Encrypting>,
}

/// The context that the next handshake is made with.
type Current = Rc<RefCell<Arc<ServerConfig>>>;

/// What encrypted connections are made with now.
struct Encrypting {
    settings: Tls,
    /// Shared with the acceptors, so that what changes holds from the next connection on.
    context: Current,
    handshakes: Handshakes,
    handshaken: Rc<Handshaken>,
}

struct Serving {
    listener: Listener,
    acceptors: Vec<Rc<Acceptor>>,
    tasks: Vec<AbortHandle>,
}

/// A bound socket while it is served. It is taken out to be closed at once: an acceptor ends only in its own time.
type Door = RefCell<Option<Bound>>;

impl Drop for Serving {
    fn drop(&mut self) {
        self.acceptors.iter().for_each(|acceptor| drop(acceptor.door.take()));
        self.tasks.iter().for_each(AbortHandle::abort);
        if let Listener::Unix { path, .. } = &self.listener {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// A bound socket that accepts connections.
pub(crate) struct Acceptor {
    door: Door,
    pub(crate) protocol: Protocol,
    keepalive_seconds: Rc<Cell<u32>>,
    /// Where connections go first, if they are encrypted.
    handshakes: Option<(mpsc::Sender<Raw>, Current)>,
}

enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, String),
}

impl Listeners {
    /// Serves exactly `wanted`: what is already served stays, what is new is bound first, and only if all of
    /// it could be bound, and certificates and keys are good, is the rest closed.
    pub(crate) fn serve(
        &mut self,
        wanted: Listening,
        mut spawn: impl FnMut(Rc<Acceptor>) -> AbortHandle,
        spawn_handshaken: impl FnOnce(Rc<Handshaken>),
    ) -> Result<(), ListenError> {
        let wants_tls = wanted.listeners.iter().any(|one| protocol(one) == Protocol::RespOverTls);
        assert!(!wants_tls || wanted.tls.is_some(), "an encrypted address without certificates");
        let context = self.new_context(wanted.tls.as_deref()).map_err(ListenError::Tls)?;
        let opened = self.open(&wanted).map_err(ListenError::Address)?;
        if let (Some(context), Some(settings)) = (context, &wanted.tls) {
            self.encrypt((**settings).clone(), context, spawn_handshaken).map_err(ListenError::Tls)?;
        }
        self.keepalive_seconds.set(wanted.keepalive_seconds);
        self.serving.retain(|serving| wanted.listeners.contains(&serving.listener));
        for (listener, sockets) in opened {
            let protocol = protocol(&listener);
            let handshakes = self.tls.as_ref().filter(|_| protocol == Protocol::RespOverTls);
            let acceptor = |socket| Acceptor {
                door: RefCell::new(Some(socket)),
                protocol,
                keepalive_seconds: Rc::clone(&self.keepalive_seconds),
                handshakes: handshakes.map(|tls| (tls.handshakes.sender(), Rc::clone(&tls.context))),
            };
            let acceptors: Vec<_> = sockets.into_iter().map(|socket| Rc::new(acceptor(socket))).collect();
            let tasks = acceptors.iter().map(|acceptor| spawn(Rc::clone(acceptor))).collect();
            self.serving.push(Serving { listener, acceptors, tasks });
        }
        Ok(())
    }

    /// The sockets one by one, as they are asked for new connections in the middle of long work.
    pub(crate) fn acceptor(&self, index: usize) -> Option<&Acceptor> {
        self.serving.iter().flat_map(|serving| &serving.acceptors).nth(index).map(|acceptor| &**acceptor)
    }

    /// A connection whose handshake is over, if there is one.
    pub(crate) fn handshaken(&self) -> Option<(TlsStream, Peer)> {
        self.tls.as_ref()?.handshaken.take()
    }

    /// What handshakes are made with from now on, if that is something else than before.
    fn new_context(&self, wanted: Option<&Tls>) -> Result<Option<Arc<ServerConfig>>, String> {
        match (wanted, &self.tls) {
            (Some(wanted), Some(now)) if now.settings == *wanted => Ok(None),
            (Some(wanted), _) => tls::context(wanted).map(Some),
            (None, _) => Ok(None),
        }
    }

    fn encrypt(
        &mut self,
        settings: Tls,
        context: Arc<ServerConfig>,
        spawn_handshaken: impl FnOnce(Rc<Handshaken>),
    ) -> Result<(), String> {
        if let Some(tls) = &mut self.tls {
            tls.settings = settings;
            tls.context.replace(context);
            return Ok(());
        }
        let (handshakes, handshaken) = Handshakes::start().map_err(|error| describe(&error))?;
        let (handshaken, context) = (Rc::new(handshaken), Rc::new(RefCell::new(context)));
        spawn_handshaken(Rc::clone(&handshaken));
        self.tls = Some(Encrypting { settings, context, handshakes, handshaken });
        Ok(())
    }

    /// Binds what is not served yet.
    fn open(&self, wanted: &Listening) -> Result<Vec<(Listener, Vec<Bound>)>, String> {
        let mut opened = Vec::new();
        for listener in &wanted.listeners {
            if self.serving.iter().any(|serving| serving.listener == *listener) {
                continue;
            }
            match bind(listener, wanted) {
                Ok(sockets) => opened.push((listener.clone(), sockets)),
                Err(error) if is_excused(listener, &error) => {
                    tracing::info!("Not listening on {}: {}", name(listener), describe(&error));
                }
                Err(error) => return Err(format!("{}: {}", name(listener), describe(&error))),
            }
        }
        Ok(opened)
    }
}

impl Acceptor {
    /// The next connection; `None` where it is on its way to a handshake first.
    pub(crate) async fn accept(&self) -> io::Result<Option<(Stream, Peer)>> {
        let accepted = poll_fn(|context| self.poll_accept(context)).await?;
        match self.take_in(accepted)? {
            Entered::Ready(stream, peer) => Ok(Some((stream, peer))),
            Entered::Raw(sender, raw) => {
                sender.send(raw).await.map_err(|_| io::Error::other("the thread of handshakes has ended"))?;
                Ok(None)
            }
        }
    }

    /// As [`Acceptor::accept`], past the runtime.
    pub(crate) fn accept_now(&self) -> Met {
        let entered = match self.accept_past_runtime() {
            Ok(accepted) => self.take_in(accepted),
            // Nobody is there, or there are no descriptors left.
            Err(_) => return Met::Nobody,
        };
        match entered {
            Ok(Entered::Ready(stream, peer)) => Met::Client(stream, peer),
            Ok(Entered::Raw(sender, raw)) => {
                // Where too many are under way, the peer has to try again.
                let _ = sender.try_send(raw);
                Met::Other
            }
            // Gone already.
            Err(_) => Met::Other,
        }
    }

    fn take_in(&self, accepted: Accepted) -> io::Result<Entered> {
        let (stream, address) = match accepted {
            Accepted::Tcp(stream, address) => (stream, address),
            Accepted::Unix(stream, path) => {
                let peer = Peer {
                    address: format!("{path}:0"),
                    local: format!("{path}:0"),
                    descriptor: stream.as_raw_fd(),
                    transport: Transport::Unix,
                    is_local: true,
                };
                return Ok(Entered::Ready(Stream::Unix(stream), peer));
            }
        };
        stream.set_nodelay(true)?;
        let seconds = self.keepalive_seconds.get();
        if seconds > 0 {
            SockRef::from(&stream).set_tcp_keepalive(&keepalive(seconds))?;
        }
        let mut peer = Peer {
            address: address.to_string(),
            local: stream.local_addr()?.to_string(),
            descriptor: stream.as_raw_fd(),
            transport: Transport::Tcp,
            is_local: address.ip().to_canonical().is_loopback(),
        };
        let Some((handshakes, context)) = &self.handshakes else {
            return Ok(Entered::Ready(Stream::Tcp(stream), peer));
        };
        peer.transport = Transport::Tls;
        let context = Arc::clone(&context.borrow());
        Ok(Entered::Raw(handshakes.clone(), Raw { socket: stream.into_std()?, peer, context }))
    }

    fn accept_past_runtime(&self) -> io::Result<Accepted> {
        let door = self.door.borrow();
        let listener = match &*door {
            Some(Bound::Tcp(listener)) => SockRef::from(listener),
            Some(Bound::Unix(listener, _)) => SockRef::from(listener),
            None => return Err(io::ErrorKind::WouldBlock.into()),
        };
        let (socket, address) = listener.accept()?;
        socket.set_nonblocking(true)?;
        match (&*door, address.as_socket()) {
            (Some(Bound::Tcp(_)), Some(address)) => {
                Ok(Accepted::Tcp(TcpStream::from_std(socket.into())?, address))
            }
            (Some(Bound::Unix(_, path)), _) => {
                Ok(Accepted::Unix(UnixStream::from_std(socket.into())?, path.clone()))
            }
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match &*self.door.borrow() {
            Some(Bound::Tcp(listener)) => {
                listener.poll_accept(context).map_ok(|(stream, address)| Accepted::Tcp(stream, address))
            }
            Some(Bound::Unix(listener, path)) => {
                listener.poll_accept(context).map_ok(|(stream, _)| Accepted::Unix(stream, path.clone()))
            }
            // Closed: this task is about to be ended.
            None => Poll::Pending,
        }
    }
}

/// What came in.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream, String),
}

/// Whom long work meets at a door.
pub(crate) enum Met {
    /// Somebody to be served.
    Client(Stream, Peer),
    /// Somebody who is gone, or on the way to a handshake.
    Other,
    /// Nobody, for now.
    Nobody,
}

/// What becomes of it.
enum Entered {
    Ready(Stream, Peer),
    /// A handshake comes first, where this leads to.
    Raw(mpsc::Sender<Raw>, Raw),
}

/// Dead peers are noticed after about `seconds`, as Redis divides them.
fn keepalive(seconds: u32) -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(u64::from(seconds)))
        .with_interval(Duration::from_secs(u64::from((seconds / 3).max(1))))
        .with_retries(3)
}

fn bind(listener: &Listener, listening: &Listening) -> io::Result<Vec<Bound>> {
    match listener {
        Listener::Tcp { host, port, .. } => {
            addresses(host, *port)?.into_iter().map(|address| bind_tcp(address, listening.backlog)).collect()
        }
        Listener::Unix { path, permissions } => Ok(vec![bind_unix(path, *permissions, listening.backlog)?]),
    }
}

fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = match host {
        "*" => "0.0.0.0",
        "::*" => "::",
        other => other,
    };
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.take(1).collect();
    if found.is_empty() { Err(io::ErrorKind::AddrNotAvailable.into()) } else { Ok(found) }
}

fn bind_tcp(address: SocketAddr, backlog: u32) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(Bound::Tcp(TcpListener::from_std(socket.into())?))
}

fn bind_unix(path: &Path, permissions: u32, backlog: u32) -> io::Result<Bound> {
    // A socket left by a server that is gone would make the bind fail; anything else there is not ours.
    if let Ok(metadata) = fs::symlink_metadata(path)
        && std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type())
    {
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    if permissions != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(permissions))?;
    }
    Ok(Bound::Unix(UnixListener::from_std(socket.into())?, path.display().to_string()))
}

/// An optional address may be missing, or its whole family, on this machine.
fn is_excused(listener: &Listener, error: &io::Error) -> bool {
    const NO_SUCH_FAMILY: i32 = 97;
    matches!(listener, Listener::Tcp { optional: true, .. })
        && (error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY))
}

fn protocol(listener: &Listener) -> Protocol {
    match listener {
        Listener::Tcp { protocol, .. } => *protocol,
        Listener::Unix { .. } => Protocol::Resp,
    }
}

fn name(listener: &Listener) -> String {
    match listener {
        Listener::Tcp { host, port, .. } => format!("{host}:{port}"),
        Listener::Unix { path, .. } => path.display().to_string(),
    }
}
