//! What the engine keeps ready of the configuration, so that no command asks for it by name.

use tenon_commands::Limits;
use tenon_config::{Config, Directive};
use tenon_keyspace::{HashLimits, ListLimits, SetLimits, ZsetLimits};
use tenon_resp::Limits as DecodeLimits;

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
        string_bytes_max: bytes(Directive::ProtoMaxBulkLen),
        lazy_user_del: config.bool(Directive::LazyfreeLazyUserDel),
        lazy_user_flush: config.bool(Directive::LazyfreeLazyUserFlush),
        lazy_server_del: config.bool(Directive::LazyfreeLazyServerDel),
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
