//! Streams as commands. Those of Redis's rewrite, and some more for what it loses: an entry that is pending and was
//! deleted meanwhile. XCLAIM takes only what is there, so such an entry is there until the groups are complete.
//! Always: what is added for that is gone at the end, and the figures are set last.

use std::collections::BTreeSet;
use std::io;

use tenon_keyspace::{Stream, StreamGroup, StreamId};
use tenon_resp::{write_array_header, write_bulk};

use super::{CommandEncoder, Sink};

impl CommandEncoder {
    pub(super) fn stream(
        &mut self,
        key: &[u8],
        database: u32,
        stream: &Stream,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        let gone = pending_and_gone(stream);
        if stream.is_empty() && gone.is_empty() {
            self.command(&[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
        }
        self.entries(key, database, stream, &gone, sink)?;
        for (name, group) in stream.groups() {
            self.group(key, database, name, group, sink)?;
        }
        self.remove_gone(key, database, stream, &gone, sink)?;
        self.command(&[
            b"XSETID",
            key,
            stream.last_id().text().as_bytes(),
            b"ENTRIESADDED",
            (stream.entries_added() as i64).to_string().as_bytes(),
            b"MAXDELETEDID",
            // XSETID takes no greater one, though Redis 7.0 may have left one.
            stream.max_deleted_id().min(stream.last_id()).text().as_bytes(),
        ]);
        self.pass_on(database, sink)
    }

    /// The entries, and those that are gone at their places among them.
    fn entries(
        &mut self,
        key: &[u8],
        database: u32,
        stream: &Stream,
        gone: &BTreeSet<StreamId>,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        let mut gone = gone.iter().peekable();
        for entry in stream.iter() {
            while let Some(id) = gone.next_if(|id| **id < entry.id) {
                self.command(&[b"XADD", key, id.text().as_bytes(), b"x", b"y"]);
            }
            write_array_header(&mut self.commands, 3 + 2 * entry.fields.len());
            write_bulk(&mut self.commands, b"XADD");
            write_bulk(&mut self.commands, key);
            write_bulk(&mut self.commands, entry.id.text().as_bytes());
            for (field, value) in entry.fields {
                write_bulk(&mut self.commands, field.as_bytes(&mut [0; 20]));
                write_bulk(&mut self.commands, value.as_bytes(&mut [0; 20]));
            }
            self.pass_on(database, sink)?;
        }
        for id in gone {
            self.command(&[b"XADD", key, id.text().as_bytes(), b"x", b"y"]);
            self.pass_on(database, sink)?;
        }
        Ok(())
    }

    /// Removes them again: by trimming what lies before the first entry, since that leaves no trace in the greatest
    /// deleted id. What lies behind it was deleted by itself, so that the id is set to something greater.
    fn remove_gone(
        &mut self,
        key: &[u8],
        database: u32,
        stream: &Stream,
        gone: &BTreeSet<StreamId>,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        if stream.is_empty() {
            self.command(&[b"XTRIM", key, b"MAXLEN", b"0"]);
            return Ok(());
        }
        if gone.first().is_some_and(|id| *id < stream.first_id()) {
            self.command(&[b"XTRIM", key, b"MINID", stream.first_id().text().as_bytes()]);
        }
        for id in gone.range(stream.first_id()..) {
            self.command(&[b"XDEL", key, id.text().as_bytes()]);
            self.pass_on(database, sink)?;
        }
        Ok(())
    }

    fn group(
        &mut self,
        key: &[u8],
        database: u32,
        name: &[u8],
        group: &StreamGroup,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        let last_id = group.last_id().text();
        let entries_read = group.entries_read().map_or(-1, |count| count as i64).to_string();
        self.command(&[
            b"XGROUP",
            b"CREATE",
            key,
            name,
            last_id.as_bytes(),
            b"ENTRIESREAD",
            entries_read.as_bytes(),
        ]);
        for consumer in group.consumers() {
            if consumer.pending_len() == 0 {
                self.command(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
            }
            for (id, pending) in group.consumer_pending_range(consumer.name(), StreamId::MIN, StreamId::MAX) {
                self.command(&[
                    b"XCLAIM",
                    key,
                    name,
                    consumer.name(),
                    b"0",
                    id.text().as_bytes(),
                    b"TIME",
                    pending.delivery_time().to_string().as_bytes(),
                    b"RETRYCOUNT",
                    (pending.delivery_count() as i64).to_string().as_bytes(),
                    b"JUSTID",
                    b"FORCE",
                ]);
                self.pass_on(database, sink)?;
            }
        }
        self.pass_on(database, sink)
    }

    fn command(&mut self, words: &[&[u8]]) {
        write_array_header(&mut self.commands, words.len());
        words.iter().for_each(|word| write_bulk(&mut self.commands, word));
    }
}

/// The ids that are pending in any group and not in the stream. `0-0` no stream can take.
fn pending_and_gone(stream: &Stream) -> BTreeSet<StreamId> {
    let pending = stream.groups().flat_map(|(_, group)| group.pending_range(StreamId::MIN, StreamId::MAX));
    let ids = pending.map(|(id, _)| id);
    ids.filter(|id| *id != StreamId::MIN && stream.find(*id).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use tenon_aof::{CommandBase, Origin};
    use tenon_base::UnixMillis;
    use tenon_journal::ReplicationId;
    use tenon_journal::ReplicationOffset;
    use tenon_keyspace::{StreamKeep, StreamLimits, StreamTrim};

    use super::*;

    /// The commands behind SELECT, a line each.
    fn commands(stream: &Stream) -> Vec<String> {
        let id = ReplicationId::parse(&[b'a'; 40]).expect("40 digits");
        let base = CommandBase::new(
            Origin { replication_id: id, offset: ReplicationOffset(0), db: 0 },
            false,
            false,
        );
        let mut encoder = CommandEncoder::new(base, UnixMillis(0));
        let mut bytes = Vec::new();
        let mut sink = |block: &[u8]| {
            bytes.extend_from_slice(block);
            Ok(())
        };
        encoder.stream(b"k", 0, stream, &mut sink).expect("a vector takes everything");
        encoder.finish(&mut sink).expect("a vector takes everything");
        let text = String::from_utf8(bytes).expect("only ASCII went in");
        let commands = text.split('*').skip(2); // the first is SELECT
        let words = |command: &str| {
            let lines = command.split("\r\n").skip(1).filter(|line| !line.starts_with('$'));
            lines.collect::<Vec<_>>().join(" ").trim_end().to_owned()
        };
        commands.map(words).collect()
    }

    fn stream_of(ids: impl IntoIterator<Item = u64>) -> Stream {
        let mut stream = Stream::new();
        for number in ids {
            let fields = [(&b"f"[..], &b"v"[..])];
            stream.append(id(number), fields, &StreamLimits::default()).expect("a greater id");
        }
        stream
    }

    fn id(milliseconds: u64) -> StreamId {
        StreamId::new(milliseconds, 0)
    }

    #[test]
    fn an_empty_stream_is_made_by_an_entry_that_goes_at_once() {
        let expected = ["XADD k MAXLEN 0 0-1 x y", "XSETID k 0-0 ENTRIESADDED 0 MAXDELETEDID 0-0"];
        assert_eq!(commands(&Stream::new()), expected);
    }

    #[test]
    fn a_greatest_deleted_id_behind_the_last_is_made_one_that_commands_take() {
        let mut stream = stream_of([1]);
        stream.set_max_deleted_id(id(9));
        assert_eq!(commands(&stream)[1], "XSETID k 1-0 ENTRIESADDED 1 MAXDELETEDID 1-0");
    }

    #[test]
    fn groups_come_with_consumers_and_what_is_pending() {
        let mut stream = stream_of([1, 2]);
        stream.create_group(b"g", id(2), Some(2));
        stream.create_group(b"h", id(1), None);
        let mut group = stream.group_mut(b"g").expect("just made");
        group.create_consumer(b"c", UnixMillis(9));
        group.create_consumer(b"idle", UnixMillis(9));
        assert!(group.assign(id(2), b"c", UnixMillis(7), 3));
        drop(group);
        let expected = [
            "XADD k 1-0 f v",
            "XADD k 2-0 f v",
            "XGROUP CREATE k g 2-0 ENTRIESREAD 2",
            "XCLAIM k g c 0 2-0 TIME 7 RETRYCOUNT 3 JUSTID FORCE",
            "XGROUP CREATECONSUMER k g idle",
            "XGROUP CREATE k h 1-0 ENTRIESREAD -1",
            "XSETID k 2-0 ENTRIESADDED 2 MAXDELETEDID 0-0",
        ];
        assert_eq!(commands(&stream), expected);
    }

    #[test]
    fn what_is_pending_and_deleted_is_there_until_it_is_claimed() {
        let mut stream = stream_of(1..=4);
        stream.create_group(b"g", id(4), Some(4));
        let mut group = stream.group_mut(b"g").expect("just made");
        group.create_consumer(b"c", UnixMillis(9));
        (1..=4).for_each(|number| assert!(group.assign(id(number), b"c", UnixMillis(7), 1)));
        drop(group);
        stream.trim(&StreamTrim { keep: StreamKeep::Newest(3), approximate: false, limit: 0 });
        assert!(stream.delete(id(3)));
        let claim = |number: u64| format!("XCLAIM k g c 0 {number}-0 TIME 7 RETRYCOUNT 1 JUSTID FORCE");
        let mut expected: Vec<String> =
            ["XADD k 1-0 x y", "XADD k 2-0 f v", "XADD k 3-0 x y", "XADD k 4-0 f v"]
                .map(str::to_owned)
                .into();
        expected.push("XGROUP CREATE k g 4-0 ENTRIESREAD 4".to_owned());
        expected.extend((1..=4).map(claim));
        let end = ["XTRIM k MINID 2-0", "XDEL k 3-0", "XSETID k 4-0 ENTRIESADDED 4 MAXDELETEDID 3-0"];
        expected.extend(end.map(str::to_owned));
        assert_eq!(commands(&stream), expected);

        stream.trim(&StreamTrim { keep: StreamKeep::Newest(0), approximate: false, limit: 0 });
        let commands = commands(&stream);
        assert_eq!(commands[3], "XADD k 4-0 x y");
        assert_eq!(commands[9..], ["XTRIM k MAXLEN 0", "XSETID k 4-0 ENTRIESADDED 4 MAXDELETEDID 3-0"]);
    }
}
