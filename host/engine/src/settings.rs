//! What the engine keeps ready of the configuration, so that no command asks for it by name, and what follows when
//! it is changed while the server runs. What outlasts a turn is in `transition`.
//! Always: a change comes into force as a whole, or everything is as it was.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tenon_base::{Micros, Now, World, describe};
use tenon_commands::Limits;
use tenon_config::{Change, Config, Directive, SetError};
use tenon_keyspace::{HashLimits, ListLimits, SetLimits, StreamLimits, ZsetLimits};
use tenon_rdb::{EncoderOptions, RdbVersion};
use tenon_resp::Limits as DecodeLimits;

use crate::access;
use crate::client_memory::ClientMemory;
use crate::engine::Engine;
use crate::eviction::{access_rule, shares_integers};

impl Engine {
    /// Puts a prepared change in force, with everything that follows from it but sockets and policies.
    pub(crate) fn apply_change(
        &mut self,
        now: Now,
        change: Change,
        world: &mut World<'_>,
    ) -> Result<(), SetError> {
        let changed: Vec<Directive> = change.changed(&self.config).collect();
        let directory = directory(&self.config);
        let undo = self.config.commit(change);
        // Before a log that is switched on begins with them.
        self.log_settings_changed(now, &changed);
        if let Err(error) = self.carry_out(now, &changed, &directory, world) {
            self.config.commit(undo);
            self.log_settings_changed(now, &changed);
            return Err(error);
        }
        if changed.contains(&Directive::AofDisableAutoGc)
            && let Some(log) = self.durability.log_mut()
        {
            log.forget_history(world.disk);
        }
        self.settings_changed(&changed);
        self.replication_settings_changed(now, world);
        Ok(())
    }

    /// What can fail. The configuration is the new one already; `old_directory` is what `dir` was.
    fn carry_out(
        &mut self,
        now: Now,
        changed: &[Directive],
        old_directory: &Path,
        world: &mut World<'_>,
    ) -> Result<(), SetError> {
        if changed.contains(&Directive::Dir) {
            let moved = self.directory_changed(old_directory, world);
            moved.map_err(|reason| SetError::refused(Directive::Dir, reason))?;
        }
        if changed.contains(&Directive::AppendOnly) {
            let switched = self.appendonly_changed(now, world);
            switched.map_err(|reason| SetError::refused(Directive::AppendOnly, reason))?;
        }
        Ok(())
    }

    /// Takes up what is kept ready of the configuration. Most directives are read where they are used.
    pub(crate) fn settings_changed(&mut self, changed: &[Directive]) {
        let skips_checksums = self.limits.skips_checksums;
        self.limits = Limits { skips_checksums, ..limits(&self.config, self.seed) };
        self.keyspace.set_access_rule(self.limits.access);
        self.eviction.configure(&self.config);
        self.client_memory = ClientMemory::new(&self.config);
        self.latency.configure(&self.config);
        self.stats.tracks_times = self.config.bool(Directive::LatencyTracking);
        self.decode_limits = decode_limits(&self.config);
        self.lazy_expire = self.config.bool(Directive::LazyfreeLazyExpire);
        self.output_limits = self.config.output_limits();
        self.notified = self.config.keyspace_events();
        self.listen_to_units();
        self.slow_log.set_limits(slow_threshold(&self.config), slow_kept(&self.config));
        self.users.set_all_channels_at_first(access::all_channels_at_first(&self.config));
        self.access_log.set_kept_max(denials_kept(&self.config));
        if changed.contains(&Directive::RequirePass) {
            self.users.set_default_password(access::default_password(&self.config));
        }
        if changed.contains(&Directive::LogLevel) {
            (self.set_log_level)(self.config.log_level());
        }
        self.tracking.set_keys_max(tracked_keys_max(&self.config));
        self.save_settings_changed();
        self.backup_settings_changed();
        self.durability.settings_changed();
    }

    /// `dir` is another: it must be there, and is kept as an absolute path, so that nothing depends on a current
    /// directory.
    fn directory_changed(&mut self, old: &Path, world: &mut World<'_>) -> Result<(), String> {
        let new: PathBuf = old.join(directory(&self.config)).components().collect();
        world.disk.list(&new).map_err(|error| describe(&error))?;
        self.config.replace(Directive::Dir, &[new.as_os_str().as_bytes()])?;
        self.files_moved(world)
    }

    /// `appendonly` was switched; the configuration is the new one already. An error takes the switch back.
    fn appendonly_changed(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        if self.config.bool(Directive::AppendOnly) {
            self.turn_log_on(now, world)
        } else {
            self.turn_log_off(now, world)
        }
    }
}

/// `dir`.
pub(crate) fn directory(config: &Config) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(config.text(Directive::Dir)))
}

/// `tracking-table-max-keys`; 0 for any number.
pub(crate) fn tracked_keys_max(config: &Config) -> usize {
    usize::try_from(config.integer(Directive::TrackingTableMaxKeys)).unwrap_or(0)
}

/// `slowlog-log-slower-than`: commands that take so long are kept.
pub(crate) fn slow_threshold(config: &Config) -> Micros {
    u64::try_from(config.integer(Directive::SlowlogLogSlowerThan)).map_or(Micros::NEVER, Micros)
}

/// `slowlog-max-len`: how many of them.
pub(crate) fn slow_kept(config: &Config) -> usize {
    usize::try_from(config.integer(Directive::SlowlogMaxLen)).unwrap_or(0)
}

/// `acllog-max-len`: how much of what was denied is kept.
pub(crate) fn denials_kept(config: &Config) -> usize {
    usize::try_from(config.integer(Directive::AclLogMaxLen)).unwrap_or(0)
}

/// What data commands read.
pub(crate) fn limits(config: &Config, seed: u64) -> Limits {
    let count = |directive| usize::try_from(config.integer(directive)).unwrap_or(0);
    let bytes = |directive| usize::try_from(config.memory(directive)).unwrap_or(usize::MAX);
    Limits {
        list: ListLimits {
            listpack_size: config.integer(Directive::ListMaxListpackSize),
            compress_depth: count(Directive::ListCompressDepth) as u32,
        },
        hash: HashLimits {
            entries: count(Directive::HashMaxListpackEntries),
            value_bytes: bytes(Directive::HashMaxListpackValue),
            seed,
        },
        set: SetLimits {
            intset_entries: count(Directive::SetMaxIntsetEntries),
            listpack_entries: count(Directive::SetMaxListpackEntries),
            listpack_value_bytes: count(Directive::SetMaxListpackValue),
            seed,
        },
        zset: ZsetLimits {
            entries: count(Directive::ZsetMaxListpackEntries),
            value_bytes: bytes(Directive::ZsetMaxListpackValue),
            seed,
        },
        stream: StreamLimits {
            node_bytes_max: bytes(Directive::StreamNodeMaxBytes),
            node_entries_max: count(Directive::StreamNodeMaxEntries),
        },
        access: access_rule(config),
        shares_integers: shares_integers(config),
        payload: rdb_options(config),
        string_bytes_max: bytes(Directive::ProtoMaxBulkLen),
        sparse_sketch_bytes_max: bytes(Directive::HllSparseMaxBytes),
        lazy_user_del: config.bool(Directive::LazyfreeLazyUserDel),
        lazy_user_flush: config.bool(Directive::LazyfreeLazyUserFlush),
        lazy_server_del: config.bool(Directive::LazyfreeLazyServerDel),
        skips_checksums: false,
    }
}

/// How RDB files and payloads are written.
pub(crate) fn rdb_options(config: &Config) -> EncoderOptions {
    let version = u32::try_from(config.integer(Directive::RdbVersion)).unwrap_or(0);
    EncoderOptions {
        version: RdbVersion::of_number(version).unwrap_or_default(),
        compression: config.bool(Directive::RdbCompression),
        checksum: config.bool(Directive::RdbChecksum),
        ..EncoderOptions::default()
    }
}

/// What the decoder reads.
pub(crate) fn decode_limits(config: &Config) -> DecodeLimits {
    let bytes = |directive| usize::try_from(config.memory(directive)).unwrap_or(usize::MAX);
    DecodeLimits {
        bulk_bytes_max: bytes(Directive::ProtoMaxBulkLen),
        query_buffer_max: bytes(Directive::ClientQueryBufferLimit),
        ..DecodeLimits::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tenon_aof::memory_disk::MemoryDisk;
    use tenon_base::Disk;

    use super::*;
    use crate::testing::Bench;

    fn text(disk: &dyn Disk, name: &str) -> String {
        let file = disk.open(&Path::new("./appendonlydir").join(name), false).expect("the file is there");
        let mut content = vec![0; file.length().expect("it has a length") as usize];
        file.read_at(0, &mut content).expect("it can be read");
        String::from_utf8(content).expect("it is a text")
    }

    #[test]
    fn a_log_is_kept_as_was_said_last() {
        let disk = Arc::new(MemoryDisk::default());
        let directives = [("appendonly", "yes"), ("aof-checksum", "no"), ("appendfsync", "always")];
        let mut bench = Bench::on_disk(&directives, disk.clone());
        let log = || text(&*disk, "appendonly.aof.1.incr.aof");
        bench.run(1, "SET a 1");
        assert!(!log().contains('#') && !log().contains("PING"), "{}", log());
        bench.run(1, "CONFIG SET aof-timestamp-enabled yes");
        bench.run(1, "SET b 2");
        assert!(log().contains("#TS:") && !log().contains("PING"), "{}", log());
        bench.run(1, "CONFIG SET aof-use-rdb-preamble no");
        bench.run(1, "BGREWRITEAOF");
        bench.settle();
        let manifest = text(&*disk, "appendonly.aof.manifest");
        assert!(manifest.starts_with("file appendonly.aof.2.base.aof seq 2 type b"), "{manifest}");
    }
}
