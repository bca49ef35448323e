//! What the snapshot policy is told, and what is done of what it says.
//! Always: a verdict is a wish; what cannot begin now is refused where it would begin.

use tenon_aof::Phase;
use tenon_base::{Now, World};
use tenon_config::Directive;
use tenon_policy::{NEVER, SavePoint, SnapshotFacts, SnapshotVerdict};

use super::Kind;
use crate::engine::Engine;

impl Engine {
    /// Asks the snapshot policy, once a second.
    pub(crate) fn ask_for_snapshot(&mut self, now: Now, world: &mut World<'_>) {
        self.begin_scheduled(now, world);
        self.switch_on_again(now, world.disk);
        let facts = self.snapshot_facts(now, world);
        let stopwatch = &mut *world.stopwatch;
        match self.policies.ask_snapshot(&facts, || stopwatch.read_ns()) {
            SnapshotVerdict::None => {}
            SnapshotVerdict::Save => {
                tracing::info!(
                    "{} changes in {} seconds. Saving...",
                    facts.changes_since_save,
                    facts.save.since_success_ms / 1_000
                );
                // What went wrong is in the log.
                let _ = self.begin_save(now, world);
            }
            SnapshotVerdict::RewriteAof => {
                let growth =
                    facts.aof_bytes.saturating_sub(facts.aof_base_bytes) * 100 / facts.aof_base_bytes.max(1);
                tracing::info!("Starting automatic rewriting of AOF on {growth}% growth");
                if let Err(sentence) = self.begin_rewrite(now, world.disk) {
                    tracing::warn!("The rewrite cannot begin: {sentence}");
                }
            }
        }
    }

    fn snapshot_facts(&self, now: Now, world: &World<'_>) -> SnapshotFacts {
        let log = self.durability.log();
        let sizes = log.map(|log| log.sizes()).unwrap_or_default();
        let memory_max = self.config.memory(Directive::MaxMemory);
        let points = self.config.save_points().iter();
        let running = self.snapshots.running();
        SnapshotFacts {
            now_ms: now.steady.since(self.identity.started.steady).millis(),
            wall_unix_ms: now.unix().0,
            utc_offset_minutes: self.identity.utc_offset_minutes,
            save_points: points
                .map(|point| SavePoint { seconds: point.seconds, changes: point.changes })
                .collect(),
            keys: (0..self.keyspace.databases()).map(|index| self.keyspace.db(index).len() as u64).sum(),
            used_memory_bytes: self.keyspace.used_memory() as u64,
            memory_limit_bytes: if memory_max == 0 { NEVER } else { memory_max },
            disk_free_bytes: world.disk.free_bytes(&self.directory()),
            changes_since_save: self.snapshots.changes(self.stats.dirty_total),
            bytes_since_save: self.journal.effect_bytes().saturating_sub(self.snapshots.bytes_at_save),
            changes_total: self.stats.dirty_total,
            commands_total: self.stats.commands_processed,
            save: self.snapshots.save.facts(now, running == Some(Kind::Save)),
            rewrite: self.snapshots.rewrite.facts(now, running == Some(Kind::Rewrite)),
            aof_enabled: log.is_some_and(|log| log.phase() == Phase::On),
            aof_bytes: sizes.current,
            aof_base_bytes: sizes.base,
            aof_replay_bytes: sizes.replayed,
            rewrite_percentage: u32::try_from(self.config.integer(Directive::AutoAofRewritePercentage))
                .unwrap_or(0),
            rewrite_min_bytes: self.config.memory(Directive::AutoAofRewriteMinSize),
            load_bytes_per_second: self.loaded.rates.base,
            replay_bytes_per_second: self.loaded.rates.replay,
            full_syncs_running: u32::from(self.replication.is_making_snapshot()),
            is_replica: self.replication.is_following,
        }
    }
}
