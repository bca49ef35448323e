//! The two contenders, and one running server of either.
//! Always: a server dies with its handle, and with the bench itself where `setpriv` is there to arrange it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::wire::Wire;
use crate::workspace::on_path;

/// A load of millions of keys included.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A server program under the name it has in the tables.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
}

/// A server process with a temporary directory.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    child: Child,
    /// Empty once another server has taken it over.
    directory: PathBuf,
}

/// Whether and how the server writes an append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aof {
    Off,
    Everysec,
    Always,
}

impl Contender {
    pub(crate) fn new(name: &'static str, program: PathBuf) -> Result<Contender, String> {
        let is_name = program.components().count() == 1;
        // A link's own name is kept: redis-server is also a link to a program of several names.
        let whole = std::path::absolute(&program).ok().filter(|file| file.is_file());
        let found = if is_name { on_path(&program.to_string_lossy()) } else { whole };
        let hint =
            if is_name { "; redis-server comes with apt-get install redis-server redis-tools" } else { "" };
        let program = found.ok_or(format!("{name}: found no program {}{hint}", program.display()))?;
        Ok(Contender { name, program })
    }

    /// The first line of `--version`.
    pub(crate) fn version(&self) -> Result<String, String> {
        let output = Command::new(&self.program).arg("--version").output();
        let output = output.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().next().unwrap_or("says no version").to_owned())
    }

    /// Starts the server on its own port and waits for PONG; `processors` is a list for taskset, `options` are words
    /// of the server's own.
    pub(crate) fn start(
        &self,
        aof: Aof,
        processors: Option<&str>,
        options: &[&str],
    ) -> Result<Server, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tenon-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        self.start_in(directory, aof, processors, options)
    }

    /// Starts the server on what another left in its directory; waits for PONG, and so for the load.
    pub(crate) fn start_in(
        &self,
        directory: PathBuf,
        aof: Aof,
        processors: Option<&str>,
        options: &[&str],
    ) -> Result<Server, String> {
        let port = free_port()?;
        let child = self.spawn(aof, processors, options, port, &directory);
        let child = child.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let mut server = Server { name: self.name, port, child, directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn spawn(
        &self,
        aof: Aof,
        processors: Option<&str>,
        options: &[&str],
        port: u16,
        directory: &Path,
    ) -> std::io::Result<Child> {
        let mut words: Vec<String> = Vec::new();
        if on_path("setpriv").is_some() {
            words.extend(["setpriv", "--pdeathsig", "KILL"].map(str::to_owned));
        }
        if let Some(processors) = processors {
            words.extend(["taskset", "--cpu-list", processors].map(str::to_owned));
        }
        words.push(self.program.to_string_lossy().into_owned());
        words.extend(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""].map(str::to_owned));
        let appendonly = if aof == Aof::Off { "no" } else { "yes" };
        let level = if aof == Aof::Always { "always" } else { "everysec" };
        words.extend(["--appendonly", appendonly, "--appendfsync", level].map(str::to_owned));
        words.extend(["--auto-aof-rewrite-percentage", "0"].map(str::to_owned));
        words.extend(options.iter().map(|option| (*option).to_owned()));
        let log = File::create(directory.join("server.log"))?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--dir").arg(directory).current_dir(directory);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
    }
}

impl Server {
    /// Starts both contenders with the same log on the same processors, a list for taskset.
    pub(super) fn start_both(
        [first, second]: &[Contender; 2],
        aof: Aof,
        processors: Option<&str>,
    ) -> Result<[Server; 2], String> {
        Ok([first.start(aof, processors, &[])?, second.start(aof, processors, &[])?])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server at once; its directory is left to the caller.
    pub(super) fn kill(mut self) -> PathBuf {
        std::mem::take(&mut self.directory)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            let pong = Wire::connect(self.port).and_then(|mut wire| wire.command(&["PING"]));
            if pong.is_ok_and(|pong| pong == "PONG") {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
                return Err(format!("{} did not answer PING; its log:\n{log}", self.name));
            }
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.directory.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port on loopback: {error}"))
}
