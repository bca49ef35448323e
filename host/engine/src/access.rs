//! Who a session is, and whether that user may do what a request asks. Rules and users are `tenon-acl`'s; ACL and its
//! subcommands are in `server/acl`.
//! Always: what a user may do is asked before a request runs, and again when EXEC runs what was queued or a request that
//! waited runs again; a session whose user is gone does nothing more.

use tenon_acl::{Access, Catalogue, Change, Channels, Denied, Request, UserId, Users};
use tenon_base::{ConnectionId, Now, World, describe};
use tenon_commands::{Categories, CommandError, Flags, KeyFlags};
use tenon_config::{Config, Directive};
use tenon_resp::Args;

use crate::engine::Engine;
use crate::keys;
use crate::pubsub::Space;
use crate::server::acl::log::{Happened, Reason};
use crate::server::config::read_file;
use crate::session::Session;
use crate::settings::directory;
use crate::table::{Command, CommandId, CommandTable};

/// The default user, as the configuration has it, and what commands there are.
pub(crate) fn users(table: &CommandTable, config: &Config) -> Users {
    let mut catalogue = Catalogue::new(Categories::NAMES.map(|(category, name)| (category.0, name)));
    for id in table.ids() {
        let number = catalogue.add(&table[id].full_name, table[id].categories.0);
        assert_eq!(usize::from(number), id.index(), "both count alike");
    }
    let mut users = Users::new(catalogue);
    users.set_all_channels_at_first(all_channels_at_first(config));
    users.set_default_password(default_password(config));
    users
}

/// `acl-pubsub-default`.
pub(crate) fn all_channels_at_first(config: &Config) -> bool {
    config.choice(Directive::AclPubsubDefault) == "allchannels"
}

/// `requirepass`.
pub(crate) fn default_password(config: &Config) -> Option<&[u8]> {
    Some(config.text(Directive::RequirePass)).filter(|password| !password.is_empty())
}

impl Engine {
    /// Makes the users that the configuration or the ACL file names. An error stops the start.
    pub(crate) fn load_users_at_start(&mut self, world: &mut World<'_>) -> Result<(), String> {
        let has_file = !self.config.text(Directive::AclFile).is_empty();
        if has_file && self.config.users().len() > 0 {
            let reason =
                "Users are defined both by `user` lines and by an aclfile: put all of them in one place";
            return Err(self.config.refuse_user(0, reason).to_string());
        }
        for (number, words) in self.config.users().enumerate() {
            let name = &words[0];
            // The default user is there already.
            let rules = [b"reset".to_vec()].into_iter().chain(words[1..].iter().cloned());
            self.users.set_user(name, rules).map_err(|error| {
                let sentence = match &error {
                    tenon_acl::SetUserError::Rule(rule, why) if may_be_secret(rule) => why.to_string(),
                    other => other.to_string(),
                };
                self.config.refuse_user(number, sentence).to_string()
            })?;
            let id = self.users.find(name).expect("it was just made");
            if !self.users[id].is_enabled() {
                tracing::info!(
                    "The user '{}' is disabled (there is no 'on' modifier in the user description). Make sure this is \
                     not a configuration error.",
                    name.escape_ascii()
                );
            }
        }
        if has_file {
            let loaded = self.load_users(world);
            loaded.map_err(|errors| format!("Aborting startup because of ACL errors: {errors}"))?;
        }
        Ok(())
    }

    /// Puts the users of the ACL file in the place of all there are.
    pub(crate) fn load_users(&mut self, world: &mut World<'_>) -> Result<Change, String> {
        let name = self.config.text_lossy(Directive::AclFile).into_owned();
        let text = read_file(&directory(&self.config).join(&name), world.disk)
            .map_err(|error| format!("Error loading ACLs, opening file '{name}': {}", describe(&error)))?;
        self.users.load(&name, &text)
    }

    /// Whether a session has yet to log in.
    pub(crate) fn must_log_in(&self, session: &Session) -> bool {
        !session.is_authenticated && !self.users.is_open()
    }

    /// Whether a user may run a request.
    #[inline]
    pub(crate) fn check_access(&self, user: UserId, id: CommandId, args: Args<'_>) -> Result<(), Denied> {
        let user = &self.users[user];
        if user.is_unrestricted() {
            return Ok(());
        }
        user.check(&request(&self.commands[id], id, args))
    }

    /// Whether a command whose keys no rule tells must keep to those that its user is allowed.
    #[inline]
    pub(crate) fn limits_keys(&self, user: UserId, id: CommandId, args: Args<'_>) -> bool {
        let user = &self.users[user];
        !user.is_unrestricted() && {
            let command = &self.commands[id];
            keys::has_unknown(command) && !user.may_read_every_key(&request(command, id, args))
        }
    }

    /// Notes that a request was denied, and says so. `command` of `args` was asked for by `connection`.
    #[cold]
    pub(crate) fn denied(
        &mut self,
        now: Now,
        connection: ConnectionId,
        command: CommandId,
        args: Args<'_>,
        denied: Denied,
        world: &mut World<'_>,
    ) -> CommandError {
        let Some(session) = self.sessions.get_mut(connection) else {
            return CommandError::text("NOPERM");
        };
        if !self.is_in_exec {
            session.last_command = Some(command);
        }
        let (user, is_in_transaction) = (session.user, session.transaction.is_some());
        let name = self.users.name(user).to_vec();
        let full_name = &self.commands[command].full_name;
        let error = CommandError::Text(format!("NOPERM {}", sentence(denied, &name, full_name, None)).into());
        let (reason, object) = match denied {
            Denied::Command => (Reason::Command, full_name.as_bytes()),
            Denied::Key(at) => (Reason::Key, args.get(at)),
            Denied::Channel(at) => (Reason::Channel, args.get(at)),
        };
        let happened = if is_in_transaction { Happened::InTransaction } else { Happened::AtOnce };
        let object = object.to_vec();
        self.log_denial(now, connection, reason, happened, &object, &name, world);
        error
    }

    /// Logs a session in; what is wrong with name or password is not told, but logged.
    pub(crate) fn log_in(
        &mut self,
        now: Now,
        connection: ConnectionId,
        command_word: &[u8],
        name: &[u8],
        password: &[u8],
        world: &mut World<'_>,
    ) -> Result<(), CommandError> {
        let found = self.users.log_in(name, password);
        let session = self.sessions.get_mut(connection).expect("a request comes from a session");
        if let Some(user) = found {
            session.user = user;
            session.is_authenticated = true;
            return Ok(());
        }
        let is_in_transaction = session.transaction.is_some();
        let happened = if is_in_transaction { Happened::InTransaction } else { Happened::AtOnce };
        self.log_denial(now, connection, Reason::Login, happened, command_word, name, world);
        Err(CommandError::text("WRONGPASS invalid username-password pair or user is disabled."))
    }

    /// Makes a session what it was when it began: the default user, logged in if nobody has to.
    pub(crate) fn log_out(&mut self, connection: ConnectionId) {
        let is_open = self.users.is_open();
        if let Some(session) = self.sessions.get_mut(connection) {
            session.user = UserId::DEFAULT;
            session.is_authenticated = is_open;
        }
    }

    /// Closes the sessions of users who are gone, and of subscribers who may not hear any more what they hear. `asking`
    /// is answered first.
    pub(crate) fn users_changed(&mut self, change: &Change, asking: ConnectionId, world: &mut World<'_>) {
        let mut victims = Vec::new();
        for session in self.sessions.iter() {
            let is_orphan = change.removed.contains(&session.user);
            if is_orphan {
                victims.push((session.id, true));
            } else if change.lost_channels.contains(&session.user) && self.hears_too_much(session) {
                victims.push((session.id, false));
            }
        }
        for (victim, is_orphan) in victims {
            if let Some(session) = self.sessions.get_mut(victim).filter(|_| is_orphan) {
                session.user = UserId::DEFAULT;
                session.is_authenticated = false;
            }
            self.close(victim, victim != asking, world);
        }
    }

    fn hears_too_much(&self, session: &Session) -> bool {
        let user = &self.users[session.user];
        let Some(subscriptions) = &session.subscriptions else { return false };
        [Space::Channels, Space::Patterns, Space::ShardChannels].into_iter().any(|space| {
            subscriptions.names(space).any(|name| !user.allows_channel(name, space == Space::Patterns))
        })
    }
}

/// A request as permissions see it.
pub(crate) fn request<'a>(
    command: &'a Command,
    id: CommandId,
    args: Args<'a>,
) -> Request<'a, impl Iterator<Item = (usize, Access)> + Clone + 'a> {
    Request {
        command: u16::try_from(id.index()).expect("ids are short"),
        is_free: command.flags.has(Flags::NO_AUTH),
        args,
        keys: keys::all_keys(command, args).map(|(at, flags)| (at, access(flags))),
        channels: channels(command),
    }
}

/// What somebody may not do, in Redis's words; `object` is the key or channel, if it is to be told.
pub(crate) fn sentence(denied: Denied, user: &[u8], command: &str, object: Option<&[u8]>) -> String {
    let user = String::from_utf8_lossy(user);
    let object = object.map(String::from_utf8_lossy);
    match (denied, object) {
        (Denied::Command, _) => format!("User {user} has no permissions to run the '{command}' command"),
        (Denied::Key(_), Some(key)) => format!("User {user} has no permissions to access the '{key}' key"),
        (Denied::Key(_), None) => "No permissions to access a key".to_owned(),
        (Denied::Channel(_), Some(channel)) => {
            format!("User {user} has no permissions to access the '{channel}' channel")
        }
        (Denied::Channel(_), None) => "No permissions to access a channel".to_owned(),
    }
}

fn access(flags: KeyFlags) -> Access {
    let mut access = Access::NONE;
    if flags.has(KeyFlags::ACCESS) {
        access = access | Access::READ;
    }
    if [KeyFlags::INSERT, KeyFlags::DELETE, KeyFlags::UPDATE].into_iter().any(|flag| flags.has(flag)) {
        access = access | Access::WRITE;
    }
    access
}

/// Whoever stops listening needs no permission.
fn channels(command: &Command) -> Option<Channels> {
    if !command.flags.has(Flags::PUBSUB) {
        return None;
    }
    let (count, are_patterns) = match command.full_name.as_str() {
        "publish" | "spublish" => (1, false),
        "subscribe" | "ssubscribe" => (usize::MAX, false),
        "psubscribe" => (usize::MAX, true),
        _ => return None,
    };
    Some(Channels { first: 1, count, are_patterns })
}

/// Whether a rule, or what was meant to be one, may hold a password.
fn may_be_secret(rule: &[u8]) -> bool {
    !matches!(rule.first(), Some(b'+' | b'-' | b'~' | b'&' | b'%'))
}
