//! Lines to the system's log (`syslog-enabled`), beside those of our own log.
//! Always: a system log that is not there, or does not keep up, costs its lines and nothing else.

use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;

use tenon_config::{Config, Directive};

/// Where the system listens.
const SOCKET: &str = "/dev/log";
/// The facilities that Redis knows: `user`, then `local0` to `local7`.
const USER: u32 = 1;
const LOCAL_0: u32 = 16;

/// The way to the system's log.
pub(crate) struct Syslog {
    facility: u32,
    ident: String,
    pid: u32,
    socket: Mutex<Option<UnixDatagram>>,
}

impl Syslog {
    /// As configured; `None` where it is off.
    pub(crate) fn new(config: &Config, pid: u32) -> Option<Syslog> {
        config.bool(Directive::SyslogEnabled).then(|| Syslog {
            facility: facility(&config.choice(Directive::SyslogFacility)),
            ident: config.text_lossy(Directive::SyslogIdent).into_owned(),
            pid,
            socket: Mutex::default(),
        })
    }

    /// Sends one line of a severity from 7 (debug) to 4 (warning).
    pub(crate) fn send(&self, severity: u32, message: &str) {
        let line = self.line(severity, message);
        let mut socket = self.socket.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if socket.is_none() {
            *socket = connect();
        }
        let sent = socket.as_ref().map(|socket| socket.send(line.as_bytes()));
        if let Some(Err(error)) = sent
            && error.kind() != std::io::ErrorKind::WouldBlock
        {
            // The system's log was started anew: once more, from the start.
            *socket = connect();
            let _ = socket.as_ref().map(|socket| socket.send(line.as_bytes()));
        }
    }

    fn line(&self, severity: u32, message: &str) -> String {
        format!("<{}>{}[{}]: {message}", self.facility * 8 + severity, self.ident, self.pid)
    }
}

fn connect() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(SOCKET).ok()?;
    Some(socket)
}

fn facility(name: &str) -> u32 {
    name.strip_prefix("local")
        .and_then(|digit| digit.parse::<u32>().ok())
        .map_or(USER, |digit| LOCAL_0 + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_facility_severity_and_process() {
        let syslog = Syslog {
            facility: facility("local3"),
            ident: "tenon".to_owned(),
            pid: 7,
            socket: Mutex::default(),
        };
        assert_eq!(syslog.line(5, "hello"), "<157>tenon[7]: hello");
        assert_eq!(facility("user"), 1);
        // Nobody may be listening.
        syslog.send(5, "hello");
    }
}
