//! Pieces of every size, limits, errors in their order, and bytes that were damaged.

use super::*;
use crate::request::{LARGE_ARGUMENT_BYTES, OwnedArgs};

type Requests = Vec<Vec<Vec<u8>>>;

/// Feeds `pieces` as a driver would, running at most `turn` requests of each batch. Returns the requests, how many
/// bytes they took, and the error that ended the stream.
fn run<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    limits: &Limits,
    turn: usize,
) -> (Requests, usize, Option<ProtocolError>) {
    let (mut decoder, mut batch) = (Decoder::new(), Batch::new());
    let (mut requests, mut wire_bytes) = (Vec::new(), 0);
    for piece in pieces {
        let mut buffer = piece;
        loop {
            let result = decoder.decode(buffer, limits, &mut batch);
            let executed = turn.min(batch.len());
            for index in 0..executed {
                let args = batch.request(index, buffer);
                requests.push(args.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
                for (position, argument) in args.iter().enumerate() {
                    assert!(argument.len() < LARGE_ARGUMENT_BYTES || args.take_large(position).is_some());
                }
                wire_bytes += batch.wire_bytes(index);
            }
            let all = executed == batch.len();
            if all && let Err(error) = result {
                return (requests, wire_bytes, Some(error));
            }
            decoder.keep_rest(&mut batch, executed, buffer);
            buffer = &[];
            if !decoder.has_kept() {
                break;
            }
        }
    }
    (requests, wire_bytes, None)
}

fn whole(bytes: &[u8]) -> (Requests, usize, Option<ProtocolError>) {
    run(std::iter::once(bytes), &Limits::default(), usize::MAX)
}

fn in_pieces(bytes: &[u8], size: usize) -> (Requests, usize, Option<ProtocolError>) {
    run(bytes.chunks(size), &Limits::default(), usize::MAX)
}

fn wire(requests: &[&[&[u8]]]) -> Vec<u8> {
    let mut out = Vec::new();
    requests.iter().for_each(|request| write_request(&mut out, OwnedArgs::from(*request).as_args()));
    out
}

/// Requests of every kind one after the other.
fn sample() -> (Vec<u8>, Requests) {
    let large = vec![b'L'; LARGE_ARGUMENT_BYTES + 17];
    let mut bytes = wire(&[&[b"PING"], &[b"SET", b"key", b""], &[b"SET", b"a\r\nb", b"$3\r\n*1\r\n"]]);
    bytes.extend_from_slice(b"*0\r\n*-1\r\n\r\n\nping\r\nset k  \"quoted \\x41\"\n");
    bytes.extend_from_slice(&wire(&[&[b"SET", b"big", &large, b"EX", b"10"], &[b"GET", b"0123456789"]]));
    let expected: [&[&[u8]]; 7] = [
        &[b"PING"],
        &[b"SET", b"key", b""],
        &[b"SET", b"a\r\nb", b"$3\r\n*1\r\n"],
        &[b"ping"],
        &[b"set", b"k", b"quoted A"],
        &[b"SET", b"big", &large, b"EX", b"10"],
        &[b"GET", b"0123456789"],
    ];
    let expected = expected.iter().map(|request| request.iter().map(|argument| argument.to_vec()).collect());
    (bytes, expected.collect())
}

#[test]
fn pieces_of_every_size_give_what_the_whole_gives() {
    let (bytes, expected) = sample();
    // All bytes but those of the two empty arrays and the two empty lines.
    let all = (expected.clone(), bytes.len() - 12, None);
    assert!(whole(&bytes) == all);
    for size in (1..200).chain([1000, 16 * 1024, 32 * 1024, 33_000]) {
        assert!(in_pieces(&bytes, size) == all, "in pieces of {size}");
    }
    for size in [1, 7, 50, 40_000, 100_000] {
        for turn in [1, 2, 3] {
            let (requests, ..) = run(bytes.chunks(size), &Limits::default(), turn);
            assert!(requests == expected, "in pieces of {size}, {turn} at a turn");
        }
    }
    let few = Limits { requests_max: 2, ..Limits::default() };
    assert!(run(bytes.chunks(1000), &few, usize::MAX).0 == expected, "two to a batch");
}

#[test]
fn nothing_run_is_nothing_lost() {
    let (bytes, expected) = sample();
    for size in [3, 100, 5_000, 100_000] {
        let (mut decoder, mut batch) = (Decoder::new(), Batch::new());
        for (round, piece) in bytes.chunks(size).enumerate() {
            if round % 2 == 0 {
                decoder.decode(piece, &Limits::default(), &mut batch).unwrap();
                decoder.keep_rest(&mut batch, 0, piece);
            } else {
                decoder.keep_tail(piece).unwrap();
            }
        }
        decoder.decode(&[], &Limits::default(), &mut batch).unwrap();
        assert_eq!(batch.len(), expected.len());
        for (index, request) in expected.iter().enumerate() {
            assert!(batch.request(index, &[]).iter().eq(request.iter().map(Vec::as_slice)));
        }
        decoder.keep_rest(&mut batch, expected.len(), &[]);
        assert_eq!((decoder.pending_bytes(), decoder.has_kept()), (0, false));
    }
}

#[test]
fn errors_are_redis_errors_and_come_after_what_was_complete() {
    use ProtocolError::*;
    let long = vec![b'1'; 64 * 1024 + 1];
    let cases: Vec<(Vec<u8>, ProtocolError)> = vec![
        (b"*x\r\n".to_vec(), InvalidMultibulkLength),
        (b"*3000000000\r\n".to_vec(), InvalidMultibulkLength),
        (b"*99999999999999999999\r\n".to_vec(), InvalidMultibulkLength),
        (b"*\r\n".to_vec(), InvalidMultibulkLength),
        (b"*01\r\n".to_vec(), InvalidMultibulkLength),
        (b"*1\r\nfoo\r\n".to_vec(), ExpectedDollar(b'f')),
        (b"*1\r\n\r\n".to_vec(), ExpectedDollar(b'\r')),
        (b"*2\r\n$3\r\nSET\r\n:3\r\n".to_vec(), ExpectedDollar(b':')),
        (b"*1\r\n$-1\r\n".to_vec(), InvalidBulkLength),
        (b"*1\r\n$x\r\n".to_vec(), InvalidBulkLength),
        (b"*1\r\n$536870913\r\n".to_vec(), InvalidBulkLength),
        (b"*1\r\n$2000000000000000000\r\n".to_vec(), InvalidBulkLength),
        (b"set \"a\r\n".to_vec(), UnbalancedQuotes),
        ([b"*", &long[..]].concat(), TooBigMultibulkCount),
        ([b"*1\r\n$", &long[..]].concat(), TooBigBulkCount),
        (long.clone(), TooBigInline),
    ];
    let before = wire(&[&[b"PING"], &[b"GET", b"k"]]);
    for (bytes, error) in cases {
        let bytes = [&before[..], &bytes].concat();
        for size in [1, 2, 3, 5, 100, bytes.len()] {
            let (requests, _, found) = in_pieces(&bytes, size);
            assert_eq!((requests.len(), found), (2, Some(error)), "in pieces of {size}");
        }
    }
}

#[test]
fn a_line_is_too_long_however_it_arrives() {
    use ProtocolError::*;
    let limits = Limits { inline_bytes_max: 20, ..Limits::default() };
    let cases: [(&[u8], Option<ProtocolError>); 7] = [
        (b"PING 67890123456789\r\n", None),
        (b"PING 678901234567890\r\n", Some(TooBigInline)),
        (b"PING 678901234567890\n", None),
        (b"*1234567890123456789x\r\n", Some(TooBigMultibulkCount)),
        (b"*123456789012345678x\r\n", Some(InvalidMultibulkLength)),
        (b"*1\r\n$1234567890123456789x\r\n", Some(TooBigBulkCount)),
        (b"*1\r\n$123456789012345678x\r\n", Some(InvalidBulkLength)),
    ];
    for (bytes, error) in cases {
        for size in 1..=bytes.len() {
            let (requests, _, found) = run(bytes.chunks(size), &limits, usize::MAX);
            let expected = (usize::from(error.is_none()), error);
            assert_eq!((requests.len(), found), expected, "{} in {size}", bytes.escape_ascii());
        }
    }
}

#[test]
fn an_unauthenticated_connection_is_told_and_may_authenticate_in_the_same_read() {
    let limits = Limits { authenticated: false, ..Limits::default() };
    let many: Vec<&[u8]> = vec![b"x"; 11];
    let long = vec![b'x'; 16 * 1024 + 1];
    let cases: [(&[&[u8]], ProtocolError); 2] = [
        (&many, ProtocolError::UnauthenticatedMultibulkLength),
        (&[b"AUTH", &long], ProtocolError::UnauthenticatedBulkLength),
    ];
    for (request, error) in cases {
        let bytes = wire(&[&[b"AUTH", b"secret"], request, &[b"PING"]]);
        let (mut decoder, mut batch) = (Decoder::new(), Batch::new());
        let result = decoder.decode(&bytes, &limits, &mut batch);
        assert_eq!((result, batch.len()), (Err(error), 1));
        // The first request has authenticated the connection: the rest is tried again.
        decoder.keep_rest(&mut batch, 1, &bytes);
        decoder.decode(&[], &Limits::default(), &mut batch).unwrap();
        assert_eq!(batch.len(), 2);
        assert_eq!(batch.request(0, &[]).len(), request.len());
    }
}

#[test]
fn claims_allocate_nothing() {
    for claim in [&b"*1000000000\r\n"[..], b"*2\r\n$3\r\nSET\r\n$536870912\r\n", b"*2147483647\r\n$0\r\n\r\n"]
    {
        let (mut decoder, mut batch) = (Decoder::new(), Batch::new());
        decoder.decode(claim, &Limits::default(), &mut batch).unwrap();
        decoder.keep_rest(&mut batch, 0, claim);
        assert!(decoder.pending_bytes() < 100);
        assert!(batch.spans.capacity() < 100);
        let partial = decoder.partial.as_ref().unwrap();
        assert!(partial.buffer.capacity() < 1000 && partial.spans.capacity() < 100);
    }
}

#[test]
fn a_full_query_buffer_is_refused() {
    let limits = Limits { query_buffer_max: 100_000, ..Limits::default() };
    let piece = [b'x'; 10_000];
    let first = b"*2\r\n$3\r\nSET\r\n$200000\r\n";
    let pieces = std::iter::once(&first[..]).chain(std::iter::repeat_n(&piece[..], 20));
    assert_eq!(run(pieces, &limits, usize::MAX), (Vec::new(), 0, Some(ProtocolError::QueryBufferFull)));

    let empty = b"$0\r\n\r\n".repeat(1000);
    let pieces = std::iter::once(&b"*1000000\r\n"[..]).chain(std::iter::repeat_n(&empty[..], 100));
    let (_, _, error) = run(pieces, &limits, usize::MAX);
    assert_eq!(error, Some(ProtocolError::QueryBufferFull), "arguments without bytes count too");
}

#[test]
fn a_request_of_very_many_arguments_is_looked_at_once() {
    // A decoder that started over at every read would need hours for this.
    let count = 300_000;
    let mut bytes = format!("*{count}\r\n").into_bytes();
    (0..count).for_each(|_| bytes.extend_from_slice(b"$4\r\nabcd\r\n"));
    let (requests, wire_bytes, error) = in_pieces(&bytes, 64);
    assert_eq!((requests[0].len(), wire_bytes, error), (count, bytes.len(), None));
}

#[test]
fn the_steady_path_reuses_its_room() {
    let bytes = wire(&[&[b"SET", b"key", b"value"], &[b"GET", b"key"]]);
    let (mut decoder, mut batch) = (Decoder::new(), Batch::new());
    let mut rooms = Vec::new();
    for _ in 0..4 {
        let (first, second) = bytes.split_at(bytes.len() - 5);
        for piece in [first, second] {
            decoder.decode(piece, &Limits::default(), &mut batch).unwrap();
            let all = batch.len();
            decoder.keep_rest(&mut batch, all, piece);
        }
        let spare = batch.spare.as_ref().unwrap();
        rooms.push((batch.spans.as_ptr(), batch.requests.as_ptr(), spare.spans.as_ptr()));
        assert_eq!(decoder.pending_bytes(), 0);
    }
    assert_eq!(rooms[1], rooms[3], "the same room serves every read");
}

#[test]
fn mutated_bytes_never_panic_and_split_as_the_whole() {
    let (sample, _) = sample();
    let mut state = 11_u64;
    let mut random = move |bound: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as usize % bound
    };
    // The large argument would take most of the hits: without it the headers do.
    let start = sample.len().min(220);
    let small = [&sample[..start], b"\r\nset a 'b c'\r\n*2\r\n$1\r\na\r\n$12\r\n0123456789ab\r\n"].concat();
    for _ in 0..20_000 {
        let mut bytes = small.clone();
        for _ in 0..1 + random(5) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes[at] = b"0123456789\r\n$*- \"'"[random(18)],
            }
        }
        let size = 1 + random(bytes.len());
        assert_eq!(in_pieces(&bytes, size), whole(&bytes), "{}", bytes.escape_ascii());
    }
}
