//! XREAD and XREADGROUP: what came behind an ID, from several streams at once; maybe it is waited for.
//! Always: all streams, groups and IDs are right before anything is delivered or replied.

use tenon_keyspace::{Kind, Stream, StreamId};
use tenon_resp::{Args, Deferred, OwnedArgs, Proto, Reply};

use super::delivery::{Reader, Wish};
use super::effect::mark;
use super::entries::write_entries;
use super::id::parse_id;
use crate::room::with_room;
use crate::{CommandError, Context, Empty, Outcome, Wait, Words, quoted, timeout_in_milliseconds};

pub(super) fn xread(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let request = Request::parse(ctx, args, None)?;
    with_room(request.streams, StreamId::MIN, |ids| {
        let mut served = Served::new();
        for (index, after) in ids.iter_mut().enumerate() {
            let (key, word) = (request.key(index), request.id(index));
            let stream = ctx.db.stream(key)?;
            *after = parse_after(stream, word)?;
            // With one stream alone, nothing that follows can be wrong.
            if let (1, Some(stream)) = (request.streams, stream) {
                served.write(&mut ctx.reply, key, stream, *after, request.count);
            }
        }
        if request.streams > 1 {
            for (index, &after) in ids.iter().enumerate() {
                let key = request.key(index);
                if let Some(stream) = ctx.db.stream(key)? {
                    served.write(&mut ctx.reply, key, stream, after, request.count);
                }
            }
        }
        if served.finish(&mut ctx.reply) {
            return Ok(());
        }
        let has_open = (0..request.streams).any(|index| request.id(index) == b"$");
        let resolved = (request.timeout.is_some() && has_open).then(|| request.resolved(ids));
        request.wait(ctx, false, resolved)
    })
}

pub(super) fn xreadgroup(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let mut reader = Reader::default();
    let request = Request::parse(ctx, args, Some(&mut reader))?;
    with_room(request.streams, Wish::New, |wishes| {
        for (index, wish) in wishes.iter_mut().enumerate() {
            *wish = parse_wish(ctx, &request, &reader, index)?;
        }
        // What it did is told by requests of its own.
        ctx.db.unit.propagate_nothing();
        let mut served = Served::new();
        for (index, &wish) in wishes.iter().enumerate() {
            let key = request.key(index);
            let changes = reader.deliver(ctx, key, wish, request.count, &mut served)?;
            mark(ctx, key, changes);
        }
        if served.finish(&mut ctx.reply) {
            return Ok(());
        }
        request.wait(ctx, true, None)
    })
}

/// What is asked for, apart from the group.
struct Request<'a> {
    args: Args<'a>,
    /// How many entries of each stream at most.
    count: usize,
    /// `None`: does not wait. `Some(None)`: waits for ever.
    timeout: Option<Option<u64>>,
    /// Where the first key is.
    first: usize,
    streams: usize,
}

impl<'a> Request<'a> {
    fn parse(
        ctx: &Context<'_>,
        args: Args<'a>,
        mut reader: Option<&mut Reader<'a>>,
    ) -> Result<Request<'a>, CommandError> {
        let mut request = Request { args, count: usize::MAX, timeout: None, first: 0, streams: 0 };
        let mut index = 1;
        while index < args.len() {
            let more = args.len() - index - 1;
            if args.is(index, "BLOCK") && more > 0 {
                if ctx.db.unit.is_scripted() {
                    let name = String::from_utf8_lossy(args.get(0)).into_owned();
                    let text = format!("ERR {name} command is not allowed with BLOCK option from scripts");
                    return Err(CommandError::Text(text.into()));
                }
                index += 1;
                request.timeout = Some(timeout_in_milliseconds(args, index, ctx.db.now())?);
            } else if args.is(index, "COUNT") && more > 0 {
                index += 1;
                let count = usize::try_from(args.integer(index)?).unwrap_or(0);
                request.count = if count == 0 { usize::MAX } else { count };
            } else if args.is(index, "STREAMS") && more > 0 {
                if !more.is_multiple_of(2) {
                    return Err(unbalanced(reader.is_some()));
                }
                (request.first, request.streams) = (index + 1, more / 2);
                break;
            } else if args.is(index, "GROUP") && more >= 2 {
                let reader = reader.as_deref_mut().ok_or(GROUP_WITHOUT_GROUP)?;
                (reader.group, reader.consumer) = (Some(args.get(index + 1)), args.get(index + 2));
                index += 2;
            } else if args.is(index, "NOACK") {
                reader.as_deref_mut().ok_or(NOACK_WITHOUT_GROUP)?.acknowledges = true;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if request.streams == 0 {
            return Err(CommandError::Syntax);
        }
        if reader.is_some_and(|reader| reader.group.is_none()) {
            return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(request)
    }

    fn key(&self, index: usize) -> &'a [u8] {
        self.args.get(self.first + index)
    }

    fn id(&self, index: usize) -> &'a [u8] {
        self.args.get(self.first + self.streams + index)
    }

    /// The request with `$` replaced: what comes while it waits is new.
    fn resolved(&self, ids: &[StreamId]) -> OwnedArgs {
        let mut words = OwnedArgs::new();
        for (at, word) in self.args.iter().enumerate() {
            match at.checked_sub(self.first + self.streams) {
                Some(index) if word == b"$" => words.push(ids[index].text().as_bytes()),
                _ => words.push(word),
            }
        }
        words
    }

    /// There is nothing: waits for something, or says so.
    fn wait(&self, ctx: &mut Context<'_>, wakes_when_gone: bool, request: Option<OwnedArgs>) -> Outcome {
        let Some(timeout) = self.timeout else {
            ctx.reply.null_array();
            return Ok(());
        };
        let keys = (0..self.streams).map(|index| self.key(index).into()).collect();
        let empty = Empty::NullArray;
        ctx.wait(Wait { keys, kind: Kind::Stream, timeout, wakes_when_gone, request, empty })
    }
}

const GROUP_WITHOUT_GROUP: CommandError =
    CommandError::text("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NOACK_WITHOUT_GROUP: CommandError =
    CommandError::text("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");

fn unbalanced(is_group: bool) -> CommandError {
    CommandError::text(if is_group {
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
    } else {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
    })
}

/// The ID behind which XREAD begins.
fn parse_after(stream: Option<&Stream>, word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.last_id())),
        b">" => Err(CommandError::text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => parse_id(word),
    }
}

/// What XREADGROUP is to deliver of the stream at `index`, whose group must exist.
fn parse_wish(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    reader: &Reader<'_>,
    index: usize,
) -> Result<Wish, CommandError> {
    let stream = ctx.db.stream(request.key(index))?;
    if stream.and_then(|stream| stream.group(reader.group_name())).is_none() {
        let key = quoted(request.key(index));
        let group = quoted(reader.group_name());
        return Err(CommandError::Text(
            format!(
                "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
            )
            .into(),
        ));
    }
    match request.id(index) {
        b"$" => Err(CommandError::text(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
             consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return \
             an empty result set.",
        )),
        b">" => Ok(Wish::New),
        word => Ok(match parse_id(word)? {
            // The last ID of all stands for `>`, as in Redis.
            StreamId::MAX => Wish::New,
            id => Wish::Pending { after: id },
        }),
    }
}

/// The streams that are served, as they are written.
pub(super) struct Served {
    head: Option<Deferred>,
    streams: usize,
}

impl Served {
    fn new() -> Served {
        Served { head: None, streams: 0 }
    }

    /// Begins one more stream: its name is written, its entries are to follow.
    pub(super) fn begin(&mut self, reply: &mut Reply<'_>, key: &[u8]) {
        let is_map = reply.proto() == Proto::Resp3;
        if self.head.is_none() {
            self.head = Some(if is_map { reply.defer_map() } else { reply.defer_array() });
        }
        if !is_map {
            reply.array(2);
        }
        reply.bulk(key);
        self.streams += 1;
    }

    /// Writes up to `count` entries behind `after`, if there are any.
    fn write(&mut self, reply: &mut Reply<'_>, key: &[u8], stream: &Stream, after: StreamId, count: usize) {
        if after >= stream.last_id() {
            return;
        }
        let Some(start) = after.next() else { return };
        // The last ID may be that of an entry that is gone.
        if stream.range(start, StreamId::MAX).next().is_none() {
            return;
        }
        self.begin(reply, key);
        write_entries(reply, stream.range(start, StreamId::MAX), count);
    }

    /// Ends the reply; `false` if nothing is served and nothing was written.
    fn finish(self, reply: &mut Reply<'_>) -> bool {
        if let Some(head) = self.head {
            reply.finish(head, self.streams);
            return true;
        }
        false
    }
}
