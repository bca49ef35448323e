//! A value as JSON.

use std::io::{self, Write};

use tenon_keyspace::{Element, Stream, StreamGroup, StreamId, TextRef, ValueRef};

use super::json::Json;

/// Writes the value.
pub(super) fn write<W: Write>(json: &mut Json<W>, value: ValueRef<'_>) -> io::Result<()> {
    match value {
        ValueRef::String(TextRef::Integer(integer)) => element(json, Element::Integer(integer)),
        ValueRef::String(TextRef::Bytes(bytes)) => json.text(bytes),
        ValueRef::List(list) => {
            json.open(b'[')?;
            list.iter().try_for_each(|member| element(json, member))?;
            json.close(b']')
        }
        ValueRef::Set(set) => {
            json.open(b'[')?;
            set.iter().try_for_each(|member| element(json, member))?;
            json.close(b']')
        }
        ValueRef::Hash(hash) => pairs(json, hash.iter()),
        ValueRef::Zset(zset) => {
            json.open(b'[')?;
            for (member, score) in zset.iter() {
                json.open(b'[')?;
                element(json, member)?;
                self::score(json, score)?;
                json.close(b']')?;
            }
            json.close(b']')
        }
        ValueRef::Stream(stream) => self::stream(json, stream),
    }
}

fn element<W: Write>(json: &mut Json<W>, element: Element<'_>) -> io::Result<()> {
    json.text(element.as_bytes(&mut [0; 20]))
}

fn pairs<'a, W: Write>(
    json: &mut Json<W>,
    pairs: impl Iterator<Item = (Element<'a>, Element<'a>)>,
) -> io::Result<()> {
    json.open(b'[')?;
    for (field, value) in pairs {
        json.open(b'[')?;
        element(json, field)?;
        element(json, value)?;
        json.close(b']')?;
    }
    json.close(b']')
}

/// A number; a string for what JSON has no number for.
fn score<W: Write>(json: &mut Json<W>, score: f64) -> io::Result<()> {
    if !score.is_finite() {
        return json.text(score.to_string().to_ascii_lowercase().as_bytes());
    }
    // In full where that is short, else with an exponent.
    if score == 0.0 || (1e-5..1e17).contains(&score.abs()) {
        json.bare(score)
    } else {
        json.bare(format_args!("{score:e}"))
    }
}

fn stream<W: Write>(json: &mut Json<W>, stream: &Stream) -> io::Result<()> {
    json.open(b'{')?;
    id(json, "last_id", stream.last_id())?;
    id(json, "max_deleted_id", stream.max_deleted_id())?;
    json.number("entries_added", stream.entries_added())?;
    json.name("entries")?;
    json.open(b'[')?;
    for entry in stream.iter() {
        json.open(b'{')?;
        id(json, "id", entry.id)?;
        json.name("fields")?;
        pairs(json, entry.fields)?;
        json.close(b'}')?;
    }
    json.close(b']')?;
    json.name("groups")?;
    json.open(b'[')?;
    for (name, group) in stream.groups() {
        self::group(json, name, group)?;
    }
    json.close(b']')?;
    json.close(b'}')
}

fn group<W: Write>(json: &mut Json<W>, name: &[u8], group: &StreamGroup) -> io::Result<()> {
    json.open(b'{')?;
    json.named_text("name", name)?;
    id(json, "last_id", group.last_id())?;
    json.number_or_null("entries_read", group.entries_read())?;
    json.name("consumers")?;
    json.open(b'[')?;
    for consumer in group.consumers() {
        json.open(b'{')?;
        json.named_text("name", consumer.name())?;
        json.number("seen_at_ms", consumer.seen_time().0)?;
        json.number_or_null("active_at_ms", consumer.active_time().map(|time| time.0))?;
        json.close(b'}')?;
    }
    json.close(b']')?;
    json.name("pending")?;
    json.open(b'[')?;
    for (pending_id, pending) in group.pending_range(StreamId::MIN, StreamId::MAX) {
        json.open(b'{')?;
        id(json, "id", pending_id)?;
        json.named_text("consumer", pending.consumer())?;
        json.number("delivered_at_ms", pending.delivery_time().0)?;
        json.number("deliveries", pending.delivery_count())?;
        json.close(b'}')?;
    }
    json.close(b']')?;
    json.close(b'}')
}

fn id<W: Write>(json: &mut Json<W>, name: &'static str, id: StreamId) -> io::Result<()> {
    json.named_text(name, id.text().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_numbers_that_read_back() {
        let cases = [
            (0.0, "0"),
            (-1.5, "-1.5"),
            (1e16, "10000000000000000"),
            (1e300, "1e300"),
            (-2.5e-9, "-2.5e-9"),
            (f64::INFINITY, "\"inf\""),
            (f64::NEG_INFINITY, "\"-inf\""),
        ];
        for (number, expected) in cases {
            let mut out = Vec::new();
            score(&mut Json::new(&mut out), number).expect("a vector takes everything");
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
