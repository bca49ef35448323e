//! Elements of collections on their way into replies, and texts that were formatted there on their way back.
//! Always: nothing is copied twice, nothing is allocated.

use tenon_keyspace::Element;
use tenon_resp::Reply;

/// Writes an element as a string.
#[inline]
pub(crate) fn write_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => reply.bulk(bytes),
        Element::Integer(integer) => reply.bulk_integer(integer),
    }
}

/// The text of the string that was written, alone, since the reply's out-buffer held `position` bytes.
pub(crate) fn bulk_since<'a>(reply: &'a Reply<'_>, position: usize) -> &'a [u8] {
    let frame = reply.written_since(position);
    let head = frame.iter().position(|&byte| byte == b'\n').expect("a string was just written");
    &frame[head + 1..frame.len() - b"\r\n".len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_resp::Proto;

    #[test]
    fn a_written_string_can_be_read_back() {
        let mut out = b"+before\r\n".to_vec();
        let mut reply = Reply::new(&mut out, Proto::Resp2);
        for (element, text) in [
            (Element::Bytes(b""), &b""[..]),
            (Element::Bytes(b"a\r\nb\n"), b"a\r\nb\n"),
            (Element::Bytes(b"0123456789ab"), b"0123456789ab"),
            (Element::Integer(i64::MIN), b"-9223372036854775808"),
        ] {
            let start = reply.position();
            write_element(&mut reply, element);
            assert_eq!(bulk_since(&reply, start), text);
        }
    }
}
