//! Whoever started this process and wants to know how it does: systemd, by messages to the socket it names in
//! `NOTIFY_SOCKET` (`supervised systemd`, or `auto` where it is named).
//! Always: a supervisor that cannot be reached is a line of the log, and nothing else.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tenon_config::{Config, Directive};
use tenon_engine::Milestone;

const SOCKET: &str = "NOTIFY_SOCKET";

/// Resolves `supervised auto`. Returns the line that the log is to have about it.
pub(crate) fn detect(config: &mut Config) -> Option<&'static str> {
    let has_socket = std::env::var_os(SOCKET).is_some();
    let (supervisor, line) = match (config.choice(Directive::Supervised).as_str(), has_socket) {
        ("auto" | "systemd", true) => (
            "systemd",
            Some(
                "supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and \
                 TimeoutStopSec in your service unit.",
            ),
        ),
        ("systemd", false) => ("no", Some("systemd supervision requested, but NOTIFY_SOCKET is not found")),
        ("upstart", _) => ("no", Some("supervised upstart has no effect: upstart is not told anything")),
        _ => ("no", None),
    };
    // Both are the directive's own names.
    let _ = config.replace(Directive::Supervised, &[supervisor]);
    line
}

/// What tells the supervisor, if there is one.
pub(crate) fn teller(config: &Config) -> Box<dyn Fn(Milestone) + Send> {
    let name = std::env::var_os(SOCKET).filter(|_| config.choice(Directive::Supervised) == "systemd");
    let Some(name) = name else { return Box::new(|_| {}) };
    Box::new(move |milestone| {
        let message = match milestone {
            Milestone::Loading => "STATUS=Loading the dataset in memory\n",
            Milestone::Ready => "STATUS=Ready to accept connections\nREADY=1\n",
            Milestone::Saving => "STATUS=Saving the final RDB snapshot\n",
            Milestone::Stopping => "STOPPING=1\n",
        };
        if let Err(error) = send(&name, message) {
            tracing::warn!("Can't send to the systemd socket {}: {error}", name.display());
        }
    })
}

/// A name that begins with `@` is one that no file has.
fn send(name: &OsStr, message: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_sockets_with_and_without_a_file() {
        let path = std::env::temp_dir().join(format!("tenon-notify-{}", std::process::id()));
        let in_file = UnixDatagram::bind(&path).unwrap();
        let hidden = format!("tenon-notify-{}", std::process::id());
        let in_memory = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&hidden).unwrap()).unwrap();
        send(path.as_os_str(), "READY=1\n").unwrap();
        send(OsStr::new(&format!("@{hidden}")), "STOPPING=1\n").unwrap();
        let mut buffer = [0; 64];
        assert_eq!(in_file.recv(&mut buffer).unwrap(), 8);
        assert_eq!(in_memory.recv(&mut buffer).unwrap(), 11);
        std::fs::remove_file(&path).unwrap();
        assert!(send(path.as_os_str(), "READY=1\n").is_err());
    }
}
