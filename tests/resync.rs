//! `kill -9` of a primary or its replica at random moments under writers: both meet again with the same data, and a
//! replica with a log needs no snapshot for that.
//! Always: a replica that was killed goes on where its log stands. One whose primary was killed may have to get
//! everything anew: what the primary had logged and not yet sent is in no backlog after its restart. Such a replica's log
//! is begun anew, too, and until that has a base, a start goes on from what was there before: that may cost a snapshot.
//! Each snapshot has one of these reasons, which the servers' own lines show.
//! `TENON_KILLS` (20) says how many kills there are, `TENON_SEED` repeats the choices of an earlier run.

#![allow(clippy::print_stderr, reason = "what was done is told on the terminal")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use support::chance::Chance;
use support::client::{Client, encoded};
use support::replicas::{assert_equal, field, some_command, wait_for_link};
use support::server::Server;

const KILLS: usize = 20;
const WRITERS: u64 = 3;
const PIPELINE_MAX: u64 = 12;

/// Nobody is sent a PING, which is in no log, and keys do not expire between two digests.
const COMMON: [&str; 12] = [
    "--save",
    "",
    "--appendonly",
    "yes",
    "--enable-debug-command",
    "yes",
    "--repl-diskless-sync-delay",
    "0",
    "--repl-ping-replica-period",
    "1000",
    "--repl-backlog-size",
    "64mb",
];

#[test]
fn killed_servers_meet_again() {
    let kills: usize = std::env::var("TENON_KILLS").map_or(KILLS, |text| {
        text.parse().unwrap_or_else(|_| panic!("TENON_KILLS: found {text:?}, expected a whole number"))
    });
    let mut chance = Chance::announced("kills");
    let mut primary = Server::tenon(&COMMON);
    let port = primary.port().to_string();
    let mut replica = Server::tenon(&[&COMMON[..], &["--replicaof", "127.0.0.1", &port]].concat());
    wait_for_link(&mut replica.client());
    let (mut partial, mut behind, mut without_base) = (0, 0, 0);
    for round in 1..=kills {
        let is_replica = chance.below(2) == 0;
        let (before, told_before) = (count(&mut primary.client(), "sync_full"), primary.log().len());
        let mut was_replaced = false;
        under_writers(&mut chance, primary.port(), |chance| {
            sleep(Duration::from_millis(20 + chance.below(200)));
            let victim = if is_replica { &mut replica } else { &mut primary };
            victim.kill9();
            was_replaced = is_log_behind(&replica.log());
            let victim = if is_replica { &mut replica } else { &mut primary };
            sleep(Duration::from_millis(chance.below(100)));
            victim.restart();
            sleep(Duration::from_millis(chance.below(100)));
        });
        let (mut writer, mut follower) = (primary.client(), replica.client());
        assert_equal(&mut writer, &mut follower);
        let counts = ["sync_full", "sync_partial_ok"].map(|name| count(&mut writer, name));
        // A primary that was killed counts anew.
        let needed = if is_replica { counts[0] - before } else { counts[0] };
        assert!(needed <= 1, "round {round}: {counts:?}\n{}", primary.log());
        if needed == 0 {
            partial += 1;
        } else if is_replica {
            assert!(was_replaced, "round {round}: it needed a snapshot:\n{}{}", replica.log(), primary.log());
            without_base += 1;
        } else {
            let reason = primary.log().split_off(told_before);
            assert!(
                reason.contains("for lack of backlog (Replica request was: "),
                "round {round}:\n{reason}"
            );
            behind += 1;
        }
    }
    eprintln!(
        "{kills} kills: {partial} went on where they stopped; of the others {behind} had not got what their primary had \
         logged, and {without_base} were killed before their log had a base"
    );
}

/// Whether the last snapshot that a replica got is not in its log yet.
fn is_log_behind(log: &str) -> bool {
    let whole = ["The append-only file is on", "Tenon is starting"].map(|line| log.rfind(line));
    log.rfind("Full resync from master") > whole[0].max(whole[1])
}

fn count(client: &mut Client, name: &str) -> usize {
    field(client, "stats", name).parse().expect("a count")
}

/// Does `act` while clients write to a server that may die meanwhile.
fn under_writers(chance: &mut Chance, port: u16, act: impl FnOnce(&mut Chance)) {
    let is_over = AtomicBool::new(false);
    let chances: Vec<Chance> = (0..WRITERS).map(|number| chance.branch(number)).collect();
    scope(|scope| {
        for mut chance in chances {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // Where it died in the midst of this, the next attempt is to its successor.
                    let _ = write_until_it_dies(&mut chance, port, is_over);
                    sleep(Duration::from_millis(5));
                }
            });
        }
        act(chance);
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Writes, now and then several commands over several databases as one transaction.
fn write_until_it_dies(chance: &mut Chance, port: u16, is_over: &AtomicBool) -> std::io::Result<()> {
    let mut client = Client::try_connect(port)?;
    while !is_over.load(Ordering::Relaxed) {
        let is_transaction = chance.below(4) == 0;
        let word = |word: &str| vec![word.to_owned()];
        let mut requests: Vec<Vec<String>> = Vec::new();
        requests.extend(is_transaction.then(|| word("MULTI")));
        (0..=chance.below(PIPELINE_MAX)).for_each(|_| requests.extend(some_command(chance)));
        requests.extend(is_transaction.then(|| word("EXEC")));
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encoded(request)).collect();
        client.send_bytes(&bytes)?;
        for _ in &requests {
            client.receive()?;
        }
    }
    Ok(())
}
