//! The log: `tracing` events as lines, in Redis's format or as JSON, to standard output or to a file, and to the
//! system's log if that is wanted.
//! Always: one event is one line; line breaks inside a message are escaped, so that nobody can forge a line.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tenon_config::{Config, Directive, LogLevel};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::process;
use crate::syslog::Syslog;

/// What the running log can be told.
pub(crate) struct Handle {
    /// Changes the level from which on lines are written.
    pub(crate) set_level: Box<dyn Fn(LogLevel) + Send>,
    /// Says whether lines are a replica's from now on.
    pub(crate) set_role: Box<dyn Fn(bool) + Send>,
}

/// Starts the log as configured.
pub(crate) fn start(config: &Config) -> Result<Handle, String> {
    let file = config.text_lossy(Directive::LogFile).into_owned();
    let directory = PathBuf::from(&*config.text_lossy(Directive::Dir));
    let target = if file.is_empty() { Target::Stdout } else { Target::File(directory.join(file)) };
    target.write(b"").map_err(|error| format!("Can't open the log file: {error}"))?;
    let level = Arc::new(AtomicU8::new(rank_of(config.log_level())));
    let pid = std::process::id();
    let is_json = config.choice(Directive::LogFormat) == "json";
    let is_replica = Arc::new(AtomicBool::new(config.primary().is_some()));
    let layer = Lines {
        target,
        is_json,
        level: Arc::clone(&level),
        pid,
        is_replica: Arc::clone(&is_replica),
        syslog: Syslog::new(config, pid),
    };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
        .map_err(|error| error.to_string())?;
    Ok(Handle {
        set_level: Box::new(move |wanted| level.store(rank_of(wanted), Ordering::Relaxed)),
        set_role: Box::new(move |wanted| is_replica.store(wanted, Ordering::Relaxed)),
    })
}

enum Target {
    Stdout,
    /// Opened for each line, as Redis does, so that a log that was moved away is begun anew.
    File(PathBuf),
}

impl Target {
    fn write(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => io::stdout().lock().write_all(line),
            Target::File(path) => open(path)?.write_all(line),
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Writes each event as one line.
struct Lines {
    target: Target,
    is_json: bool,
    level: Arc<AtomicU8>,
    pid: u32,
    is_replica: Arc<AtomicBool>,
    syslog: Option<Syslog>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("tenon")
            && rank(*metadata.level()) >= self.level.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let rank = usize::from(rank(*event.metadata().level()));
        let line = if self.is_json {
            json_line(self.pid, event.metadata().target(), LEVELS[rank].name, &message.0)
        } else {
            let role = if self.is_replica.load(Ordering::Relaxed) { 'S' } else { 'M' };
            format!("{}:{role} {} {} {}\n", self.pid, process::local_time(), LEVELS[rank].mark, message.0)
        };
        // A log that cannot be written must not stop the server.
        let _ = self.target.write(line.as_bytes());
        if let Some(syslog) = &self.syslog {
            syslog.send(LEVELS[rank].severity, &message.0);
        }
    }
}

/// One level of Redis: its name, its mark in a line, its number in the system's log.
struct LevelRow {
    name: &'static str,
    mark: char,
    severity: u32,
}

/// By rank.
const LEVELS: [LevelRow; 4] = [
    LevelRow { name: "debug", mark: '.', severity: 7 },
    LevelRow { name: "verbose", mark: '-', severity: 6 },
    LevelRow { name: "notice", mark: '*', severity: 5 },
    LevelRow { name: "warning", mark: '#', severity: 4 },
];

/// An object on one line. The message has no control characters left, so quotes and backslashes are all that needs care.
fn json_line(pid: u32, source: &str, level: &str, message: &str) -> String {
    let message = message.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "{{\"time\":\"{}\",\"level\":\"{level}\",\"pid\":{pid},\"source\":\"{source}\",\"message\":\"{message}\"}}\n",
        process::iso_time()
    )
}

/// The message of an event, on one line.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            return;
        }
        let _ = write!(OneLine(&mut self.0), "{value:?}");
    }
}

struct OneLine<'a>(&'a mut String);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if character.is_control() {
                self.0.extend(character.escape_default());
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

/// Redis's four levels on `tracing`'s five: error and warn are both its warning.
fn rank(level: Level) -> u8 {
    match level {
        Level::TRACE => 0,
        Level::DEBUG => 1,
        Level::INFO => 2,
        Level::WARN | Level::ERROR => 3,
    }
}

fn rank_of(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Verbose => 1,
        LogLevel::Notice => 2,
        LogLevel::Warning => 3,
        LogLevel::Nothing => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_one_object_whatever_the_message() {
        let mut message = String::new();
        write!(OneLine(&mut message), "a \"quoted\" \\ thing\nforged\u{7}").unwrap();
        let line = json_line(7, "tenon_engine::engine", "notice", &message);
        assert!(line.starts_with("{\"time\":\"2"), "{line}");
        let rest = "\"level\":\"notice\",\"pid\":7,\"source\":\"tenon_engine::engine\",\
                    \"message\":\"a \\\"quoted\\\" \\\\ thing\\\\nforged\\\\u{7}\"}\n";
        assert!(line.ends_with(rest), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
