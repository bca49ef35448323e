//! The reply of a walk over a collection (SSCAN, ZSCAN): a cursor and a page of elements. Knows no type.

use tenon_resp::Reply;

/// Writes one page: `walk` writes the elements and tells the next cursor and how many elements it wrote.
pub(crate) fn write_page(reply: &mut Reply<'_>, walk: impl FnOnce(&mut Reply<'_>) -> (u64, usize)) {
    reply.array(2);
    let start = reply.position();
    reply.bulk_integer(0);
    let page_start = reply.position();
    let page = reply.defer_array();
    let (cursor, count) = walk(reply);
    reply.finish(page, count);
    if cursor != 0 {
        // The cursor is known last and stands first.
        let page = reply.written_since(page_start).to_vec();
        reply.truncate(start);
        reply.bulk_integer(cursor as i64);
        reply.raw(&page);
    }
}

/// The page of a collection that is not there.
pub(crate) fn write_no_page(reply: &mut Reply<'_>) {
    write_page(reply, |_| (0, 0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_resp::Proto;

    #[test]
    fn the_cursor_stands_before_the_page() {
        let mut out = Vec::new();
        write_page(&mut Reply::new(&mut out, Proto::Resp2), |reply| {
            reply.bulk(b"a");
            (123, 1)
        });
        assert_eq!(out, b"*2\r\n$3\r\n123\r\n*1\r\n$1\r\na\r\n");
    }
}
