//! Under `appendfsync always` a reply never leaves before the fsync that covers it has returned, by the system calls
//! that strace saw: appends to the log, fsyncs of it, writes to sockets. Also: what clients hear when an fsync fails.
//! Always: the checker itself is tried on traces that are wrong, so a pass means something.

mod support;

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use support::client::Client;
use support::reply::Reply;
use support::server::Directory;
use support::tools;

const READY_WITHIN: Duration = Duration::from_secs(30);
const INCREMENTS: usize = 40;
const CLIENTS: usize = 8;

/// Makes an fsync slow enough that a reply which does not wait for it would overtake it.
const SLOW_FSYNC: &str = "--inject=fdatasync,fsync:delay_exit=3000";

#[test]
fn one_connection_waits_for_the_fsync_of_each_write() {
    let Some(mut traced) = Traced::start(&["--appendfsync", "always"], &[SLOW_FSYNC]) else { return };
    let mut client = traced.client();
    for expected in 1..=INCREMENTS {
        assert_eq!(client.command(&["INCR", "k1"]), Reply::Integer(expected as i64));
    }
    let trace = traced.end();
    assert_eq!(check(&trace), Ok(INCREMENTS), "replies that were checked");

    // The same events with one thing wrong each.
    let without_fsyncs = kept(&trace, |line| !line.contains("fdatasync") && !line.contains("fsync("));
    assert!(check(&without_fsyncs).is_err(), "no fsync at all is noticed");
    let failing = trace.replace(") = 0 (DELAYED)\n", ") = -1 EIO (Input/output error)\n");
    assert!(failing != trace && check(&failing).is_err(), "a failed fsync is noticed");
    let early = reply_first(&trace);
    assert!(check(&early).is_err(), "a reply that leaves while its fsync runs is noticed");
}

#[test]
fn many_connections_wait_for_the_fsync_of_their_writes_and_of_what_they_read() {
    let Some(mut traced) = Traced::start(&["--appendfsync", "always"], &[SLOW_FSYNC]) else { return };
    scope(|threads| {
        for number in 1..=CLIENTS {
            let traced = &traced;
            threads.spawn(move || {
                let key = format!("k{number}");
                let mut client = traced.client();
                for round in 1..=INCREMENTS / 4 {
                    let requests = vec![vec!["INCR", &key]; 1 + round % 3];
                    client.pipeline(&requests);
                }
            });
            threads.spawn(move || {
                let key = format!("k{number}");
                let mut client = traced.client();
                for _ in 0..INCREMENTS / 2 {
                    // The reply names the key, so that the checker knows whose value was seen.
                    client.command(&["MGET", &key, "unknown"]);
                    sleep(Duration::from_millis(1));
                }
            });
        }
    });
    let trace = traced.end();
    let checked = check(&trace).unwrap_or_else(|error| panic!("{error}"));
    assert!(checked >= CLIENTS * INCREMENTS / 4, "only {checked} replies were checked");
}

#[test]
fn an_fsync_that_fails_is_not_reported_as_success() {
    let failing = "--inject=fdatasync,fsync:error=EIO:when=6..9";
    let Some(mut traced) = Traced::start(&["--appendfsync", "always"], &[failing]) else { return };
    let mut client = traced.client();
    let (mut acknowledged, mut refused) = (0, 0);
    let until = Instant::now() + READY_WITHIN;
    // The value that INCR tells counts what is in memory: also writes that were refused because of the disk.
    while refused == 0 || acknowledged < INCREMENTS {
        assert!(
            Instant::now() < until,
            "after {acknowledged} writes and {refused} refusals there is no recovery"
        );
        match client.command(&["INCR", "k1"]) {
            Reply::Integer(_) => acknowledged += 1,
            Reply::Error(text) => {
                assert!(text.starts_with("MISCONF "), "{text}");
                refused += 1;
                assert!(matches!(client.command(&["GET", "unrelated"]), Reply::Nil), "reads go on");
                sleep(Duration::from_millis(20));
            }
            other => panic!("INCR says {other}"),
        }
    }
    let last = client.command(&["GET", "k1"]).text();
    let trace = traced.end();
    let checked = check(&trace).unwrap_or_else(|error| panic!("{error}"));
    assert!(checked >= acknowledged, "{checked} replies were checked of {acknowledged}");
    let server = traced.started_again();
    assert_eq!(server.client().command(&["GET", "k1"]).text(), last, "what was acknowledged is there");
}

#[test]
fn the_checker_accepts_what_is_right_and_names_what_is_wrong() {
    let append = r#"10 write(9</d/appendonly.aof.1.incr.aof>, "*2\r\n$4\r\nINCR\r\n$2\r\nk1\r\n", 24) = 24"#;
    let fsync = "11 fdatasync(9</d/appendonly.aof.1.incr.aof>) = 0";
    let fsync_begun = "11 fdatasync(9</d/appendonly.aof.1.incr.aof> <unfinished ...>";
    let fsync_done = "11 <... fdatasync resumed>) = 0";
    let reply = r#"10 sendto(12<socket:[77]>, ":1\r\n", 4, MSG_NOSIGNAL, NULL, 0) = 4"#;
    let request =
        r#"10 recvfrom(12<socket:[77]>, "*2\r\n$4\r\nINCR\r\n$2\r\nk1\r\n", 65536, 0, NULL, NULL) = 24"#;
    let lines = |lines: &[&str]| lines.iter().fold(String::new(), |text, line| text + line + "\n");

    assert_eq!(check(&lines(&[request, append, fsync, reply])), Ok(1));
    assert_eq!(check(&lines(&[request, append, fsync_begun, fsync_done, reply])), Ok(1));
    for wrong in [
        lines(&[request, append, reply, fsync]),
        lines(&[request, append, fsync_begun, reply, fsync_done]),
        lines(&[request, fsync_begun, append, fsync_done, reply]),
        lines(&[request, append, &fsync.replace(".1.", ".2."), reply]),
        lines(&[request, append, &fsync.replace("= 0", "= -1 EIO (Input/output error)"), reply]),
        lines(&[request, fsync, reply]),
    ] {
        let error = check(&wrong).expect_err(&wrong);
        assert!(error.contains("k1"), "{error}");
    }
}

/// Reads a trace of `strace -f -y`. Every reply that tells a counter's value must come after an fsync, begun after
/// the append of that increment had returned and returned without error. Gives the number of such replies.
fn check(trace: &str) -> Result<usize, String> {
    let mut checker = Checker::default();
    let mut unfinished: HashMap<&str, String> = HashMap::new();
    for (index, line) in trace.lines().enumerate() {
        let Some((thread, event)) = line.trim_start().split_once(char::is_whitespace) else { continue };
        let event = event.trim_start();
        let told = |error: String| format!("line {}: {error}: {line}", index + 1);
        if let Some(begun) = event.strip_suffix(" <unfinished ...>") {
            checker.entered(thread, begun).map_err(told)?;
            unfinished.insert(thread, begun.to_owned());
        } else if event.starts_with("<... ") {
            let Some(begun) = unfinished.remove(thread) else { continue };
            let rest = event.split_once("resumed>").map_or("", |(_, rest)| rest);
            checker.left(thread, &(begun + rest));
        } else {
            checker.entered(thread, event).map_err(told)?;
            checker.left(thread, event);
        }
    }
    Ok(checker.replies_checked)
}

/// An increment of a key, which is that key's n-th.
type Increment = (String, usize);

#[derive(Default)]
struct Checker<'a> {
    /// How many increments of each key the log holds.
    appended: HashMap<String, usize>,
    /// Increments whose append has returned, by file.
    unsynced: HashMap<String, Vec<Increment>>,
    /// What an fsync in flight covers, by thread.
    syncing: HashMap<&'a str, Vec<Increment>>,
    synced: HashMap<String, usize>,
    /// What each socket's client asks for: the replies that it still gets name no key.
    asked: HashMap<String, Vec<String>>,
    replies_checked: usize,
}

impl<'a> Checker<'a> {
    /// A thread enters a system call: here an fsync's cover is fixed, and here a reply leaves.
    fn entered(&mut self, thread: &'a str, call: &str) -> Result<(), String> {
        let (name, file) = name_and_file(call);
        if is_sync(name) {
            let covered = self.unsynced.get(file).cloned().unwrap_or_default();
            self.syncing.insert(thread, covered);
        }
        if is_write(name) && file.starts_with("socket:") {
            for value in values(quoted(call)) {
                let queue = self.asked.get_mut(file).filter(|keys| !keys.is_empty());
                let key = queue.ok_or_else(|| format!("a reply {value} that nobody asked for"))?.remove(0);
                let synced = self.synced.get(&key).copied().unwrap_or(0);
                if value > synced {
                    return Err(format!("{key} = {value} left when only {synced} were synced"));
                }
                self.replies_checked += 1;
            }
        }
        Ok(())
    }

    /// A thread is back from a system call.
    fn left(&mut self, thread: &'a str, call: &str) {
        let (name, file) = name_and_file(call);
        let has_failed = call.rsplit_once(") = ").is_some_and(|(_, result)| result.starts_with('-'));
        if is_sync(name) {
            let covered = self.syncing.remove(thread).unwrap_or_default();
            if has_failed {
                return;
            }
            for (key, number) in covered {
                let synced = self.synced.entry(key).or_default();
                *synced = number.max(*synced);
            }
        } else if is_write(name) && file.ends_with(".incr.aof") && !has_failed {
            for key in keys(quoted(call), "INCR") {
                let number = self.appended.entry(key.clone()).or_default();
                *number += 1;
                self.unsynced.entry(file.to_owned()).or_default().push((key, *number));
            }
        } else if is_read(name) && file.starts_with("socket:") && !has_failed {
            let text = quoted(call);
            let asked = self.asked.entry(file.to_owned()).or_default();
            asked.extend(keys(text, "INCR"));
            asked.extend(keys(text, "MGET"));
        }
    }
}

fn is_sync(name: &str) -> bool {
    ["fsync", "fdatasync"].contains(&name)
}

fn is_write(name: &str) -> bool {
    ["write", "writev", "pwrite64", "sendto", "sendmsg"].contains(&name)
}

fn is_read(name: &str) -> bool {
    ["read", "readv", "recvfrom", "recvmsg"].contains(&name)
}

/// Of `write(9</d/file>, "..."`: `write` and `/d/file`.
fn name_and_file(call: &str) -> (&str, &str) {
    let (name, rest) = call.split_once('(').unwrap_or((call, ""));
    let file = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(file, _)| file);
    (name, file)
}

/// What was written or read, as strace escapes it.
fn quoted(call: &str) -> &str {
    let from = call.find('"').map_or(call.len(), |at| at + 1);
    let to = call.rfind('"').unwrap_or(from).max(from);
    &call[from..to]
}

/// The keys that one command's requests name in escaped RESP.
fn keys(text: &str, command: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split("\\r\\n").collect();
    let is_key = |window: &[&str]| window[0] == command && window[1].starts_with('$');
    parts.windows(3).filter(|window| is_key(window)).map(|window| window[2].to_owned()).collect()
}

/// The counters' values in escaped replies to INCR (`:3`) and to MGET (`*2 $1 3 $-1`, or `$-1` twice).
fn values(text: &str) -> Vec<usize> {
    let mut parts = text.split("\\r\\n").peekable();
    let mut values = Vec::new();
    while let Some(part) = parts.next() {
        if let Some(value) = part.strip_prefix(':') {
            values.push(value.parse().expect("INCR tells a number"));
        } else if part == "*2" {
            let value = match parts.next() {
                Some("$-1") => "0",
                _ => parts.next().unwrap_or("0"),
            };
            values.push(value.parse().expect("a counter is a number"));
        }
    }
    values
}

/// The lines that `keep` wants.
fn kept(trace: &str, keep: impl Fn(&str) -> bool) -> String {
    trace.lines().filter(|line| keep(line)).fold(String::new(), |text, line| text + line + "\n")
}

/// The trace with its last reply moved to right after the append that it answers.
fn reply_first(trace: &str) -> String {
    let mut lines: Vec<&str> = trace.lines().collect();
    let holds = |line: &str, calls: [&str; 2], what: &str| {
        calls.iter().any(|call| line.contains(call)) && line.contains(what)
    };
    let last = format!("\":{INCREMENTS}\\r\\n");
    let reply =
        lines.iter().rposition(|line| holds(line, ["sendto(", "write("], &last)).expect("the last reply");
    let append = lines
        .iter()
        .rposition(|line| holds(line, ["write(", "writev("], ".incr.aof"))
        .expect("the last append");
    assert!(append < reply, "the last append is before the last reply");
    let line = lines.remove(reply);
    lines.insert(append + 1, line);
    lines.join("\n")
}

/// A server that runs under strace, with the log on.
struct Traced {
    strace: Option<Child>,
    directory: Option<Directory>,
    port: u16,
}

impl Traced {
    /// Starts it; `None`, said aloud, where strace cannot trace.
    fn start(arguments: &[&str], injections: &[&str]) -> Option<Traced> {
        if !tools::is_installed("strace", "apt-get install strace") {
            return None;
        }
        let probe = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            tools::missing("strace may not trace here (ptrace is not permitted)");
            return None;
        }
        let directory = Directory::new();
        let port = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
            listener.local_addr().expect("a bound socket has an address").port()
        };
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "100000", "-o"]).arg(directory.path().join("trace"));
        command
            .arg("-etrace=write,writev,pwrite64,sendto,sendmsg,read,readv,recvfrom,recvmsg,fsync,fdatasync");
        command.args(injections).arg(env!("CARGO_BIN_EXE_tenon")).args(["--port", &port.to_string()]);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]).args(arguments);
        command.arg("--dir").arg(directory.path()).arg("--pidfile").arg(directory.path().join("pid"));
        let log = fs::File::create(directory.path().join("server.log")).expect("our own directory");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let strace = command.spawn().expect("strace was there a moment ago");
        let traced = Traced { strace: Some(strace), directory: Some(directory), port };
        let until = Instant::now() + READY_WITHIN;
        while Client::try_connect(port).and_then(|mut client| client.try_command(&["PING"])).is_err() {
            assert!(Instant::now() < until, "the traced server does not answer:\n{}", traced.log());
            sleep(Duration::from_millis(10));
        }
        Some(traced)
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Kills the server and gives what strace saw of it.
    fn end(&mut self) -> String {
        self.kill();
        let bytes = fs::read(self.path().join("trace")).expect("strace wrote a trace");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The server on the same directory, no longer traced.
    fn started_again(&mut self) -> support::server::Server {
        let directory = self.directory.take().expect("started again once");
        support::server::Server::start(
            support::server::Program::Tenon,
            &["--save", "", "--appendonly", "yes"],
            directory,
        )
    }

    fn path(&self) -> PathBuf {
        self.directory.as_ref().expect("not yet handed on").path().to_owned()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path().join("server.log")).unwrap_or_default()
    }

    /// Killing strace would let the server go on: the server goes first, and strace follows.
    fn kill(&mut self) {
        let Some(mut strace) = self.strace.take() else { return };
        let pid = fs::read_to_string(self.path().join("pid")).unwrap_or_default();
        match pid.trim().parse::<u32>() {
            Ok(pid) => drop(Command::new("kill").args(["-KILL", &pid.to_string()]).status()),
            Err(_) => drop(strace.kill()),
        }
        strace.wait().expect("our own child can be awaited");
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.kill();
    }
}
