//! Clients, monitoring systems and signals in the middle of long work: loads and scripts, on the program itself.
//! Always: each wait is bounded; ports are chosen by the system.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::client::Client;
use support::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);
/// Keys of the file. At fifty microseconds each, and what sleeping costs, they take seconds to load.
const KEYS: &str = "50000";
const SLOWLY: [&str; 6] = ["--save", "", "--enable-debug-command", "yes", "--key-load-delay", "50"];
const REFUSED: &str = "LOADING Redis is loading the dataset in memory";

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The answer of a monitoring port, to its end.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

/// A server that has just begun to load, and takes its time.
fn loading(arguments: &[&str]) -> Server {
    let mut server = Server::tenon(&[&SLOWLY, arguments].concat());
    server.client().command(&["DEBUG", "POPULATE", KEYS, "key", "100"]);
    assert_eq!(server.client().command(&["SAVE"]).to_string(), "OK");
    restart(&mut server);
    server
}

/// Starts it again, up to where it has sockets.
fn restart(server: &mut Server) {
    server.restart_unready();
    let until = Instant::now() + PATIENCE;
    while Client::try_connect(server.port()).is_err() {
        assert!(Instant::now() < until, "no socket:\n{}", server.log());
        sleep(Duration::from_millis(2));
    }
}

fn wait_until_loaded(client: &mut Client) {
    let until = Instant::now() + PATIENCE;
    while client.command(&["PING"]).to_string() != "PONG" {
        assert!(Instant::now() < until, "still loading");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn clients_and_monitoring_systems_are_answered_while_a_dump_is_loaded() {
    let port = free_port();
    let server = loading(&["--metrics-port", &port.to_string()]);
    let (mut first, mut second) = (server.client(), server.client());
    for command in [&["PING"][..], &["GET", "key:1"], &["SET", "key:1", "x"], &["DBSIZE"]] {
        let reply = first.command(command).to_string();
        assert!(reply.contains(REFUSED), "{command:?}: {reply}");
    }
    let told = second.command(&["INFO", "persistence"]).to_string();
    assert!(told.contains("loading:1") && told.contains("loading_loaded_perc:"), "{told}");
    assert!(get(port, "/health").starts_with("HTTP/1.1 200 OK\r\n"));
    let readiness = get(port, "/ready");
    assert!(
        readiness.starts_with("HTTP/1.1 503 ") && readiness.ends_with("the dataset is being loaded\n"),
        "{readiness}"
    );
    assert!(get(port, "/metrics").contains("\nredis_loading_dump_file 1\n"));
    // Many come and go, and nobody stays.
    for _ in 0..50 {
        assert!(server.client().command(&["PING"]).to_string().contains(REFUSED));
    }
    let until = Instant::now() + PATIENCE;
    while !second.command(&["INFO", "clients"]).to_string().contains("connected_clients:2") {
        assert!(Instant::now() < until, "clients that hung up are still counted");
    }
    assert!(first.command(&["PING"]).to_string().contains(REFUSED), "it still loads");
    assert_eq!(first.command(&["CONFIG", "SET", "key-load-delay", "0"]).to_string(), "OK");
    wait_until_loaded(&mut first);
    assert_eq!(first.command(&["DBSIZE"]).integer().to_string(), KEYS);
    assert!(get(port, "/ready").ends_with("\r\n\r\nready\n"));
    assert!(!server.client().command(&["GET", "key:1"]).to_string().contains("LOADING"));
    second.command(&["SET", "key:1", "x"]);
    let log = server.log();
    let place = |line: &str| log.rfind(line).unwrap_or_else(|| panic!("{line} in {log}"));
    assert!(place("Server initialized") < place("DB loaded from disk"));
    assert!(place("DB loaded from disk") < place("Ready to accept connections"));
}

#[test]
fn a_shutdown_ends_a_load_and_leaves_the_dump() {
    let mut server = loading(&["--save", "1 1"]);
    let dump = server.directory().join("dump.rdb");
    let before = std::fs::read(&dump).unwrap();
    server.client().send(&["SHUTDOWN"]);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    assert_eq!(std::fs::read(&dump).unwrap(), before);
    restart(&mut server);
    let pid = server.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success()));
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    assert_eq!(std::fs::read(&dump).unwrap(), before);
    assert!(server.log().contains("Received SIGTERM"));
}

#[test]
fn a_dump_that_cannot_be_read_ends_the_start_with_a_message() {
    let mut server = loading(&[]);
    server.kill9();
    let dump = server.directory().join("dump.rdb");
    let bytes = std::fs::read(&dump).unwrap();
    std::fs::write(&dump, &bytes[..bytes.len() / 50]).unwrap();
    server.restart_unready();
    assert_eq!(server.exit_code(), Some(1));
    assert!(server.log().contains("dump.rdb: "), "{}", server.log());
}

#[test]
fn whoever_connects_while_a_script_runs_is_answered() {
    let server = Server::tenon(&["--save", "", "--busy-reply-threshold", "10"]);
    let mut runner = server.client();
    runner.send(&["EVAL", "while true do end", "0"]);
    let until = Instant::now() + PATIENCE;
    loop {
        let reply = server.client().command(&["PING"]).to_string();
        if reply.contains("BUSY") {
            break;
        }
        assert!(Instant::now() < until, "never busy: {reply}");
    }
    assert_eq!(server.client().command(&["SCRIPT", "KILL"]).to_string(), "OK");
    let ended = runner.receive().expect("a reply").to_string();
    assert!(ended.contains("Script killed by user"), "{ended}");
    assert_eq!(server.client().command(&["PING"]).to_string(), "PONG");
}

#[test]
fn a_replica_serves_what_it_has_until_it_has_the_other() {
    let (_primary, replica) = loading_beside();
    let mut client = replica.client();
    assert_eq!(client.command(&["GET", "mine"]).to_string(), "\"old\"");
    assert_eq!(client.command(&["DBSIZE"]).integer(), 1);
    assert!(client.command(&["SET", "lost", "1"]).to_string().contains("READONLY"));
    assert_eq!(client.command(&["CONFIG", "SET", "replica-read-only", "no"]).text(), "OK");
    assert!(client.command(&["SET", "lost", "1"]).to_string().contains(REFUSED), "it would be lost");
    assert!(is_loading(&mut client), "it still loads");
    assert_eq!(client.command(&["CONFIG", "SET", "key-load-delay", "0"]).to_string(), "OK");
    let until = Instant::now() + PATIENCE;
    while !client.command(&["INFO", "replication"]).to_string().contains("master_link_status:up") {
        assert!(Instant::now() < until, "it never has the other:\n{}", replica.log());
        sleep(Duration::from_millis(5));
    }
    assert_eq!(client.command(&["DBSIZE"]).integer(), 20_000);
}

#[test]
fn a_replica_that_is_told_to_lead_meanwhile_keeps_what_it_has() {
    let (_primary, replica) = loading_beside();
    let mut client = replica.client();
    assert_eq!(client.command(&["REPLICAOF", "NO", "ONE"]).to_string(), "OK");
    assert!(!is_loading(&mut client), "{}", replica.log());
    assert_eq!(client.command(&["SET", "mine", "new"]).to_string(), "OK");
    assert_eq!(client.command(&["DBSIZE"]).integer(), 1);
}

/// A primary, and a replica with a key of its own that loads what comes of it, slowly and beside that.
fn loading_beside() -> (Server, Server) {
    let primary =
        Server::tenon(&["--save", "", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"]);
    primary.client().command(&["DEBUG", "POPULATE", "20000", "key", "100"]);
    let replica = Server::tenon(&["--save", "", "--key-load-delay", "100", "--repl-diskless-load", "swapdb"]);
    let mut client = replica.client();
    client.command(&["SET", "mine", "old"]);
    let port = primary.port().to_string();
    assert_eq!(client.command(&["REPLICAOF", "127.0.0.1", &port]).to_string(), "OK");
    let until = Instant::now() + PATIENCE;
    while !is_loading(&mut client) {
        assert!(Instant::now() < until, "it never loads beside:\n{}", replica.log());
    }
    (primary, replica)
}

/// Of another history INFO says what Redis's would, though here reads are served.
fn is_loading(client: &mut Client) -> bool {
    client.command(&["INFO", "persistence"]).text().lines().any(|line| line == "loading:1")
}
