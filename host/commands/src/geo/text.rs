//! How distances and coordinates are written. Knows no command.
//! Always: nothing is allocated.

use std::io::Write;

use tenon_resp::{Proto, Reply};

/// Room for a coordinate with all its digits.
const COORDINATE_TEXT_BYTES_MAX: usize = 32;

/// Writes a distance, in any unit, with four digits behind the point.
pub(super) fn write_distance(reply: &mut Reply<'_>, distance: f64) {
    const PARTS: u64 = 10_000;
    let parts = (distance * PARTS as f64).round_ties_even() as u64;
    reply.bulk_format(format_args!("{}.{:04}", parts / PARTS, parts % PARTS));
}

/// Writes a coordinate with up to 17 digits behind the point, and no zeros at its end.
pub(super) fn write_coordinate(reply: &mut Reply<'_>, degrees: f64) {
    let mut buffer = [0; COORDINATE_TEXT_BYTES_MAX];
    let mut rest = &mut buffer[..];
    write!(rest, "{degrees:.17}").expect("three digits, a sign, a point and 17 digits fit");
    let end = COORDINATE_TEXT_BYTES_MAX - rest.len();
    let text = &buffer[..end];
    let kept = text.iter().rposition(|&byte| byte != b'0').map_or(0, |last| last + 1);
    let text = text[..kept].strip_suffix(b".").unwrap_or(&text[..kept]);
    let text: &[u8] = if text == b"-0" { b"0" } else { text };
    match reply.proto() {
        Proto::Resp2 => reply.bulk(text),
        Proto::Resp3 => {
            reply.raw(b",");
            reply.raw(text);
            reply.raw(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(proto: Proto, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, proto));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn distances_have_four_digits() {
        for (distance, text) in [
            (0.0, "0.0000"),
            (0.00004, "0.0000"),
            (0.0775, "0.0775"),
            (0.00025, "0.0002"),
            (166_274.151_56, "166274.1516"),
            (2e7, "20000000.0000"),
        ] {
            let frame = format!("${}\r\n{text}\r\n", text.len());
            assert_eq!(written(Proto::Resp2, |reply| write_distance(reply, distance)), frame);
        }
    }

    #[test]
    fn coordinates_have_the_digits_they_need() {
        for (degrees, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-180.0, "-180"),
            (100.5, "100.5"),
            (13.361_389_338_970_184, "13.36138933897018433"),
            (1e-20, "0"),
        ] {
            let frame = format!("${}\r\n{text}\r\n", text.len());
            assert_eq!(written(Proto::Resp2, |reply| write_coordinate(reply, degrees)), frame);
            let frame = format!(",{text}\r\n");
            assert_eq!(written(Proto::Resp3, |reply| write_coordinate(reply, degrees)), frame);
        }
    }
}
