//! What commands there are and what they take, as a server says it by COMMAND and COMMAND DOCS.
//! Nothing about commands is written down here: whoever adds one to the server adds it to the run.

use super::pair::Line;
use super::reply::Reply;

/// Families whose commands are called.
const GROUPS: [&str; 10] =
    ["string", "bitmap", "hyperloglog", "list", "hash", "set", "sorted-set", "geo", "stream", "generic"];
/// Commands of other families that belong to histories of data.
const ALSO: [&str; 6] = ["multi", "exec", "discard", "watch", "unwatch", "publish"];

/// One command or subcommand.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// `get`, or `xgroup|create`.
    pub(super) name: String,
    pub(super) group: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) may_block: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Integer,
    Double,
    UnixTime,
    Pattern,
    Text,
    PureToken,
    OneOf,
    Block,
}

/// One argument of COMMAND DOCS.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) token: Option<String>,
    pub(super) is_optional: bool,
    pub(super) is_multiple: bool,
    pub(super) repeats_token: bool,
    pub(super) parts: Vec<Argument>,
}

/// The data commands of the server behind `line`, sorted by name.
pub(super) fn read(line: &mut Line) -> Result<Vec<Command>, String> {
    let docs = line.ask(&["COMMAND", "DOCS"])?;
    let blocking = names_with_flag(line, "blocking")?;
    let mut commands = Vec::new();
    for pair in docs.elements().chunks_exact(2) {
        add(&mut commands, &pair[0].text(), &pair[1]);
    }
    for command in &mut commands {
        command.may_block = blocking.contains(&command.name) || command.name == "wait";
    }
    commands.sort_by(|left, right| left.name.cmp(&right.name));
    if commands.is_empty() {
        return Err("COMMAND DOCS: found no data command".to_owned());
    }
    Ok(commands)
}

/// The names of all commands and subcommands of the server behind `line`.
pub(super) fn names(line: &mut Line) -> Result<Vec<String>, String> {
    Ok(line.ask(&["COMMAND", "LIST"])?.elements().iter().map(Reply::text).collect())
}

fn names_with_flag(line: &mut Line, flag: &str) -> Result<Vec<String>, String> {
    let entries = line.ask(&["COMMAND"])?;
    let has = |entry: &&Reply| {
        let flags = entry.elements().get(2);
        flags.is_some_and(|flags| flags.elements().iter().any(|found| found.bytes() == flag.as_bytes()))
    };
    let name = |entry: &Reply| entry.elements().first().map(Reply::text).unwrap_or_default();
    Ok(entries.elements().iter().filter(has).map(name).collect())
}

/// Adds a command, or instead of a container its subcommands.
fn add(commands: &mut Vec<Command>, name: &str, docs: &Reply) {
    if let Some(subcommands) = field(docs, "subcommands") {
        for pair in subcommands.elements().chunks_exact(2) {
            add(commands, &pair[0].text(), &pair[1]);
        }
        return;
    }
    let group = field(docs, "group").map(Reply::text).unwrap_or_default();
    // HELP says in each server's own words what there is.
    let is_wanted = GROUPS.contains(&group.as_str()) || ALSO.contains(&name);
    if is_wanted && !name.ends_with("|help") {
        let arguments = arguments(docs);
        commands.push(Command { name: name.to_owned(), group, arguments, may_block: false });
    }
}

fn arguments(docs: &Reply) -> Vec<Argument> {
    field(docs, "arguments").map_or(&[][..], Reply::elements).iter().map(argument).collect()
}

fn argument(docs: &Reply) -> Argument {
    let text = |name| field(docs, name).map(Reply::text);
    let kind = match text("type").as_deref() {
        Some("key") => Kind::Key,
        Some("integer") => Kind::Integer,
        Some("double") => Kind::Double,
        Some("unix-time") => Kind::UnixTime,
        Some("pattern") => Kind::Pattern,
        Some("pure-token") => Kind::PureToken,
        Some("oneof") => Kind::OneOf,
        Some("block") => Kind::Block,
        _ => Kind::Text,
    };
    let flags: Vec<String> =
        field(docs, "flags").map_or(&[][..], Reply::elements).iter().map(Reply::text).collect();
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    Argument {
        name: text("name").unwrap_or_default(),
        kind,
        token: text("token"),
        is_optional: has("optional"),
        is_multiple: has("multiple"),
        repeats_token: has("multiple_token"),
        parts: arguments(docs),
    }
}

/// The value of `name` in a map, in either protocol's shape.
pub(super) fn field<'a>(map: &'a Reply, name: &str) -> Option<&'a Reply> {
    map.elements().chunks_exact(2).find(|pair| pair[0].bytes() == name.as_bytes()).map(|pair| &pair[1])
}
