//! All users of a server, by name and by a number that sessions keep.
//! Always: the default user is there, under the number [`UserId::DEFAULT`]. A number is used again once its user is gone:
//! whoever removes users sees to it that no session keeps theirs.

use std::collections::BTreeMap;
use std::ops::Index;

use crate::catalogue::Catalogue;
use crate::error::SetUserError;
use crate::file;
use crate::password::Hash;
use crate::user::User;
use crate::words::has_blanks;

/// The name of the user that every connection begins as.
const DEFAULT_NAME: &[u8] = b"default";

/// A user's number, valid as long as there is the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserId(u32);

impl UserId {
    /// The default user.
    pub const DEFAULT: UserId = UserId(0);
}

/// What a change means to those who are logged in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Users that are gone.
    pub removed: Vec<UserId>,
    /// Users that may have lost channels.
    pub lost_channels: Vec<UserId>,
}

/// The users.
#[derive(Debug)]
pub struct Users {
    catalogue: Catalogue,
    slots: Vec<Option<Named>>,
    by_name: BTreeMap<Vec<u8>, UserId>,
    all_channels_at_first: bool,
}

#[derive(Debug)]
struct Named {
    name: Vec<u8>,
    user: User,
}

impl Users {
    /// The default user alone, who may do everything without a password.
    pub fn new(catalogue: Catalogue) -> Users {
        let user = User::unrestricted(&catalogue);
        Users {
            catalogue,
            slots: vec![Some(Named { name: DEFAULT_NAME.to_vec(), user })],
            by_name: [(DEFAULT_NAME.to_vec(), UserId::DEFAULT)].into(),
            all_channels_at_first: false,
        }
    }

    /// Whether new users and selectors begin with all channels: `acl-pubsub-default`.
    pub fn set_all_channels_at_first(&mut self, yes: bool) {
        self.all_channels_at_first = yes;
    }

    /// The user of that name.
    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        self.by_name.get(name).copied()
    }

    /// The user's name.
    pub fn name(&self, id: UserId) -> &[u8] {
        &self.named(id).name
    }

    /// All users, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &User)> {
        self.by_name.iter().map(|(name, id)| (name.as_slice(), &self[*id]))
    }

    /// Whether connections are logged in from the start: the default user is enabled and needs no password.
    pub fn is_open(&self) -> bool {
        let user = &self[UserId::DEFAULT];
        user.is_enabled() && user.needs_no_password()
    }

    /// Who that is, if the password is right. The work is the same whatever is wrong.
    pub fn log_in(&self, name: &[u8], password: &[u8]) -> Option<UserId> {
        let given = Hash::of(password);
        self.find(name).filter(|&id| self[id].accepts(&given))
    }

    /// Changes a user by rules, or makes one.
    ///
    /// # Errors
    /// The name or a rule is no good. Then nothing has changed.
    pub fn set_user<W: AsRef<[u8]>>(
        &mut self,
        name: &[u8],
        rules: impl IntoIterator<Item = W>,
    ) -> Result<Change, SetUserError> {
        if has_blanks(name) {
            return Err(SetUserError::Name);
        }
        let (catalogue, all_channels) = (&self.catalogue, self.all_channels_at_first);
        let Some(id) = self.find(name) else {
            let mut user = User::new(catalogue, all_channels);
            user.apply_all(rules, catalogue, all_channels)?;
            self.insert(name, user);
            return Ok(Change::default());
        };
        let mut user = self[id].clone();
        user.apply_all(rules, catalogue, all_channels)?;
        Ok(self.replace(id, user))
    }

    /// Removes a user.
    pub fn remove(&mut self, name: &[u8]) -> Option<UserId> {
        assert!(name != DEFAULT_NAME, "the default user stays");
        let id = self.by_name.remove(name)?;
        self.slots[id.0 as usize] = None;
        Some(id)
    }

    /// `requirepass`: the default user's only password, or none.
    pub fn set_default_password(&mut self, password: Option<&[u8]>) {
        let rule = password.map(|password| [b">", password].concat());
        let (catalogue, all_channels) = (&self.catalogue, self.all_channels_at_first);
        let named = self.slots[0].as_mut().expect("the default user is there");
        for rule in [b"resetpass".as_slice(), rule.as_deref().unwrap_or(b"nopass")] {
            named.user.apply(rule, catalogue, all_channels).expect("rules about passwords alone");
        }
    }

    /// Puts the users of an ACL file in the place of all there are. `file_name` is for errors.
    ///
    /// # Errors
    /// All that is wrong with the file, in one line. Then nothing has changed.
    pub fn load(&mut self, file_name: &str, text: &[u8]) -> Result<Change, String> {
        let mut loaded = file::parse(file_name, text, &self.catalogue, self.all_channels_at_first)?;
        let default = loaded.remove(DEFAULT_NAME).unwrap_or_else(|| User::unrestricted(&self.catalogue));
        let mut change = self.replace(UserId::DEFAULT, default);
        let names: Vec<Vec<u8>> = self.by_name.keys().filter(|name| *name != DEFAULT_NAME).cloned().collect();
        change.removed = names.iter().filter_map(|name| self.remove(name)).collect();
        for (name, user) in loaded {
            self.insert(&name, user);
        }
        Ok(change)
    }

    /// All users as an ACL file.
    pub fn file_text(&self) -> Vec<u8> {
        let lines = self.iter().map(|(name, user)| line(name, user));
        lines.flat_map(|line| [line, b"\n".to_vec()]).flatten().collect()
    }

    /// All users as ACL LIST shows them.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = Vec<u8>> {
        self.iter().map(|(name, user)| line(name, user))
    }

    /// All users as the words behind `user` in a configuration file.
    pub fn config_words(&self) -> Vec<Vec<Vec<u8>>> {
        self.iter().map(|(name, user)| [vec![name.to_vec()], user.describe()].concat()).collect()
    }

    fn replace(&mut self, id: UserId, user: User) -> Change {
        let named = self.slots[id.0 as usize].as_mut().expect("a user who is there");
        let lost_channels = if named.user.loses_channels(&user) { vec![id] } else { Vec::new() };
        named.user = user;
        Change { removed: Vec::new(), lost_channels }
    }

    fn insert(&mut self, name: &[u8], user: User) {
        let named = Named { name: name.to_vec(), user };
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(named);
        self.by_name.insert(name.to_vec(), UserId(u32::try_from(slot).expect("fewer than 2^32 users")));
    }

    fn named(&self, id: UserId) -> &Named {
        self.slots[id.0 as usize].as_ref().expect("no session keeps a user who is gone")
    }
}

impl Index<UserId> for Users {
    type Output = User;
    #[inline]
    fn index(&self, id: UserId) -> &User {
        &self.named(id).user
    }
}

fn line(name: &[u8], user: &User) -> Vec<u8> {
    [b"user ", name, b" ", &user.describe().join(&b' ')].concat()
}
