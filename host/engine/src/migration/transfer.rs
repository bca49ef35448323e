//! One MIGRATE: what was asked for, the words that carry it out, and what the other server says to each of them.
//! Holds no connection and looks nothing up.
//! Always: a key counts as taken once the other server has said so, and not before.

use tenon_base::{ConnectionId, Micros};
use tenon_resp::{Args, OwnedArgs, write_request};

use crate::table::CommandId;

/// What MIGRATE asks for.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The database there.
    pub(crate) database: i64,
    /// How long the other server may say nothing.
    pub(crate) timeout: Micros,
    /// Whether the keys stay here, too.
    pub(crate) copies: bool,
    pub(crate) replaces: bool,
    /// A password, or a name and a password; nothing for none.
    pub(crate) credentials: Vec<Vec<u8>>,
    pub(crate) keys: Vec<Vec<u8>>,
}

/// Keys on their way.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// Who asked.
    pub(crate) client: ConnectionId,
    pub(crate) command: CommandId,
    /// The database here.
    pub(crate) source: usize,
    pub(crate) order: Order,
    pub(crate) items: Vec<Item>,
    /// Whether another connection may be tried if this one turns out to be dead.
    pub(crate) may_retry: bool,
    pub(crate) deadline: Micros,
    /// Bytes not yet sent when that was last looked at.
    pub(crate) unsent_bytes: usize,
    /// Answers to come before those to the keys.
    greetings: usize,
    heard: usize,
    refusal_of_greeting: Option<String>,
    refusal: Option<String>,
}

/// A key on its way.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) key: Vec<u8>,
    /// Of the key, in its database.
    pub(crate) hash: u64,
    pub(crate) is_taken: bool,
    /// It was written to after it was sent.
    pub(crate) is_changed: bool,
}

impl Transfer {
    pub(crate) fn new(
        client: ConnectionId,
        command: CommandId,
        source: usize,
        order: Order,
        deadline: Micros,
    ) -> Transfer {
        Transfer {
            client,
            command,
            source,
            order,
            items: Vec::new(),
            may_retry: true,
            deadline,
            unsent_bytes: 0,
            greetings: 0,
            heard: 0,
            refusal_of_greeting: None,
            refusal: None,
        }
    }

    /// Begins to speak on a connection that has selected a database, or none that is known.
    pub(crate) fn greet(&mut self, selected: Option<i64>, out: &mut Vec<u8>) {
        self.items.clear();
        (self.greetings, self.heard) = (0, 0);
        if !self.order.credentials.is_empty() {
            let mut words = OwnedArgs::from(&[&b"AUTH"[..]]);
            self.order.credentials.iter().for_each(|word| words.push(word));
            write_request(out, words.as_args());
            self.greetings += 1;
        }
        if selected != Some(self.order.database) {
            let mut words = OwnedArgs::from(&[&b"SELECT"[..]]);
            words.push_integer(self.order.database);
            write_request(out, words.as_args());
            self.greetings += 1;
        }
    }

    /// Sends a key; `payload` is what DUMP makes of it. A time to live of 0 is none.
    pub(crate) fn send(&mut self, key: Vec<u8>, hash: u64, ttl_ms: i64, payload: Vec<u8>, out: &mut Vec<u8>) {
        let mut words = OwnedArgs::from(&[&b"RESTORE"[..], &key]);
        words.push_integer(ttl_ms);
        words.push_large(payload.into());
        if self.order.replaces {
            words.push(b"REPLACE");
        }
        write_request(out, words.as_args());
        self.items.push(Item { key, hash, is_taken: false, is_changed: false });
    }

    /// Takes in an answer. An error is of no use: something else than a server of our kind answers.
    pub(crate) fn hear(&mut self, line: &[u8]) -> Result<(), ()> {
        let refusal = match line.split_first() {
            Some((b'+', _)) => None,
            Some((b'-', text)) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => return Err(()),
        };
        let at = self.heard;
        self.heard += 1;
        let Some(index) = at.checked_sub(self.greetings) else {
            self.refusal_of_greeting = self.refusal_of_greeting.take().or(refusal);
            return Ok(());
        };
        let item = self.items.get_mut(index).ok_or(())?;
        let refusal = self.refusal_of_greeting.clone().or(refusal);
        item.is_taken = refusal.is_none();
        self.refusal = self.refusal.take().or(refusal);
        Ok(())
    }

    /// Whether everything was answered.
    pub(crate) fn is_over(&self) -> bool {
        self.heard == self.greetings + self.items.len()
    }

    /// Whether the other server has said anything of a key.
    pub(crate) fn has_begun(&self) -> bool {
        self.heard > self.greetings
    }

    /// The first thing that the other server refused.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref().or(self.refusal_of_greeting.as_deref())
    }

    /// Whether a request names one of its keys.
    pub(crate) fn concerns(&self, args: Args<'_>, at: usize) -> bool {
        args.try_get(at).is_some_and(|word| self.order.keys.iter().any(|key| key == word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_commands::TABLES;

    fn transfer(credentials: &[&str]) -> Transfer {
        let commands = crate::CommandTable::new(TABLES, &[], &[]);
        let order = Order {
            host: "h".to_owned(),
            port: 1,
            database: 3,
            timeout: Micros(1),
            copies: false,
            replaces: true,
            credentials: credentials.iter().map(|word| word.as_bytes().to_vec()).collect(),
            keys: vec![b"a".to_vec(), b"b".to_vec()],
        };
        let command = commands.find(b"get").expect("a command");
        Transfer::new(ConnectionId { serial: 1, slot: 0 }, command, 0, order, Micros(9))
    }

    fn send_all(transfer: &mut Transfer, selected: Option<i64>) -> String {
        let mut out = Vec::new();
        transfer.greet(selected, &mut out);
        for key in ["a", "b"] {
            transfer.send(key.into(), 0, 0, b"P".to_vec(), &mut out);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn keys_count_as_taken_one_by_one() {
        let mut transfer = transfer(&[]);
        let words = send_all(&mut transfer, Some(3));
        assert!(words.starts_with("*5\r\n$7\r\nRESTORE\r\n$1\r\na\r\n$1\r\n0\r\n$1\r\nP\r\n$7\r\nREPLACE"));
        assert_eq!(transfer.hear(b"-BUSYKEY x"), Ok(()));
        assert!(transfer.has_begun() && !transfer.is_over());
        assert_eq!(transfer.hear(b"+OK"), Ok(()));
        assert!(transfer.is_over());
        assert_eq!(transfer.refusal(), Some("BUSYKEY x"));
        let taken: Vec<bool> = transfer.items.iter().map(|item| item.is_taken).collect();
        assert_eq!(taken, [false, true]);
        assert_eq!(transfer.hear(b"+OK"), Err(()), "nothing more was asked for");
    }

    #[test]
    fn a_refused_password_is_what_is_told() {
        let mut transfer = transfer(&["name", "secret"]);
        let words = send_all(&mut transfer, None);
        assert!(words.starts_with("*3\r\n$4\r\nAUTH\r\n$4\r\nname\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT"));
        for line in [&b"-WRONGPASS no"[..], b"-NOAUTH s", b"+OK", b"+OK"] {
            assert_eq!(transfer.hear(line), Ok(()));
        }
        assert!(transfer.is_over() && transfer.items.iter().all(|item| !item.is_taken));
        assert_eq!(transfer.refusal(), Some("WRONGPASS no"));
        assert_eq!(transfer.hear(b"$5"), Err(()));
    }
}
