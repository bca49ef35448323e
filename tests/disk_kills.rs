//! `kill -9` while the disk is full, fills up or fails, with saves and rewrites in progress: the restart succeeds, and every
//! acknowledged write is there.
//! Always: a write that was refused may have taken effect or not; one that was acknowledged has.
//! `TENON_KILLS` (2) says how many kills there are, `TENON_SEED` repeats the choices of an earlier run.

#![allow(clippy::print_stderr, reason = "what was done is told on the terminal")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use support::chance::Chance;
use support::client::Client;
use support::disks::{Faults, SmallDisk};
use support::reply::Reply;
use support::saves::save_and_rewrite;
use support::server::{Directory, Program, Server};
use support::tools;

const DISK_BYTES: usize = 24 << 20;
const WRITERS: u64 = 8;
/// Long enough to fill the disk in a second or two.
const PADDING_MAX: u64 = 12_000;
/// A writer's last numbers are kept in a list, in their order.
const KEPT: i64 = 64;

/// One writer: sets its key to one number after the other, and remembers each in its list.
struct Writer {
    number: u64,
    sent: u64,
    acknowledged: u64,
    acknowledged_count: u64,
    refused_count: u64,
}

impl Writer {
    fn run(&mut self, port: u16, mut chance: Chance) {
        let Ok(mut client) = Client::try_connect(port) else { return };
        loop {
            self.sent += 1;
            let value = format!("{}:{}", self.sent, "x".repeat(chance.below(PADDING_MAX) as usize));
            let (key, list) = (format!("{}:text", self.number), format!("{}:list", self.number));
            let number = self.sent.to_string();
            let last = (KEPT - 1).to_string();
            // One transaction: the key and the list always agree.
            let requests: [&[&str]; 5] = [
                &["MULTI"],
                &["SET", &key, &value],
                &["LPUSH", &list, &number],
                &["LTRIM", &list, "0", &last],
                &["EXEC"],
            ];
            let mut outcome = None;
            for request in requests {
                match client.try_command(request) {
                    Ok(reply) => outcome = Some(reply),
                    Err(_) => return,
                }
            }
            match outcome {
                Some(Reply::Error(_)) | None => {
                    self.refused_count += 1;
                    sleep(Duration::from_millis(5));
                }
                Some(_) => {
                    self.acknowledged = self.sent;
                    self.acknowledged_count += 1;
                }
            }
        }
    }

    /// Compares with what the restarted server holds, and goes on from there.
    fn settle(&mut self, client: &mut Client) -> Result<(), String> {
        let text = client.command(&["GET", &format!("{}:text", self.number)]);
        let held = match &text {
            Reply::Nil => 0,
            reply => {
                let text = reply.text();
                text.split(':').next().and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(u64::MAX)
            }
        };
        if held < self.acknowledged || held > self.sent {
            return Err(format!(
                "writer {}: found {held}; {} was acknowledged, {} sent",
                self.number, self.acknowledged, self.sent
            ));
        }
        let list = client.command(&["LRANGE", &format!("{}:list", self.number), "0", "-1"]);
        let numbers: Vec<u64> =
            list.elements().iter().filter_map(|reply| reply.text().parse().ok()).collect();
        let is_sorted = numbers.is_sorted_by(|one, other| one > other);
        if !is_sorted || numbers.first().copied().unwrap_or(0) != held {
            return Err(format!("writer {}: the key holds {held}, and the list {numbers:?}", self.number));
        }
        Ok(())
    }
}

#[test]
fn kills_on_a_disk_that_fills_and_fails_lose_nothing_acknowledged() {
    let kills: u64 = std::env::var("TENON_KILLS").map_or(2, |text| {
        text.parse().unwrap_or_else(|_| panic!("TENON_KILLS: found {text:?}, expected a whole number"))
    });
    let Some(disk) = SmallDisk::in_a_file(DISK_BYTES) else { return };
    let mut chance = Chance::announced(&format!("{kills} kills on a disk of {DISK_BYTES} bytes"));
    let may_fail = Faults::can_be_made();
    let data = disk.path().join("data");
    std::fs::create_dir(&data).expect("an empty disk has room");
    let data = data.to_str().expect("a path of letters");
    let new = |number| Writer { number, sent: 0, acknowledged: 0, acknowledged_count: 0, refused_count: 0 };
    let mut writers: Vec<Writer> = (0..WRITERS).map(new).collect();
    let (mut full, mut failing) = (0, 0);
    for kill in 1..=kills {
        let level = ["always", "everysec", "no"][chance.below(3) as usize];
        let arguments = [
            "--dir",
            data,
            "--appendonly",
            "yes",
            "--appendfsync",
            level,
            "--save",
            "",
            "--rdbcompression",
            "no",
            "--stop-writes-on-bgsave-error",
            "no",
        ];
        let mut server = Server::start(Program::Tenon, &arguments, Directory::new());
        let mut client = server.client();
        let lost: Vec<String> =
            writers.iter_mut().filter_map(|writer| writer.settle(&mut client).err()).collect();
        assert!(lost.is_empty(), "before kill {kill}:\n{}\n{}", lost.join("\n"), server.log());
        let fails = may_fail && chance.below(3) == 0;
        let is_full = write_until_killed(&mut server, &mut writers, &disk, fails, &mut chance);
        (full, failing) = (full + u64::from(is_full), failing + u64::from(fails));
        // Sometimes the next server finds the disk as full as the last one left it.
        if chance.below(2) == 0 {
            disk.drop_ballast();
        } else {
            start_on_a_full_disk(&arguments);
            disk.drop_ballast();
        }
    }
    let count = |of: fn(&Writer) -> u64| writers.iter().map(of).sum::<u64>();
    let (acknowledged, refused) =
        (count(|writer| writer.acknowledged_count), count(|writer| writer.refused_count));
    tools::tell(&format!(
        "{kills} kills, {full} of them on a full disk and {failing} on a failing one: {acknowledged} writes acknowledged, \
         none lost; {refused} refused"
    ));
    assert!(acknowledged > 0);
    let server = Server::start(
        Program::Tenon,
        &["--dir", data, "--appendonly", "yes", "--save", ""],
        Directory::new(),
    );
    let mut client = server.client();
    let lost: Vec<String> =
        writers.iter_mut().filter_map(|writer| writer.settle(&mut client).err()).collect();
    assert!(lost.is_empty(), "after the last kill:\n{}\n{}", lost.join("\n"), server.log());
}

/// Lets all write, with saves and rewrites beside them, while the disk fills up or fails; kills the server after a while.
/// Whether the disk was full at the end.
fn write_until_killed(
    server: &mut Server,
    writers: &mut [Writer],
    disk: &SmallDisk,
    fails: bool,
    chance: &mut Chance,
) -> bool {
    let port = server.port();
    let patience = Duration::from_millis(500 + chance.below(2_000));
    let (is_over, refusals) = (AtomicBool::new(false), AtomicU64::new(0));
    let before: u64 = writers.iter().map(|writer| writer.refused_count).sum();
    scope(|threads| {
        for writer in writers.iter_mut() {
            let own = chance.branch(writer.number);
            let refusals = &refusals;
            threads.spawn(move || {
                writer.run(port, own);
                refusals.fetch_add(writer.refused_count, Ordering::Relaxed);
            });
        }
        let own = chance.branch(WRITERS);
        threads.spawn(|| save_and_rewrite(port, own, &is_over));
        sleep(patience / 3);
        let injection =
            format!("fdatasync,fsync:error=EIO:when={}+{}", 1 + chance.below(3), 2 + chance.below(4));
        let faults = fails.then(|| Faults::of(server, &injection, None));
        let own = chance.branch(WRITERS + 1);
        threads.spawn(|| fill_and_empty(disk, own, &is_over));
        sleep(patience);
        server.kill9();
        is_over.store(true, Ordering::Relaxed);
        drop(faults);
    });
    refusals.load(Ordering::Relaxed) > before
}

/// Takes room and gives it back.
fn fill_and_empty(disk: &SmallDisk, mut chance: Chance, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        disk.take(DISK_BYTES / 4 + chance.below(DISK_BYTES as u64) as usize);
        sleep(Duration::from_millis(chance.below(400)));
        if chance.below(2) == 0 && !is_over.load(Ordering::Relaxed) {
            disk.drop_ballast();
            sleep(Duration::from_millis(chance.below(200)));
        }
    }
}

/// A start on a disk without room serves, or ends with a sentence about the room.
fn start_on_a_full_disk(arguments: &[&str]) {
    let mut server = Server::unready(Program::Tenon, arguments, Directory::new());
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if server.has_ended() {
            assert!(server.log().contains("No space left on device"), "{}", server.log());
            return;
        }
        if Client::try_connect(server.port()).and_then(|mut client| client.try_command(&["PING"])).is_ok() {
            server.kill9();
            return;
        }
        assert!(Instant::now() < until, "neither serves nor ends:\n{}", server.log());
        sleep(Duration::from_millis(10));
    }
}
