//! What a command does to the server, in single bits that COMMAND prints and the engine asks for.
//! Not ACL categories, which are derived from these and others: see `categories`.

/// A set of single-bit properties of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// Nothing special.
    pub const NONE: Flags = Flags(0);
    /// May change the keyspace.
    pub const WRITE: Flags = Flags(1);
    /// Only reads the keyspace.
    pub const READONLY: Flags = Flags(1 << 1);
    /// Refused when memory is short.
    pub const DENYOOM: Flags = Flags(1 << 2);
    /// For administrators.
    pub const ADMIN: Flags = Flags(1 << 3);
    /// Publish and subscribe.
    pub const PUBSUB: Flags = Flags(1 << 4);
    /// Not from scripts.
    pub const NOSCRIPT: Flags = Flags(1 << 5);
    /// May block its client.
    pub const BLOCKING: Flags = Flags(1 << 6);
    /// Allowed while data is loaded.
    pub const LOADING: Flags = Flags(1 << 7);
    /// Allowed on a replica with stale data.
    pub const STALE: Flags = Flags(1 << 8);
    /// Not shown by MONITOR.
    pub const SKIP_MONITOR: Flags = Flags(1 << 9);
    /// Not kept by SLOWLOG.
    pub const SKIP_SLOWLOG: Flags = Flags(1 << 10);
    /// Accepted for a slot that is being imported.
    pub const ASKING: Flags = Flags(1 << 11);
    /// Constant or logarithmic time.
    pub const FAST: Flags = Flags(1 << 12);
    /// Allowed before authentication.
    pub const NO_AUTH: Flags = Flags(1 << 13);
    /// May propagate although it is not a write.
    pub const MAY_REPLICATE: Flags = Flags(1 << 14);
    /// May be called without any key.
    pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 15);
    /// Needs a configuration switch (DEBUG, MODULE).
    pub const PROTECTED: Flags = Flags(1 << 16);
    /// Not while a replica loads in the background.
    pub const NO_ASYNC_LOADING: Flags = Flags(1 << 17);
    /// Not inside MULTI.
    pub const NO_MULTI: Flags = Flags(1 << 18);
    /// Allowed while a script runs too long.
    pub const ALLOW_BUSY: Flags = Flags(1 << 19);
    /// Keys beyond those that its specification tells.
    pub const TOUCHES_ARBITRARY_KEYS: Flags = Flags(1 << 20);
    /// Exists for Sentinel too.
    pub const SENTINEL: Flags = Flags(1 << 21);
    /// Exists for Sentinel alone.
    pub const ONLY_SENTINEL: Flags = Flags(1 << 22);

    /// Names as COMMAND prints them, in its order.
    const NAMES: [(Flags, &'static str); 22] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::ASKING, "asking"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::MAY_REPLICATE, "may_replicate"),
        (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::ALLOW_BUSY, "allow_busy"),
        (Flags::SENTINEL, "sentinel"),
        (Flags::ONLY_SENTINEL, "only_sentinel"),
        (Flags::TOUCHES_ARBITRARY_KEYS, "touches_arbitrary_keys"),
    ];

    /// Both sets.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// This set without what is in `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the flags in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Flags::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}
