//! Encrypted connections to a running server: who is let in, what is spoken, certificates renewed while it runs.
//! Always: each wait is bounded; the certificates are those in `tests/tls`.

mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};
use support::server::Server;
use support::tools;

const PATIENCE: Duration = Duration::from_secs(20);

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

fn shown(name: &str) -> String {
    file(name).display().to_string()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A server with a plain and an encrypted port.
struct Encrypted {
    server: Server,
    port: u16,
}

fn start(more: &[&str]) -> Encrypted {
    let port = free_port();
    let port_text = port.to_string();
    let (certificate, key, authority) = (shown("server.crt"), shown("server.key"), shown("ca.crt"));
    let mut arguments = vec![
        "--save",
        "",
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
    ];
    arguments.extend(more);
    Encrypted { server: Server::tenon(&arguments), port }
}

impl Encrypted {
    fn set(&self, directive: &str, value: &str) -> String {
        self.server.client().command(&["CONFIG", "SET", directive, value]).to_string()
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects with a client's certificate, or without one.
fn connect(port: u16, identity: Option<&str>) -> io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file("ca.crt")).expect("our file") {
        roots.add(certificate.expect("our certificate")).expect("our certificate");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's own")
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = CertificateDer::pem_file_iter(file(&format!("{name}.crt"))).expect("our file");
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).expect("our key");
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).expect("they fit")
        }
    };
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, socket))
}

/// Says a line and reads as much as the answer has.
fn ask(stream: &mut Stream, request: &[u8], answer_bytes: usize) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut answer = vec![0; answer_bytes];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn ping(port: u16, identity: Option<&str>) -> io::Result<Stream> {
    let mut stream = connect(port, identity)?;
    match ask(&mut stream, b"PING\r\n", 7)?.as_slice() {
        b"+PONG\r\n" => Ok(stream),
        other => Err(io::Error::other(String::from_utf8_lossy(other).into_owned())),
    }
}

/// The common name in the certificate that a server shows.
fn shown_by(stream: &Stream) -> Vec<u8> {
    stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

#[test]
fn who_is_let_in_follows_tls_auth_clients_at_once() {
    let encrypted = start(&[]);
    ping(encrypted.port, Some("client")).expect("its authority is ours");
    ping(encrypted.port, None).map(drop).expect_err("without a certificate");
    ping(encrypted.port, Some("stranger")).map(drop).expect_err("another authority");
    assert_eq!(encrypted.set("tls-auth-clients", "optional"), "OK");
    ping(encrypted.port, None).expect("none is needed");
    ping(encrypted.port, Some("stranger")).map(drop).expect_err("but one that is shown must be good");
    assert_eq!(encrypted.set("tls-auth-clients", "no"), "OK");
    ping(encrypted.port, None).expect("none is asked for");
}

#[test]
fn a_plain_request_on_the_encrypted_port_gets_nothing() {
    let encrypted = start(&[]);
    let mut plain = TcpStream::connect((Ipv4Addr::LOCALHOST, encrypted.port)).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    let mut heard = Vec::new();
    // Not even an alert, which it would not understand; only the end, or a reset.
    let _ = plain.read_to_end(&mut heard);
    assert!(heard.is_empty(), "{heard:?}");
    // Certificate garbage and half a handshake hurt nobody else.
    let mut garbage = TcpStream::connect((Ipv4Addr::LOCALHOST, encrypted.port)).unwrap();
    garbage.write_all(&[0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3]).unwrap();
    garbage.write_all(&[0xff; 3_000]).unwrap();
    ping(encrypted.port, Some("client")).expect("others are served");
}

#[test]
fn certificates_are_renewed_while_the_server_runs() {
    let encrypted = start(&["--tls-auth-clients", "no"]);
    let mut old = ping(encrypted.port, None).unwrap();
    let before = shown_by(&old);
    let answer = encrypted.server.client().command(&[
        "CONFIG",
        "SET",
        "tls-cert-file",
        &shown("renewed.crt"),
        "tls-key-file",
        &shown("renewed.key"),
    ]);
    assert_eq!(answer.to_string(), "OK");
    assert_ne!(shown_by(&ping(encrypted.port, None).unwrap()), before);
    assert_eq!(ask(&mut old, b"PING\r\n", 7).unwrap(), b"+PONG\r\n", "who is connected stays");

    // A certificate without its key is refused, and the one in force stays.
    let refused = encrypted.set("tls-cert-file", &shown("server.crt"));
    assert!(refused.contains("Unable to update TLS configuration. Check server logs."), "{refused}");
    encrypted.server.wait_for_log("it does not fit its key");
    assert_ne!(shown_by(&ping(encrypted.port, None).unwrap()), before);

    // Files that changed under their names are read again when they are named again.
    let (certificate, key) = (encrypted.server.directory().join("c"), encrypted.server.directory().join("k"));
    fs::copy(file("renewed.crt"), &certificate).unwrap();
    fs::copy(file("renewed.key"), &key).unwrap();
    let name_them = || {
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let request = ["CONFIG", "SET", "tls-cert-file", &certificate, "tls-key-file", &key];
        encrypted.server.client().command(&request).to_string()
    };
    assert_eq!(name_them(), "OK");
    fs::copy(file("server.crt"), &certificate).unwrap();
    fs::copy(file("server.key"), &key).unwrap();
    assert_ne!(shown_by(&ping(encrypted.port, None).unwrap()), before);
    assert_eq!(name_them(), "OK");
    assert_eq!(shown_by(&ping(encrypted.port, None).unwrap()), before);
}

#[test]
fn protocols_and_keys_follow_the_configuration() {
    let encrypted = start(&["--tls-auth-clients", "no"]);
    let version = || ping(encrypted.port, None).map(|stream| stream.conn.protocol_version());
    assert_eq!(version().unwrap(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(encrypted.set("tls-protocols", "TLSv1.2"), "OK");
    assert_eq!(version().unwrap(), Some(ProtocolVersion::TLSv1_2));
    let refused = encrypted.set("tls-protocols", "TLSv1.1");
    assert!(refused.contains("Unable to update TLS configuration"), "{refused}");
    assert_eq!(encrypted.set("tls-ciphers", "ECDHE-RSA-CHACHA20-POLY1305"), "OK");
    let suite = ping(encrypted.port, None).unwrap().conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(format!("{suite:?}"), "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256");

    let key = shown("server-encrypted.key");
    assert!(encrypted.set("tls-key-file", &key).contains("Unable to update TLS configuration"));
    assert_eq!(encrypted.set("tls-key-file-pass", "1234"), "OK");
    assert_eq!(encrypted.set("tls-key-file", &key), "OK");
    assert!(!encrypted.server.log().contains("1234"), "a password is in the log");
    version().expect("the key works");
}

#[test]
fn a_port_changes_between_plain_and_encrypted() {
    let encrypted = start(&["--tls-auth-clients", "no"]);
    let mut control = encrypted.server.client();
    let mut set = |pairs: &[&str]| {
        let request: Vec<&str> = ["CONFIG", "SET"].iter().chain(pairs).copied().collect();
        control.command(&request).to_string()
    };
    let port = encrypted.port.to_string();
    assert_eq!(set(&["tls-port", "0"]), "OK");
    assert!(ping(encrypted.port, None).is_err());
    assert_eq!(set(&["port", &port]), "OK");
    let mut plain = support::client::Client::connect(encrypted.port);
    assert_eq!(plain.command(&["PING"]).to_string(), "PONG");
    assert_eq!(set(&["port", "0"]), "OK");
    assert_eq!(set(&["tls-port", &port]), "OK");
    ping(encrypted.port, None).expect("encrypted again");
}

/// More than any buffer on the way, both ways, from a client that reads late.
/// Waits until a field of INFO says what it should.
fn wait_for_info(server: &Server, line: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = server.client().command(&["INFO"]).to_string();
        if told.contains(line) {
            return;
        }
        assert!(Instant::now() < until, "no {line}: {told}\n{}", server.log());
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn replicas_and_migrations_are_encrypted_and_come_from_where_they_are_to() {
    let primary = start(&[]);
    let (certificate, key) = (shown("client.crt"), shown("client.key"));
    let outgoing = ["--tls-client-cert-file", &certificate, "--tls-client-key-file", &key];
    let replica =
        start(&[&["--tls-replication", "yes", "--bind-source-addr", "127.0.0.2"], &outgoing[..]].concat());
    let port = primary.port.to_string();
    primary.server.client().command(&["SET", "k", &"v".repeat(100_000)]);
    replica.server.client().command(&["REPLICAOF", "127.0.0.1", &port]);
    wait_for_info(&replica.server, "master_link_status:up");
    let length = || replica.server.client().command(&["STRLEN", "k"]).to_string();
    assert_eq!(length(), "(integer) 100000");
    let announced = format!("slave0:ip=127.0.0.2,port={},state=online", replica.port);
    wait_for_info(&primary.server, &announced);
    primary.server.client().command(&["APPEND", "k", "v"]);
    primary.server.client().command(&["WAIT", "1", "5000"]);
    assert_eq!(length(), "(integer) 100001");
    let other = start(&[&["--tls-replication", "yes"], &outgoing[..]].concat());
    other.server.client().command(&["SET", "moved", "1"]);
    let moved = other.server.client().command(&["MIGRATE", "127.0.0.1", &port, "moved", "0", "5000"]);
    assert_eq!(moved.to_string(), "OK", "{}", other.server.log());
    assert_eq!(primary.server.client().command(&["GET", "moved"]).to_string(), "\"1\"");
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_followed() {
    let primary = start(&["--tls-auth-clients", "no"]);
    let other = shown("other-ca.crt");
    let replica =
        start(&["--tls-replication", "yes", "--tls-auth-clients", "no", "--tls-ca-cert-file", &other]);
    replica.server.client().command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    replica.server.wait_for_log("Error condition on socket for SYNC: invalid peer certificate");
    assert!(replica.server.client().command(&["INFO"]).to_string().contains("master_link_status:down"));
}

#[test]
fn large_replies_reach_slow_readers_whole() {
    let encrypted = start(&["--tls-auth-clients", "no"]);
    let mut stream = ping(encrypted.port, None).unwrap();
    let value: Vec<u8> = (0..8_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).into_bytes();
    request.extend_from_slice(&value);
    request.extend_from_slice(b"\r\n");
    assert_eq!(ask(&mut stream, &request, 5).unwrap(), b"+OK\r\n");
    stream.write_all(b"GET k\r\nGET k\r\nPING\r\nQUIT\r\n").unwrap();
    sleep(Duration::from_millis(300));
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("the connection ends as TLS ends");
    let one = [b"$8000000\r\n".as_slice(), &value, b"\r\n"].concat();
    assert_eq!(heard.len(), 2 * one.len() + 7 + 5);
    assert!(heard.starts_with(&one) && heard[one.len()..].starts_with(&one));
    assert!(heard.ends_with(b"+PONG\r\n+OK\r\n"));
}

#[test]
fn who_begins_a_handshake_and_stops_keeps_nobody_waiting() {
    let encrypted = start(&["--tls-auth-clients", "no"]);
    let silent: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, encrypted.port)).unwrap()).collect();
    let began = Instant::now();
    ping(encrypted.port, None).expect("others are served");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    drop(silent);
}

#[test]
fn a_bad_certificate_stops_the_start() {
    let program = env!("CARGO_BIN_EXE_tenon");
    let mut command = Command::new(program);
    command.args(["--port", "0", "--save", "", "--tls-port", &free_port().to_string()]);
    command.args(["--tls-cert-file", &shown("ca.crt"), "--tls-key-file", &shown("server.key")]);
    command.args([
        "--tls-auth-clients",
        "no",
        "--dir",
        env!("CARGO_TARGET_TMPDIR"),
        "--dbfilename",
        "bad-tls.rdb",
    ]);
    let output = tools::run(&mut command, b"", PATIENCE);
    assert_eq!(output.status.code(), Some(1));
    assert!(tools::said(&output).contains("Failed to configure TLS"), "{}", tools::said(&output));
}

#[test]
fn redis_py_speaks_over_tls_and_over_a_unix_socket() {
    let Some(python) = tools::python_with_redis() else { return };
    let encrypted = start(&["--unixsocket", "redis.sock", "--unixsocketperm", "700"]);
    let socket = encrypted.server.directory().join("redis.sock");
    assert_eq!(fs::metadata(&socket).expect("it is there").permissions().mode() & 0o777, 0o700);
    let script = format!(
        "import redis\n\
         for protocol in (2, 3):\n\
         \x20   over_tls = redis.Redis(port={}, host='localhost', ssl=True, ssl_ca_certs={:?}, ssl_certfile={:?},\n\
         \x20                          ssl_keyfile={:?}, protocol=protocol)\n\
         \x20   over_unix = redis.Redis(unix_socket_path={:?}, protocol=protocol)\n\
         \x20   assert over_tls.set('k', b'v' * 100000)\n\
         \x20   assert over_unix.get('k') == b'v' * 100000\n\
         \x20   pipe = over_tls.pipeline()\n\
         \x20   for i in range(1000): pipe.rpush('l', i)\n\
         \x20   assert pipe.execute()[-1] == over_unix.llen('l')\n\
         \x20   listener = over_tls.pubsub(); listener.subscribe('c'); listener.get_message(timeout=5)\n\
         \x20   assert over_unix.publish('c', 'm') == 1\n\
         \x20   assert listener.get_message(timeout=5)['data'] == b'm'\n\
         print('done')\n",
        encrypted.port,
        shown("ca.crt"),
        shown("client.crt"),
        shown("client.key"),
        socket.display().to_string(),
    );
    let output = tools::run(Command::new(python).arg("-c").arg(script), b"", PATIENCE);
    assert!(tools::said(&output).contains("done"), "{}", tools::said(&output));
}

#[test]
fn who_connects_while_a_dump_is_loaded_is_answered() {
    let mut served =
        start(&["--tls-auth-clients", "no", "--enable-debug-command", "yes", "--key-load-delay", "50"]);
    served.server.client().command(&["DEBUG", "POPULATE", "50000", "key", "100"]);
    served.server.client().command(&["SAVE"]);
    served.server.restart_unready();
    let until = Instant::now() + PATIENCE;
    let refusal = b"-LOADING Redis is loading the dataset in memory\r\n";
    let mut stream = loop {
        match connect(served.port, None) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        sleep(Duration::from_millis(2));
    };
    for _ in 0..3 {
        let answer = ask(&mut stream, b"PING\r\n", refusal.len()).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(refusal));
    }
    let answer = ask(&mut stream, b"CONFIG SET key-load-delay 0\r\n", 5).expect("an answer");
    assert_eq!(answer, b"+OK\r\n");
    served.server.wait_for_log("DB loaded from disk");
    while served.server.client().command(&["PING"]).to_string() != "PONG" {
        assert!(Instant::now() < until, "still loading");
    }
    // The session goes on from there in the runtime's hands.
    assert_eq!(ask(&mut stream, b"GET key:1\r\n", 4).expect("an answer"), b"$100");
}
