//! One set of permissions: commands, keys, channels. A user has one of its own, and further ones in parentheses; a
//! request must be allowed by one of them alone.
//! Always: what `describe` tells, applied to a new selector, allows the same.

use std::ops::BitOr;

use tenon_base::glob_matches;
use tenon_resp::Args;

use crate::catalogue::Catalogue;
use crate::error::RuleError;
use crate::words::has_blanks;

/// What a request does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Access(u8);

impl Access {
    /// Neither of both: whoever may do anything with a key may do that.
    pub const NONE: Access = Access(0);
    /// Learns of the data.
    pub const READ: Access = Access(1);
    /// Changes the data.
    pub const WRITE: Access = Access(2);
    /// Both.
    pub const BOTH: Access = Access(3);

    fn has(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Access {
    type Output = Access;
    fn bitor(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

/// Which words of a request are channels that its sender must be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// The first one.
    pub first: usize,
    /// How many there are; `usize::MAX`: to the end.
    pub count: usize,
    /// Patterns are allowed only word for word.
    pub are_patterns: bool,
}

/// A request, as far as permissions are concerned. `K` goes over its keys: the word, and what is done with it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a, K> {
    /// Its number in the catalogue.
    pub command: u16,
    /// Anybody may run it: AUTH and its like.
    pub is_free: bool,
    /// Its words.
    pub args: Args<'a>,
    /// Its keys.
    pub keys: K,
    /// Its channels.
    pub channels: Option<Channels>,
}

/// What is not allowed. The number is that of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The command itself.
    Command,
    /// A key.
    Key(usize),
    /// A channel.
    Channel(usize),
}

/// Permissions.
#[derive(Clone, Debug)]
pub struct Selector {
    pub(crate) all_keys: bool,
    pub(crate) all_channels: bool,
    all_commands: bool,
    /// It began with all commands, so that it allows those to come.
    begins_with_all: bool,
    /// A bit for each command.
    allowed: Box<[u64]>,
    /// Commands that are allowed if the word behind their name is this one.
    first_words: Vec<(u16, Vec<u8>)>,
    keys: Vec<KeyPattern>,
    pub(crate) channels: Vec<Vec<u8>>,
    /// What led from all or no commands to these.
    rules: Vec<CommandRule>,
}

#[derive(Clone, Debug)]
struct KeyPattern {
    access: Access,
    pattern: Vec<u8>,
}

#[derive(Clone, Debug)]
struct CommandRule {
    allows: bool,
    /// In lower case, without the sign.
    text: Vec<u8>,
}

impl Selector {
    /// Nothing is allowed, but perhaps all channels.
    pub(crate) fn new(catalogue: &Catalogue, all_channels: bool) -> Selector {
        Selector {
            all_keys: false,
            all_channels,
            all_commands: false,
            begins_with_all: false,
            allowed: vec![0; catalogue.len().div_ceil(64)].into(),
            first_words: Vec::new(),
            keys: Vec::new(),
            channels: Vec::new(),
            rules: Vec::new(),
        }
    }

    pub(crate) fn is_unrestricted(&self) -> bool {
        self.all_keys && self.all_channels && self.all_commands
    }

    /// Applies one rule. Nothing has changed if it is refused.
    pub(crate) fn apply(&mut self, rule: &[u8], catalogue: &Catalogue) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => {
                self.all_keys = true;
                self.keys.clear();
            }
            b"resetkeys" => {
                self.all_keys = false;
                self.keys.clear();
            }
            b"allchannels" | b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            b"resetchannels" => {
                self.all_channels = false;
                self.channels.clear();
            }
            b"allcommands" | b"+@all" => self.set_all_commands(true),
            b"nocommands" | b"-@all" => self.set_all_commands(false),
            [b'~' | b'%', ..] => self.add_keys(rule)?,
            [b'&', ..] => self.add_channels(&rule[1..])?,
            [b'+', b'@', ..] => self.set_category(&rule[1..], true, catalogue)?,
            [b'-', b'@', ..] => self.set_category(&rule[1..], false, catalogue)?,
            [b'+', ..] => self.allow(&rule[1..], catalogue)?,
            [b'-', ..] => {
                let command = catalogue.find(&rule[1..]).ok_or(RuleError::Unknown)?;
                self.set_command(command, false, catalogue);
                self.note_rule(catalogue.entry(command).name.as_bytes(), false);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all_commands(&mut self, allows: bool) {
        (self.all_commands, self.begins_with_all) = (allows, allows);
        self.allowed.fill(if allows { u64::MAX } else { 0 });
        self.first_words.clear();
        self.rules.clear();
    }

    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        let tilde = rule.iter().position(|&byte| byte == b'~').ok_or(RuleError::Syntax)?;
        let (letters, pattern) = (&rule[..tilde], &rule[tilde + 1..]);
        let access = if letters.is_empty() { Access::BOTH } else { access_of(&letters[1..])? };
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.access = known.access | access,
            None => self.keys.push(KeyPattern { access, pattern: pattern.to_vec() }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    /// `+command`, `+parent|subcommand`, or `+command|word`.
    fn allow(&mut self, name: &[u8], catalogue: &Catalogue) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|&byte| byte == b'|') else {
            let command = catalogue.find(name).ok_or(RuleError::Unknown)?;
            self.set_command(command, true, catalogue);
            self.note_rule(catalogue.entry(command).name.as_bytes(), true);
            return Ok(());
        };
        let (parent, word) = (&name[..bar], &name[bar + 1..]);
        let command = catalogue.find(parent).ok_or(RuleError::Unknown)?;
        let entry = catalogue.entry(command);
        if entry.is_subcommand {
            return Err(RuleError::WordOfSubcommand);
        }
        if word.is_empty() || has_blanks(word) {
            return Err(RuleError::Syntax);
        }
        if entry.children.is_empty() {
            let is_it = |known: &(u16, Vec<u8>)| known.0 == command && known.1.eq_ignore_ascii_case(word);
            if !self.first_words.iter().any(is_it) {
                self.first_words.push((command, word.to_vec()));
            }
        } else {
            let subcommand = catalogue.find(name).ok_or(RuleError::Unknown)?;
            self.set_command(subcommand, true, catalogue);
        }
        self.note_rule(name, true);
        Ok(())
    }

    /// A category with the sign in front of its name.
    fn set_category(&mut self, name: &[u8], allows: bool, catalogue: &Catalogue) -> Result<(), RuleError> {
        let bit = catalogue.category(&name[1..]).ok_or(RuleError::Unknown)?;
        self.note_rule(name, allows);
        for (number, _) in catalogue.entries().filter(|(_, entry)| entry.categories & bit != 0) {
            self.set_command(number, allows, catalogue);
        }
        Ok(())
    }

    /// A command goes with its subcommands.
    fn set_command(&mut self, command: u16, allows: bool, catalogue: &Catalogue) {
        self.first_words.retain(|known| known.0 != command);
        for number in [command].iter().chain(&catalogue.entry(command).children) {
            let (word, bit) = place(*number);
            if allows {
                self.allowed[word] |= bit;
            } else {
                self.allowed[word] &= !bit;
                self.all_commands = false;
            }
        }
    }

    /// The newest rule about something replaces those about the same, or about parts of it.
    fn note_rule(&mut self, text: &[u8], allows: bool) {
        let text = text.to_ascii_lowercase();
        let is_within = |known: &[u8]| {
            known.strip_prefix(text.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'|')
        };
        self.rules.retain(|known| !is_within(&known.text));
        self.rules.push(CommandRule { allows, text });
    }

    /// Whether a request is allowed.
    pub(crate) fn check<K>(&self, request: &Request<'_, K>) -> Result<(), Denied>
    where
        K: Iterator<Item = (usize, Access)> + Clone,
    {
        if !self.all_commands && !request.is_free && !self.allows_command(request.command, request.args) {
            return Err(Denied::Command);
        }
        if !self.all_keys {
            for (at, access) in request.keys.clone() {
                if !self.allows_key(request.args.get(at), access) {
                    return Err(Denied::Key(at));
                }
            }
        }
        if let Some(channels) = request.channels.filter(|_| !self.all_channels) {
            let end = channels.first.saturating_add(channels.count).min(request.args.len());
            for at in channels.first..end {
                if !allows_channel(&self.channels, request.args.get(at), channels.are_patterns) {
                    return Err(Denied::Channel(at));
                }
            }
        }
        Ok(())
    }

    fn allows_command(&self, command: u16, args: Args<'_>) -> bool {
        let (word, bit) = place(command);
        if self.allowed.get(word).is_some_and(|bits| bits & bit != 0) {
            return true;
        }
        !self.first_words.is_empty()
            && args.try_get(1).is_some_and(|given| {
                self.first_words
                    .iter()
                    .any(|(known, word)| *known == command && word.eq_ignore_ascii_case(given))
            })
    }

    /// Whether something may be done with a key.
    pub(crate) fn allows_key(&self, key: &[u8], access: Access) -> bool {
        self.all_keys
            || self.keys.iter().any(|known| known.access.has(access) && glob_matches(&known.pattern, key))
    }

    /// Whether something may be done with every key.
    pub(crate) fn allows_every_key(&self, access: Access) -> bool {
        self.all_keys || self.keys.iter().any(|known| known.access.has(access) && known.pattern == b"*")
    }

    /// The commands, as rules that begin with all or none of them.
    pub fn command_rules(&self) -> Vec<Vec<u8>> {
        let first = if self.begins_with_all { b"+@all" } else { b"-@all" };
        let sign = |rule: &CommandRule| if rule.allows { b'+' } else { b'-' };
        let rest = self.rules.iter().map(|rule| [&[sign(rule)], rule.text.as_slice()].concat());
        [first.to_vec()].into_iter().chain(rest).collect()
    }

    /// The keys, as rules.
    pub fn key_rules(&self) -> Vec<Vec<u8>> {
        if self.all_keys {
            return vec![b"~*".to_vec()];
        }
        let rule = |known: &KeyPattern| {
            let sign: &[u8] = match known.access {
                Access::READ => b"%R~",
                Access::WRITE => b"%W~",
                // As `~*` it would refuse the patterns behind it.
                _ if known.pattern == b"*" => b"%RW~",
                _ => b"~",
            };
            [sign, &known.pattern].concat()
        };
        self.keys.iter().map(rule).collect()
    }

    /// The channels, as rules.
    pub fn channel_rules(&self) -> Vec<Vec<u8>> {
        if self.all_channels {
            return vec![b"&*".to_vec()];
        }
        self.channels.iter().map(|pattern| [b"&", pattern.as_slice()].concat()).collect()
    }

    /// All of it, as rules for a new selector.
    pub(crate) fn describe(&self) -> Vec<Vec<u8>> {
        let mut rules = self.key_rules();
        if !self.all_channels {
            rules.push(b"resetchannels".to_vec());
        }
        rules.extend(self.channel_rules());
        rules.extend(self.command_rules());
        rules
    }
}

/// Whether one of the patterns allows a channel, or is the very pattern given.
pub(crate) fn allows_channel(patterns: &[Vec<u8>], given: &[u8], is_pattern: bool) -> bool {
    patterns.iter().any(|known| if is_pattern { known == given } else { glob_matches(known, given) })
}

/// The letters between `%` and `~`.
fn access_of(letters: &[u8]) -> Result<Access, RuleError> {
    let mut access = Access::NONE;
    for letter in letters {
        let one = match letter.to_ascii_uppercase() {
            b'R' => Access::READ,
            b'W' => Access::WRITE,
            _ => return Err(RuleError::Syntax),
        };
        if access.has(one) {
            return Err(RuleError::Syntax);
        }
        access = access | one;
    }
    if access == Access::NONE { Err(RuleError::Syntax) } else { Ok(access) }
}

fn place(command: u16) -> (usize, u64) {
    (usize::from(command / 64), 1 << (command % 64))
}
