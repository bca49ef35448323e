//! Requests and replies from hostile bytes: whatever pieces they arrive in, the same comes out, and no more is held than
//! has arrived. Also the numbers in them, which must survive being written again.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use tenon_fuzz::Choices;
use tenon_resp::{
    Args, Batch, DOUBLE_TEXT_BYTES_MAX, Decoder, INTEGER_TEXT_BYTES_MAX, LARGE_ARGUMENT_BYTES, Limits,
    OwnedArgs, ProtocolError, ReplyDecoder, ReplyError, format_double, format_integer, long_double_add,
    parse_double, parse_integer, write_request,
};

/// What a decoder may hold besides the bytes that arrived: the header of a request that it writes anew.
const HELD_BEYOND_ARRIVED: usize = 64;

fuzz_target!(|input: &[u8]| {
    let Some((bytes, choices)) = Choices::split(input) else { return };
    if choices.is_on(0) { replies(bytes, choices) } else { requests(bytes, choices) }
});

type Request = Vec<Vec<u8>>;

fn requests(bytes: &[u8], choices: Choices) {
    let limits = Limits {
        bulk_bytes_max: if choices.is_on(1) { 100 } else { Limits::default().bulk_bytes_max },
        arguments_max: if choices.is_on(2) { 5 } else { Limits::default().arguments_max },
        inline_bytes_max: if choices.is_on(3) { 60 } else { Limits::default().inline_bytes_max },
        requests_max: if choices.is_on(4) { 2 } else { Limits::default().requests_max },
        authenticated: !choices.is_on(5),
        ..Limits::default()
    };
    let turn = if choices.is_on(6) { 1 } else { usize::MAX };
    let whole = run(&[bytes], &limits, usize::MAX);
    assert_eq!(whole, run(&choices.pieces(bytes), &limits, turn), "in pieces");
    let whole = whole.0;
    let mut written = Vec::new();
    for request in &whole {
        let arguments: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
        write_request(&mut written, OwnedArgs::from(arguments.as_slice()).as_args());
        numbers(&arguments);
    }
    assert_eq!(run(&[&written], &Limits::default(), usize::MAX), (whole, None), "written and read again");
}

/// Feeds `pieces` as a driver would, running at most `turn` requests of each batch.
fn run(pieces: &[&[u8]], limits: &Limits, turn: usize) -> (Vec<Request>, Option<ProtocolError>) {
    let (mut decoder, mut batch, mut requests) = (Decoder::new(), Batch::new(), Vec::new());
    let mut arrived = 0;
    for piece in pieces {
        arrived += piece.len();
        let mut buffer = *piece;
        loop {
            let result = decoder.decode(buffer, limits, &mut batch);
            assert!(batch.len() <= limits.requests_max);
            let executed = turn.min(batch.len());
            requests.extend((0..executed).map(|index| owned(batch.request(index, buffer))));
            if executed == batch.len()
                && let Err(error) = result
            {
                return (requests, Some(error));
            }
            decoder.keep_rest(&mut batch, executed, buffer);
            assert!(decoder.pending_bytes() <= arrived + HELD_BEYOND_ARRIVED, "holds more than arrived");
            buffer = &[];
            if !decoder.has_kept() {
                break;
            }
        }
    }
    (requests, None)
}

fn owned(args: Args<'_>) -> Request {
    assert!(!args.is_empty());
    for index in 0..args.len() {
        assert!(args.get(index).len() < LARGE_ARGUMENT_BYTES || args.take_large(index).is_some());
    }
    args.iter().map(<[u8]>::to_vec).collect()
}

fn numbers(arguments: &[&[u8]]) {
    for argument in arguments {
        if let Some(integer) = parse_integer(argument) {
            assert_eq!(&format_integer(integer, &mut [0; INTEGER_TEXT_BYTES_MAX]), argument);
        }
        if let Some(double) = parse_double(argument) {
            let mut text = [0; DOUBLE_TEXT_BYTES_MAX];
            let again = parse_double(format_double(double, &mut text));
            assert_eq!(again, Some(double), "{}", argument.escape_ascii());
        }
    }
    for pair in arguments.windows(2) {
        if let Ok(sum) = long_double_add(pair[0], pair[1]) {
            let same = long_double_add(sum.as_bytes(), b"0");
            assert!(same.is_ok(), "the sum {sum} is no number");
        }
    }
}

fn replies(bytes: &[u8], choices: Choices) {
    let whole = read_replies(&[bytes]);
    assert_eq!(whole, read_replies(&choices.pieces(bytes)));
}

/// The replies as text, because a reply that is no number equals nothing.
fn read_replies(pieces: &[&[u8]]) -> (Vec<String>, Option<ReplyError>) {
    let (mut decoder, mut replies) = (ReplyDecoder::new(), Vec::new());
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_reply() {
                Ok(Some(reply)) => replies.push(shown(&reply)),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fn shown(reply: &impl Debug) -> String {
    format!("{reply:?}")
}
