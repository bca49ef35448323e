//! Payloads of DUMP changed over: what one server writes the other reads, and has then what the first has.
//! Always: the keyspaces were equal before, and are as they were behind it.

use super::pair::{Pair, Words};
use super::state::{DATABASES, Difference, compare_calls, details};

/// The key that payloads are restored to.
const KEY: &[u8] = b"exchanged";

/// The first value that differs once it has been to the other server, if there is one. Leaves both at database 0.
pub(super) fn compare(pair: &mut Pair) -> Result<Option<Difference>, String> {
    let mut found = None;
    for database in DATABASES {
        pair.ask(&[b"SELECT", database.as_bytes()])?;
        let [keys, _] = pair.ask(&[b"KEYS", b"*"])?;
        for key in keys.elements() {
            found = exchange(pair, key.bytes())?;
            pair.ask(&[b"DEL", KEY])?;
            if found.is_some() {
                break;
            }
        }
        if found.is_some() {
            break;
        }
    }
    pair.ask(&[b"SELECT", b"0"])?;
    Ok(found)
}

fn exchange(pair: &mut Pair, key: &[u8]) -> Result<Option<Difference>, String> {
    let [tenon, redis] = pair.ask(&[b"DUMP", key])?;
    let restore = |payload: &[u8]| -> Words {
        [b"RESTORE", KEY, b"0", payload, b"REPLACE"].map(<[u8]>::to_vec).to_vec()
    };
    let said = [
        pair.tenon.exchange(&[restore(redis.bytes())])?.remove(0),
        pair.redis.exchange(&[restore(tenon.bytes())])?.remove(0),
    ];
    if said.iter().any(|reply| reply.is_error()) {
        return Ok(Some(Difference { question: restore(b"the other's"), replies: said }));
    }
    let [kind, _] = pair.ask(&[b"TYPE", KEY])?;
    compare_calls(pair, &[details(KEY, kind.bytes())])
}
