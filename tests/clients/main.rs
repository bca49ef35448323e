//! Client libraries as applications use them, unchanged: redis-py, ioredis and redis-rs, each over plain connections with
//! RESP2 and with RESP3, encrypted, and over a unix socket; the server ends and comes back under each of them.
//! Always: they talk to a server of the test's own, and each run is bounded.

#[path = "../support/mod.rs"]
mod support;

mod application;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use application::Application;
use redis::{Client, ClientTlsConfig, TlsCertificates};
use support::server::Server;
use support::tools;

/// Lines that a program may be ahead of who reads them.
const LINES_MAX: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is reached.
#[derive(Clone, Copy, Debug)]
enum Road {
    Tcp,
    Tls,
    Unix,
}

/// What each library is tried on: the road, and the version of the protocol.
const WAYS: [(Road, u8); 5] =
    [(Road::Tcp, 2), (Road::Tcp, 3), (Road::Tls, 3), (Road::Unix, 2), (Road::Unix, 3)];

#[test]
fn redis_py() {
    let Some(python) = tools::python_with_redis() else { return };
    on_every_way(|house, road, version| {
        house.run(Command::new(&python).arg(source("application.py")), road, version);
    });
}

#[test]
fn ioredis() {
    let Some(modules) = tools::node_with_ioredis() else { return };
    on_every_way(|house, road, version| {
        let mut command = Command::new("node");
        house.run(command.env("NODE_PATH", &modules).arg(source("application.js")), road, version);
    });
}

#[test]
fn redis_rs() {
    on_every_way(|house, road, version| {
        let client = house.client(road, version).expect("a good address");
        Application { client, is_resp3: version == 3 }.run(|| house.server.restart());
    });
}

fn on_every_way(mut try_one: impl FnMut(&mut House, Road, u8)) {
    let mut house = House::new();
    for (road, version) in WAYS {
        tools::tell(&format!("{road:?}, RESP{version}"));
        try_one(&mut house, road, version);
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls")
}

/// A server with every kind of door.
struct House {
    server: Server,
    tls_port: u16,
}

impl House {
    fn new() -> House {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let tls_port = free.local_addr().expect("its address").port();
        drop(free);
        let file = |name: &str| certificates().join(name).display().to_string();
        let (port, certificate, key, authority) =
            (tls_port.to_string(), file("server.crt"), file("server.key"), file("ca.crt"));
        let arguments = [
            ["--save", ""],
            ["--appendonly", "yes"],
            // In its own directory: a path to it may be longer than the address of a socket.
            ["--unixsocket", "door"],
            ["--tls-port", &port],
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &authority],
        ];
        House { server: Server::tenon(arguments.as_flattened()), tls_port }
    }

    /// Port or path.
    fn place(&self, road: Road) -> String {
        match road {
            Road::Tcp => self.server.port().to_string(),
            Road::Tls => self.tls_port.to_string(),
            Road::Unix => self.server.directory().join("door").display().to_string(),
        }
    }

    fn client(&self, road: Road, version: u8) -> redis::RedisResult<Client> {
        let place = self.place(road);
        let read = |name: &str| std::fs::read(certificates().join(name)).expect("our own file");
        match road {
            Road::Tcp => Client::open(format!("redis://127.0.0.1:{place}/?protocol=resp{version}")),
            Road::Unix => Client::open(format!("redis+unix://{place}?protocol=resp{version}")),
            Road::Tls => Client::build_with_tls(
                format!("rediss://localhost:{place}/?protocol=resp{version}"),
                TlsCertificates {
                    client_tls: Some(ClientTlsConfig {
                        client_cert: read("client.crt"),
                        client_key: read("client.key"),
                    }),
                    root_cert: Some(read("ca.crt")),
                },
            ),
        }
    }

    /// Runs a program to its end, and restarts the server when it says so.
    fn run(&mut self, command: &mut Command, road: Road, version: u8) {
        let kind = format!("{road:?}").to_lowercase();
        command.args([kind, version.to_string(), self.place(road)]).arg(certificates());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = piped.spawn().expect("the program was there a moment ago");
        let mut input = child.stdin.take().expect("piped above");
        let output = BufReader::new(child.stdout.take().expect("piped above"));
        let (said, lines) = mpsc::sync_channel(LINES_MAX);
        let listener = std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| drop(said.send(line)));
        });
        let mut heard = Vec::new();
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            if line == "restart" {
                self.server.restart();
                input.write_all(b"\n").expect("it waits for this");
            }
            heard.push(line);
        }
        // Nothing more comes: it has ended, or is stuck.
        let is_stuck = !listener.is_finished();
        if is_stuck {
            child.kill().expect("our own child can be killed");
        }
        let status = child.wait().expect("our own child can be awaited");
        assert!(status.success() && heard == ["restart", "done"], "{command:?}: {status}, {heard:?}");
    }
}
