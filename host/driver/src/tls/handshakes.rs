//! Handshakes, on a thread of their own: they cost milliseconds of arithmetic, and whoever connects may be anybody.
//! Always: bounded in number and in time; a connection that fails is closed and, at most, a line of the log.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{Connection, ServerConfig, ServerConnection};
use tenon_base::{Peer, describe};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;

use super::TlsStream;

/// Handshakes under way; more wait in the sockets' backlogs.
const UNDER_WAY_MAX: usize = 1_024;
/// Connections on their way between the threads.
const QUEUED_MAX: usize = 64;
/// A handshake that takes longer is given up.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What TLS begins with: the type of its first record.
const HANDSHAKE: u8 = 22;

/// An accepted connection that has not said anything yet.
pub(crate) struct Raw {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) peer: Peer,
    pub(crate) context: Arc<ServerConfig>,
}

/// One whose handshake is over, without a runtime.
struct Ready {
    socket: std::net::TcpStream,
    session: Box<Connection>,
    peer: Peer,
}

/// The way to the thread. It ends when this and all clones of the sender are gone.
pub(crate) struct Handshakes {
    raw: mpsc::Sender<Raw>,
}

/// The way back. Asked by a task, and in the middle of long work by whoever does it.
pub(crate) struct Handshaken(RefCell<mpsc::Receiver<Ready>>);

impl Handshakes {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<(Handshakes, Handshaken)> {
        let (raw, incoming) = mpsc::channel(QUEUED_MAX);
        let (outgoing, ready) = mpsc::channel(QUEUED_MAX);
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        thread::Builder::new()
            .name("tls".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, take_in(incoming, outgoing)))?;
        Ok((Handshakes { raw }, Handshaken(RefCell::new(ready))))
    }

    pub(crate) fn sender(&self) -> mpsc::Sender<Raw> {
        self.raw.clone()
    }
}

impl Handshaken {
    /// The next connection that is ready to talk, on the caller's runtime. `None` is the end.
    pub(crate) async fn next(&self) -> Option<(TlsStream, Peer)> {
        loop {
            let ready = poll_fn(|context| self.0.borrow_mut().poll_recv(context)).await?;
            if let Some(talking) = ready.on_this_runtime() {
                return Some(talking);
            }
        }
    }

    /// A connection that is ready to talk, if there is one.
    pub(crate) fn take(&self) -> Option<(TlsStream, Peer)> {
        loop {
            let ready = self.0.borrow_mut().try_recv().ok()?;
            if let Some(talking) = ready.on_this_runtime() {
                return Some(talking);
            }
        }
    }
}

impl Ready {
    fn on_this_runtime(self) -> Option<(TlsStream, Peer)> {
        match TcpStream::from_std(self.socket) {
            Ok(socket) => Some((TlsStream::new(socket, self.session), self.peer)),
            Err(error) => {
                tracing::warn!("Accepting a connection failed: {}", describe(&error));
                None
            }
        }
    }
}

async fn take_in(mut incoming: mpsc::Receiver<Raw>, outgoing: mpsc::Sender<Ready>) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let Some(raw) = incoming.recv().await else { return };
        let outgoing = outgoing.clone();
        tokio::task::spawn_local(async move {
            let address = raw.peer.address.clone();
            match tokio::time::timeout(TIME_MAX, handshake(raw)).await {
                // The worker may be gone; then so is the server.
                Ok(Ok(ready)) => drop(outgoing.send(ready).await),
                Ok(Err(reason)) => {
                    tracing::debug!("Error accepting a client connection: {reason} (addr={address})");
                }
                Err(_) => tracing::debug!("Error accepting a client connection: too slow (addr={address})"),
            }
            drop(slot);
        });
    }
}

async fn handshake(raw: Raw) -> Result<Ready, String> {
    let text = |error: io::Error| describe(&error);
    let socket = TcpStream::from_std(raw.socket).map_err(text)?;
    let mut first = [0];
    let count = socket.peek(&mut first).await.map_err(text)?;
    if count > 0 && first != [HANDSHAKE] {
        // Who speaks plainly would take an alert for an answer.
        return Err("what it says is not TLS".to_owned());
    }
    let session = ServerConnection::new(raw.context).map_err(|error| error.to_string())?;
    let mut session = Box::new(Connection::from(session));
    shake_hands(&socket, &mut session).await?;
    let socket = socket.into_std().map_err(text)?;
    Ok(Ready { socket, session, peer: raw.peer })
}

/// Speaks until both sides are ready, or one gives up.
pub(super) async fn shake_hands(socket: &TcpStream, session: &mut Connection) -> Result<(), String> {
    let text = |error: io::Error| describe(&error);
    while session.is_handshaking() || session.wants_write() {
        if session.wants_write() {
            socket.writable().await.map_err(text)?;
            match session.write_tls(&mut Plain(socket)) {
                Err(error) if !is_pause(&error) => return Err(text(error)),
                _ => continue,
            }
        }
        socket.readable().await.map_err(text)?;
        match session.read_tls(&mut Plain(socket)) {
            Ok(0) => return Err("the peer hung up".to_owned()),
            Err(error) if is_pause(&error) => continue,
            other => other.map_err(text)?,
        };
        if let Err(error) = session.process_new_packets() {
            // The alert tells the peer what was wrong.
            let _ = session.write_tls(&mut Plain(socket));
            return Err(error.to_string());
        }
    }
    Ok(())
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A socket that does not wait.
struct Plain<'a>(&'a TcpStream);

impl io::Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
