//! What one seed of the crash scenario is about: a configuration, clients, a disk, and when it crashes.

use tenon_base::{Dice, Micros};

use crate::disk::Trouble;
use crate::lanes::Pace;
use crate::server::Directives;
use crate::workload::Taste;

/// How old an acknowledged change may be under `everysec` before it is safe, but for the time that fsyncs take.
pub(super) const EVERY_SECOND_BOUND: Micros = Micros(2_100_000);

/// `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Always,
    EverySecond,
    No,
}

/// When a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrashAt {
    /// In the midst of one of the first so many calls to the disk, if not before.
    Call(u64),
    /// Between two events.
    Moment,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) directives: Directives,
    pub(super) level: Level,
    pub(super) has_log: bool,
    /// Without them nobody can tell a page that was lost from one that was written.
    pub(super) has_checksums: bool,
    /// The level is lowered while a snapshot is written.
    pub(super) relents: bool,
    pub(super) components: bool,
    pub(super) clients: u64,
    /// Requests in each life.
    pub(super) requests: u64,
    /// Requests that a client sends at once, at most.
    pub(super) pipeline: u64,
    /// The longest that a client thinks, in microseconds.
    pub(super) think_us: u64,
    /// Of 1,000 requests, how many ask for a save or a rewrite.
    pub(super) saves: u64,
    pub(super) taste: Taste,
    pub(super) pace: Pace,
    pub(super) trouble: Trouble,
    pub(super) lives: u64,
    pub(super) crash_at: CrashAt,
}

impl Plan {
    pub(super) fn draw(dice: &mut Dice) -> Plan {
        let level = [Level::Always, Level::EverySecond, Level::No][dice.below(3) as usize];
        let has_log = dice.below(10) > 0;
        let relents = dice.below(8) == 0;
        let scripts = dice.below(16) == 0;
        let has_checksums = dice.below(4) > 0;
        Plan {
            directives: directives(dice, level, has_log, has_checksums, relents),
            level,
            has_log,
            has_checksums,
            relents,
            components: dice.below(24) == 0,
            clients: 1 + dice.below(4),
            requests: 10 + dice.below(70),
            pipeline: 1 + dice.below(6),
            think_us: one_of(dice, &[50, 1_000, 30_000, 300_000]),
            saves: one_of(dice, &[0, 10, 50, 150]),
            // A dump leaves out what has expired when it is loaded.
            taste: Taste { keys: 1 + dice.below(4), scripts, expiries: has_log && dice.below(2) == 0 },
            pace: Pace {
                turn_us: one_of(dice, &[0, 30, 500]),
                step_us: one_of(dice, &[20, 500, 10_000]),
                sync_us: one_of(dice, &[50, 1_000, 20_000, 800_000]),
            },
            // A log that lets go of what was written, not synced, cannot write it again where an fsync has failed.
            trouble: trouble(dice, level != Level::No && !relents),
            lives: 1 + dice.below(3),
            crash_at: if dice.below(2) == 0 { CrashAt::Moment } else { CrashAt::Call(1 + dice.below(120)) },
        }
    }
}

fn directives(
    dice: &mut Dice,
    level: Level,
    has_log: bool,
    has_checksums: bool,
    relents: bool,
) -> Directives {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let level = match level {
        Level::Always => "always",
        Level::EverySecond => "everysec",
        Level::No => "no",
    };
    vec![
        ("dir", "/data".to_owned()),
        ("protected-mode", yes_no(false)),
        ("databases", "4".to_owned()),
        ("save", ["", "", "1 3", "2 1"][dice.below(4) as usize].to_owned()),
        ("appendonly", yes_no(has_log)),
        ("appendfsync", level.to_owned()),
        ("aof-checksum", yes_no(has_checksums)),
        ("aof-use-rdb-preamble", yes_no(dice.below(4) > 0)),
        ("aof-timestamp-enabled", yes_no(dice.below(4) == 0)),
        ("no-appendfsync-on-rewrite", yes_no(relents)),
        ("auto-aof-rewrite-percentage", one_of(dice, &[0, 50, 100]).to_string()),
        ("auto-aof-rewrite-min-size", one_of(dice, &[500, 5_000]).to_string()),
        ("rdbcompression", yes_no(dice.below(4) == 0)),
        ("rdbchecksum", yes_no(dice.below(4) > 0)),
        ("aof-pending-max", one_of(dice, &[64 << 20, 64 << 20, 64 << 10]).to_string()),
    ]
}

/// Mostly none.
fn trouble(dice: &mut Dice, may_fail_syncs: bool) -> Trouble {
    let chance = one_of(dice, &[20, 100, 500]);
    let sync = if may_fail_syncs { chance } else { 0 };
    match dice.below(10) {
        0 => Trouble { write: chance, ..Trouble::default() },
        1 => Trouble { sync, ..Trouble::default() },
        2 => Trouble { names: chance, ..Trouble::default() },
        3 => Trouble { write: chance, sync, names: chance, capacity_bytes: None },
        4 => Trouble { capacity_bytes: Some(dice.below(4_000)), ..Trouble::default() },
        _ => Trouble::default(),
    }
}

fn one_of(dice: &mut Dice, choices: &[u64]) -> u64 {
    choices[dice.below(choices.len() as u64) as usize]
}
