//! One connection: a task that waits for its socket, and the link by which the worker reaches it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, Read as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use socket2::{SockRef, Socket};
use tenon_base::{ConnectionId, Input, Machine, Micros, Peer, Protocol, Ticket, describe};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::connect::Destination;
use crate::http::Answering;
use crate::listen::Acceptor;
use crate::tls::{Handshaken, TlsStream};
use crate::worker::{Read, Shared};

/// A socket of any kind.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(TlsStream),
    Unix(UnixStream),
}

impl Stream {
    /// Reads once. After a read that did not fill the buffer the socket counts as empty without being asked again:
    /// one system call a request is saved by that.
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => read_socket(stream, context, buffer),
            Stream::Tls(stream) => stream.poll_read(context, buffer),
            Stream::Unix(stream) => read_socket(stream, context, buffer),
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Tls(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Reads once, past the runtime.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let plain = |socket: SockRef<'_>, buffer: &mut [u8]| {
            let mut socket: &Socket = &socket;
            socket.read(buffer)
        };
        match self {
            Stream::Tcp(stream) => plain(SockRef::from(&*stream), buffer),
            Stream::Tls(stream) => stream.receive(buffer),
            Stream::Unix(stream) => plain(SockRef::from(&*stream), buffer),
        }
    }

    /// Writes what the socket takes, past the runtime.
    fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => SockRef::from(&*stream).send(bytes),
            Stream::Tls(stream) => stream.send_now(bytes),
            Stream::Unix(stream) => SockRef::from(&*stream).send(bytes),
        }
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_write_ready(context),
            Stream::Tls(stream) => stream.poll_write_ready(context),
            Stream::Unix(stream) => stream.poll_write_ready(context),
        }
    }
}

fn read_socket(
    socket: &mut (impl AsyncRead + Unpin),
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    Pin::new(socket).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
}

/// What the worker and the connection's task both hold.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    stream: RefCell<Stream>,
    /// The machine asked for it: what comes on it waits while it does long work.
    is_own: bool,
    pub(crate) is_closed: Cell<bool>,
    /// Close once nothing waits to be sent.
    pub(crate) closes_when_sent: Cell<bool>,
    is_reading: Cell<bool>,
    wants_write: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Link {
    pub(crate) fn new(id: ConnectionId, stream: Stream, is_own: bool) -> Link {
        Link {
            id,
            stream: RefCell::new(stream),
            is_own,
            is_closed: Cell::new(false),
            closes_when_sent: Cell::new(false),
            is_reading: Cell::new(true),
            wants_write: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Tells the other end at once that this is over; the socket itself is let go by its task.
    pub(crate) fn hang_up(&self) {
        // One that is gone already needs no telling.
        let _ = match &*self.stream.borrow() {
            Stream::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Both),
            Stream::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Both),
            // It says goodbye in its own words.
            Stream::Tls(_) => Ok(()),
        };
    }

    /// Reads once; see [`Stream::poll_read`].
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.borrow_mut().poll_read(context, buffer)
    }

    /// Writes what the socket takes.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.borrow_mut().try_write(bytes)
    }

    /// Sends what the connection itself holds back; false if the socket has no room for all of it.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        match &mut *self.stream.borrow_mut() {
            Stream::Tls(stream) if stream.has_backlog() => stream.flush().map(|()| !stream.has_backlog()),
            _ => Ok(true),
        }
    }

    /// Whether it is to be heard in the middle of long work.
    pub(crate) fn is_heard(&self) -> bool {
        !self.is_own && self.is_reading.get() && !self.is_closed.get() && !self.closes_when_sent.get()
    }

    /// Reads what is there, past the runtime, and puts it in the place of `bytes`. Zero bytes are the end. After
    /// an error `bytes` is what the next read goes to, so that looking at many who are silent costs little.
    pub(crate) fn receive(&self, bytes: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        bytes.resize(limit, 0);
        let count = self.stream.borrow_mut().receive(bytes)?;
        bytes.truncate(count);
        Ok(count)
    }

    /// Writes what the socket takes, past the runtime.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.borrow_mut().send_now(bytes)
    }

    /// The socket is full: the task waits for room and flushes then.
    pub(crate) fn want_write(&self) {
        if !self.wants_write.replace(true) {
            self.wake();
        }
    }

    /// Whether bytes are read from it.
    pub(crate) fn reads(&self, wanted: bool) {
        if self.is_reading.replace(wanted) != wanted {
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// New connections taken in before those that are there already get their turn, so that a storm of them starves nobody.
const ACCEPTS_IN_A_ROW: usize = 64;

/// Accepts until the listener is dropped.
pub(crate) fn spawn_acceptor<M: Machine + 'static>(
    worker: &Shared<M>,
    acceptor: Rc<Acceptor>,
) -> tokio::task::AbortHandle {
    let worker = Rc::clone(worker);
    let answering = Answering::default();
    let task = tokio::task::spawn_local(async move {
        let mut in_a_row = 0;
        loop {
            match acceptor.accept().await {
                Ok(Some((Stream::Tcp(stream), _))) if acceptor.protocol == Protocol::Http => {
                    answering.begin(&worker, stream);
                }
                Ok(Some((stream, peer))) => serve(&worker, stream, peer),
                // On its way to a handshake.
                Ok(None) => {}
                // Out of descriptors, or the peer is gone already: a pause, so that this does not spin.
                Err(error) => {
                    tracing::warn!("Accepting a connection failed: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            }
            in_a_row += 1;
            if in_a_row == ACCEPTS_IN_A_ROW {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
    });
    task.abort_handle()
}

/// Serves connections whose handshake is over.
pub(crate) fn spawn_handshaken<M: Machine + 'static>(worker: &Shared<M>, handshaken: Rc<Handshaken>) {
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        while let Some((stream, peer)) = handshaken.next().await {
            serve(&worker, Stream::Tls(stream), peer);
        }
    });
}

/// Connects to a TCP address, and serves the connection like an accepted one.
pub(crate) fn spawn_connector<M: Machine + 'static>(
    worker: &Shared<M>,
    ticket: Ticket,
    destination: Destination,
    patience: Micros,
) {
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        match destination.connect(patience).await {
            Ok((stream, peer)) => {
                let link = worker.borrow_mut().adopt_own(stream);
                worker.borrow_mut().tell(Input::Linked { ticket, result: Ok((link.id, peer)) });
                attend(&worker, link);
            }
            Err(reason) => worker.borrow_mut().tell(Input::Linked { ticket, result: Err(reason) }),
        }
    });
}

fn serve<M: Machine + 'static>(worker: &Shared<M>, stream: Stream, peer: Peer) {
    let link = worker.borrow_mut().connect(stream, peer);
    attend(worker, link);
}

/// Reads and writes until the connection has ended.
pub(crate) fn attend<M: Machine + 'static>(worker: &Shared<M>, link: Rc<Link>) {
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        poll_fn(|context| poll(&worker, &link, context)).await;
    });
}

/// Reads what is there, in so far as the turn has time for it, and writes once at most; ready when the connection has
/// ended.
fn poll<M: Machine + 'static>(worker: &Shared<M>, link: &Rc<Link>, context: &mut Context<'_>) -> Poll<()> {
    if link.is_closed.get() {
        return Poll::Ready(());
    }
    if link.wants_write.get() && link.stream.borrow().poll_write_ready(context).is_ready() {
        link.wants_write.set(false);
        worker.borrow_mut().send(link.id.slot);
    }
    while link.is_reading.get() && !link.is_closed.get() {
        let polled = worker.borrow_mut().poll_read(link, context);
        match polled {
            Poll::Pending => break,
            // A large argument is taken in at once, as far as it is here.
            Poll::Ready(Ok(Read::Filled)) if worker.borrow().has_time() => {}
            // Its share of this turn; the next read comes after the flush.
            Poll::Ready(Ok(Read::Filled)) => {
                context.waker().wake_by_ref();
                break;
            }
            Poll::Ready(Ok(Read::Emptied)) => {}
            Poll::Ready(Err(error)) => {
                tracing::trace!("{:?} ended: {}", link.id, describe(&error));
                worker.borrow_mut().close(link);
            }
        }
    }
    if link.is_closed.get() {
        return Poll::Ready(());
    }
    let mut waker = link.waker.borrow_mut();
    if waker.as_ref().is_none_or(|known| !known.will_wake(context.waker())) {
        *waker = Some(context.waker().clone());
    }
    drop(waker);
    // What encryption itself has to say, and the socket had no room for.
    if matches!(link.flush(), Ok(false)) {
        link.want_write();
    }
    Poll::Pending
}
