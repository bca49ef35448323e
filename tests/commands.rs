//! The table of commands as COMMAND tells it, held against redis-server 7.0.15: every data command, field by field.
//! The specification is 7.2.4; what it changed is an exception below, with its reason.
//! Always: a command that is missing and not listed fails, and so does one whose description is wrong.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use tenon_base::split_words;

use support::client::Client;
use support::reply::Reply;
use support::server::Server;
use support::tools;

/// Families whose commands must all be there and equal.
const GROUPS: [&str; 10] =
    ["string", "bitmap", "hyperloglog", "list", "hash", "set", "sorted-set", "geo", "stream", "generic"];

/// Data commands that are still to come. A name goes when its command is there.
const MISSING: &[&str] = &[];

/// A field of a command that 7.2.4 describes otherwise than 7.0.15: command, field, what 7.2.4 says, and why.
const CHANGED: &[(&str, &str, &str, &str)] = &[
    ("blmove", "flags", "1~ blocking 2~ denyoom 3~ write", "7.2 lets scripts call it"),
    ("blpop", "flags", "1~ blocking 2~ write", "7.2 lets scripts call it"),
    ("brpop", "flags", "1~ blocking 2~ write", "7.2 lets scripts call it"),
    ("brpoplpush", "flags", "1~ blocking 2~ denyoom 3~ write", "7.2 lets scripts call it"),
    ("bzpopmax", "flags", "1~ blocking 2~ fast 3~ write", "7.2 lets scripts call it"),
    ("bzpopmin", "flags", "1~ blocking 2~ fast 3~ write", "7.2 lets scripts call it"),
    ("wait", "flags", "(empty set)", "7.2 lets scripts call it"),
    ("msetnx", "tips", "(empty set)", "7.2 has no policy for a command that sets all or nothing"),
    (
        "randomkey",
        "tips",
        "1~ \"nondeterministic_output\" 2~ \"request_policy:all_shards\" 3~ \"response_policy:special\"",
        "7.2 says how a proxy joins the replies",
    ),
    (
        "scan",
        "tips",
        "1~ \"nondeterministic_output\" 2~ \"request_policy:special\" 3~ \"response_policy:special\"",
        "7.2 says how a proxy joins the replies",
    ),
    ("zrank", "arity", "(integer) -3", "7.2 takes WITHSCORE"),
    ("zrevrank", "arity", "(integer) -3", "7.2 takes WITHSCORE"),
];

/// Words that a command takes in one version only: command, words, and why.
const TOKENS: &[(&str, &str, &str)] = &[
    ("bitop", "AND OR XOR NOT", "7.2 names the operations"),
    ("zrank", "WITHSCORE", "came with 7.2"),
    ("zrevrank", "WITHSCORE", "came with 7.2"),
];

/// Commands that 7.2 calls deprecated, in favour of SET's options, and 7.0 did not yet.
const DEPRECATED_LATER: [&str; 3] = ["psetex", "setex", "setnx"];

/// Requests whose keys both servers must find alike.
const KEYS_OF: &[&str] = &[
    "GET k",
    "SET k v",
    "SET k v GET",
    "SET k v NX GET EX 10",
    "MSET a 1 b 2",
    "MSETNX a 1 b 2",
    "GETEX k PERSIST",
    "DEL a b c",
    "RENAME a b",
    "COPY a b REPLACE",
    "MOVE k 1",
    "OBJECT ENCODING k",
    "LMPOP 2 a b LEFT",
    "LMPOP 3 a b LEFT",
    "LMPOP x a b LEFT",
    "LMOVE a b LEFT RIGHT",
    "SMOVE a b m",
    "SINTERCARD 2 a b LIMIT 1",
    "SINTERCARD 0 a",
    "SUNIONSTORE d a b",
    "SDIFF a b",
    "ZADD k 1 m",
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
    "ZUNION 2 a b",
    "ZINTERSTORE d 9 a b",
    "ZDIFF 1 a",
    "ZRANGESTORE d s 0 -1",
    "ZMPOP 2 a b MIN COUNT 3",
    "HSET h f v",
    "LCS a b LEN",
    "PING x",
    "GET a b",
    "NOSUCH k",
    "SORT k",
    "SORT k STORE d",
    "SORT k BY w_* GET # STORE d LIMIT 0 1",
    "SORT k STORE d STORE e",
    "SORT_RO k BY w_*",
    "MIGRATE 127.0.0.1 1 k 0 10",
    "MIGRATE 127.0.0.1 1 \"\" 0 10 KEYS a b",
    "BITOP AND d a b",
    "BITFIELD k GET u8 0",
    "BITFIELD k SET u8 0 1",
    "BITFIELD k GET u8 0 INCRBY u8 0 1",
    "BITFIELD_RO k GET u8 0",
    "PFCOUNT a b",
    "PFMERGE d a b",
    "PFDEBUG ENCODING k",
    "GEORADIUS k 1 2 3 km",
    "GEORADIUS k 1 2 3 km STORE d",
    "GEORADIUSBYMEMBER k m 3 km STOREDIST d STORE e",
    "GEOSEARCHSTORE d s FROMMEMBER m BYRADIUS 1 km",
    "XADD x * f v",
    "XREAD STREAMS a b 0 0",
    "XREAD COUNT 1 BLOCK 5 STREAMS a 0",
    "XREAD STREAMS a b 0",
    "XREADGROUP GROUP g c STREAMS a b > >",
    "XGROUP CREATE x g $",
    "XINFO STREAM x",
    "XCLAIM x g c 0 1-1",
    "BLPOP a b 0",
    "BLMPOP 0 2 a b LEFT",
    "BZMPOP 0 2 a b MIN",
    "BZPOPMIN a 0",
    "BLMOVE a b LEFT RIGHT 0",
    "WATCH a b",
    "EVAL x 2 a b c",
    "TOUCH a",
    "RESTORE k 0 x",
    "WAIT 0 0",
];

#[test]
fn every_data_command_is_described_as_redis_describes_it() {
    let Some(servers) = Servers::start() else { return };
    let groups = groups(&mut servers.redis.client());
    let (ours, theirs) = (entries(&servers.tenon), entries(&servers.redis));
    let mut problems = Vec::new();
    let mut missing = Vec::new();
    for (name, expected) in &theirs {
        let parent = name.split('|').next().unwrap_or(name);
        if !groups.get(parent).is_some_and(|group| GROUPS.contains(&group.as_str())) {
            continue;
        }
        let Some(found) = ours.get(name) else {
            missing.push(name.as_str());
            continue;
        };
        for (field, expected) in expected {
            let changed = CHANGED.iter().find(|(command, known, ..)| command == name && known == field);
            let expected = changed.map_or(expected.as_str(), |(_, _, text, _)| text);
            if found[field] != expected {
                problems
                    .push(format!("{name}, {field}:\n  found    {}\n  expected {expected}", found[field]));
            }
        }
    }
    let come: Vec<&&str> = MISSING.iter().filter(|name| ours.contains_key(**name)).collect();
    if !come.is_empty() {
        tools::tell(&format!("these are there now and can leave the list MISSING: {come:?}"));
    }
    missing.retain(|name| !MISSING.contains(name));
    assert!(problems.is_empty() && missing.is_empty(), "missing: {missing:?}\n{}", problems.join("\n"));
}

#[test]
fn every_data_command_is_documented_as_redis_documents_it() {
    let Some(servers) = Servers::start() else { return };
    let (ours, theirs) = (documents(&servers.tenon), documents(&servers.redis));
    let mut problems = Vec::new();
    for (name, expected) in &theirs {
        let Some(found) = ours.get(name) else { continue };
        if !GROUPS.contains(&expected.group.as_str()) {
            continue;
        }
        let mut hold = |what: &str, found: String, expected: String| {
            if found != expected {
                problems.push(format!("{name}, {what}: found {found}; expected {expected}"));
            }
        };
        hold("group", found.group.clone(), expected.group.clone());
        hold("since", found.since.clone(), expected.since.clone());
        if !DEPRECATED_LATER.contains(&name.as_str()) {
            hold("deprecated since", found.deprecated_since.clone(), expected.deprecated_since.clone());
            hold("flags", found.flags.clone(), expected.flags.clone());
        }
        // 7.2 remembers more than 7.0 could.
        let known: Vec<&String> = found.history.iter().filter(|since| !since.starts_with("7.2")).collect();
        hold("history", format!("{known:?}"), format!("{:?}", expected.history));
        let is_exception = |token: &&String| {
            TOKENS.iter().any(|(command, words, _)| {
                command == name && words.split(' ').any(|word| word == token.as_str())
            })
        };
        let differing: Vec<&String> = found
            .tokens
            .symmetric_difference(&expected.tokens)
            .filter(|token| !is_exception(token))
            .collect();
        hold("words in one version only", format!("{differing:?}"), "[]".to_owned());
        for (what, is_there) in [("summary", found.has_summary), ("complexity", found.has_complexity)] {
            hold(what, is_there.to_string(), "true".to_owned());
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn keys_of_requests_are_found_as_redis_finds_them() {
    let Some(servers) = Servers::start() else { return };
    let (mut tenon, mut redis) = (servers.tenon.client(), servers.redis.client());
    let known = entries(&servers.tenon);
    for request in KEYS_OF {
        let request_words = split_words(request.as_bytes()).expect("well-formed samples");
        let name = String::from_utf8_lossy(&request_words[0]).to_lowercase();
        if name != "nosuch" && !known.contains_key(&name) {
            continue;
        }
        for subcommand in ["GETKEYS", "GETKEYSANDFLAGS"] {
            let mut words = vec![b"COMMAND".to_vec(), subcommand.as_bytes().to_vec()];
            words.extend(request_words.iter().cloned());
            let (found, expected) = (tenon.command(&words), redis.command(&words));
            assert_eq!(found.to_string(), expected.to_string(), "COMMAND {subcommand} {request}");
        }
    }
}

/// Both servers.
struct Servers {
    tenon: Server,
    redis: Server,
}

impl Servers {
    fn start() -> Option<Servers> {
        let redis = Server::redis(&["--save", ""])?;
        Some(Servers { tenon: Server::tenon(&["--save", ""]), redis })
    }
}

/// Every command and subcommand by its full name: its fields as texts, sets in an order of their own.
fn entries(server: &Server) -> BTreeMap<String, BTreeMap<&'static str, String>> {
    let mut client = server.client();
    client.command(&["HELLO", "3"]);
    let mut all = BTreeMap::new();
    for entry in client.command(&["COMMAND"]).elements() {
        add_entry(&mut all, entry);
    }
    all
}

fn add_entry(all: &mut BTreeMap<String, BTreeMap<&'static str, String>>, entry: &Reply) {
    let fields = entry.elements();
    let line = |reply: &Reply| reply.clone().sorted().to_string().replace('\n', " ");
    let mut texts = BTreeMap::new();
    for (at, name) in [(1, "arity"), (3, "first key"), (4, "last key"), (5, "step")] {
        texts.insert(name, fields[at].to_string());
    }
    for (at, name) in [(2, "flags"), (6, "categories"), (7, "tips")] {
        texts.insert(name, line(&fields[at]));
    }
    let specs: Vec<String> = fields[8].elements().iter().map(|spec| line(&without_notes(spec))).collect();
    texts.insert("key specifications", specs.join(" / "));
    let mut children: Vec<String> =
        fields[9].elements().iter().map(|child| child.elements()[0].text()).collect();
    children.sort();
    texts.insert("subcommands", children.join(" "));
    all.insert(fields[0].text(), texts);
    fields[9].elements().iter().for_each(|child| add_entry(all, child));
}

/// Notes are in each server's own words.
fn without_notes(spec: &Reply) -> Reply {
    let Reply::Map(pairs) = spec else { panic!("found {spec}; expected a map") };
    let kept = pairs.iter().filter(|(name, _)| name.text() != "notes");
    Reply::Map(kept.map(|(name, value)| (name.clone(), value.clone().sorted())).collect())
}

/// The family of each command.
fn groups(client: &mut Client) -> BTreeMap<String, String> {
    client.command(&["HELLO", "3"]);
    let docs = client.command(&["COMMAND", "DOCS"]);
    let group = |docs: &Reply| field(docs, "group").map(Reply::text).unwrap_or_default();
    pairs(&docs).iter().map(|(name, docs)| (name.text(), group(docs))).collect()
}

/// What COMMAND DOCS tells of one command.
#[derive(Default)]
struct Document {
    group: String,
    since: String,
    deprecated_since: String,
    flags: String,
    history: Vec<String>,
    tokens: BTreeSet<String>,
    has_summary: bool,
    has_complexity: bool,
}

fn documents(server: &Server) -> BTreeMap<String, Document> {
    let mut client = server.client();
    client.command(&["HELLO", "3"]);
    let mut all = BTreeMap::new();
    for (name, docs) in pairs(&client.command(&["COMMAND", "DOCS"])) {
        add_document(&mut all, &name.text(), docs);
    }
    all
}

fn add_document(all: &mut BTreeMap<String, Document>, name: &str, docs: &Reply) {
    let text = |name| field(docs, name).map(Reply::text).unwrap_or_default();
    let subcommands = field(docs, "subcommands");
    let is_said = |name| field(docs, name).is_some_and(|text| !text.text().is_empty());
    let mut document = Document {
        group: text("group"),
        since: text("since"),
        deprecated_since: text("deprecated_since"),
        flags: field(docs, "doc_flags").map(|flags| flags.clone().sorted().to_string()).unwrap_or_default(),
        history: Vec::new(),
        tokens: BTreeSet::new(),
        has_summary: is_said("summary"),
        // A container does nothing itself.
        has_complexity: is_said("complexity") || subcommands.is_some(),
    };
    let changes = field(docs, "history").map_or(&[][..], Reply::elements);
    document.history = changes.iter().map(|change| change.elements()[0].text()).collect();
    add_tokens(&mut document.tokens, docs);
    all.insert(name.to_owned(), document);
    for (name, docs) in subcommands.map(pairs).unwrap_or_default() {
        add_document(all, &name.text(), docs);
    }
}

fn add_tokens(tokens: &mut BTreeSet<String>, docs: &Reply) {
    for argument in field(docs, "arguments").map_or(&[][..], Reply::elements) {
        tokens.extend(field(argument, "token").map(Reply::text));
        add_tokens(tokens, argument);
    }
}

fn pairs(map: &Reply) -> &[(Reply, Reply)] {
    match map {
        Reply::Map(pairs) => pairs,
        other => panic!("found {other}; expected a map"),
    }
}

fn field<'a>(map: &'a Reply, name: &str) -> Option<&'a Reply> {
    pairs(map).iter().find(|(known, _)| known.text() == name).map(|(_, value)| value)
}
