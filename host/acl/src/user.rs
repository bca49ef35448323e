//! One user: whether and how they log in, and the selectors that say what they may do then.
//! Always: the first selector is the user's own; `is_unrestricted` is what the selectors say.

use tenon_base::split_words;

use crate::catalogue::Catalogue;
use crate::error::{RuleError, SetUserError};
use crate::password::Hash;
use crate::selector::{Access, Denied, Request, Selector};
use crate::words::{merge, within_parentheses};

/// A user, without a name.
#[derive(Clone, Debug)]
pub struct User {
    is_enabled: bool,
    /// Any password will do.
    needs_no_password: bool,
    skips_sanitizing: bool,
    passwords: Vec<Hash>,
    own: Selector,
    others: Vec<Selector>,
    is_unrestricted: bool,
}

impl User {
    /// Somebody who may do nothing, but perhaps hear all channels; as ACL SETUSER makes them.
    pub(crate) fn new(catalogue: &Catalogue, all_channels: bool) -> User {
        User {
            is_enabled: false,
            needs_no_password: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            own: Selector::new(catalogue, all_channels),
            others: Vec::new(),
            is_unrestricted: false,
        }
    }

    /// Somebody who may do everything without a password: the default user.
    pub(crate) fn unrestricted(catalogue: &Catalogue) -> User {
        let mut user = User::new(catalogue, true);
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            user.apply(rule.as_bytes(), catalogue, true).expect("rules that are known");
        }
        user
    }

    /// Whether every command, key and channel is allowed: nothing else needs to be asked.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.is_unrestricted
    }

    /// Whether one can log in at all.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Whether any password will do.
    pub fn needs_no_password(&self) -> bool {
        self.needs_no_password
    }

    /// Applies rules, all of them or none. `all_channels` is what a selector begins with.
    pub(crate) fn apply_all<W: AsRef<[u8]>>(
        &mut self,
        words: impl IntoIterator<Item = W>,
        catalogue: &Catalogue,
        all_channels: bool,
    ) -> Result<(), SetUserError> {
        let rules = merge(words).map_err(SetUserError::Unmatched)?;
        let mut changed = self.clone();
        for rule in rules {
            changed.apply(&rule, catalogue, all_channels).map_err(|error| SetUserError::Rule(rule, error))?;
        }
        *self = changed;
        Ok(())
    }

    /// Applies one rule.
    pub(crate) fn apply(
        &mut self,
        rule: &[u8],
        catalogue: &Catalogue,
        all_channels: bool,
    ) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"on" => self.is_enabled = true,
            b"off" => self.is_enabled = false,
            b"skip-sanitize-payload" => self.skips_sanitizing = true,
            b"sanitize-payload" => self.skips_sanitizing = false,
            b"nopass" => self.forget_passwords(true),
            b"resetpass" => self.forget_passwords(false),
            [b'>' | b'#', ..] => {
                let hash = hash_of(rule)?;
                if !self.passwords.iter().any(|known| known.is_same(&hash)) {
                    self.passwords.push(hash);
                }
                self.needs_no_password = false;
            }
            [b'<' | b'!', ..] => {
                let hash = hash_of(rule)?;
                let found = self.passwords.iter().position(|known| known.is_same(&hash));
                self.passwords.remove(found.ok_or(RuleError::NoSuchPassword)?);
            }
            [b'(', inner @ .., b')'] => {
                let inner = &rule[1..=inner.len()];
                self.others.push(selector(inner, catalogue, all_channels)?);
            }
            b"clearselectors" => self.others.clear(),
            b"reset" => {
                *self = User::new(catalogue, all_channels);
            }
            _ => self.own.apply(rule, catalogue)?,
        }
        let is_unrestricted = self.selectors().any(Selector::is_unrestricted);
        self.is_unrestricted = is_unrestricted;
        Ok(())
    }

    fn forget_passwords(&mut self, needs_none: bool) {
        self.passwords.clear();
        self.needs_no_password = needs_none;
    }

    /// Whether the user may log in with this password.
    pub(crate) fn accepts(&self, given: &Hash) -> bool {
        // All are looked at, so that the time tells nothing of which it is.
        let known = self.passwords.iter().fold(false, |known, own| known | own.is_same(given));
        self.is_enabled && (self.needs_no_password | known)
    }

    /// Whether one of the selectors allows the request. If none does: the command, if no selector allows that; else
    /// the last word that one of them refused.
    pub fn check<K>(&self, request: &Request<'_, K>) -> Result<(), Denied>
    where
        K: Iterator<Item = (usize, Access)> + Clone,
    {
        if self.is_unrestricted {
            return Ok(());
        }
        let mut worst = Denied::Command;
        for selector in self.selectors() {
            match selector.check(request) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Whether a selector that allows the request also allows to read every key, as SORT needs to follow patterns.
    pub fn may_read_every_key<K>(&self, request: &Request<'_, K>) -> bool
    where
        K: Iterator<Item = (usize, Access)> + Clone,
    {
        self.is_unrestricted
            || self
                .selectors()
                .any(|selector| selector.allows_every_key(Access::READ) && selector.check(request).is_ok())
    }

    /// Whether a change from this user to `changed` may have taken channels away.
    pub(crate) fn loses_channels(&self, changed: &User) -> bool {
        if changed.selectors().any(|selector| selector.all_channels) {
            return false;
        }
        let is_kept =
            |pattern: &Vec<u8>| changed.selectors().any(|selector| selector.channels.contains(pattern));
        self.selectors().any(|selector| selector.all_channels || !selector.channels.iter().all(is_kept))
    }

    /// Whether a subscription is allowed: to a channel, or to a pattern.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors().any(|selector| {
            selector.all_channels || crate::selector::allows_channel(&selector.channels, channel, is_pattern)
        })
    }

    /// The flags, as ACL GETUSER shows them.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let enabled = if self.is_enabled { "on" } else { "off" };
        let sanitizing = if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" };
        [Some(enabled), self.needs_no_password.then_some("nopass"), Some(sanitizing)].into_iter().flatten()
    }

    /// The hashes of the passwords, in hexadecimal.
    pub fn password_hashes(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(Hash::hex)
    }

    /// The user's own permissions.
    pub fn own(&self) -> &Selector {
        &self.own
    }

    /// Those in parentheses.
    pub fn others(&self) -> &[Selector] {
        &self.others
    }

    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        [&self.own].into_iter().chain(&self.others)
    }

    /// The user as words that make a new one the same.
    pub fn describe(&self) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        words.extend(self.password_hashes().map(|hash| format!("#{hash}").into_bytes()));
        words.extend(self.own.describe());
        for selector in &self.others {
            let mut inner: Vec<Vec<u8>> =
                selector.describe().iter().map(|word| within_parentheses(word)).collect();
            // There is a first and a last: the rule that says whether all commands are allowed.
            inner[0].insert(0, b'(');
            inner.last_mut().expect("a selector has rules").push(b')');
            words.extend(inner);
        }
        words
    }
}

fn hash_of(rule: &[u8]) -> Result<Hash, RuleError> {
    let (sign, text) = (rule[0], &rule[1..]);
    if b"><".contains(&sign) { Ok(Hash::of(text)) } else { Hash::from_hex(text).ok_or(RuleError::BadHash) }
}

/// A selector from what stands in its parentheses.
fn selector(text: &[u8], catalogue: &Catalogue, all_channels: bool) -> Result<Selector, RuleError> {
    let mut selector = Selector::new(catalogue, all_channels);
    for rule in split_words(text).ok_or(RuleError::Syntax)? {
        selector.apply(&rule, catalogue)?;
    }
    Ok(selector)
}
