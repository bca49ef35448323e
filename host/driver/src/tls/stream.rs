//! An encrypted connection once its handshake is over: a socket and the session that its bytes go through. Driven by
//! the worker like a plain socket; nothing here waits.
//! Always: what the session has taken in of a reply is sent before more is taken, so that a reader who does not read
//! costs one bounded buffer; a connection that ends says so.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::Connection;
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Socket and session.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: Box<Connection>,
}

impl TlsStream {
    pub(super) fn new(socket: TcpStream, session: Box<Connection>) -> TlsStream {
        TlsStream { socket, session }
    }

    /// Reads until the buffer is full or the socket is empty. Zero bytes are the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = self.read(buffer, |socket, session| session.read_tls(&mut Incoming { socket, context }));
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            other => Poll::Ready(other),
        }
    }

    /// As [`TlsStream::poll_read`], past the runtime: an empty socket is an error of the kind `WouldBlock`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer, |socket, session| {
            let socket = SockRef::from(&*socket);
            let mut socket: &Socket = &socket;
            session.read_tls(&mut socket)
        })
    }

    fn read(
        &mut self,
        buffer: &mut [u8],
        mut receive: impl FnMut(&mut TcpStream, &mut Connection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.session.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(filled),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The socket ended without a farewell; what came before it counts.
                Err(_) => return Ok(filled),
            }
            if filled == buffer.len() {
                return Ok(filled);
            }
            match receive(&mut self.socket, &mut self.session) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
            if let Err(error) = self.session.process_new_packets() {
                // Tells the peer what was wrong, if it listens.
                let _ = self.flush();
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            // Answers of the protocol itself; what the socket does not take is a backlog.
            if self.session.wants_write() {
                self.flush()?;
            }
        }
    }

    /// As [`TlsStream::try_write`], past the runtime.
    pub(crate) fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush_now()?;
        if self.session.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.session.writer().write(bytes)?;
        self.flush_now()?;
        Ok(count)
    }

    fn flush_now(&mut self) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        let mut socket: &Socket = &socket;
        while self.session.wants_write() {
            match self.session.write_tls(&mut socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what fits, and sends it as far as the socket allows: see [`TlsStream::has_backlog`].
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.session.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    /// Whether encrypted bytes wait for the socket.
    pub(crate) fn has_backlog(&self) -> bool {
        self.session.wants_write()
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Outgoing(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(context)
    }
}

/// Says farewell, if the socket takes it at once.
impl Drop for TlsStream {
    fn drop(&mut self) {
        self.session.send_close_notify();
        let _ = self.flush();
    }
}

/// The socket as the session reads it.
struct Incoming<'a, 'b> {
    socket: &'a mut TcpStream,
    context: &'a mut Context<'b>,
}

impl Read for Incoming<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.socket).poll_read(self.context, &mut buffer) {
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
        }
    }
}

/// The socket as the session writes to it.
struct Outgoing<'a>(&'a TcpStream);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
