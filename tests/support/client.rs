//! A small blocking client for tests: requests out, replies in, nothing clever.
//! Always: no read waits longer than `PATIENCE`.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::reply::{self, Reply};

const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Client {
        Client::try_connect(port).unwrap_or_else(|error| panic!("no connection to port {port}: {error}"))
    }

    pub(crate) fn try_connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Sends one request and waits for its reply; panics when the connection fails.
    pub(crate) fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.try_command(arguments).unwrap_or_else(|error| panic!("{}: {error}", shown(arguments)))
    }

    /// As `command`, for servers that may die meanwhile.
    pub(crate) fn try_command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Reply> {
        self.send_bytes(&encoded(arguments))?;
        self.receive()
    }

    /// Sends all requests at once and waits for as many replies.
    pub(crate) fn pipeline<A: AsRef<[u8]>>(&mut self, requests: &[Vec<A>]) -> Vec<Reply> {
        let bytes: Vec<u8> = requests.iter().flat_map(|arguments| encoded(arguments)).collect();
        self.send_bytes(&bytes).unwrap_or_else(|error| panic!("pipeline not sent: {error}"));
        let receive = |arguments: &Vec<A>| {
            self.receive().unwrap_or_else(|error| panic!("{} in a pipeline: {error}", shown(arguments)))
        };
        requests.iter().map(receive).collect()
    }

    /// Sends one request without waiting, for commands that block.
    pub(crate) fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        self.send_bytes(&encoded(arguments)).unwrap_or_else(|error| panic!("{}: {error}", shown(arguments)));
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Waits for one reply or push. `UnexpectedEof` means that the server closed the connection.
    pub(crate) fn receive(&mut self) -> io::Result<Reply> {
        reply::read(&mut self.stream)
    }

    /// Whether the server has closed the connection, unread bytes aside.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = [0; 1024];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::ConnectionReset,
            }
        }
    }
}

/// A request as an array of bulk strings.
pub(crate) fn encoded<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn shown<A: AsRef<[u8]>>(arguments: &[A]) -> String {
    let words: Vec<_> =
        arguments.iter().map(|word| String::from_utf8_lossy(word.as_ref()).into_owned()).collect();
    words.join(" ")
}
