//! First lines: what a script or a library says of itself behind `#!`.

use std::ops::Range;

use tenon_base::split_words;

/// What a script says that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ScriptFlags(pub u8);

impl ScriptFlags {
    /// It writes nothing.
    pub const NO_WRITES: ScriptFlags = ScriptFlags(1);
    /// It runs although memory is short.
    pub const ALLOW_OOM: ScriptFlags = ScriptFlags(1 << 1);
    /// It runs on a replica with stale data.
    pub const ALLOW_STALE: ScriptFlags = ScriptFlags(1 << 2);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: ScriptFlags = ScriptFlags(1 << 3);
    /// Its keys may be of several slots.
    pub const ALLOW_CROSS_SLOT: ScriptFlags = ScriptFlags(1 << 4);
    /// It says nothing of itself: it may do what its commands may.
    pub const COMPATIBLE: ScriptFlags = ScriptFlags(1 << 5);

    const NAMES: [(ScriptFlags, &'static str); 5] = [
        (ScriptFlags::NO_WRITES, "no-writes"),
        (ScriptFlags::ALLOW_OOM, "allow-oom"),
        (ScriptFlags::ALLOW_STALE, "allow-stale"),
        (ScriptFlags::NO_CLUSTER, "no-cluster"),
        (ScriptFlags::ALLOW_CROSS_SLOT, "allow-cross-slot-keys"),
    ];

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: ScriptFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    pub const fn and(self, other: ScriptFlags) -> ScriptFlags {
        ScriptFlags(self.0 | other.0)
    }

    /// The names of the flags in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        ScriptFlags::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }

    fn parse(name: &[u8]) -> Option<ScriptFlags> {
        let found = ScriptFlags::NAMES.iter().find(|(_, known)| known.as_bytes() == name);
        found.map(|(flag, _)| *flag)
    }

    /// By a name in letters of either case, as functions are registered with.
    pub(crate) fn parse_any_case(name: &[u8]) -> Option<ScriptFlags> {
        ScriptFlags::parse(&name.to_ascii_lowercase())
    }
}

/// Reads a script's first line: its flags, and where the code is. The line's end stays, so that lines keep their
/// numbers.
pub fn script_head(body: &[u8]) -> Result<(ScriptFlags, Range<usize>), String> {
    if !body.starts_with(b"#!") {
        return Ok((ScriptFlags::COMPATIBLE, 0..body.len()));
    }
    let end = body.iter().position(|&byte| byte == b'\n').ok_or("ERR Invalid script shebang")?;
    let words = split_words(&body[..end]).ok_or("ERR Invalid engine in script shebang")?;
    let (engine, options) = words.split_first().ok_or("ERR Invalid engine in script shebang")?;
    if engine != b"#!lua" {
        return Err(format!("ERR Unexpected engine in script shebang: {}", lossy(engine)));
    }
    let mut flags = ScriptFlags::default();
    for option in options {
        let Some(names) = option.strip_prefix(b"flags=") else {
            return Err(format!("ERR Unknown lua shebang option: {}", lossy(option)));
        };
        for name in names.split(|&byte| byte == b',').filter(|_| !names.is_empty()) {
            let flag = ScriptFlags::parse(name);
            let unknown = || format!("ERR Unexpected flag in script shebang: {}", lossy(name));
            flags = flags.and(flag.ok_or_else(unknown)?);
        }
    }
    Ok((flags, end..body.len()))
}

/// What a library says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryHead {
    /// Its name.
    pub name: String,
    /// Where its code is.
    pub code: Range<usize>,
}

/// Reads a library's first line.
pub fn library_head(text: &[u8]) -> Result<LibraryHead, String> {
    if !text.starts_with(b"#!") {
        return Err("ERR Missing library metadata".to_owned());
    }
    let end = text.iter().position(|&byte| byte == b'\n').ok_or("ERR Invalid library metadata")?;
    let words = split_words(&text[..end]).ok_or("ERR Invalid library metadata")?;
    let (engine, options) = words.split_first().ok_or("ERR Invalid library metadata")?;
    let mut name = None;
    for option in options {
        let is_name = option.len() >= 5 && option[..5].eq_ignore_ascii_case(b"name=");
        if !is_name {
            return Err(format!("ERR Invalid metadata value given: {}", lossy(option)));
        }
        if name.replace(option[5..].to_vec()).is_some() {
            let text = "ERR Invalid metadata value, name argument was given multiple times";
            return Err(text.to_owned());
        }
    }
    let name = name.ok_or("ERR Library name was not given")?;
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if name.is_empty() || !name.iter().all(is_letter) {
        return Err("ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one \
                    character long"
            .to_owned());
    }
    let engine = engine.get(2..).unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(format!("ERR Engine '{}' not found", lossy(engine)));
    }
    Ok(LibraryHead { name: lossy(&name), code: end..text.len() })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
