//! What operators rely on around the data: the endpoint for monitoring, the log, the program's words and exit codes.
//! Always: each wait is bounded; ports are chosen by the system.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::server::Server;
use support::tools;

const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Everything that is answered to `request`, until the end.
fn http(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

fn get(port: u16, path: &str) -> String {
    http(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn send_signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args([name, &server.pid().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill could not be run");
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it never came to this: {what}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_abort_from_outside_is_told_in_the_log() {
    let server = Server::tenon(&["--save", ""]);
    send_signal(&server, "-ABRT");
    server.wait_for_log("crashed by signal: 6");
    wait_until("the process has ended", || TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).is_err());
}

#[test]
fn an_end_that_is_asked_for_is_told_in_the_log() {
    for (word, line) in [("SEGFAULT", "crashed by signal: 11"), ("PANIC", "DEBUG PANIC was called")] {
        let mut server = Server::tenon(&["--save", "", "--enable-debug-command", "yes"]);
        server.client().send(&["DEBUG", word]);
        let code = server.exit_code();
        assert_eq!(code, (word == "PANIC").then_some(70), "{word}: a signal has no code");
        server.wait_for_log(line);
    }
}

/// RDB files in a directory, finished or not.
fn saves_in(directory: &Path) -> usize {
    let files = fs::read_dir(directory).expect("its directory").filter_map(Result::ok);
    files.filter(|file| file.file_name().to_string_lossy().ends_with(".rdb")).count()
}

#[test]
fn who_interrupts_the_last_save_ends_the_server_at_once() {
    let server = Server::tenon(&["--save", "900 1"]);
    let mut client = server.client();
    (0..20).for_each(|key| drop(client.command(&["SET", &key.to_string(), "v"])));
    client.command(&["CONFIG", "SET", "rdb-key-save-delay", "10000000"]);
    let directory = server.directory().to_owned();
    send_signal(&server, "-INT");
    wait_until("it saves", || saves_in(&directory) == 1);
    send_signal(&server, "-INT");
    wait_until("the save is gone", || saves_in(&directory) == 0);
    wait_until("the process has ended", || TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).is_err());
    assert!(!server.directory().join("dump.rdb").exists());
}

#[test]
fn an_end_without_a_save_leaves_nothing_of_a_save_that_was_running() {
    let mut server = Server::tenon(&["--save", "", "--enable-debug-command", "yes"]);
    let mut client = server.client();
    client.command(&["DEBUG", "POPULATE", "20"]);
    client.command(&["CONFIG", "SET", "rdb-key-save-delay", "10000000"]);
    client.command(&["BGSAVE"]);
    let directory = server.directory().to_owned();
    wait_until("the save has begun a file", || saves_in(&directory) == 1);
    client.send(&["SHUTDOWN", "NOSAVE"]);
    wait_until("the server has ended", || server.has_ended());
    assert_eq!(saves_in(&directory), 0, "what was begun is removed, and no dump is made");
}

#[test]
fn metrics_health_and_readiness_are_answered() {
    let port = free_port();
    let server = Server::tenon(&["--save", "", "--metrics-port", &port.to_string()]);
    server.client().command(&["SET", "k", "v"]);
    assert!(get(port, "/health").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(port, "/ready").ends_with("\r\n\r\nready\n"));
    let metrics = get(port, "/metrics");
    assert!(metrics.contains("\r\nContent-Type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("\nredis_db_keys{db=\"db0\"} 1\n"), "{metrics}");
    let (head, body) = metrics.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\n\r\n".to_owned(), "404"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), "405"),
        ("*1\r\n$4\r\nPING\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9_000)), "431"),
    ] {
        let answer = http(port, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    // Who asks for figures is no client.
    let clients = server.client().command(&["INFO", "clients"]).to_string();
    assert!(clients.contains("connected_clients:1"), "{clients}");
}

#[test]
fn the_endpoint_moves_and_closes_while_the_server_runs() {
    let server = Server::tenon(&["--save", ""]);
    let mut client = server.client();
    let (first, second) = (free_port(), free_port());
    for port in [first, second] {
        assert_eq!(client.command(&["CONFIG", "SET", "metrics-port", &port.to_string()]).to_string(), "OK");
        assert!(get(port, "/health").contains("200 OK"));
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, first)).is_err());
    assert_eq!(client.command(&["CONFIG", "SET", "metrics-port", "0"]).to_string(), "OK");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, second)).is_err());
}

#[test]
fn many_who_say_nothing_are_turned_away_and_clients_are_served() {
    let port = free_port();
    let server = Server::tenon(&["--save", "", "--metrics-port", &port.to_string()]);
    let silent: Vec<TcpStream> =
        (0..16).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens")).collect();
    let mut turned_away = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    turned_away.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(turned_away.read(&mut [0; 1]).ok(), Some(0), "one more is closed unheard");
    assert_eq!(server.client().command(&["PING"]).to_string(), "PONG");
    drop(silent);
    let answered = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET /health HTTP/1.1\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains("200 OK")
    });
    assert!(answered, "nobody is answered once they have gone");
}

fn tenon(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    command.args(arguments).envs(environment.iter().copied()).current_dir(env!("CARGO_TARGET_TMPDIR"));
    let output = tools::run(&mut command, b"", PATIENCE);
    (output.status.code(), tools::said(&output))
}

#[test]
fn a_configuration_is_checked_before_a_start() {
    let directory = support::server::Directory::new();
    let path = directory.path().join("tenon.conf");
    let name = path.display().to_string();
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        tenon(&["check-config", &name], &[])
    };
    let (code, said) = check("port 7000\nio-threads 4\nappendonly yes\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Directive io-threads has no effect: ") && said.contains("is good"), "{said}");
    for (text, part) in [
        ("port 70000\n", "70000"),
        ("appendonyl yes\n", "Did you mean appendonly?"),
        ("dir /nonexistent\n", "Can't chdir to '/nonexistent'"),
        ("tls-port 1\n", "No tls-cert-file configured!"),
        (
            "tls-port 1\ntls-cert-file /nonexistent\ntls-key-file k\n",
            "/nonexistent: No such file or directory",
        ),
        ("policy-fsync absent.wasm\n", "absent.wasm"),
    ] {
        let (code, said) = check(text);
        assert_eq!(code, Some(1), "{text:?}: {said}");
        assert!(said.contains(part), "{text:?}: {part:?} is not in {said}");
    }
    assert_eq!(tenon(&["check-config"], &[]).0, Some(2));
    assert_eq!(tenon(&["check-config", "--help"], &[]).0, Some(0));
    assert_eq!(tenon(&["check-config", "/nonexistent.toml"], &[]).0, Some(1));
}

#[test]
fn systemd_is_told_when_the_server_is_ready_and_when_it_ends() {
    let directory = support::server::Directory::new();
    let path = directory.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let count = supervisor.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let data = directory.path().display().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tenon"))
        .args(["--port", "0", "--save", "", "--supervised", "auto", "--daemonize", "yes", "--dir", &data])
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut heard = hear();
    while !heard.contains("READY=1") {
        heard = hear();
    }
    // Who is supervised stays in the foreground, whatever daemonize says.
    assert!(child.try_wait().unwrap().is_none());
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    assert_eq!(hear(), "STOPPING=1\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn json_lines_go_to_a_file_that_may_be_moved_away() {
    let server = Server::tenon(&["--save", "", "--logfile", "tenon.log", "--log-format", "json"]);
    let log = server.directory().join("tenon.log");
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.lines().all(|line| line.starts_with("{\"time\":\"2") && line.ends_with("\"}")), "{text}");
    assert!(text.contains("\"level\":\"notice\"") && text.contains("Ready to accept connections"), "{text}");
    fs::rename(&log, server.directory().join("tenon.log.1")).unwrap();
    server.client().command(&["BGSAVE"]);
    let begun = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        log.exists()
    });
    assert!(begun, "the log is begun anew");
}

#[test]
fn a_script_can_be_ended_by_what_was_read_together_with_it() {
    let server =
        Server::tenon(&["--save", "", "--busy-reply-threshold", "10", "--enable-debug-command", "yes"]);
    let (mut sleeper, mut script, mut killer) = (server.client(), server.client(), server.client());
    // Both wait in their sockets while the server sleeps: it reads the one, then the other, then runs the one.
    sleeper.send(&["DEBUG", "SLEEP", "0.5"]);
    std::thread::sleep(Duration::from_millis(100));
    script.send(&["EVAL", "while true do end", "0"]);
    std::thread::sleep(Duration::from_millis(50));
    killer.send(&["SCRIPT", "KILL"]);
    assert_eq!(killer.receive().expect("an answer in time").to_string(), "OK");
    let answer = script.receive().expect("the script has ended").to_string();
    assert!(answer.contains("Script killed by user"), "{answer}");
    assert_eq!(sleeper.receive().expect("its reply waits for the turn's end").to_string(), "OK");
}
