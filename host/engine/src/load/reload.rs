//! What is in memory, forgotten and loaded again: DEBUG RELOAD and DEBUG LOADAOF.

use tenon_base::{ConnectionId, Now, World};

use crate::engine::Engine;
use crate::loading::Loading;

/// What DEBUG RELOAD does besides loading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReloadSteps {
    /// Saves first.
    pub(crate) saves: bool,
    /// Forgets everything before it loads.
    pub(crate) flushes: bool,
    /// What is in the file replaces what is in memory.
    pub(crate) merges: bool,
}

impl Engine {
    /// DEBUG RELOAD: saves, forgets everything and loads it again.
    pub(crate) fn reload(
        &mut self,
        now: Now,
        steps: ReloadSteps,
        client: ConnectionId,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        if steps.saves {
            self.save_now(now, world)?;
        }
        if steps.flushes {
            self.forget_everything();
        }
        // Everything is kept: the load must give what was there, whatever has expired meanwhile.
        let path = self.dump_path();
        let file = world.disk.open(&path, false).map_err(|error| format!("{}: {error}", path.display()))?;
        self.begin_load(Loading::InPlace, file.length().unwrap_or(0), Some(client), world);
        let loaded = self.load_rdb(now, &file, None, steps.merges, world);
        self.end_load();
        loaded.map(drop)
    }

    /// DEBUG LOADAOF: forgets everything and loads it again from the log.
    pub(crate) fn reload_log(
        &mut self,
        now: Now,
        client: ConnectionId,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        self.append_sealed(now, world);
        if !self.durability.is_on() {
            let manifest =
                self.log_directory().read_manifest(world.disk).map_err(|error| error.to_string())?;
            manifest.base.ok_or("There is no append-only file to load")?;
        }
        if let Some(log) = self.durability.log_mut() {
            log.sync_now(now)?;
        }
        self.forget_everything();
        let directory = self.log_directory();
        self.begin_load(Loading::InPlace, 0, Some(client), world);
        let loaded = self.load_log(now, &directory, world);
        self.end_load();
        let loaded = loaded?;
        if let Some(log) = self.durability.log_mut() {
            log.take_manifest(loaded.manifest);
        }
        Ok(())
    }
}
