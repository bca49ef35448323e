//! DEBUG PROTOCOL and ERROR, replies for those who write clients, and STRINGMATCH-TEST. Nothing of the server's data is
//! in them.

use tenon_base::{Dice, glob_matches};
use tenon_commands::{CommandError, Outcome};
use tenon_resp::{Args, Proto};

use super::ServerContext;

pub(super) fn error(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.reply().error_bytes(args.get(2));
    Ok(())
}

#[expect(clippy::approx_constant, reason = "the example that test suites know")]
pub(super) fn protocol(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let name = args.get(2).to_ascii_lowercase();
    let mut reply = context.reply();
    match &name[..] {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12_345),
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if reply.proto() == Proto::Resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if reply.proto() == Proto::Resp2 => {
            return Err(CommandError::text("ERR RESP2 is not supported by this command"));
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => {
            return Err(CommandError::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

/// Patterns tried, and how long they and their texts are at most.
const PATTERNS: usize = 100_000;
const PATTERN_BYTES: u64 = 16;

pub(super) fn match_patterns(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let (mut pattern, mut text) = (Vec::new(), Vec::new());
    let mut found = 0;
    for _ in 0..PATTERNS {
        scribble(&mut pattern, &mut context.engine.dice, b"*?[]^-\\abc");
        scribble(&mut text, &mut context.engine.dice, b"abc-");
        found += usize::from(glob_matches(&pattern, &text));
    }
    context.reply().simple(&format!("{found} of {PATTERNS} patterns matched, and none went astray"));
    Ok(())
}

fn scribble(text: &mut Vec<u8>, dice: &mut Dice, letters: &[u8]) {
    let length = dice.roll() % PATTERN_BYTES;
    text.clear();
    text.extend((0..length).map(|_| letters[dice.roll() as usize % letters.len()]));
}
