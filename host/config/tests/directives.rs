//! Holds `host/DIRECTIVES.md` against the table of directives.
//! Always: run with `TENON_UPDATE=1` it writes the file anew instead; what is written by hand stays.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use tenon_config::{Config, Directive, Effect};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../DIRECTIVES.md");
const BEGIN: &str =
    "<!-- the table: cargo test -p tenon-config --test directives, with TENON_UPDATE=1 to renew it -->\n";

#[test]
fn the_document_says_what_the_table_says() {
    let text = fs::read_to_string(FILE).expect("the document is there");
    let by_hand = text.split(BEGIN).next().unwrap_or_default();
    let wanted = format!("{by_hand}{BEGIN}{}", table());
    if env::var_os("TENON_UPDATE").is_some() {
        fs::write(FILE, wanted).expect("the document can be written");
        return;
    }
    assert!(text == wanted, "host/DIRECTIVES.md is not what the table says: renew it with TENON_UPDATE=1");
}

/// What redis.conf does not explain is explained by hand.
#[test]
fn our_own_directives_are_explained() {
    let text = fs::read_to_string(FILE).expect("the document is there");
    let by_hand = text.split(BEGIN).next().unwrap_or_default();
    for name in OWN {
        assert!(Directive::find(name.as_bytes()).is_some(), "there is no {name}");
        assert!(by_hand.contains(&format!("| `{name}` |")), "{name} is not explained");
    }
}

/// What the table says of a directive is so: what acts is read somewhere, and what is said not to is not.
#[test]
fn what_acts_is_read_and_nothing_else() {
    let mut sources = String::new();
    gather(concat!(env!("CARGO_MANIFEST_DIR"), "/..").as_ref(), &mut sources);
    // `Directive::Port` is no `Directive::PortOfSomething`.
    let is_read = |name: &str| {
        let mut found = sources.match_indices(name).map(|(at, _)| sources[at + name.len()..].chars().next());
        found.any(|next| next.is_none_or(|next| !next.is_alphanumeric()))
    };
    for directive in Directive::ALL {
        // Asking for a cluster is answered by a refusal.
        let is_odd = directive == Directive::ClusterEnabled;
        let acts = directive.row().effect == Effect::Acts;
        assert!(
            is_odd || is_read(&format!("Directive::{directive:?}")) == acts,
            "{}: what the table says of its effect is not what the sources do",
            directive.name()
        );
    }
}

/// The house's sources, but for its tests and the table itself.
fn gather(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).expect("the house is there").map_while(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "tests" && name != "target" {
            gather(&path, sources);
        } else if path.extension().is_some_and(|end| end == "rs") && name != "tests.rs" && name != "table.rs"
        {
            sources.push_str(&fs::read_to_string(&path).expect("a source is text"));
        }
    }
}

/// Directives that Redis 7.2 does not have.
const OWN: [&str; 20] = [
    "metrics-port",
    "metrics-bind",
    "log-format",
    "rdb-version",
    "snapshot-memory-max",
    "backup-directory",
    "backup-bytes-per-second",
    "aof-checksum",
    "aof-load-corrupt-tail-max-size",
    "aof-pending-max",
    "aof-stall-timeout",
    "repl-sync-delay-max",
    "dual-channel-replication-enabled",
    "replica-follow-empty-primary",
    "replica-serve-unsynced",
    "policy-directory",
    "policy-fsync",
    "policy-snapshot",
    "policy-fsync-shadow",
    "policy-fsync-ceiling-ms",
];

fn table() -> String {
    let default = Config::default();
    let mut rows: Vec<Directive> = Directive::ALL.to_vec();
    rows.sort_by_key(|directive| directive.name());
    let mut text =
        String::from("\n| directive | default | while it runs | effect |\n| --- | --- | --- | --- |\n");
    for directive in rows {
        let row = directive.row();
        let printed = String::from_utf8_lossy(&default.printed(directive)).replace('|', "\\|");
        let printed = if printed.is_empty() { "none".to_owned() } else { format!("`{printed}`") };
        let alias = row.alias.map(|alias| format!(" (`{alias}`)")).unwrap_or_default();
        let change = if row.mutable { "CONFIG SET" } else { "fixed" };
        let effect = match row.effect {
            Effect::Acts => "acts".to_owned(),
            Effect::Later => "accepted; nothing reads it yet".to_owned(),
            Effect::Meaningless(why) => format!("accepted; no meaning here: {why}"),
        };
        writeln!(text, "| `{}`{alias} | {printed} | {change} | {effect} |", row.name).expect("a string");
    }
    text
}
