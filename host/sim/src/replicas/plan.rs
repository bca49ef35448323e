//! What one seed of the replication scenario is about: how machines are configured, how bad the network is, what happens.

use tenon_base::Dice;

use crate::lanes::Pace;
use crate::server::Directives;
use crate::workload::Taste;

/// A primary, two replicas and a chained one.
pub(super) const NODES: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) nodes: [NodePlan; NODES],
    pub(super) clients: u64,
    pub(super) requests: u64,
    /// The longest that a client thinks, in microseconds.
    pub(super) think_us: u64,
    pub(super) taste: Taste,
    /// The longest that bytes take.
    pub(super) delay_us: u64,
    /// The longest that a link is cut, or a machine down.
    pub(super) cut_us: u64,
    pub(super) accidents: u64,
}

#[derive(Clone, Debug)]
pub(super) struct NodePlan {
    pub(super) directives: Directives,
    pub(super) has_log: bool,
    pub(super) pace: Pace,
}

impl Plan {
    pub(super) fn draw(dice: &mut Dice) -> Plan {
        let scripts = dice.below(16) == 0;
        Plan {
            nodes: std::array::from_fn(|_| NodePlan::draw(dice)),
            clients: 1 + dice.below(3),
            requests: 20 + dice.below(100),
            think_us: one_of(dice, &[1_000, 30_000, 300_000]),
            taste: Taste { keys: 1 + dice.below(4), scripts, expiries: dice.below(2) == 0 },
            delay_us: one_of(dice, &[50, 2_000, 200_000]),
            cut_us: one_of(dice, &[100_000, 3_000_000, 20_000_000]),
            accidents: dice.below(8),
        }
    }
}

impl NodePlan {
    fn draw(dice: &mut Dice) -> NodePlan {
        let has_log = dice.below(4) > 0;
        NodePlan {
            directives: directives(dice, has_log),
            has_log,
            pace: Pace {
                turn_us: one_of(dice, &[0, 30, 500]),
                step_us: one_of(dice, &[20, 500, 10_000]),
                sync_us: one_of(dice, &[50, 1_000, 200_000]),
            },
        }
    }
}

fn directives(dice: &mut Dice, has_log: bool) -> Directives {
    let mut yes_no = |one_in: u64| if dice.below(one_in) == 0 { "yes" } else { "no" }.to_owned();
    let mut directives = vec![
        ("dir", "/data".to_owned()),
        ("protected-mode", "no".to_owned()),
        ("databases", "4".to_owned()),
        ("save", String::new()),
        // A primary whose power was lost may come back with nothing, and is to be followed then, too.
        ("replica-follow-empty-primary", "yes".to_owned()),
        ("appendonly", if has_log { "yes" } else { "no" }.to_owned()),
        ("aof-use-rdb-preamble", yes_no(2)),
        ("repl-diskless-sync", yes_no(2)),
        ("rdbcompression", yes_no(4)),
    ];
    directives.extend([
        ("appendfsync", ["always", "everysec", "no"][dice.below(3) as usize].to_owned()),
        ("repl-diskless-load", ["disabled", "on-empty-db", "swapdb"][dice.below(3) as usize].to_owned()),
        ("repl-diskless-sync-delay", dice.below(2).to_string()),
        ("repl-backlog-size", one_of(dice, &[16 << 10, 16 << 10, 1 << 20]).to_string()),
        ("repl-ping-replica-period", (1 + dice.below(5)).to_string()),
        ("repl-timeout", (6 + dice.below(10)).to_string()),
        ("auto-aof-rewrite-percentage", one_of(dice, &[0, 100]).to_string()),
        ("auto-aof-rewrite-min-size", "2000".to_owned()),
    ]);
    directives
}

fn one_of(dice: &mut Dice, choices: &[u64]) -> u64 {
    choices[dice.below(choices.len() as u64) as usize]
}
