//! The named values of directives that take one name of a list: the typed ones that steer the server, then the plain lists.
//! Always: a name's code is what `Value::Code` holds; of names with one code the first is the one printed.

/// A name and its code. Names with one code mean the same. In a list of flags the code is a set of bits.
pub type Named = (&'static str, u8);

macro_rules! choices {
    ($($(#[$note:meta])* $type:ident { $($(#[$variant_note:meta])* $variant:ident = $code:literal $name:literal,)* })*) => {$(
        $(#[$note])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$variant_note])* $variant,)* }

        impl $type {
            /// The names a configuration may use, in the order error texts list them.
            pub const NAMES: &'static [Named] = &[$(($name, $code),)*];

            /// What a code of `NAMES` stands for.
            pub(crate) fn of(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => unreachable!("a stored code comes from the list of names"),
                }
            }
        }
    )*};
}

choices! {
    /// `appendfsync`: what a write's reply waits for.
    AppendFsync {
        /// The write has returned; the log is synced about once a second.
        EverySecond = 0 "everysec",
        /// The sync that covers the write has returned.
        Always = 1 "always",
        /// The write has returned; syncing is left to the system.
        No = 2 "no",
    }
    /// `loglevel`: the least important line that is still logged.
    LogLevel {
        /// Everything.
        Debug = 0 "debug",
        /// Much of what happens, without the flood.
        Verbose = 1 "verbose",
        /// What an operator of a production server wants.
        Notice = 2 "notice",
        /// Only what needs attention.
        Warning = 3 "warning",
        /// Not a line.
        Nothing = 4 "nothing",
    }
    /// Who may use something dangerous: `enable-debug-command`, `enable-protected-configs`.
    Guarded {
        /// Nobody.
        No = 0 "no",
        /// Everybody.
        Yes = 1 "yes",
        /// Connections from this machine.
        Local = 2 "local",
    }
}

impl Guarded {
    /// Whether a connection may, given where it comes from.
    pub fn allows(self, is_local: bool) -> bool {
        self == Self::Yes || self == Self::Local && is_local
    }
}

/// What a signal asks of the shutdown: `shutdown-on-sigterm`, `shutdown-on-sigint`. All false is the default behaviour:
/// save if there are save points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownMode {
    /// Save even without save points.
    pub save: bool,
    /// Do not save even with save points.
    pub no_save: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Go down even if saving fails.
    pub force: bool,
}

impl ShutdownMode {
    pub(crate) fn of(code: u8) -> Self {
        Self { save: code & 1 != 0, no_save: code & 2 != 0, now: code & 4 != 0, force: code & 8 != 0 }
    }
}

pub(crate) const SHUTDOWN: &[Named] = &[("default", 0), ("save", 1), ("nosave", 2), ("now", 4), ("force", 8)];
pub(crate) const MAXMEMORY_POLICY: &[Named] = &[
    ("volatile-lru", 0),
    ("volatile-lfu", 1),
    ("volatile-random", 2),
    ("volatile-ttl", 3),
    ("allkeys-lru", 4),
    ("allkeys-lfu", 5),
    ("allkeys-random", 6),
    ("noeviction", 7),
];
pub(crate) const SYSLOG_FACILITY: &[Named] = &[
    ("user", 0),
    ("local0", 1),
    ("local1", 2),
    ("local2", 3),
    ("local3", 4),
    ("local4", 5),
    ("local5", 6),
    ("local6", 7),
    ("local7", 8),
];
pub(crate) const LOG_FORMAT: &[Named] = &[("text", 0), ("json", 1)];
pub(crate) const SUPERVISED: &[Named] = &[("upstart", 0), ("systemd", 1), ("auto", 2), ("no", 3)];
pub(crate) const DISKLESS_LOAD: &[Named] = &[("disabled", 0), ("on-empty-db", 1), ("swapdb", 2)];
pub(crate) const TLS_CLIENTS: &[Named] = &[("no", 0), ("yes", 1), ("optional", 2)];
pub(crate) const OOM_SCORE: &[Named] = &[("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];
pub(crate) const PUBSUB_DEFAULT: &[Named] = &[("allchannels", 0), ("resetchannels", 1)];
pub(crate) const SANITIZE: &[Named] = &[("no", 0), ("yes", 1), ("clients", 2)];
pub(crate) const ENDPOINT: &[Named] = &[("ip", 0), ("hostname", 1), ("unknown-endpoint", 2)];
pub(crate) const PROPAGATION: &[Named] = &[("ignore", 0), ("panic", 1), ("panic-on-replicas", 2)];

/// The name of a code: the first that has it, or for flags the names of its bits, joined by blanks.
pub(crate) fn name_of(names: &[Named], code: u8) -> String {
    if let Some((name, _)) = names.iter().find(|(_, own)| *own == code) {
        return (*name).to_owned();
    }
    let set: Vec<&str> =
        names.iter().filter(|(_, bit)| *bit != 0 && code & bit == *bit).map(|(name, _)| *name).collect();
    set.join(" ")
}

/// All names, as Redis lists them in its error text.
pub(crate) fn list(names: &[Named]) -> String {
    names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
