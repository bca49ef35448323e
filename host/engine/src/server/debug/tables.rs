//! DEBUG HTSTATS and HTSTATS-KEY: how tables are filled, in the words that Redis uses for its own. A slot is what holds
//! elements together: a bucket of a database, a page of a large collection; a chain is what it holds.
//! Tables here grow and shrink by a slot or a page at a time, so that there is never a second one.

use std::fmt::Write;

use tenon_commands::{CommandError, Outcome, Words};
use tenon_keyspace::{TableShape, ValueRef};
use tenon_resp::Args;

use super::ServerContext;
use super::values::find;

pub(super) fn of_database(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let keyspace = &context.engine.keyspace;
    let database = usize::try_from(args.integer(2)?)
        .ok()
        .filter(|&number| number < keyspace.databases())
        .ok_or(CommandError::text("ERR Out of range database"))?;
    let database = keyspace.db(database);
    let mut text = "[Dictionary HT]\n".to_owned();
    if args.is(3, "full") {
        write_shape(&mut text, &database.shape());
    } else {
        write_size(&mut text, database.buckets(), database.len());
    }
    // A string takes everything, here and below.
    let _ = write!(
        text,
        " bytes, with the values: {}\n[Expires HT]\n number of elements: {} (kept in the same table)\n",
        database.used_memory(),
        database.volatile_len()
    );
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

pub(super) fn of_key(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let entry = find(context, args.get(2)).ok_or(CommandError::NoSuchKey)?;
    let members = match entry.value() {
        ValueRef::Set(set) => set.table(),
        ValueRef::Hash(hash) => hash.table(),
        ValueRef::Zset(zset) => zset.table(),
        ValueRef::String(_) | ValueRef::List(_) | ValueRef::Stream(_) => None,
    };
    let shape = members.map(|members| members.shape()).ok_or(CommandError::text(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    let mut text = String::new();
    if args.is(3, "full") {
        write_shape(&mut text, &shape);
    } else {
        write_size(&mut text, shape.places, shape.elements);
    }
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn write_size(out: &mut String, slots: usize, elements: usize) {
    let _ = write!(
        out,
        "Hash table 0 stats (main hash table):\n table size: {slots}\n number of elements: {elements}\n"
    );
}

fn write_shape(out: &mut String, shape: &TableShape) {
    if shape.elements == 0 {
        out.push_str("Hash table 0 stats (main hash table):\nNo stats available for empty dictionaries\n");
        return;
    }
    write_size(out, shape.places, shape.elements);
    let mean = shape.elements as f64 / shape.used as f64;
    let _ = write!(
        out,
        " different slots: {}\n max chain length: {}\n avg chain length (counted): {mean:.2}\n \
         avg chain length (computed): {mean:.2}\n Chain length distribution:\n",
        shape.used, shape.longest
    );
    for (length, &slots) in shape.by_length.iter().enumerate().filter(|(_, slots)| **slots > 0) {
        let percent = slots as f64 / shape.places as f64 * 100.0;
        let _ = writeln!(out, "   {length}: {slots} ({percent:.2}%)");
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// The number behind a name.
    fn figure(text: &str, name: &str) -> usize {
        let (_, rest) = text.split_once(&format!("{name}: ")).unwrap_or_else(|| panic!("{name} in {text}"));
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().unwrap()
    }

    #[test]
    fn a_collection_tells_how_its_pages_are_filled() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes"), ("set-max-listpack-entries", "0")]);
        bench.run(1, "SADD s a b c");
        let few = bench.text(1, "DEBUG HTSTATS-KEY s full");
        assert_eq!((figure(&few, "different slots"), figure(&few, "max chain length")), (1, 3));
        assert!(few.ends_with("   3: 1 (100.00%)\n"), "{few}");
        for number in 0..2_000 {
            bench.run(1, &format!("SADD s member:{number}"));
        }
        let many = bench.text(1, "DEBUG HTSTATS-KEY s full");
        let (slots, longest) = (figure(&many, "different slots"), figure(&many, "max chain length"));
        assert!(slots > 1 && longest < 2_003 && slots * longest >= 2_003, "{many}");
        assert_eq!(figure(&bench.text(1, "DEBUG HTSTATS-KEY s"), "number of elements"), 2_003);
    }

    #[test]
    fn a_database_tells_how_its_buckets_are_filled() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
        assert!(bench.text(1, "DEBUG HTSTATS 0 full").contains("No stats available"));
        bench.run(1, "DEBUG POPULATE 1000");
        let full = bench.text(1, "DEBUG HTSTATS 0 full");
        assert_eq!(figure(&full, "number of elements"), 1_000);
        assert!(figure(&full, "different slots") <= figure(&full, "table size"), "{full}");
        assert_eq!(figure(&bench.text(1, "DEBUG HTSTATS 0"), "table size"), figure(&full, "table size"));
        assert_eq!(bench.run(1, "DEBUG HTSTATS 16"), "(error) ERR Out of range database");
    }

    #[test]
    fn what_is_no_table_has_no_such_figures() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
        bench.run(1, "SET text 1");
        assert_eq!(
            bench.run(1, "DEBUG HTSTATS-KEY text"),
            "(error) ERR The value stored at the specified key is not represented using an hash table"
        );
        assert_eq!(bench.run(1, "DEBUG HTSTATS-KEY none"), "(error) ERR no such key");
    }
}
