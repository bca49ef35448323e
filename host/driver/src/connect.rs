//! Connections that the machine asks for: to which address, from which of ours, encrypted or not.
//! Always: an attempt ends within its patience, and says in a sentence why it failed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use tenon_base::{Micros, Peer, Tls, Transport, describe};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::connection::Stream;
use crate::tls;

/// Where to, and how.
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) source: Option<String>,
    pub(crate) tls: Option<Box<Tls>>,
}

impl Destination {
    /// The connection and its ends.
    pub(crate) async fn connect(self, patience: Micros) -> Result<(Stream, Peer), String> {
        let attempt = async {
            let socket = self.open().await.map_err(|error| describe(&error))?;
            let peer = peer_of(&socket, self.tls.is_some()).map_err(|error| describe(&error))?;
            let stream = match &self.tls {
                Some(settings) => Stream::Tls(tls::greet(socket, settings).await?),
                None => Stream::Tcp(socket),
            };
            Ok((stream, peer))
        };
        let in_time = tokio::time::timeout(Duration::from_micros(patience.0), attempt).await;
        in_time.unwrap_or_else(|_| Err(describe(&io::ErrorKind::TimedOut.into())))
    }

    /// A socket to the first address of the host that answers.
    async fn open(&self) -> io::Result<TcpStream> {
        let mut failure = io::ErrorKind::NotFound.into();
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match self.open_to(address).await {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(socket);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// From the address that it is to come from; if that is none of this machine's, or leads nowhere, from any.
    async fn open_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        if let Some(source) = &self.source {
            match open_from(source, address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => tracing::warn!(
                    "bind-source-addr: no connection to {address} can come from {source}: {}",
                    describe(&error)
                ),
            }
        }
        socket_for(address)?.connect(address).await
    }
}

async fn open_from(source: &str, address: SocketAddr) -> io::Result<TcpStream> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for own in lookup_host((source, 0)).await?.filter(|own| own.is_ipv4() == address.is_ipv4()) {
        let socket = socket_for(address)?;
        // Else the source counts as taken while a former connection from it lingers.
        socket.set_reuseaddr(true)?;
        match socket.bind(own) {
            Ok(()) => return socket.connect(address).await,
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn socket_for(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

fn peer_of(socket: &TcpStream, is_encrypted: bool) -> io::Result<Peer> {
    Ok(Peer {
        address: socket.peer_addr()?.to_string(),
        local: socket.local_addr()?.to_string(),
        descriptor: socket.as_raw_fd(),
        transport: if is_encrypted { Transport::Tls } else { Transport::Tcp },
        is_local: socket.peer_addr()?.ip().to_canonical().is_loopback(),
    })
}
