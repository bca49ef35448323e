//! DEBUG DIGEST, OBJECT and their kin: what is kept, and how. Changes nothing, but for POPULATE, which makes keys.
//! Always: a key whose time has come is shown like any other.

use tenon_commands::{CommandError, Outcome, Words};
use tenon_keyspace::{Entry, Expiry};
use tenon_rdb::{dataset_digest, dump, value_digest};
use tenon_resp::Args;

use super::ServerContext;

pub(super) fn digest(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let digest = dataset_digest(&context.engine.keyspace);
    context.reply().simple(&hexadecimal(&digest));
    Ok(())
}

pub(super) fn digest_values(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let digests: Vec<String> = args
        .rest(2)
        .into_iter()
        .map(|key| {
            let found = find(context, key);
            hexadecimal(&found.map_or([0; 20], |entry| value_digest(entry.value(), entry.expires_at())))
        })
        .collect();
    let mut reply = context.reply();
    reply.array(digests.len());
    digests.iter().for_each(|digest| reply.simple(digest));
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key of the selected database, also if its time has come.
pub(super) fn find<'a>(context: &'a mut ServerContext<'_, '_>, key: &[u8]) -> Option<Entry<'a>> {
    let database = context.session().database;
    context.engine.keyspace.db(database).find(key)
}

pub(super) fn listpack(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let entry = find(context, args.get(2)).ok_or(CommandError::NoSuchKey)?;
    if entry.encoding() != "listpack" {
        return Err(CommandError::text("ERR Not a listpack encoded object."));
    }
    let key = tenon_policy::one_line(&String::from_utf8_lossy(entry.key()), 128);
    tracing::info!("DEBUG LISTPACK: {key} takes {} bytes", entry.memory());
    context.reply().simple("Figures of the listpack written to the log");
    Ok(())
}

pub(super) fn object(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    /// The access clock has so many bits of seconds.
    const CLOCK_MASK: u32 = 0x00FF_FFFF;
    /// A dump's type byte, version and checksum: not part of a value's length in a file.
    const DUMP_FRAME_BYTES: usize = 1 + 2 + 8;
    let options = context.engine.limits.payload;
    let clock = context.now.unix().seconds() as u32;
    let entry = find(context, args.get(2)).ok_or(CommandError::NoSuchKey)?;
    let text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry.key().as_ptr(),
        entry.encoding(),
        dump(entry.value(), &options).len() - DUMP_FRAME_BYTES,
        entry.access_clock(),
        clock.wrapping_sub(entry.access_clock()) & CLOCK_MASK,
    );
    context.reply().simple(&text);
    Ok(())
}

pub(super) fn populate(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let positive = |index: usize| match args.integer(index) {
        Ok(number) => usize::try_from(number)
            .map_err(|_| CommandError::text("ERR value is out of range, must be positive")),
        Err(error) => Err(error),
    };
    let count = positive(2)?;
    let prefix = args.try_get(3).unwrap_or(b"key");
    let size = if args.len() == 5 { positive(4)? } else { 0 };
    if size > context.engine.limits.string_bytes_max {
        return Err(CommandError::OutOfRange);
    }
    let number = context.session().database;
    let clock = (context.now.unix().seconds() as u32) & 0x00FF_FFFF;
    let database = context.engine.keyspace.db_mut(number);
    database.set_clock(clock);
    for number in 0..count {
        let key = [prefix, format!(":{number}").as_bytes()].concat();
        if !database.contains(&key) {
            let mut value = format!("value:{number}").into_bytes();
            if size > 0 {
                value.resize(size, 0);
            }
            database.set_string(&key, &value, Expiry::Never);
        }
    }
    context.reply().ok();
    Ok(())
}
