//! Two snapshots at once, a backup that is written slowly and a save, while clients write all over small keys and a large
//! list: what both hold stays within their bounds, each ends well or is given up with its reason, and one that was made
//! holds what it should. `TENON_WRITES=40000` makes it the figure of the table: so many SETs a second, and a megabyte a
//! second into the backup.
//! Always: memory is looked at as the kernel counts it, and as INFO tells it.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use support::chance::Chance;
use support::client::Client;
use support::replicas::field;
use support::server::Server;
use support::tools;

const VALUE_BYTES: usize = 1_024;
/// More than half of what a save may hold: changed all over it cannot stay in memory, once for each snapshot.
const ELEMENTS: u64 = 5_000;
const ELEMENT_BYTES: usize = 4_000;
const TICK: Duration = Duration::from_millis(5);
/// Clients that write: one alone is busy with what it says and hears.
const WRITERS: u64 = 2;
/// What a snapshot may hold beside `snapshot-memory-max`: what was walked and waits, as much room for it again, batches
/// that are being filled or encoded, and what an encoder gathers.
const BESIDE_BYTES: u64 = (8 + 16 + 4) << 20;
/// What an allocator keeps for later, and clients' buffers.
const KEPT_BYTES: u64 = 24 << 20;

struct Scale {
    keys: u64,
    writes_a_second: u64,
    backup_bytes_a_second: &'static str,
    patience: Duration,
}

fn scale() -> Scale {
    let Ok(text) = std::env::var("TENON_WRITES") else {
        let patience = Duration::from_secs(60);
        return Scale { keys: 30_000, writes_a_second: 10_000, backup_bytes_a_second: "8mb", patience };
    };
    let writes_a_second =
        text.parse().unwrap_or_else(|_| panic!("TENON_WRITES: found {text:?}, expected a whole number"));
    Scale { keys: 64_000, writes_a_second, backup_bytes_a_second: "1mb", patience: Duration::from_secs(300) }
}

fn number(client: &mut Client, section: &str, name: &str) -> u64 {
    let text = field(client, section, name);
    text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}"))
}

fn filled(scale: &Scale) -> Server {
    let server = Server::tenon(&[
        "--save",
        "",
        "--rdbcompression",
        "no",
        "--enable-debug-command",
        "yes",
        "--backup-bytes-per-second",
        scale.backup_bytes_a_second,
    ]);
    let mut client = server.client();
    client.command(&["DEBUG", "POPULATE", &scale.keys.to_string(), "key", &VALUE_BYTES.to_string()]);
    let elements: Vec<_> = (0..ELEMENTS)
        .map(|at| {
            vec!["RPUSH".to_owned(), "list".to_owned(), format!("{at:05}{}", "a".repeat(ELEMENT_BYTES))]
        })
        .collect();
    elements.chunks(200).for_each(|some| drop(client.pipeline(some)));
    server
}

/// One of the writers: at its part of the pace until told to stop, SETs of small keys, and for each nineteen of them an
/// LSET of the list. Returns how many it made.
fn write_paced(server: &Server, scale: &Scale, chance: &mut Chance, is_over: &AtomicBool) -> u64 {
    let (mut client, value) = (server.client(), "y".repeat(VALUE_BYTES));
    let (element, mut count, mut next) = ("z".repeat(ELEMENT_BYTES + 5), 0, Instant::now());
    let (mut owed, until) = (0, Instant::now() + 2 * scale.patience);
    while !is_over.load(Ordering::Relaxed) && Instant::now() < until {
        next += TICK;
        sleep(next.saturating_duration_since(Instant::now()));
        // What makes no whole write within a tick is for the next one.
        owed += scale.writes_a_second * TICK.as_millis() as u64;
        let batch: Vec<Vec<String>> = (0..owed / (1_000 * WRITERS))
            .map(|at| {
                if at % 20 == 0 {
                    let at = chance.below(ELEMENTS).to_string();
                    return vec!["LSET".to_owned(), "list".to_owned(), at, element.clone()];
                }
                vec!["SET".to_owned(), format!("key:{}", chance.below(scale.keys)), value.clone()]
            })
            .collect();
        owed %= 1_000 * WRITERS;
        client.pipeline(&batch);
        count += batch.len() as u64;
    }
    count
}

/// Whether a snapshot was made; if not, the log says why.
fn is_made(server: &Server, client: &mut Client, status: &str, failed: &str) -> bool {
    let is_made = field(client, "persistence", status) == "ok";
    assert!(is_made || server.log().contains("The snapshot was given up: "), "{}", server.log());
    assert_eq!(server.log().contains(failed), !is_made, "{}", server.log());
    is_made
}

#[test]
fn two_snapshots_at_once_stay_within_their_bounds_while_one_is_written_slowly() {
    let scale = scale();
    let server = filled(&scale);
    let mut client = server.client();
    let bound = number(&mut client, "persistence", "snapshot_memory_max") + BESIDE_BYTES;
    let before = server.resident_bytes();
    let used_before = number(&mut client, "memory", "used_memory");
    let (held, resident, used) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let began = Instant::now();
    let mut chance = Chance::announced("two cuts");
    let writes = scope(|scope| {
        client.command(&["BACKUP", "START"]);
        client.command(&["BGSAVE"]);
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let mut chance = chance.branch(number);
                let (server, scale, is_over) = (&server, &scale, &is_over);
                scope.spawn(move || write_paced(server, scale, &mut chance, is_over))
            })
            .collect();
        loop {
            held.fetch_max(number(&mut client, "persistence", "current_cow_size"), Ordering::Relaxed);
            used.fetch_max(number(&mut client, "memory", "used_memory"), Ordering::Relaxed);
            resident.fetch_max(server.resident_bytes(), Ordering::Relaxed);
            let running = ["rdb_bgsave_in_progress", "backup_in_progress"];
            if running.iter().all(|name| field(&mut client, "persistence", name) == "0") {
                break;
            }
            assert!(began.elapsed() < scale.patience, "they never end\n{}", server.log());
            sleep(Duration::from_millis(20));
        }
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("it writes until told to stop")).sum::<u64>()
    });
    let took = began.elapsed();
    let (held, used) = (held.into_inner(), used.into_inner().saturating_sub(used_before));
    let resident = resident.into_inner().saturating_sub(before);
    let spilled = number(&mut client, "persistence", "snapshot_spilled_bytes");
    tools::tell(&format!(
        "{writes} writes in {took:.1?}, {} a second; held {} MiB of 2 x {} MiB, resident {} MiB more, used {} MiB \
         more; {} MiB put aside",
        writes as u128 * 1_000 / took.as_millis().max(1),
        held >> 20,
        bound >> 20,
        resident >> 20,
        used >> 20,
        spilled >> 20
    ));
    assert!(held <= 2 * bound, "{held} bytes were held");
    assert!(used <= 2 * bound + KEPT_BYTES, "{used} bytes more were used");
    assert!(resident <= 2 * bound + KEPT_BYTES, "it took {resident} bytes more\n{}", server.log());
    let is_saved = is_made(&server, &mut client, "rdb_last_bgsave_status", "Background saving error");
    let is_backed_up = is_made(&server, &mut client, "backup_last_status", "failed and was removed");
    tools::tell(&format!("save: {is_saved}, backup: {is_backed_up}"));
    server.log().lines().filter(|line| line.contains("given up")).for_each(tools::tell);
    assert!(spilled > 0 || !is_backed_up, "nothing was put aside");
    assert_eq!(field(&mut client, "persistence", "current_cow_size"), "0");
    assert_eq!(field(&mut client, "persistence", "snapshot_held_bytes"), "0");
}
