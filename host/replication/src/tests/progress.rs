//! How far a synchronization has come, and what follows from that for writers.

use super::*;

#[test]
fn writers_are_slowed_down_before_what_gathers_reaches_its_bound() {
    let output = OutputLimit { hard_bytes: 100 * 1_024, ..OutputLimit::default() };
    let mut world = World::with_backlog(Settings { output, ..settings() }, "");
    world.psync(ONE, marked(), "?", -1);
    world.begin_snapshot(0);
    world.primary.expect_snapshot(4_000);
    world.snapshot(&"s".repeat(1_000));
    world.sent(ONE);
    let holds = |world: &mut World| {
        world.settle();
        world.primary.holds_writers(&world.outputs)
    };
    world.now = seconds(2);
    world.feed(&"x".repeat(49 * 1_024));
    assert!(!holds(&mut world));
    let progress = world.primary.sync_progress(world.now, &world.outputs).expect("on its way");
    assert_eq!(
        (progress.sent_bytes, progress.expected_bytes, progress.left),
        (1_000, Some(4_000), Some(seconds(6)))
    );
    // Half is used up. What is left may come in the time that is left, which is about six seconds and a half.
    world.feed(&"x".repeat(1_024));
    assert!(!holds(&mut world));
    world.feed("y");
    assert!(holds(&mut world));
    world.now = Micros(2_010_000);
    assert!(!holds(&mut world), "some bytes may come every hundredth of a second");
    world.feed(&"y".repeat(2_000));
    assert!(holds(&mut world));
    // It has got all, reads the stream, and writers go at will.
    world.snapshot(&"s".repeat(3_000));
    world.primary.snapshot_complete(&world.outputs);
    world.sent(ONE);
    world.settle();
    world.ack(ONE, 0);
    world.sent(ONE);
    assert!(!holds(&mut world));
    assert_eq!(world.primary.sync_progress(world.now, &world.outputs), None);
}

#[test]
fn what_is_left_of_a_snapshot_that_is_made_first_is_guessed_by_its_way_alone() {
    let mut world = World::with_backlog(settings(), "");
    world.psync(ONE, Handshake { takes_marked: false, ..marked() }, "?", -1);
    assert_eq!(world.begin_snapshot(0), Some(Framing::Sized));
    let left = |world: &World| {
        let progress = world.primary.sync_progress(world.now, &world.outputs).expect("under way");
        (progress.sent_bytes, progress.left)
    };
    world.sent(ONE);
    world.primary.expect_snapshot(4_000);
    world.now = seconds(100);
    world.settle();
    assert_eq!(left(&world), (0, None), "it is being made");
    world.snapshot(&"s".repeat(1_000));
    world.settle();
    assert_eq!(left(&world), (0, None));
    world.sent(ONE);
    world.now = seconds(102);
    world.settle();
    assert_eq!(left(&world), (1_000, Some(seconds(6))));
}
