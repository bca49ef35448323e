//! Loads in the middle of which clients come, ask, leave and end the server.

use std::sync::Arc;

use tenon_aof::memory_disk::MemoryDisk;
use tenon_base::{Disk, Input, Report, Signal};

use crate::testing::Bench;

const REFUSED: &str = "(error) LOADING Redis is loading the dataset in memory";
/// Slow enough that somebody is heard at every key.
const SLOWLY: (&str, &str) = ("key-load-delay", "20000");

/// A disk with a dump of forty keys, or with a log of them.
fn saved(directives: &[(&str, &str)]) -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::default());
    let mut bench = Bench::on_disk(directives, disk.clone());
    for number in 0..40 {
        bench.run(1, &format!("SET key:{number} {number}"));
    }
    assert_eq!(bench.run(1, "SAVE"), "OK");
    disk
}

fn bytes_of(disk: &MemoryDisk, path: &str) -> Vec<u8> {
    let file = disk.open(path.as_ref(), false).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn clients_are_answered_while_a_dump_is_loaded() {
    let mut bench = Bench::before_start(&[SLOWLY], saved(&[]));
    for line in
        ["PING", "GET key:1", "SET key:1 x", "CLIENT GETNAME", "CONFIG SET appendonly yes", "DEBUG RELOAD"]
    {
        bench.meanwhile(7, line);
    }
    bench.meanwhile(8, "CONFIG SET maxmemory 1mb");
    bench.meanwhile(8, "INFO persistence");
    bench.meanwhile_leaves(7);
    bench.meanwhile_asked(Report::Readiness);
    bench.start();
    assert_eq!(bench.still_coming(), 0);
    let heard = [
        REFUSED,
        REFUSED,
        REFUSED,
        "(nil)",
        REFUSED,
        "(error) ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
         from a local connection, otherwise you need to set this option in the configuration file, and then restart \
         the server.",
    ];
    assert_eq!(bench.shown(7), heard.join("; "));
    let told = bench.shown(8);
    assert!(
        told.starts_with("OK; ") && told.contains("loading:1") && told.contains("async_loading:0"),
        "{told}"
    );
    for field in
        ["loading_start_time:17", "loading_total_bytes:", "loading_rdb_used_mem:", "loading_eta_seconds:"]
    {
        assert!(told.contains(field), "{field} in {told}");
    }
    let reported = bench.take_reported();
    assert_eq!((reported[0].is_good, reported[0].text.as_str()), (false, "the dataset is being loaded\n"));
    assert_eq!((bench.run(8, "GET key:1"), bench.run(8, "DBSIZE")), ("\"1\"".to_owned(), "40".to_owned()));
    assert!(bench.text(8, "INFO persistence").contains("loading:0"));
    assert!(!bench.text(8, "CLIENT LIST").contains("id=7 "));
}

#[test]
fn the_first_base_of_a_log_keeps_how_often_keys_were_used() {
    let disk = Arc::new(MemoryDisk::default());
    let by_use = [("maxmemory-policy", "allkeys-lfu"), ("lfu-log-factor", "0"), ("appendonly", "no")];
    let mut bench = Bench::on_disk(&by_use, disk.clone());
    bench.run(1, "SET hot 1");
    for _ in 0..20 {
        bench.run(1, "GET hot");
    }
    let used = bench.run(1, "OBJECT FREQ hot");
    assert!(used.parse::<u32>().is_ok_and(|used| used >= 20), "{used}");
    assert_eq!(bench.run(1, "SAVE"), "OK");
    drop(bench);
    let logged = [by_use[0], by_use[1], ("appendonly", "yes")];
    drop(Bench::on_disk(&logged, disk.clone()));
    let mut bench = Bench::on_disk(&logged, disk);
    assert_eq!((bench.run(1, "DBSIZE"), bench.run(1, "OBJECT FREQ hot")), ("1".to_owned(), used));
}

#[test]
fn a_transaction_that_needs_data_is_refused() {
    let mut bench = Bench::before_start(&[SLOWLY], saved(&[]));
    for line in ["MULTI", "CLIENT ID", "EXEC", "MULTI", "GET key:1", "EXEC"] {
        bench.meanwhile(7, line);
    }
    bench.start();
    let heard = format!(
        "OK; QUEUED; [7]; OK; {REFUSED}; (error) EXECABORT Transaction discarded because of previous errors."
    );
    assert_eq!(bench.shown(7), heard);
}

#[test]
fn clients_are_answered_while_a_log_is_loaded() {
    let log = ("appendonly", "yes");
    for preamble in ["yes", "no"] {
        let directives = [log, ("aof-use-rdb-preamble", preamble)];
        let mut bench = Bench::before_start(&[log, SLOWLY], saved(&directives));
        bench.meanwhile(7, "GET key:1");
        bench.meanwhile(7, "INFO persistence");
        bench.start();
        let heard = bench.shown(7);
        assert!(heard.starts_with(REFUSED) && heard.contains("loading:1"), "{heard}");
        assert_eq!(bench.run(7, "DBSIZE"), "40");
    }
}

#[test]
fn clients_know_commands_by_other_names_than_the_log() {
    let log = ("appendonly", "yes");
    let mut bench = Bench::before_start(&[log, SLOWLY, ("rename-command", "SET PUT")], saved(&[log]));
    bench.meanwhile(7, "SET a b");
    bench.meanwhile(7, "PUT a b");
    bench.start();
    let unknown = "(error) ERR unknown command 'SET', with args beginning with: 'a' 'b' ";
    assert_eq!(bench.shown(7), format!("{unknown}; {REFUSED}"));
    assert_eq!((bench.run(7, "PUT a b"), bench.run(7, "DBSIZE")), ("OK".to_owned(), "41".to_owned()));
}

#[test]
fn a_shutdown_ends_a_load_and_saves_nothing() {
    for (line, signal) in [
        ("SHUTDOWN", None),
        ("SHUTDOWN SAVE", None),
        ("PING", Some(Signal::Terminate)),
        ("PING", Some(Signal::Interrupt)),
    ] {
        let disk = saved(&[]);
        let before = bytes_of(&disk, "./dump.rdb");
        let mut bench = Bench::before_start(&[SLOWLY], disk.clone());
        bench.meanwhile(7, line);
        if let Some(signal) = signal {
            bench.meanwhile_signalled(signal);
        }
        bench.meanwhile(7, "PING");
        bench.start();
        assert_eq!(bench.exit_code, Some(0), "{line}");
        assert_eq!(bench.still_coming(), 1, "nobody is heard any more");
        bench.sleep(10_000);
        assert_eq!(bytes_of(&disk, "./dump.rdb"), before);
    }
}

#[test]
fn a_signal_before_the_load_saves_nothing() {
    let disk = saved(&[]);
    let before = bytes_of(&disk, "./dump.rdb");
    let mut bench = Bench::before_start(&[], disk.clone());
    bench.with_world(|engine, now, world| engine.start(now, world)).unwrap();
    bench.input(Input::Signal(Signal::Terminate));
    bench.settle();
    assert_eq!((bench.exit_code, bytes_of(&disk, "./dump.rdb")), (Some(0), before));
}

#[test]
fn who_has_the_server_end_in_a_reload_cannot_save_what_is_left() {
    let disk = saved(&[]);
    let mut bench = Bench::on_disk(&[SLOWLY, ("enable-debug-command", "yes")], disk.clone());
    let before = bytes_of(&disk, "./dump.rdb");
    bench.meanwhile(7, "SHUTDOWN");
    let replies = bench.send_bytes(1, b"DEBUG RELOAD NOSAVE\r\nSAVE\r\nGET key:1\r\n");
    assert_eq!(replies.len(), 3);
    let shown: Vec<String> = replies.iter().map(ToString::to_string).collect();
    let failed = "(error) ERR Error trying to load the RDB dump, check server logs";
    assert_eq!(shown, [failed, REFUSED, REFUSED]);
    assert_eq!((bench.exit_code, bytes_of(&disk, "./dump.rdb")), (Some(0), before));
}

#[test]
fn a_reload_hears_others() {
    let mut bench = Bench::on_disk(&[SLOWLY, ("enable-debug-command", "yes")], saved(&[]));
    for line in ["GET key:1", "DEBUG POPULATE 1", "DEBUG RELOAD", "DEBUG LOG x"] {
        bench.meanwhile(7, line);
    }
    assert_eq!(bench.run(1, "DEBUG RELOAD"), "OK");
    assert_eq!(bench.shown(7), format!("{REFUSED}; {REFUSED}; {REFUSED}; OK"));
    assert_eq!(bench.run(7, "DBSIZE"), "40");
}

#[test]
fn the_delay_of_a_load_can_be_taken_back() {
    let mut bench = Bench::before_start(&[("key-load-delay", "1000000000")], saved(&[]));
    bench.meanwhile(7, "CONFIG SET key-load-delay 0");
    bench.start();
    assert_eq!((bench.shown(7), bench.run(7, "DBSIZE")), ("OK".to_owned(), "40".to_owned()));
}

#[test]
fn a_dump_that_cannot_be_read_ends_the_start() {
    let disk = saved(&[]);
    let length = bytes_of(&disk, "./dump.rdb").len() as u64;
    disk.open("./dump.rdb".as_ref(), false).unwrap().truncate(length / 2).unwrap();
    let mut bench = Bench::before_start(&[], disk);
    bench.start();
    assert_eq!(bench.exit_code, Some(1));
    assert_eq!(bench.run(1, "PING"), REFUSED, "as long as the process lives, nobody takes it for a server");
}

#[test]
fn what_is_loaded_beside_is_seen_when_it_is_complete() {
    let disk = saved(&[]);
    let mut bench = Bench::on_disk(&[SLOWLY], disk.clone());
    bench.run(1, "SET key:1 old");
    bench.run(1, "SET mine 1");
    for line in
        ["GET key:1", "DBSIZE", "SET key:1 x", "BGSAVE", "REPLICAOF NO ONE", "CONFIG SET appendonly yes"]
    {
        bench.meanwhile(7, line);
    }
    bench.meanwhile(7, "INFO persistence");
    let file = disk.open("./dump.rdb".as_ref(), false).unwrap();
    let loaded = bench.with_world(|engine, now, world| engine.replace_by_rdb(now, &file, true, world));
    assert_eq!(loaded.unwrap().keys, 40);
    let heard = bench.shown(7);
    assert!(
        heard.starts_with(&format!("\"old\"; 41; {REFUSED}; {REFUSED}; {REFUSED}; {REFUSED}; ")),
        "{heard}"
    );
    assert!(heard.contains("loading:0") && heard.contains("async_loading:1"), "{heard}");
    assert_eq!(
        (bench.run(7, "GET key:1"), bench.run(7, "GET mine")),
        ("\"1\"".to_owned(), "(nil)".to_owned())
    );
}

#[test]
fn a_load_beside_that_fails_leaves_everything() {
    let disk = saved(&[]);
    let mut bench = Bench::on_disk(&[], disk.clone());
    bench.run(1, "SET mine 1");
    bench.run(
        1,
        r##"FUNCTION LOAD "#!lua name=one\nredis.register_function('one', function() return 1 end)""##,
    );
    let file = disk.open("./dump.rdb".as_ref(), false).unwrap();
    file.truncate(file.length().unwrap() - 12).unwrap();
    for is_beside in [true, false] {
        let loaded =
            bench.with_world(|engine, now, world| engine.replace_by_rdb(now, &file, is_beside, world));
        assert!(loaded.is_err());
        assert_eq!(
            (bench.run(1, "GET mine"), bench.run(1, "FCALL one 0")),
            ("\"1\"".to_owned(), "1".to_owned())
        );
    }
}

#[test]
fn nobody_writes_to_data_that_is_yet_to_be_loaded() {
    let mut bench = Bench::before_start(&[], saved(&[]));
    let connection = bench.connect(1);
    bench.input(Input::Received { connection, bytes: b"SET early 1\r\n" });
    assert_eq!(bench.shown(1), REFUSED);
    bench.start();
    assert_eq!((bench.run(1, "GET early"), bench.run(1, "DBSIZE")), ("(nil)".to_owned(), "40".to_owned()));
}
