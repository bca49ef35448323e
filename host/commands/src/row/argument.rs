//! What a command takes, as COMMAND DOCS prints it. No handler reads its words by this.

/// One argument in COMMAND DOCS.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What is shown in its place, if not its name.
    pub shown_as: Option<&'static str>,
    /// What it is.
    pub kind: ArgumentKind,
    /// A word before it.
    pub token: Option<&'static str>,
    /// Whether it may be left out.
    pub is_optional: bool,
    /// Whether it may be repeated.
    pub is_multiple: bool,
    /// Whether the token is repeated with it.
    pub is_multiple_token: bool,
    /// Since when, if later than the command.
    pub since: Option<&'static str>,
    /// Which of the row's key specifications it belongs to.
    pub key_spec: Option<u8>,
    /// Its parts, for `Block` and `OneOf`.
    pub parts: &'static [Argument],
}

/// Kinds of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any string.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A key.
    Key,
    /// A pattern.
    Pattern,
    /// A point in time.
    UnixTime,
    /// A word by itself.
    PureToken,
    /// One of its parts.
    OneOf,
    /// All of its parts.
    Block,
}

impl ArgumentKind {
    /// The name in COMMAND DOCS.
    pub const fn name(self) -> &'static str {
        match self {
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::Key => "key",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::PureToken => "pure-token",
            ArgumentKind::OneOf => "oneof",
            ArgumentKind::Block => "block",
        }
    }
}

impl Argument {
    /// An argument of some kind.
    pub const fn new(name: &'static str, kind: ArgumentKind) -> Argument {
        Argument {
            name,
            shown_as: None,
            kind,
            token: None,
            is_optional: false,
            is_multiple: false,
            is_multiple_token: false,
            since: None,
            key_spec: None,
            parts: &[],
        }
    }

    /// A key of the row's key specification `spec`.
    pub const fn key(name: &'static str, spec: u8) -> Argument {
        Argument { key_spec: Some(spec), ..Argument::new(name, ArgumentKind::Key) }
    }

    /// A string.
    pub const fn string(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::String)
    }

    /// A whole number.
    pub const fn integer(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::Integer)
    }

    /// A number.
    pub const fn double(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::Double)
    }

    /// A word by itself: `name` as documented, `token` as typed.
    pub const fn word(name: &'static str, token: &'static str) -> Argument {
        Argument { token: Some(token), ..Argument::new(name, ArgumentKind::PureToken) }
    }

    /// One of several.
    pub const fn one_of(name: &'static str, parts: &'static [Argument]) -> Argument {
        Argument { parts, ..Argument::new(name, ArgumentKind::OneOf) }
    }

    /// Several together.
    pub const fn block(name: &'static str, parts: &'static [Argument]) -> Argument {
        Argument { parts, ..Argument::new(name, ArgumentKind::Block) }
    }

    /// Shown under another name, which other arguments of the command may share.
    pub const fn shown_as(mut self, text: &'static str) -> Argument {
        self.shown_as = Some(text);
        self
    }

    /// With a word before it.
    pub const fn after(mut self, token: &'static str) -> Argument {
        self.token = Some(token);
        self
    }

    /// May be left out.
    pub const fn optional(mut self) -> Argument {
        self.is_optional = true;
        self
    }

    /// May be repeated.
    pub const fn multiple(mut self) -> Argument {
        self.is_multiple = true;
        self
    }

    /// May be repeated together with its token.
    pub const fn multiple_token(mut self) -> Argument {
        self.is_multiple = true;
        self.is_multiple_token = true;
        self
    }

    /// Exists since a later version than the command.
    pub const fn since(mut self, version: &'static str) -> Argument {
        self.since = Some(version);
        self
    }
}
