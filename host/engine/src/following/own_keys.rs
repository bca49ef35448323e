//! What clients of our own write to a follower that may be written to: its primary knows nothing of it, so it is ours to
//! expire.
//! Always: nothing else is expired by a follower.

use tenon_base::{Now, World};
use tenon_commands::{Db, Origin, key_positions};
use tenon_resp::Args;

use crate::engine::Engine;
use crate::table::CommandId;

impl Engine {
    /// A client of ours writes to a follower that may be written to: what it gives a time to live is ours to expire.
    pub(crate) fn note_own_keys(&mut self, database: usize, id: CommandId, args: Args<'_>) {
        let Some(following) = &mut self.replication.following else { return };
        let ranges = self.commands[id].keys.iter().filter_map(|spec| key_positions(spec, args));
        let keys = ranges.flat_map(|range| range.positions()).map(|at| (database, args.get(at).to_vec()));
        following.own_keys.extend(keys);
    }

    /// Expires what clients of ours wrote.
    pub(crate) fn expire_own_keys(&mut self, now: Now, world: &mut World<'_>) {
        let Some(following) = &mut self.replication.following else { return };
        if following.own_keys.is_empty() {
            return;
        }
        let (mut keys, mut due) = (std::mem::take(&mut following.own_keys), Vec::new());
        keys.retain(|(database, key)| {
            let expires_at = self.keyspace.db(*database).find(key).and_then(|entry| entry.expires_at());
            let is_due = expires_at.is_some_and(|at| at < now.unix());
            if is_due {
                due.push((*database, key.clone()));
            }
            expires_at.is_some() && !is_due
        });
        for (database, key) in due {
            let mut db =
                Db::new(&mut self.keyspace, database, now, Origin::Client, &mut self.lookups, &mut self.unit);
            db.lazy_expire = self.lazy_expire;
            db.expire(&key);
            self.seal(now, database, None, world);
        }
        if let Some(following) = &mut self.replication.following {
            following.own_keys = keys;
        }
    }
}
