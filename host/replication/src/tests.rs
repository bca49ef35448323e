//! A primary and what its replicas are sent, step by step, on a clock that the test holds.

use tenon_base::{ConnectionId, Micros, Outputs, SentTotals};
use tenon_journal::{ReplicationId, ReplicationOffset};

use crate::{
    Action, Answer, Framing, Handshake, OutputLimit, Primary, Request, Second, Settings, State, Target,
};

mod progress;

const ONE: ConnectionId = ConnectionId { serial: 1, slot: 0 };
const TWO: ConnectionId = ConnectionId { serial: 2, slot: 1 };
const ID: ReplicationId = ReplicationId([b'a'; 40]);
const OLD_ID: ReplicationId = ReplicationId([b'b'; 40]);

fn settings() -> Settings {
    Settings {
        backlog_bytes: 16 * 1_024,
        backlog_ttl: Some(seconds(100)),
        ping_period: seconds(10),
        timeout: seconds(60),
        is_diskless: true,
        diskless_delay: Micros(0),
        diskless_replicas_max: None,
        replicas_min: 0,
        lag_seconds_max: 10,
        output: OutputLimit::default(),
        sync_delay_max: seconds(1),
        two_links: true,
    }
}

fn seconds(count: u64) -> Micros {
    Micros(count * 1_000_000)
}

fn marked() -> Handshake {
    Handshake { takes_marked: true, takes_new_id: true, listening_port: 6380, ..Handshake::default() }
}

/// A primary, and the network.
struct World {
    primary: Primary,
    outputs: Outputs,
    now: Micros,
}

impl World {
    fn new(settings: Settings) -> World {
        World { primary: Primary::new(Micros(0), ID, settings), outputs: Outputs::default(), now: Micros(0) }
    }

    fn with_backlog(settings: Settings, text: &str) -> World {
        let mut world = World::new(settings);
        world.primary.open_backlog(ReplicationOffset(0), &mut world.outputs);
        world.feed(text);
        world
    }

    fn feed(&mut self, text: &str) {
        self.primary.feed([text.as_bytes()].into_iter(), &mut self.outputs);
    }

    fn psync(&mut self, connection: ConnectionId, handshake: Handshake, id: &str, first: i64) -> Answer {
        let target = Some(Target { id: id.as_bytes(), first });
        let request = Request { connection, peer_address: "10.0.0.1", handshake, target, is_large: true };
        self.primary.request(self.now, request, &mut self.outputs)
    }

    fn sync(&mut self, connection: ConnectionId, handshake: Handshake) -> Answer {
        let request =
            Request { connection, peer_address: "10.0.0.1", handshake, target: None, is_large: true };
        self.primary.request(self.now, request, &mut self.outputs)
    }

    fn begin_snapshot(&mut self, offset: u64) -> Option<Framing> {
        let is_due = self.primary.snapshot_is_due(self.now);
        let now = self.now;
        is_due.then(|| self.primary.snapshot_begun(now, ReplicationOffset(offset), &mut self.outputs).0)
    }

    fn snapshot(&mut self, text: &str) {
        self.primary.snapshot_piece(text.as_bytes().to_vec(), &mut self.outputs);
    }

    fn settle(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.primary.settle(self.now, &mut self.outputs, &mut actions);
        actions
    }

    fn tick(&mut self, now: Micros) -> Vec<Action> {
        let mut actions = Vec::new();
        self.now = now;
        self.primary.tick(now, &mut self.outputs, &mut actions);
        actions
    }

    fn ack(&mut self, connection: ConnectionId, offset: i64) {
        let now = self.now;
        self.primary.acknowledged(now, connection, Some(offset), None, &mut self.outputs);
    }

    /// What a replica has been sent since the last look.
    fn sent(&mut self, connection: ConnectionId) -> String {
        let mut text = String::new();
        loop {
            let bytes = self.outputs.sendable(connection.slot).to_vec();
            if bytes.is_empty() {
                return text;
            }
            self.outputs.sent(connection.slot, bytes.len());
            text.push_str(&String::from_utf8(bytes).expect("ascii"));
        }
    }
}

fn closes(connection: ConnectionId) -> Vec<Action> {
    vec![Action::Close { connection, at_once: true }]
}

#[test]
fn a_replica_gets_a_marked_snapshot_and_after_its_word_the_stream_from_the_cut_on() {
    let mut world = World::new(settings());
    assert_eq!(world.psync(ONE, marked(), "?", -1), Answer::Waits);
    assert!(world.primary.wants_backlog() && !world.primary.snapshot_is_due(world.now));
    world.primary.open_backlog(ReplicationOffset(7), &mut world.outputs);
    assert_eq!(world.begin_snapshot(7), Some(Framing::Marked));
    assert_eq!(world.sent(ONE), format!("+FULLRESYNC {} 7\r\n", ID.as_str()));
    world.snapshot("$EOF:m\r\nRDB");
    world.feed("while");
    assert_eq!((world.sent(ONE).as_str(), world.settle()), ("$EOF:m\r\nRDB", vec![]));
    assert_eq!(world.primary.replicas()[0].state.name(), "wait_bgsave");
    world.snapshot("m");
    world.primary.snapshot_complete(&world.outputs);
    assert_eq!(world.settle(), []);
    assert_eq!(world.primary.replicas()[0].state, State::Snapshotting, "the mark is not sent yet");
    assert_eq!((world.sent(ONE).as_str(), world.settle()), ("m", vec![]));
    assert_eq!((world.primary.replicas()[0].state, world.sent(ONE).as_str()), (State::Online, ""));
    world.ack(ONE, 0);
    world.feed("after");
    assert_eq!(world.sent(ONE), "whileafter");
    world.ack(ONE, 17);
    let acked = |offset| world.primary.acked_count(ReplicationOffset(offset));
    assert_eq!((acked(17), acked(18), world.primary.counts().full), (1, 0, 1));
}

#[test]
fn old_replicas_get_a_sized_snapshot_and_newlines_until_it_comes() {
    let mut world = World::with_backlog(settings(), "");
    world.sync(ONE, Handshake::default());
    world.tick(seconds(1));
    assert_eq!(world.begin_snapshot(0), Some(Framing::Sized));
    world.tick(seconds(2));
    assert_eq!(world.sent(ONE), "\n\n", "no line names an offset to a client of SYNC");
    world.feed("meanwhile");
    world.snapshot("$3\r\n");
    assert_eq!(world.primary.replicas()[0].state.name(), "send_bulk");
    world.snapshot("RDB");
    world.primary.snapshot_complete(&world.outputs);
    assert_eq!(world.sent(ONE), "$3\r\nRDB");
    world.settle();
    world.feed("!");
    assert_eq!(world.sent(ONE), "meanwhile!");
    assert_eq!(
        world.tick(seconds(1_000)),
        [Action::Ping],
        "it never gives an account, and is not asked for one"
    );
}

#[test]
fn replicas_that_ask_together_share_a_snapshot_as_do_late_ones_before_it_is_sent() {
    let mut world = World::with_backlog(settings(), "12345");
    world.psync(ONE, Handshake::default(), "?", -1);
    assert_eq!(world.begin_snapshot(5), Some(Framing::Sized));
    world.feed("678");
    world.psync(TWO, marked(), "?", -1);
    let line = format!("+FULLRESYNC {} 5\r\n", ID.as_str());
    assert_eq!((world.sent(ONE), world.sent(TWO)), (line.clone(), line));
    world.snapshot("$1\r\nR");
    world.primary.snapshot_complete(&world.outputs);
    assert_eq!((world.sent(ONE).as_str(), world.sent(TWO).as_str()), ("$1\r\nR", "$1\r\nR"));
    assert_eq!(world.settle(), []);
    assert_eq!((world.sent(ONE).as_str(), world.sent(TWO).as_str()), ("678", "678"));
    assert!(!world.primary.has_snapshot());
}

#[test]
fn a_late_replica_waits_for_the_next_snapshot_once_one_is_on_its_way() {
    let mut world = World::with_backlog(settings(), "");
    world.psync(ONE, marked(), "?", -1);
    assert_eq!(world.begin_snapshot(0), Some(Framing::Marked));
    world.psync(TWO, marked(), "?", -1);
    assert_eq!((world.begin_snapshot(0), world.sent(TWO).as_str()), (None, ""));
    world.snapshot("m");
    world.primary.snapshot_complete(&world.outputs);
    world.sent(ONE);
    world.settle();
    assert_eq!(world.begin_snapshot(0), Some(Framing::Marked));
}

#[test]
fn a_diskless_snapshot_waits_for_more_replicas_or_for_enough_of_them() {
    let delayed = Settings { diskless_delay: seconds(5), diskless_replicas_max: Some(2), ..settings() };
    let mut world = World::with_backlog(delayed, "");
    world.psync(ONE, marked(), "?", -1);
    assert!(!world.primary.snapshot_is_due(seconds(4)) && world.primary.snapshot_is_due(seconds(5)));
    world.psync(TWO, marked(), "?", -1);
    assert!(world.primary.snapshot_is_due(Micros(0)));
    let mut world = World::with_backlog(delayed, "");
    world.psync(ONE, Handshake::default(), "?", -1);
    assert!(world.primary.snapshot_is_due(Micros(0)), "a snapshot in a file gains nothing by waiting");
}

#[test]
fn a_replica_goes_on_only_where_history_and_backlog_allow() {
    let mut world = World::with_backlog(settings(), "0123456789");
    let own = ID.as_str().to_uppercase();
    let answers: Vec<Answer> = [(own.as_str(), 4), (&own, 11), (&own, 12), (&own, 0), (&own, i64::MIN)]
        .into_iter()
        .chain([(own.as_str(), i64::MAX), (OLD_ID.as_str(), 4), ("", 1), ("?", -1)])
        .enumerate()
        .map(|(index, (id, first))| {
            let connection = ConnectionId { serial: index as u64, slot: index as u32 };
            world.psync(connection, marked(), id, first)
        })
        .collect();
    let mut expected = vec![Answer::Waits; 9];
    expected[..2].fill(Answer::Continues);
    assert_eq!(answers, expected);
    let counts = world.primary.counts();
    assert_eq!((counts.partial_ok, counts.partial_refused, counts.full), (2, 6, 7));
    let first = ConnectionId { serial: 0, slot: 0 };
    assert_eq!(world.sent(first), format!("+CONTINUE {}\r\n3456789", ID.as_str()));
}

#[test]
fn a_replica_that_knows_no_second_ids_is_told_none() {
    let mut world = World::with_backlog(settings(), "0123");
    let old = Handshake { takes_new_id: false, ..marked() };
    world.psync(ONE, old, ID.as_str(), 5);
    world.feed("4");
    assert_eq!(world.sent(ONE), "+CONTINUE\r\n4");
}

#[test]
fn a_restarted_primary_is_followed_by_whoever_has_no_more_than_it_brought_back() {
    let mut world = World::new(settings());
    let second = Second { id: OLD_ID, valid_to: ReplicationOffset(100) };
    world.primary.recover(Micros(0), second, &mut world.outputs);
    world.feed("new");
    assert_eq!(world.psync(ONE, marked(), OLD_ID.as_str(), 101), Answer::Continues);
    assert_eq!(world.sent(ONE), format!("+CONTINUE {}\r\nnew", ID.as_str()));
    assert_eq!(world.psync(TWO, marked(), OLD_ID.as_str(), 102), Answer::Waits, "it is ahead of us");
}

#[test]
fn the_backlog_is_bounded_by_its_size_and_by_what_replicas_still_need() {
    let mut world = World::with_backlog(settings(), "");
    let stream = world.primary.backlog().expect("opened");
    let kilobyte = "x".repeat(1_024);
    (0..20).for_each(|_| world.feed(&kilobyte));
    assert_eq!(world.outputs.stream(stream).len(), 16 * 1_024);
    world.psync(ONE, marked(), ID.as_str(), 20 * 1_024 + 1);
    (0..20).for_each(|_| world.feed(&kilobyte));
    assert_eq!(world.outputs.stream(stream).start(), 20 * 1_024, "a slow replica holds what it was not sent");
    let SentTotals { shared_bytes, .. } = world.outputs.sent_totals();
    world.sent(ONE);
    assert_eq!(world.outputs.sent_totals().shared_bytes - shared_bytes, 20 * 1_024);
    world.feed("y");
    assert!(world.outputs.stream(stream).len() <= 17 * 1_024);
}

#[test]
fn whoever_does_not_read_is_let_go_at_the_limit_but_never_for_less_than_the_backlog() {
    let output = OutputLimit { hard_bytes: 100, soft_bytes: 0, soft: Micros(0) };
    let mut world = World::with_backlog(Settings { output, ..settings() }, "");
    world.psync(ONE, marked(), "?", -1);
    world.begin_snapshot(0);
    world.feed(&"x".repeat(16 * 1_024 - 1));
    assert_eq!(world.settle(), []);
    world.feed("x");
    assert_eq!(world.settle()[..1], closes(ONE));
    assert!(world.settle().iter().all(|action| *action == Action::AbandonSnapshot), "said once");
    let output = OutputLimit { hard_bytes: 0, soft_bytes: 10, soft: seconds(3) };
    let mut world = World::with_backlog(Settings { output, ..settings() }, "");
    world.psync(ONE, marked(), ID.as_str(), 1);
    world.feed("more than ten");
    assert_eq!(world.settle(), []);
    world.now = seconds(4);
    assert_eq!(world.settle(), closes(ONE));
}

#[test]
fn words_that_cannot_be_true_are_not_believed() {
    let mut world = World::with_backlog(settings(), "0123456789");
    world.psync(ONE, marked(), ID.as_str(), 1);
    for lie in [11, i64::MAX, -1, i64::MIN] {
        world.ack(ONE, lie);
    }
    assert_eq!(world.primary.replicas()[0].acked, ReplicationOffset(0));
    world.ack(ONE, 10);
    world.ack(ONE, 3);
    assert_eq!(world.primary.replicas()[0].acked, ReplicationOffset(10), "they only rise");
    let now = world.now;
    world.primary.acknowledged(now, ONE, Some(10), Some(4), &mut world.outputs);
    let synced = |offset| world.primary.synced_count(ReplicationOffset(offset));
    assert_eq!((synced(4), synced(5)), (1, 0));
    world.ack(TWO, 10);
}

#[test]
fn the_clock_pings_times_out_and_ends_a_history_that_nobody_follows() {
    let mut world = World::with_backlog(Settings { replicas_min: 1, ..settings() }, "");
    assert!(world.primary.lacks_replicas());
    world.psync(ONE, marked(), ID.as_str(), 1);
    assert!(!world.primary.lacks_replicas());
    assert_eq!(world.tick(seconds(1)), []);
    assert_eq!(world.tick(seconds(9)), []);
    assert_eq!(world.tick(seconds(11)), [Action::Ping]);
    assert!(world.primary.lacks_replicas(), "it was not heard for more than ten seconds");
    assert_eq!(world.tick(seconds(60)), [Action::Ping]);
    assert_eq!(world.tick(seconds(61)), closes(ONE));
    assert!(world.primary.closed(seconds(62), ONE) && !world.primary.closed(seconds(62), ONE));
    assert_eq!(world.tick(seconds(162)), []);
    assert_eq!(world.tick(seconds(163)), [Action::EndHistory]);
}

#[test]
fn a_snapshot_that_fails_or_that_nobody_takes_ends_for_all() {
    let mut world = World::with_backlog(settings(), "");
    world.psync(ONE, marked(), "?", -1);
    world.begin_snapshot(0);
    let mut actions = Vec::new();
    world.primary.snapshot_failed("the disk is full", &mut world.outputs, &mut actions);
    assert_eq!(actions, closes(ONE));
    world.primary.closed(Micros(0), ONE);
    world.outputs.discard(ONE.slot);
    world.psync(TWO, marked(), "?", -1);
    world.begin_snapshot(0);
    world.snapshot("half");
    assert_eq!(world.tick(seconds(61)), [Action::Ping, closes(TWO)[0].clone()]);
    world.primary.closed(seconds(61), TWO);
    world.outputs.discard(TWO.slot);
    assert_eq!(world.settle(), [Action::AbandonSnapshot]);
    world.snapshot("the rest of it is not missed");
    assert!(!world.primary.has_snapshot());
}

#[test]
fn who_wants_the_snapshot_alone_is_let_go_with_it() {
    let mut world = World::with_backlog(settings(), "");
    world.sync(ONE, Handshake { wants_snapshot_only: true, ..marked() });
    world.begin_snapshot(0);
    world.feed("of no interest");
    world.snapshot("RDB");
    world.primary.snapshot_complete(&world.outputs);
    assert_eq!(world.sent(ONE), "RDB");
    assert_eq!(world.settle(), [Action::Close { connection: ONE, at_once: false }]);
    assert_eq!(world.sent(ONE), "");
}

#[test]
fn a_replica_that_can_takes_its_snapshot_on_one_link_and_the_stream_on_another() {
    let mut world = World::with_backlog(settings(), "0123");
    let both = Handshake { takes_two_links: true, ..marked() };
    let aside =
        Handshake { takes_marked: true, wants_snapshot_only: true, is_snapshot_link: true, ..both.clone() };
    assert_eq!(world.psync(ONE, both.clone(), "?", -1), Answer::TwoLinks(both.clone()));
    assert_eq!(world.sent(ONE), "+DUALCHANNELSYNC\r\n");
    assert!(world.primary.replicas().is_empty(), "it is an ordinary connection");
    let target = Some(Target { id: b"?", first: -1 });
    let small =
        Request { connection: ONE, peer_address: "", handshake: both.clone(), target, is_large: false };
    assert_eq!(
        world.primary.request(Micros(0), small, &mut world.outputs),
        Answer::Waits,
        "it would not pay"
    );
    world.primary.closed(Micros(0), ONE);
    assert_eq!(world.sync(TWO, aside), Answer::Waits);
    assert_eq!(world.begin_snapshot(4), Some(Framing::Marked));
    assert_eq!(world.sent(TWO), format!("$ENDOFF:4 {ID} 0 2\r\n"));
    assert!(world.primary.expects(2) && !world.primary.expects(1));
    // More than the backlog keeps: it is kept for who is expected, also when the link of the snapshot has ended.
    let kilobytes = "x".repeat(20 * 1_024);
    world.feed(&kilobytes);
    world.snapshot("RDB");
    world.primary.snapshot_complete(&world.outputs);
    assert_eq!(world.sent(TWO), "RDB");
    assert_eq!(world.settle(), [Action::Close { connection: TWO, at_once: false }]);
    world.primary.closed(Micros(0), TWO);
    world.feed("4");
    let associated = Handshake { snapshot_link: Some(2), ..both };
    assert_eq!(world.psync(ONE, associated, ID.as_str(), 5), Answer::Continues);
    assert_eq!(world.sent(ONE), format!("+CONTINUE {ID}\r\n{kilobytes}4"));
    assert_eq!(world.primary.replicas()[0].state, State::Loading);
    world.ack(ONE, 4);
    assert_eq!(world.primary.replicas()[0].state, State::Online);
    assert!(!world.primary.expects(2));
    assert_eq!((world.primary.counts().full, world.primary.counts().partial_ok), (2, 0));
}

#[test]
fn nobody_is_expected_for_ever_or_at_any_price() {
    let output = OutputLimit { hard_bytes: 20 * 1_024, ..OutputLimit::default() };
    for waits in [true, false] {
        let mut world = World::with_backlog(Settings { output, ..settings() }, "");
        let aside = Handshake { wants_snapshot_only: true, is_snapshot_link: true, ..marked() };
        world.sync(ONE, aside);
        world.begin_snapshot(0);
        world.primary.closed(Micros(0), ONE);
        world.outputs.discard(ONE.slot);
        assert!(world.primary.expects(1));
        if waits {
            world.tick(seconds(59));
            assert!(world.primary.expects(1));
            world.tick(seconds(61));
        } else {
            world.feed(&"x".repeat(20 * 1_024));
            world.settle();
        }
        assert!(!world.primary.expects(1));
    }
    let mut world = World::with_backlog(settings(), "0123");
    world.sync(ONE, Handshake { wants_snapshot_only: true, is_snapshot_link: true, ..marked() });
    world.begin_snapshot(4);
    world.primary.close_backlog(&mut world.outputs, &mut Vec::new());
    assert!(!world.primary.expects(1), "nor across histories");
}

#[test]
fn a_snapshot_of_a_history_that_has_ended_is_nobodys() {
    for is_sent in [false, true] {
        // A snapshot whose length is told first may still be joined.
        let mut world = World::with_backlog(Settings { is_diskless: is_sent, ..settings() }, "0123");
        world.psync(ONE, marked(), "?", -1);
        world.begin_snapshot(4);
        if is_sent {
            // The stream behind it waits for the replica's word.
            world.sent(ONE);
            world.snapshot("s");
            world.primary.snapshot_complete(&world.outputs);
            world.sent(ONE);
            assert_eq!(world.settle(), []);
        }
        let mut actions = Vec::new();
        world.primary.close_backlog(&mut world.outputs, &mut actions);
        let abandoned = [Action::AbandonSnapshot];
        let expected = [if is_sent { &[] } else { &abandoned[..] }, &closes(ONE)].concat();
        assert_eq!(actions, expected);
        // The next one begins before the place of the snapshot, and goes beyond it.
        world.primary.open_backlog(ReplicationOffset(2), &mut world.outputs);
        assert_eq!(world.settle(), []);
        world.feed("4567");
        assert_eq!(world.settle(), []);
        assert_eq!(world.psync(TWO, marked(), "?", -1), Answer::Waits);
        assert_eq!(world.sent(TWO), "", "it is told of a snapshot of its own");
    }
}
