//! Clients that mean harm or mean nothing: half a request and then silence, no ear for the answers, arguments and nests
//! without end, scripts that eat time and memory, garbage in files.
//! Always: each gets an error or its end, the server serves others meanwhile, and its memory stays within a bound that
//! is read from the system ([`Server::peak_bytes`]).

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::chance::Chance;
use support::client::{Client, encoded};
use support::server::{Directory, Server};
use support::tools::{self, said};

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

fn ping(server: &Server) {
    assert_eq!(server.client().command(&["PING"]).to_string(), "PONG");
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it never came to this: {what}");
        sleep(Duration::from_millis(10));
    }
}

fn connected(client: &mut Client) -> usize {
    let text = client.command(&["INFO", "clients"]).text();
    let found = text.lines().find_map(|line| line.strip_prefix("connected_clients:"));
    found.and_then(|count| count.trim().parse().ok()).expect("a number")
}

#[test]
fn half_a_request_holds_what_has_come_and_no_more() {
    let server = Server::tenon(&["--save", ""]);
    let before = server.peak_bytes();
    let half: Vec<Client> = (0..200)
        .map(|number| {
            let mut client = server.client();
            let claims: [&[u8]; 4] = [
                b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nand then nothing",
                b"*1048576\r\n$3\r\nDEL\r\n",
                b"*3\r\n$3\r\nSET\r\n$1",
                b"PING without an end",
            ];
            client.send_bytes(claims[number % claims.len()]).expect("it reads");
            client
        })
        .collect();
    ping(&server);
    let grown = server.peak_bytes() - before;
    assert!(grown < 32 * MIB, "{grown} bytes for 200 that claimed 25 GiB");
    let mut control = server.client();
    assert_eq!(connected(&mut control), 201);
    // Silence is ended where that is wanted, in the midst of a request, too.
    control.command(&["CONFIG", "SET", "timeout", "1"]);
    wait_until("they are gone", || connected(&mut control) == 1);
    drop(half);
}

#[test]
fn who_has_not_logged_in_may_not_send_much() {
    let server = Server::tenon(&["--save", "", "--requirepass", "secret"]);
    for (claim, answer) in [
        (&b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"[..], "unauthenticated bulk length"),
        (b"*11\r\n", "unauthenticated multibulk length"),
    ] {
        let mut client = server.client();
        client.send_bytes(claim).expect("it reads");
        let heard = client.receive().expect("an error").to_string();
        assert!(heard.contains(answer), "{heard}");
        assert!(client.is_closed());
    }
}

#[test]
fn arguments_without_end_are_refused() {
    let server = Server::tenon(&["--save", "", "--client-query-buffer-limit", "4mb"]);
    let before = server.peak_bytes();
    for (claim, answer) in [
        (b"*2\r\n$3\r\nGET\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n".to_vec(), "invalid bulk length"),
        (b"*2147483648\r\n".to_vec(), "invalid multibulk length"),
        (b"*1\r\nGET\r\n".to_vec(), "expected '$', got 'G'"),
        (vec![b'x'; 70_000], "too big inline request"),
        ([b"*1\r\n$".to_vec(), vec![b'1'; 70_000]].concat(), "too big bulk count string"),
        (b"SET k \"no end\r\n".to_vec(), "unbalanced quotes in request"),
    ] {
        let mut client = server.client();
        client.send_bytes(&claim).expect("it reads");
        let heard = client.receive().expect("an error").to_string();
        assert!(heard.contains(answer), "{answer:?} is not in {heard}");
        assert!(client.is_closed());
    }
    // An argument within its own bound, beyond that of the buffer: Redis, too, ends this without a word.
    let mut client = server.client();
    let part = vec![b'v'; 1 << 20];
    let sent = client.send_bytes(b"*100\r\n").is_ok()
        && (0..64)
            .all(|_| client.send_bytes(b"$1048576\r\n").and_then(|()| client.send_bytes(&part)).is_ok());
    assert!(!sent || client.is_closed());
    ping(&server);
    let grown = server.peak_bytes() - before;
    assert!(grown < 48 * MIB, "{grown} bytes");
}

#[test]
fn who_does_not_listen_is_cut_off_and_nobody_waits_for_them() {
    let limits = "normal 8mb 0 0 pubsub 8mb 0 0";
    let server = Server::tenon(&["--save", "", "--client-output-buffer-limit", limits]);
    let mut control = server.client();
    control.command(&["SET", "big", &"v".repeat(1 << 20)]);
    let before = server.peak_bytes();
    // Some ask and never read the answers, some subscribe and never read the messages.
    let mut askers: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for asker in &mut askers {
        // The last of these may come too late: it is being cut off.
        let _ = asker.send_bytes(&encoded(&["GET", "big"]).repeat(64));
    }
    let mut listeners: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for listener in &mut listeners {
        listener.command(&["SUBSCRIBE", "news"]);
    }
    let message = "m".repeat(1 << 20);
    for _ in 0..64 {
        control.command(&["PUBLISH", "news", &message]);
    }
    wait_until("all of them are cut off", || connected(&mut control) == 1);
    assert_eq!(control.command(&["PUBLISH", "news", "late"]).integer(), 0);
    let grown = server.peak_bytes() - before;
    assert!(grown < 160 * MIB, "{grown} bytes for eight that may have 8 MiB each");
    assert!(askers.iter_mut().all(Client::is_closed));
}

#[test]
fn nests_without_end_are_refused() {
    let server = Server::tenon(&["--save", ""]);
    let mut client = server.client();
    let deep = 200_000;
    let json = "[".repeat(deep);
    let parentheses = format!("return {}1{}", "(".repeat(deep), ")".repeat(deep));
    for (script, argument) in [
        ("return cjson.decode(ARGV[1])", json.as_str()),
        ("cjson.decode_max_depth(1000000) return cjson.decode(ARGV[1])", json.as_str()),
        (
            "cjson.encode_max_depth(1000000) local t = {} for i = 1, 200000 do t = {t} end return cjson.encode(t)",
            "",
        ),
        ("local t = {} for i = 1, 200000 do t = {t} end return cjson.encode(t)", ""),
        ("local function f() return f() + 1 end return f()", ""),
        ("return string.rep('(', 200000):find(string.rep('(', 200000))", ""),
        ("return cmsgpack.unpack(string.rep(string.char(0x91), 200000))", ""),
        (parentheses.as_str(), ""),
    ] {
        let answer = client.command(&["EVAL", script, "0", argument]);
        assert!(!answer.to_string().is_empty());
        assert_eq!(client.command(&["PING"]).to_string(), "PONG", "behind {:.60}", script);
    }
    // An error in the place of what is too deep, as Redis has it: not every client understands so many levels.
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let nested = "local t = {} for i = 1, 200000 do t = {t} end return t";
    stream.write_all(&encoded(&["EVAL", nested, "0"])).expect("it reads");
    let mut heard = Vec::new();
    while !heard.ends_with(b"-ERR reached lua stack limit\r\n") {
        let mut part = [0; 4_096];
        let count = stream.read(&mut part).expect("the rest of the answer");
        assert!(count > 0 && heard.len() < 1 << 20, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&part[..count]);
    }
    let pattern = "*a".repeat(2_000);
    client.command(&["SET", &"a".repeat(4_000), "v"]);
    client.command(&["KEYS", &pattern]);
    let began = Instant::now();
    ping(&server);
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn scripts_that_eat_time_or_memory_end() {
    let server = Server::tenon(&["--save", "", "--busy-reply-threshold", "50"]);
    let mut bomber = server.client();
    bomber.send(&["EVAL", "while true do pcall(function() while true do end end) end", "0"]);
    let mut other = server.client();
    wait_until("others hear that it is busy", || other.command(&["PING"]).to_string().contains("BUSY"));
    assert_eq!(other.command(&["SCRIPT", "KILL"]).to_string(), "OK");
    assert!(bomber.receive().expect("an error").to_string().contains("Script killed by user"));
    let before = server.peak_bytes();
    for script in [
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = string.rep('x', 1048576) .. #t end",
        "while true do pcall(string.rep, 'x', 1073741824) redis.call('NOSUCH') end",
    ] {
        let answer = bomber.command(&["EVAL", script, "0"]).to_string();
        assert!(answer.contains("ERR") || answer.contains("not enough memory"), "{script}: {answer:.200}");
        ping(&server);
    }
    let grown = server.peak_bytes() - before;
    assert!(grown < 768 * MIB, "{grown} bytes for scripts that may have 512 MiB");
}

#[test]
fn garbage_in_a_file_of_users_changes_nobody() {
    let directory = Directory::new();
    let file = directory.path().join("users.acl");
    let name = file.display().to_string();
    fs::write(&file, "user default on nopass ~* &* +@all\nuser ann on >secret ~ann:* +get\n").unwrap();
    let server = Server::tenon(&["--save", "", "--aclfile", &name]);
    let mut client = server.client();
    let before = client.command(&["ACL", "LIST"]).to_string();
    let mut chance = Chance::announced("garbage for users");
    for number in 0..50 {
        let noise: Vec<u8> = (0..300).map(|_| chance.below(256) as u8).collect();
        let text = match number % 5 {
            0 => noise,
            1 => [b"user ".to_vec(), noise].concat(),
            2 => b"user ann on >x (".repeat(100),
            3 => [b"user ann on ".to_vec(), b"~".repeat(100_000), b" +nosuch".to_vec()].concat(),
            _ => b"user ann on +@nosuch %X~k #nohash\nuser ann on\n".to_vec(),
        };
        fs::write(&file, text).unwrap();
        let answer = client.command(&["ACL", "LOAD"]).to_string();
        assert!(answer.contains("ERR"), "{number}: {answer}");
        assert_eq!(client.command(&["ACL", "LIST"]).to_string(), before);
    }
    for words in [
        &["ACL", "SETUSER", "bob", "(((("][..],
        &["ACL", "SETUSER", "bob", "+@all|x|y|z"],
        &["ACL", "SETUSER", "bob", "%~", "%R~"],
        &["ACL", "SETUSER", "bob", "#short"],
        &["ACL", "SETUSER", "bob smith", "on"],
    ] {
        let answer = client.command(words).to_string();
        assert!(answer.contains("ERR"), "{words:?}: {answer}");
    }
    assert_eq!(client.command(&["ACL", "LIST"]).to_string(), before);
}

#[test]
fn garbage_in_a_configuration_stops_the_start_with_a_sentence() {
    let directory = Directory::new();
    let mut chance = Chance::announced("garbage for a configuration");
    let file = |name: &str| directory.path().join(name);
    let own = file("own.conf").display().to_string();
    let noise: Vec<u8> = (0..100_000).map(|_| chance.below(256) as u8).collect();
    let cases: [(&str, Vec<u8>); 7] = [
        ("noise.conf", noise.clone()),
        ("noise.toml", noise),
        ("own.conf", format!("include {own}\n").into_bytes()),
        ("long.conf", [b"requirepass ".to_vec(), vec![b'('; 10 << 20], b" x".to_vec()].concat()),
        ("deep.toml", [b"a = ".to_vec(), vec![b'['; 100_000]].concat()),
        ("quotes.conf", b"requirepass \"\\x\n".to_vec()),
        ("null.conf", b"port 0\0\n".to_vec()),
    ];
    for (name, text) in cases {
        let path = file(name);
        fs::write(&path, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
        command.arg("check-config").arg(&path).current_dir(directory.path());
        let output = tools::run(&mut command, b"", PATIENCE);
        let heard = said(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {heard:.500}");
        assert!(!heard.contains("panicked") && heard.len() < 4_096, "{name}: {heard:.500}");
    }
}
