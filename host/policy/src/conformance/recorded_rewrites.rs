//! Automatic rewrites of the append-only file that redis-server 7.0.15 began, recorded, and that a policy begins the same.
//! The sizes are its INFO's, the rewrites lines of its log, under `auto-aof-rewrite-percentage 60` and
//! `auto-aof-rewrite-min-size 20kb`: once with values that a base holds in few bytes, with rewrites killed in progress,
//! and once with values that no base holds in fewer.
//! Always: times start at a whole second of Redis's clock, so that this clock's seconds are its seconds.

use RewriteEvent::{Rewrite, RewriteFailed, Rewritten, Size};

use super::{Mismatch, expect};
use crate::decision::Policy;
use crate::snapshot::{Job, Snapshot, SnapshotFacts, SnapshotVerdict};
use crate::{NEVER, Outcome};

enum RewriteEvent {
    /// The files' bytes from now on.
    Size(u64),
    /// A rewrite was begun.
    Rewrite,
    /// It succeeded: the new base's bytes.
    Rewritten(u64),
    /// It failed.
    RewriteFailed,
}

/// Milliseconds.
#[rustfmt::skip]
const KILLED: &[(u64, RewriteEvent)] = &[
    (998, Size(3_071)), (1_029, Size(6_119)), (1_278, Size(9_167)), (1_310, Size(12_215)),
    (1_809, Size(15_263)), (1_840, Size(18_311)), (2_342, Size(21_360)), (2_385, Rewrite),
    (2_486, Rewritten(564)), (2_592, Size(3_636)), (2_844, Size(6_684)), (2_872, Size(9_733)),
    (3_122, Size(12_781)), (3_624, Size(15_829)), (4_124, Size(18_877)), (4_374, Size(21_926)),
    (4_400, Rewrite), (4_502, Rewritten(1_036)), (4_626, Size(4_107)), (4_876, Size(7_155)),
    (4_910, Size(10_204)), (5_409, Size(13_253)), (5_659, Size(16_301)), (5_690, Size(19_349)),
    (5_938, Size(22_397)), (5_970, Size(25_445)), (6_013, Rewrite), (6_114, Rewritten(1_574)),
    (6_220, Size(4_646)), (6_720, Size(7_694)), (6_972, Size(10_743)), (7_003, Size(13_791)),
    (7_034, Size(16_840)), (7_065, Size(19_888)), (7_315, Size(22_937)), (7_324, Rewrite),
    (7_425, Rewritten(2_047)), (7_563, Size(5_118)), (8_816, Size(25_167)), (8_836, Rewrite),
    (8_916, Size(45_240)), (8_937, RewriteFailed), (9_018, Size(65_289)), (9_039, Rewrite),
    (9_121, Size(85_361)), (9_140, RewriteFailed), (9_219, Size(105_410)), (9_240, Rewrite),
    (9_321, Size(125_483)), (9_343, RewriteFailed), (9_422, Size(145_532)), (9_526, Size(165_581)),
    (9_623, Size(185_631)), (9_722, Size(205_680)), (9_824, Size(225_729)), (9_923, Size(245_778)),
    (10_023, Size(265_827)), (10_123, Size(285_876)), (10_225, Size(305_926)), (10_326, Size(325_975)),
    (10_425, Size(346_025)), (10_525, Size(366_075)), (10_627, Size(386_125)), (10_726, Size(406_174)),
    (69_072, Rewrite), (69_173, RewriteFailed), (189_039, Rewrite), (189_141, Rewritten(7_381)),
];

/// Milliseconds.
#[rustfmt::skip]
const GROWING: &[(u64, RewriteEvent)] = &[
    (1_198, Size(4_053)), (1_601, Size(8_083)), (1_852, Size(12_113)), (2_250, Size(16_143)),
    (2_501, Size(20_173)), (2_904, Size(24_203)), (2_985, Rewrite), (3_087, Rewritten(24_130)),
    (3_310, Size(28_183)), (3_711, Size(32_213)), (4_109, Size(36_243)), (4_142, Size(40_273)),
    (4_209, Rewrite), (4_311, Rewritten(40_154)), (4_391, Size(44_208)), (4_420, Size(48_239)),
    (4_820, Size(52_270)), (4_851, Size(56_301)), (4_884, Size(60_332)), (4_911, Size(64_363)),
    (4_917, Rewrite), (5_019, Rewritten(64_196)), (5_163, Size(68_250)), (5_414, Size(72_281)),
    (5_445, Size(76_312)), (5_696, Size(80_343)), (6_096, Size(84_374)), (6_127, Size(88_405)),
];

/// Holds a policy to the recorded rewrites: it says so at each, and not at the looks before.
pub(super) fn rewrites(policy: &mut dyn Policy<Snapshot>) -> Result<(), Mismatch> {
    for (name, events) in [("killed", KILLED), ("growing", GROWING)] {
        follow(policy, name, events)?;
    }
    Ok(())
}

fn follow(
    policy: &mut dyn Policy<Snapshot>,
    name: &str,
    events: &[(u64, RewriteEvent)],
) -> Result<(), Mismatch> {
    let mut history = History::default();
    let mut sizes = vec![(0, 0)];
    for (at_ms, event) in events {
        let at_ms = *at_ms;
        match event {
            Size(bytes) => sizes.push((at_ms, *bytes)),
            Rewrite => {
                // The look that notices an end asks nothing.
                for look_ms in (history.ended_ms + 50..=at_ms).rev().step_by(100) {
                    let seen = sizes.iter().rev().find(|(since_ms, _)| *since_ms <= look_ms);
                    let facts = history.facts(look_ms, seen.map_or(0, |(_, bytes)| *bytes));
                    let is_now = look_ms == at_ms;
                    let expected = if is_now { SnapshotVerdict::RewriteAof } else { SnapshotVerdict::None };
                    expect(
                        policy,
                        || format!("recorded rewrite, {name}, at {look_ms} ms"),
                        &facts,
                        expected,
                    )?;
                }
                history.attempt_ms = Some(at_ms);
            }
            Rewritten(bytes) => {
                (history.base_bytes, history.last, history.failures_in_a_row) = (*bytes, Outcome::Ok, 0);
                history.ended_ms = at_ms;
                sizes.push((at_ms, *bytes));
            }
            RewriteFailed => {
                (history.last, history.ended_ms) = (Outcome::Failed, at_ms);
                history.failures_in_a_row += 1;
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct History {
    base_bytes: u64,
    attempt_ms: Option<u64>,
    /// When the last attempt ended; the start before that.
    ended_ms: u64,
    last: Outcome,
    failures_in_a_row: u32,
}

impl History {
    fn facts(&self, now_ms: u64, aof_bytes: u64) -> SnapshotFacts {
        SnapshotFacts {
            now_ms,
            wall_unix_ms: 1_795_362_303_000 + now_ms as i64,
            aof_enabled: true,
            aof_bytes,
            aof_base_bytes: self.base_bytes,
            rewrite_percentage: 60,
            rewrite_min_bytes: 20 << 10,
            rewrite: Job {
                last: self.last,
                failures_in_a_row: self.failures_in_a_row,
                since_attempt_ms: self.attempt_ms.map_or(NEVER, |attempt_ms| now_ms - attempt_ms),
                since_success_ms: now_ms,
                last_duration_ms: self.attempt_ms.map_or(0, |attempt_ms| self.ended_ms - attempt_ms),
                ..Job::default()
            },
            ..super::IDLE_SNAPSHOT
        }
    }
}
