//! The configuration in force: one value per directive, and what a file may say besides.
//! Reads no file and no clock. How words become values is in `parse`; CONFIG GET, SET and REWRITE have files of their own.
//! Always: every directive has a value that its kind accepts; `Debug` shows no secret.

use std::borrow::Cow;
use std::fmt;

use tenon_base::split_words;

use crate::choices::{AppendFsync, Guarded, LogLevel, ShutdownMode};
use crate::directive::{Directive, Effect, Flags, Kind};
use crate::error::{ConfigError, Place};
use crate::nearest::nearest;
use crate::parse::{expectation, parse};
use crate::policy::PolicySelection;
use crate::special::{Address, KeyspaceEvents, OutputLimits, SavePoint};
use crate::value::Value;

/// Directives Redis once had: recognised with one argument, without effect, in files only.
pub(crate) const RETIRED: [&str; 3] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

/// The values in force. `Default` is what holds when nobody says anything.
#[derive(Clone)]
pub struct Config {
    values: Vec<Value>,
    /// Where each directive was last named.
    places: Vec<Option<Place>>,
    renames: Vec<Rename>,
    users: Vec<User>,
}

/// One `user` line.
#[derive(Clone)]
struct User {
    words: Vec<Vec<u8>>,
    /// None if it was not read anywhere.
    place: Option<Place>,
}

/// One `rename-command` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The command's own name.
    pub command: Vec<u8>,
    /// What it answers to instead; empty if to nothing.
    pub name: Vec<u8>,
}

/// A directive somebody wrote down that does nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub directive: Directive,
    /// Whether its value is the default, so that nothing is missed.
    pub is_default: bool,
    /// One line for the log.
    pub text: String,
}

impl Default for Config {
    fn default() -> Self {
        let value = |directive: Directive| {
            let row = directive.row();
            let words = if row.kind.takes_many() {
                split_words(row.default.as_bytes()).expect("a row's default has no quotes")
            } else {
                vec![row.default.as_bytes().to_vec()]
            };
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            parse(row, &words, None).expect("a row's default is one of its own values")
        };
        Self {
            values: Directive::ALL.into_iter().map(value).collect(),
            places: vec![None; Directive::ALL.len()],
            renames: Vec::new(),
            users: Vec::new(),
        }
    }
}

/// Reading values. Each panics if the directive is of another kind: which kind it is, its row says.
impl Config {
    /// The value of a `Bool`.
    pub fn bool(&self, directive: Directive) -> bool {
        match self.value(directive) {
            Value::Bool(yes) => *yes,
            _ => mismatch(directive, "bool"),
        }
    }

    /// The value of an `Integer`, `Rate` or `Octal`.
    pub fn integer(&self, directive: Directive) -> i64 {
        match self.value(directive) {
            Value::Integer(number) => *number,
            _ => mismatch(directive, "whole number"),
        }
    }

    /// The value of a `Memory`, in bytes.
    pub fn memory(&self, directive: Directive) -> u64 {
        match self.value(directive) {
            Value::Memory(bytes) => *bytes,
            _ => mismatch(directive, "number of bytes"),
        }
    }

    /// The value of a `MemoryOrPercent`, in bytes, as a share of `whole` where it is one.
    pub fn memory_of(&self, directive: Directive, whole: u64) -> u64 {
        match self.value(directive) {
            Value::Memory(bytes) => *bytes,
            Value::Percent(percent) => (u128::from(whole) * u128::from(*percent) / 100) as u64,
            _ => mismatch(directive, "number of bytes or share"),
        }
    }

    /// The value of a `Text` or `OptionalText`; empty is unset for the latter.
    pub fn text(&self, directive: Directive) -> &[u8] {
        match self.value(directive) {
            Value::Text(text) => text,
            _ => mismatch(directive, "text"),
        }
    }

    /// The same for a person: bytes that are not UTF-8 are replaced.
    pub fn text_lossy(&self, directive: Directive) -> Cow<'_, str> {
        String::from_utf8_lossy(self.text(directive))
    }

    /// The value of a `Words`.
    pub fn words(&self, directive: Directive) -> &[Vec<u8>] {
        match self.value(directive) {
            Value::Words(words) => words,
            _ => mismatch(directive, "list of words"),
        }
    }

    /// The value of a `Choice` or `Choices`, by the name CONFIG GET prints.
    pub fn choice(&self, directive: Directive) -> String {
        match directive.row().kind {
            Kind::Choice(_) | Kind::Choices(_) => {
                String::from_utf8_lossy(&self.printed(directive)).into_owned()
            }
            _ => mismatch(directive, "choice"),
        }
    }

    /// The value of a `Policy`.
    pub fn policy(&self, directive: Directive) -> &PolicySelection {
        match self.value(directive) {
            Value::Policy(selection) => selection,
            _ => mismatch(directive, "policy"),
        }
    }

    /// `appendfsync`.
    pub fn append_fsync(&self) -> AppendFsync {
        AppendFsync::of(self.code(Directive::AppendFsync))
    }

    /// `loglevel`.
    pub fn log_level(&self) -> LogLevel {
        LogLevel::of(self.code(Directive::LogLevel))
    }

    /// `enable-debug-command`, `enable-protected-configs` or `enable-module-command`.
    pub fn guarded(&self, directive: Directive) -> Guarded {
        match directive {
            Directive::EnableDebugCommand
            | Directive::EnableProtectedConfigs
            | Directive::EnableModuleCommand => Guarded::of(self.code(directive)),
            _ => mismatch(directive, "guard"),
        }
    }

    /// `shutdown-on-sigterm` or `shutdown-on-sigint`.
    pub fn shutdown_mode(&self, directive: Directive) -> ShutdownMode {
        match directive {
            Directive::ShutdownOnSigint | Directive::ShutdownOnSigterm => {
                ShutdownMode::of(self.code(directive))
            }
            _ => mismatch(directive, "shutdown mode"),
        }
    }

    /// `save`, in the order written.
    pub fn save_points(&self) -> &[SavePoint] {
        match self.value(Directive::Save) {
            Value::SavePoints(points) => points,
            _ => mismatch(Directive::Save, "list of save points"),
        }
    }

    /// `client-output-buffer-limit`.
    pub fn output_limits(&self) -> OutputLimits {
        match self.value(Directive::ClientOutputBufferLimit) {
            Value::OutputLimits(limits) => *limits,
            _ => mismatch(Directive::ClientOutputBufferLimit, "limit"),
        }
    }

    /// `notify-keyspace-events`.
    pub fn keyspace_events(&self) -> KeyspaceEvents {
        match self.value(Directive::NotifyKeyspaceEvents) {
            Value::Events(events) => *events,
            _ => mismatch(Directive::NotifyKeyspaceEvents, "set of events"),
        }
    }

    /// `latency-tracking-info-percentiles`.
    pub fn percentiles(&self) -> &[f64] {
        match self.value(Directive::LatencyTrackingInfoPercentiles) {
            Value::Percentiles(percentiles) => percentiles,
            _ => mismatch(Directive::LatencyTrackingInfoPercentiles, "list of percentiles"),
        }
    }

    /// `replicaof`.
    pub fn primary(&self) -> Option<&Address> {
        match self.value(Directive::ReplicaOf) {
            Value::Replica(address) => address.as_ref(),
            _ => mismatch(Directive::ReplicaOf, "address"),
        }
    }

    /// Every `rename-command`, in the order written. Whether the commands exist, the command table knows.
    pub fn renames(&self) -> &[Rename] {
        &self.renames
    }

    /// The words behind every `user`, in the order written. What they mean, whoever knows the commands knows.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &[Vec<u8>]> {
        self.users.iter().map(|user| user.words.as_slice())
    }

    /// The error of a `user` line that proved impossible when it was put to use: the `number`-th, from 0.
    pub fn refuse_user(&self, number: usize, reason: impl Into<String>) -> ConfigError {
        ConfigError::new(self.users[number].place.as_ref(), reason, None)
    }

    /// Whether a file or the command line named the directive.
    pub fn is_given(&self, directive: Directive) -> bool {
        self.place(directive).is_some()
    }

    /// Where a file or the command line last named the directive.
    pub fn place(&self, directive: Directive) -> Option<&Place> {
        self.places[directive as usize].as_ref()
    }

    /// The error of a value that proved impossible when it was put to use, such as a component that does not exist.
    pub fn refuse(&self, directive: Directive, reason: impl Into<String>) -> ConfigError {
        ConfigError::new(self.place(directive), reason, None)
    }

    /// One line for each directive that somebody wrote down and that does nothing here.
    pub fn notices(&self) -> Vec<Notice> {
        let default = Config::default();
        let notice = |directive: Directive| {
            let name = directive.name();
            let text = match directive.row().effect {
                Effect::Acts => return None,
                Effect::Later => format!("Directive {name} is recognised but has no effect yet"),
                Effect::Meaningless(why) => format!("Directive {name} has no effect: {why}"),
            };
            Some(Notice { directive, is_default: self.value(directive) == default.value(directive), text })
        };
        Directive::ALL.into_iter().filter(|directive| self.is_given(*directive)).filter_map(notice).collect()
    }

    /// As CONFIG GET prints it.
    pub fn printed(&self, directive: Directive) -> Vec<u8> {
        self.value(directive).print(directive.row())
    }

    pub(crate) fn value(&self, directive: Directive) -> &Value {
        &self.values[directive as usize]
    }

    fn code(&self, directive: Directive) -> u8 {
        match self.value(directive) {
            Value::Code(code) => *code,
            _ => mismatch(directive, "choice"),
        }
    }
}

/// Writing values.
impl Config {
    /// One line of a configuration: a directive's name or alias in any case, and its arguments. Further `save` lines add
    /// to the first, which replaces the default.
    ///
    /// # Errors
    /// An unknown name, a wrong number of arguments or a bad value, with `place` as where it stood.
    pub fn apply<W: AsRef<[u8]>>(
        &mut self,
        name: &[u8],
        arguments: &[W],
        place: &Place,
    ) -> Result<(), ConfigError> {
        let arguments: Vec<&[u8]> = arguments.iter().map(AsRef::as_ref).collect();
        let Some(directive) = Directive::find(name) else {
            return self.apply_special(name, &arguments, place);
        };
        let row = directive.row();
        let fail = |reason: String| {
            ConfigError::new(
                Some(place),
                reason,
                Some(format!("{} expects {}", row.name, expectation(row.kind))),
            )
        };
        let split;
        let words = match arguments.as_slice() {
            [line] if row.kind.takes_many() && !line.is_empty() => {
                split = split_words(line)
                    .ok_or_else(|| fail("Unbalanced quotes in configuration line".to_owned()))?;
                split.iter().map(Vec::as_slice).collect()
            }
            _ => arguments,
        };
        let mut value = parse(row, &words, Some(self.value(directive))).map_err(fail)?;
        if let Value::SavePoints(added) = &mut value
            && !added.is_empty()
            && self.is_given(directive)
        {
            added.splice(0..0, self.save_points().iter().copied());
        }
        self.values[directive as usize] = value;
        self.places[directive as usize] = Some(place.clone());
        Ok(())
    }

    /// Replaces a value from within the server, such as `dir` once it is known as an absolute path.
    ///
    /// # Errors
    /// The reason why the directive does not accept the words.
    pub fn replace<W: AsRef<[u8]>>(&mut self, directive: Directive, words: &[W]) -> Result<(), String> {
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        self.values[directive as usize] = parse(directive.row(), &words, Some(self.value(directive)))?;
        Ok(())
    }

    /// Replaces all `user` lines by what CONFIG REWRITE is to write: the words behind each. No two may name one user.
    pub fn replace_users(&mut self, users: Vec<Vec<Vec<u8>>>) {
        self.users = users.into_iter().map(|words| User { words, place: None }).collect();
    }

    /// To be called once everything is read: what depends on several directives.
    ///
    /// # Errors
    /// Directives that exclude each other.
    pub fn finish(&mut self) -> Result<(), ConfigError> {
        if self.bool(Directive::ClusterEnabled) {
            if self.primary().is_some() {
                return Err(ConfigError::new(None, "replicaof directive not allowed in cluster mode", None));
            }
            self.values[Directive::Databases as usize] = Value::Integer(1);
        }
        Ok(())
    }

    pub(crate) fn swap(&mut self, directive: Directive, value: Value) -> Value {
        std::mem::replace(&mut self.values[directive as usize], value)
    }

    /// The lines that are no directive: they have no value, CONFIG does not know them.
    fn apply_special(&mut self, name: &[u8], arguments: &[&[u8]], place: &Place) -> Result<(), ConfigError> {
        let fail =
            |reason: &str, expected: Option<String>| Err(ConfigError::new(Some(place), reason, expected));
        let lower = name.to_ascii_lowercase();
        match (lower.as_slice(), arguments) {
            (b"rename-command", [command, name]) => {
                self.renames.push(Rename { command: command.to_vec(), name: name.to_vec() });
                Ok(())
            }
            (b"user", [name, ..]) => {
                if self.users().any(|known| known[0] == *name) {
                    let reason = "Duplicate user found. A user can only be defined once in config files";
                    return fail(reason, None);
                }
                let words = arguments.iter().map(|word| word.to_vec()).collect();
                self.users.push(User { words, place: Some(place.clone()) });
                Ok(())
            }
            // The server looks for `--sentinel` itself, before it reads anything.
            (b"sentinel", []) => Ok(()),
            (b"sentinel", _) => fail("sentinel directive while not in sentinel mode", None),
            (b"loadmodule", [_, ..]) => fail(
                "loadmodule is not possible: this server loads no Redis modules",
                Some(
                    "Remove the line; what decides here are WebAssembly components (see policy-directory)"
                        .to_owned(),
                ),
            ),
            (b"include", [_]) => fail("include is only possible in a file of Redis's format", None),
            (retired, [_]) if RETIRED.iter().any(|own| own.as_bytes() == retired) => Ok(()),
            _ => fail(
                "Bad directive or wrong number of arguments",
                nearest(&lower).map(|name| format!("Did you mean {name}?")),
            ),
        }
    }
}

/// The directives that differ from their defaults, without secrets.
impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Config::default();
        let mut map = out.debug_map();
        for directive in Directive::ALL {
            if self.value(directive) != default.value(directive) {
                map.entry(&directive, &self.shown(directive));
            }
        }
        map.finish()
    }
}

impl Config {
    /// The printed value for a log: a secret is only said to be there.
    pub fn shown(&self, directive: Directive) -> String {
        if directive.row().flags.has(Flags::SENSITIVE) && !self.printed(directive).is_empty() {
            return "(not shown)".to_owned();
        }
        String::from_utf8_lossy(&self.printed(directive)).into_owned()
    }
}

/// Ends the process: the caller confused two directives.
fn mismatch(directive: Directive, wanted: &str) -> ! {
    panic!("{} is no {wanted}", directive.name())
}
