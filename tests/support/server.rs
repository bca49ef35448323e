//! One running server, Tenon or redis-server, with a directory and a port of its own.
//! Always: dropping it kills the process; its directory goes too, unless the test is failing.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::client::Client;
use super::reply::Reply;

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// Another process may take a free port between our look and the server's bind.
const START_ATTEMPTS: usize = 5;

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Tenon,
    Redis,
    Valkey,
}

/// A server process. Its standard output and error go to `log()`.
pub(crate) struct Server {
    program: Program,
    arguments: Vec<String>,
    port: u16,
    child: Option<Child>,
    directory: Directory,
}

impl Server {
    /// Starts the built `tenon` with `--name value` arguments and waits until it answers PING.
    pub(crate) fn tenon(arguments: &[&str]) -> Server {
        Server::start(Program::Tenon, arguments, Directory::new())
    }

    /// Starts redis-server the same way. Where it is missing: `None` and a visible line, or in CI a panic.
    pub(crate) fn redis(arguments: &[&str]) -> Option<Server> {
        oracle().then(|| Server::start(Program::Redis, arguments, Directory::new()))
    }

    /// Starts valkey-server the same way. Where it is missing: `None` and a visible line.
    pub(crate) fn valkey(arguments: &[&str]) -> Option<Server> {
        let asked = Command::new(valkey_program()).arg("--version").stdout(Stdio::null()).status();
        if asked.is_ok_and(|status| status.success()) {
            return Some(Server::start(Program::Valkey, arguments, Directory::new()));
        }
        eprintln!("skipped: no valkey-server on the PATH, and none named in TENON_VALKEY");
        None
    }

    /// Starts a program on a directory that may hold another server's files.
    pub(crate) fn start(program: Program, arguments: &[&str], directory: Directory) -> Server {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let mut server = Server { program, arguments, port: free_port(), child: None, directory };
        for _ in 1..START_ATTEMPTS {
            if server.launch() {
                return server;
            }
            server.port = free_port();
        }
        assert!(server.launch(), "{program:?} did not start:\n{}", server.log());
        server
    }

    /// Starts a program, and waits for nothing: it may end by itself, which [`Server::has_ended`] tells.
    pub(crate) fn unready(program: Program, arguments: &[&str], directory: Directory) -> Server {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let mut server = Server { program, arguments, port: free_port(), child: None, directory };
        server.spawn();
        server
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("a stopped server does not end");
        let has_ended = child.try_wait().expect("our own child can be awaited").is_some();
        if has_ended {
            self.child = None;
        }
        has_ended
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// The process's id. Panics while stopped.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("a stopped server has no process").id()
    }

    /// The most memory that the process has had so far, in bytes of the machine's.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// The memory that the process has now, in bytes of the machine's.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of Linux");
        let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kilobytes * 1_024
    }

    /// The data directory, which outlives restarts.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory.path
    }

    /// Everything that the server has printed since the directory was made.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log holds `text`; panics with the log when it does not.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let until = Instant::now() + READY_WITHIN;
        while !self.log().contains(text) {
            assert!(Instant::now() < until, "{:?} never logged {text:?}:\n{}", self.program, self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// Ends the process at once, as a crash of it would (the machine's page cache survives).
    pub(crate) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("our own child can be awaited");
        }
    }

    /// Asks the process to end (SIGTERM) and waits until it has. Panics when it does not.
    pub(crate) fn terminate(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill could not be run");
        let until = Instant::now() + STOPPED_WITHIN;
        while child.try_wait().expect("our own child can be awaited").is_none() {
            if Instant::now() > until {
                child.kill().expect("our own child can be killed");
                panic!("{:?} did not end within {STOPPED_WITHIN:?}:\n{}", self.program, self.log());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Starts again on the same directory and port, killing what still runs.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        assert!(self.launch(), "{:?} did not start again:\n{}", self.program, self.log());
    }

    /// As [`Server::restart`], without waiting: the process may have nothing to say yet.
    pub(crate) fn restart_unready(&mut self) {
        self.kill9();
        self.spawn();
    }

    /// Waits until the process has ended by itself, and returns its exit code. Panics when it does not end.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("a stopped server does not end");
        let until = Instant::now() + STOPPED_WITHIN;
        loop {
            if let Some(status) = child.try_wait().expect("our own child can be awaited") {
                return status.code();
            }
            if Instant::now() > until {
                child.kill().expect("our own child can be killed");
                panic!("{:?} did not end within {STOPPED_WITHIN:?}:\n{}", self.program, self.log());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server and hands its directory on, to another program for example.
    pub(crate) fn into_directory(mut self) -> Directory {
        self.kill9();
        std::mem::replace(&mut self.directory, Directory { path: PathBuf::new() })
    }

    /// Starts the process and waits for PONG; false when it ended first.
    fn launch(&mut self) -> bool {
        self.spawn();
        let until = Instant::now() + READY_WITHIN;
        while !self.answers() {
            let child = self.child.as_mut().expect("launched above");
            if child.try_wait().expect("our own child can be awaited").is_some() {
                self.child = None;
                return false;
            }
            assert!(
                Instant::now() < until,
                "{:?} is not ready after {READY_WITHIN:?}:\n{}",
                self.program,
                self.log()
            );
            sleep(Duration::from_millis(5));
        }
        true
    }

    /// Starts the process.
    fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("our own directory");
        let mut command = match self.program {
            Program::Tenon => Command::new(env!("CARGO_BIN_EXE_tenon")),
            Program::Redis => Command::new("redis-server"),
            Program::Valkey => Command::new(valkey_program()),
        };
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.arg("--dir").arg(self.directory()).args(&self.arguments).current_dir(self.directory());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file handle")).stderr(log);
        self.child = Some(command.spawn().expect("the server's program can be started"));
    }

    /// Whether PING gets an answer other than LOADING; NOAUTH is an answer. Not that of a stranger who was quicker to
    /// take the port.
    fn answers(&self) -> bool {
        let Ok(mut client) = Client::try_connect(self.port) else { return false };
        let answered = client.try_command(&["PING"]);
        if !answered.is_ok_and(|reply| !reply.to_string().contains("LOADING")) {
            return false;
        }
        let told = match client.try_command(&["INFO", "server"]) {
            Ok(reply @ Reply::Bulk(_)) => reply.text(),
            _ => return true,
        };
        let process = told.lines().find_map(|line| line.strip_prefix("process_id:"));
        process.is_none_or(|process| process.trim() == self.pid().to_string())
    }

    fn log_path(&self) -> PathBuf {
        self.directory().join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() && self.directory().exists() {
            let log = self.log();
            let tail = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let state = ended.map_or_else(|| "runs".to_owned(), |status| format!("has ended ({status})"));
            let directory = self.directory().display();
            eprintln!("{:?} in {directory} {state}, and said last:\n{}", self.program, &log[tail..]);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A directory for one test's data, under the build's own directory.
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("server-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the build's directory can be written");
        Directory { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.path.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Whether redis-server can judge. Says so where it cannot; in CI (`CI=true`) that is a panic.
pub(crate) fn oracle() -> bool {
    let asked = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    if asked.is_ok_and(|status| status.success()) {
        return true;
    }
    let how = "redis-server is not installed: apt-get install redis-server redis-tools";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
    eprintln!("skipped: {how}");
    false
}

/// `TENON_VALKEY`, else valkey-server.
fn valkey_program() -> PathBuf {
    std::env::var_os("TENON_VALKEY").map_or_else(|| PathBuf::from("valkey-server"), PathBuf::from)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
