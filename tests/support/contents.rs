//! All that a server holds, as clients read it, to be compared between servers of different make.
//! Always: how values are encoded is each server's own, and does not count.

use std::collections::BTreeMap;

use super::client::Client;
use super::reply::Reply;
use super::server::Server;

/// Every key of every database with its type, its value and its expiry; and the server's own digest.
#[derive(PartialEq)]
pub(crate) struct Contents(pub(crate) BTreeMap<(String, String), String>, String);

impl Contents {
    pub(crate) fn of(server: &Server) -> Contents {
        let mut client = server.client();
        let mut found = BTreeMap::new();
        for number in 0..16 {
            let database = number.to_string();
            client.command(&["SELECT", &database]);
            for key in keys(&mut client) {
                let shown = Reply::Bulk(key.clone()).to_string();
                found.insert((database.clone(), shown), value(&mut client, &key));
            }
        }
        Contents(found, client.command(&["DEBUG", "DIGEST"]).text())
    }

    pub(crate) fn same_as(&self, other: &Contents, what: &str) {
        self.same_values_as(other, what);
        assert_eq!(self.1, other.1, "{what}: digest");
    }

    /// As [`Contents::same_as`], but for the servers' own digests: 7.0 and 7.2 mix in scores in different spellings.
    pub(crate) fn same_values_as(&self, other: &Contents, what: &str) {
        for (entry, value) in &self.0 {
            let found = other.0.get(entry);
            let head = |text: &str| text.chars().take(2_000).collect::<String>();
            assert!(
                found == Some(value),
                "{what}: {entry:?} is {}, expected {}",
                found.map_or("missing".to_owned(), |found| head(found)),
                head(value)
            );
        }
        let more: Vec<_> = other.0.keys().filter(|&entry| !self.0.contains_key(entry)).collect();
        assert!(more.is_empty(), "{what}: {more:?} should not be there");
    }
}

fn keys(client: &mut Client) -> Vec<Vec<u8>> {
    let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
    loop {
        let reply = client.command(&["SCAN", &cursor, "COUNT", "500"]);
        let [next, page] = reply.elements() else { panic!("SCAN says {reply}") };
        let name = |reply: &Reply| match reply {
            Reply::Bulk(bytes) => bytes.clone(),
            other => panic!("SCAN gives {other}"),
        };
        keys.extend(page.elements().iter().map(name));
        cursor = next.text();
        if cursor == "0" {
            return keys;
        }
    }
}

fn value(client: &mut Client, key: &[u8]) -> String {
    let kind = client.command(&[b"TYPE", key]).text();
    let value = match kind.as_str() {
        "string" => client.command(&[b"GET", key]),
        "list" => client.command(&[b"LRANGE", key, b"0", b"-1"]),
        "set" => client.command(&[b"SMEMBERS", key]).sorted(),
        "zset" => client.command(&[b"ZRANGE".as_slice(), key, b"0", b"-1", b"WITHSCORES"]),
        "hash" => {
            let flat = client.command(&[b"HGETALL", key]);
            let pairs = flat.elements().chunks(2).map(|pair| Reply::Array(pair.to_vec()));
            Reply::Array(pairs.collect()).sorted()
        }
        "stream" => {
            let entries = client.command(&[b"XRANGE".as_slice(), key, b"-", b"+"]);
            let groups = client.command(&[b"XINFO".as_slice(), b"GROUPS", key]);
            return format!("stream: {entries} of groups {groups}");
        }
        other => panic!("{key:?} is a {other}"),
    };
    let expiry = client.command(&[b"PEXPIRETIME", key]);
    format!("{kind} until {expiry}: {value}")
}
