//! What one seed of the damage scenario is about: how the files are written, and how they are read.

use tenon_base::Dice;

use crate::server::Directives;
use crate::workload::Taste;

/// Where the engine has its files.
pub(super) const DATA: &str = "/data";

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) directives: Directives,
    /// A log is written; else a dump.
    pub(super) is_log: bool,
    /// Checksums cover everything but the manifest.
    pub(super) is_covered: bool,
    /// All that the data is made of is in the files: version 9 of RDB has no room for all figures of a stream.
    pub(super) is_faithful: bool,
    pub(super) requests: u64,
    /// Requests after which the log is rewritten.
    pub(super) rewrite_at: Vec<u64>,
    /// About so many requests are one batch.
    pub(super) pipeline: u64,
    pub(super) taste: Taste,
}

impl Plan {
    pub(super) fn draw(dice: &mut Dice) -> Plan {
        let is_log = dice.below(3) > 0;
        let is_covered = dice.below(4) > 0;
        let requests = 10 + dice.below(90);
        let version = one_of(dice, &["9", "10", "11"]);
        let rewrites = if is_log { dice.below(3) } else { 0 };
        Plan {
            is_faithful: version != "9",
            directives: directives(dice, is_log, is_covered, version),
            is_log,
            is_covered,
            requests,
            rewrite_at: (0..rewrites).map(|_| dice.below(requests)).collect(),
            pipeline: 1 + dice.below(8),
            // What expires while nobody looks would make a moment that nobody has seen.
            taste: Taste { keys: 1 + dice.below(5), scripts: false, expiries: false },
        }
    }
}

/// How the files are written.
fn directives(dice: &mut Dice, is_log: bool, is_covered: bool, version: String) -> Directives {
    let checksums = yes_no(is_covered);
    let small = one_of(dice, &["2", "16", "128"]);
    let mut directives = common(is_log);
    directives.extend([
        ("appendfsync", one_of(dice, &["always", "everysec", "no"])),
        ("aof-checksum", checksums.clone()),
        ("rdbchecksum", checksums),
        ("aof-use-rdb-preamble", yes_no(dice.below(3) > 0)),
        ("aof-timestamp-enabled", yes_no(dice.below(4) == 0)),
        ("rdbcompression", yes_no(dice.below(2) == 0)),
        ("rdb-version", version),
        ("hash-max-listpack-entries", small.clone()),
        ("set-max-listpack-entries", small.clone()),
        ("set-max-intset-entries", small.clone()),
        ("zset-max-listpack-entries", small),
        ("list-max-listpack-size", one_of(dice, &["-2", "2", "-1"])),
        ("stream-node-max-entries", one_of(dice, &["2", "100"])),
    ]);
    directives
}

/// How files are read, whoever wrote them.
pub(super) fn start_directives(is_log: bool, dice: &mut Dice) -> Directives {
    let mut directives = common(is_log);
    let is_cut_if_torn = dice.below(4) > 0;
    let is_cut_if_damaged = dice.below(3) == 0;
    directives.extend([
        ("aof-load-truncated", yes_no(is_cut_if_torn)),
        ("aof-load-corrupt-tail-max-size", if is_cut_if_damaged { "100000" } else { "0" }.to_owned()),
    ]);
    directives
}

fn common(is_log: bool) -> Directives {
    vec![
        ("dir", DATA.to_owned()),
        ("protected-mode", yes_no(false)),
        ("databases", "4".to_owned()),
        ("save", String::new()),
        ("appendonly", yes_no(is_log)),
        ("auto-aof-rewrite-percentage", "0".to_owned()),
    ]
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn one_of(dice: &mut Dice, choices: &[&str]) -> String {
    choices[dice.below(choices.len() as u64) as usize].to_owned()
}
