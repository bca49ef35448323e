//! The process: who it is, what it uses, its pid file, and how it goes into the background.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use tenon_base::{Dice, Now};
use tenon_config::{Config, Directive};
use tenon_engine::{Gauges, Identity};

/// Set for the process in the background, so that it does not go there once more.
const DAEMON_MARK: &str = "TENON_IN_BACKGROUND";

pub(crate) fn identity(started: Now) -> Identity {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Identity {
        utc_offset_minutes: i16::try_from(jiff::Zoned::now().offset().seconds() / 60).unwrap_or(0),
        run_id: dice().map_or_else(|_| "0".repeat(40), |mut dice| dice.hex(40)),
        pid: std::process::id(),
        executable: std::env::current_exe()
            .map_or_else(|_| "tenon".into(), |path| path.display().to_string()),
        system: format!("{} {} {}", text(uname.sysname()), text(uname.release()), text(uname.machine())),
        started,
        total_memory_bytes: total_memory_bytes(),
        gauges,
    }
}

/// Chance from the operating system.
pub(crate) fn dice() -> Result<Dice, String> {
    entropy().map(Dice::from_entropy)
}

/// Bytes that nobody can guess, from the operating system.
pub(crate) fn entropy() -> Result<[u8; 32], String> {
    let mut entropy = [0; 32];
    let mut source = fs::File::open("/dev/urandom").map_err(|error| format!("No entropy: {error}"))?;
    std::io::Read::read_exact(&mut source, &mut entropy).map_err(|error| format!("No entropy: {error}"))?;
    Ok(entropy)
}

/// Descriptors that the process itself needs beside its clients'.
const OWN_DESCRIPTORS: u64 = 32;

/// Asks the system for as many descriptors as `maxclients` needs, and says so if there are fewer to be had.
pub(crate) fn make_room_for_clients(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let clients = u64::try_from(config.integer(Directive::MaxClients)).unwrap_or(0);
    let wanted = clients + OWN_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let granted = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum: limit.maximum });
    if raised.is_err() || granted < wanted {
        tracing::warn!(
            "maxclients {clients} needs {wanted} open files, and the system allows {granted}: raise it with \
             'ulimit -n', or lower maxclients"
        );
    }
}

/// The wall clock as log lines show it, in the machine's time zone.
pub(crate) fn local_time() -> String {
    jiff::Zoned::now().strftime("%d %b %Y %H:%M:%S.%3f").to_string()
}

/// The wall clock as other programs read it: the same zone, and its distance from UTC.
pub(crate) fn iso_time() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
}

/// Whether this is the process that was sent into the background.
pub(crate) fn is_daemon() -> bool {
    std::env::var_os(DAEMON_MARK).is_some()
}

/// Starts the same program once more, without a terminal, and ends. A fork is not to be had safely in a process that
/// may have threads; a fresh start is.
pub(crate) fn become_daemon() -> ExitCode {
    let started = std::env::current_exe().and_then(|program| {
        Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(DAEMON_MARK, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    });
    match started {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => crate::usage::refuse(&format!("Can't go into the background: {error}")),
    }
}

/// Leaves the session of whoever started it, so that the end of a terminal is not the end of the server.
pub(crate) fn leave_session() {
    // Refused only to the leader of a session, which is what this wants to be.
    let _ = rustix::process::setsid();
}

/// A pid file, which goes with the process.
pub(crate) struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes it if one is configured, or if the process is in the background.
    pub(crate) fn write(config: &Config) -> Result<PidFile, String> {
        let named = config.text_lossy(Directive::PidFile).into_owned();
        let path = match (named.is_empty(), is_daemon()) {
            (false, _) => PathBuf::from(named),
            (true, true) => PathBuf::from("/var/run/redis.pid"),
            (true, false) => return Ok(PidFile(None)),
        };
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Ok(PidFile(Some(path))),
            Err(error) => {
                tracing::warn!("Failed to write PID file {}: {error}", path.display());
                Ok(PidFile(None))
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Somebody else may have removed it; that is what was wanted.
            let _ = fs::remove_file(path);
        }
    }
}

/// Reads the allocator's and the system's figures.
fn gauges() -> Gauges {
    use tikv_jemalloc_ctl::{epoch, stats};
    // The figures are as of the last advance of the epoch.
    let _ = epoch::advance();
    let figure = |read: Result<usize, _>| read.map_or(0, |bytes: usize| bytes as u64);
    let usage = cpu_us();
    Gauges {
        allocated_bytes: figure(stats::allocated::read().map_err(drop)),
        active_bytes: figure(stats::active::read().map_err(drop)),
        allocator_resident_bytes: figure(stats::resident::read().map_err(drop)),
        resident_bytes: resident_bytes(),
        cpu_user_us: usage.0,
        cpu_system_us: usage.1,
    }
}

/// From `/proc/self/stat`: clock ticks are hundredths of a second on every Linux.
fn cpu_us() -> (u64, u64) {
    const TICK_US: u64 = 10_000;
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    let mut fields = after_name.split(' ').skip(11).map(|field| field.parse::<u64>().unwrap_or(0) * TICK_US);
    (fields.next().unwrap_or(0), fields.next().unwrap_or(0))
}

fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4_096;
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}

fn total_memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
