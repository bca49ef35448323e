//! The dump that a primary sent in a full synchronization: it becomes this server's own once it is loaded, as in Redis,
//! so that a start finds what was followed, and its place in the stream.
//! Always: what was saved before is replaced by what is in memory, complete and synced, or stays.

use std::path::PathBuf;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, Lane, Now, World, describe};
use tenon_config::Directive;

use super::Kind;
use crate::engine::{Engine, Purpose};
use crate::save_job::{Destination, SaveControl, SaveEnd, put_in_place};

impl Engine {
    /// All that is in memory is in this file of so many bytes. It is removed where a log has it all, where nothing is to
    /// be kept on disk (`rdb-del-sync-files`), and while something else is being written there.
    pub(crate) fn keep_received(
        &mut self,
        now: Now,
        file: Arc<dyn DiskFile>,
        bytes: u64,
        path: PathBuf,
        world: &mut World<'_>,
    ) {
        let is_unwanted =
            self.config.bool(Directive::RdbDelSyncFiles) && self.config.save_points().is_empty();
        if self.durability.is_on() || is_unwanted || self.snapshots.running.is_some() {
            // One that cannot be removed costs room, and the next attempt makes it anew.
            let _ = world.disk.remove(&path);
            return;
        }
        let control = SaveControl::new(0);
        self.snapshots.control = Arc::clone(&control);
        self.note_running(Kind::Save, now);
        let destination = Destination { temporary: path, target: Some(self.dump_path()) };
        let job = move |disk: &dyn Disk| -> SaveEnd {
            put_in_place(Arc::clone(&file), &destination, &control, disk).map_or_else(
                |error| {
                    let _ = disk.remove(&destination.temporary);
                    Err(describe(&error))
                },
                |()| Ok(bytes),
            )
        };
        self.start_job(Purpose::Save, Lane::Save, Box::new(job), world);
    }
}
