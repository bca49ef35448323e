//! Backups of an engine in process: what is written, told, refused, given up and recognised.

use std::sync::Arc;

use tenon_aof::memory_disk::{MemoryDisk, Operation};

use super::*;
use crate::testing::{Bench, START_UNIX_US};

fn bench() -> (Bench, Arc<MemoryDisk>) {
    let disk = Arc::new(MemoryDisk::default());
    let mut bench = Bench::on_disk(&[("dir", "/data"), ("save", "")], disk.clone());
    for number in 0..300 {
        bench.run(1, &format!("SET key:{number} {number}"));
    }
    bench.run(1, "SELECT 3");
    bench.run(1, "RPUSH list a b c");
    (bench, disk)
}

#[test]
fn a_backup_is_a_directory_with_a_manifest() {
    let (mut bench, disk) = bench();
    assert!(bench.run(1, "BACKUP STATUS").starts_with(r#"["status", "none", "directory", "","#));
    assert_eq!(bench.run(1, "BACKUP LIST"), "[]");
    assert_eq!(bench.run(1, "BACKUP START nightly"), r#""/data/backups/nightly""#);
    let status = bench.run(1, "BACKUP STATUS");
    assert!(status.contains(r#""status", "ok", "directory", "/data/backups/nightly""#), "{status}");
    assert!(status.contains(r#""keys-done", 301, "keys-total", 301"#), "{status}");
    assert!(status.contains(r#""percentage", "100.00""#), "{status}");
    let manifest =
        read_manifest(&*disk, Path::new("/data/backups/nightly")).expect("a manifest").expect("sound");
    assert!(manifest.is_complete);
    assert_eq!(manifest.databases, [(0, 300), (3, 1)]);
    assert_eq!(manifest.moment_unix_ms, START_UNIX_US / 1_000);
    let dump = disk.content(Path::new("/data/backups/nightly/dump.rdb")).expect("a dump");
    let mut digest = crc64fast::Digest::new();
    digest.write(&dump);
    let [file] = manifest.files.as_slice() else { panic!("{manifest:?}") };
    assert_eq!((file.bytes, file.checksum), (dump.len() as u64, digest.sum64()));

    // It starts a server.
    let mut restored = Bench::on_disk(&[("dir", "/data/backups/nightly")], disk);
    assert_eq!(restored.run(1, "DBSIZE"), "300");
    assert_eq!(restored.run(1, "GET key:299"), r#""299""#);
}

#[test]
fn a_backup_without_a_name_is_called_after_its_moment_and_listed() {
    let (mut bench, _) = bench();
    let directory = bench.run(1, "BACKUP START");
    assert_eq!(directory, r#""/data/backups/backup-2023-11-14T22-13-20-000""#);
    bench.sleep(1_500);
    assert_eq!(bench.run(1, "BACKUP START later"), r#""/data/backups/later""#);
    let list = bench.run(1, "BACKUP LIST");
    let first = list.find("backup-2023-11-14T22-13-20-000").expect("the first");
    assert!(first < list.find(r#""name", "later""#).expect("the second"), "{list}");
    assert_eq!(list.matches(r#""keys", 301"#).count(), 2, "{list}");
}

#[test]
fn what_cannot_be_a_backup_is_refused() {
    let (mut bench, disk) = bench();
    for name in ["../up", "/abs", ".hidden", "a/b", "''", "'a b'", &"x".repeat(129)] {
        let refusal = bench.run(1, &format!("BACKUP START {name}"));
        assert!(
            refusal.starts_with("(error) ERR The backup cannot begin: the name of a backup is"),
            "{refusal}"
        );
    }
    disk.put(Path::new("/data/backups/taken/file"), b"somebody's");
    let refusal = bench.run(1, "BACKUP START taken");
    assert!(refusal.contains("/data/backups/taken is there already"), "{refusal}");
    assert!(bench.run(1, "BACKUP START a b").contains("wrong number of arguments"));
    assert_eq!(bench.run(1, "BACKUP ABORT"), "(error) ERR No backup is being written");
    bench.run(1, "MULTI");
    assert!(bench.run(1, "BACKUP START inside").starts_with("(error) ERR "));
    bench.run(1, "DISCARD");
}

#[test]
fn a_backup_that_fails_leaves_nothing_and_says_why() {
    for operation in [Operation::Create, Operation::Append, Operation::Sync, Operation::Rename] {
        for after in 0..3 {
            let (mut bench, disk) = bench();
            disk.fail(operation, after, 1, std::io::ErrorKind::StorageFull);
            bench.run(1, "BACKUP START fails");
            let status = bench.run(1, "BACKUP STATUS");
            if status.contains(r#""status", "ok""#) {
                continue; // it has fewer of these than that
            }
            assert!(status.contains(r#""status", "failed""#), "{operation:?} {after}: {status}");
            assert!(!status.ends_with(r#""error", ""]"#), "{operation:?} {after}: {status}");
            let left: Vec<_> =
                disk.paths().into_iter().filter(|path| path.starts_with("/data/backups")).collect();
            assert!(left.is_empty(), "{operation:?} {after}: {left:?}");
            disk.heal();
            bench.run(1, "BACKUP START fails");
            assert!(bench.run(1, "BACKUP STATUS").contains(r#""status", "ok""#));
        }
    }
}

#[test]
fn an_unfinished_backup_is_not_listed_and_not_started_from() {
    let (mut bench, disk) = bench();
    bench.run(1, "BACKUP START good");
    let manifest =
        read_manifest(&*disk, Path::new("/data/backups/good")).expect("a manifest").expect("sound");
    let unfinished = BackupManifest { is_complete: false, files: Vec::new(), ..manifest };
    disk.put(Path::new("/data/backups/torn/backup.txt"), unfinished.text().as_bytes());
    disk.put(Path::new("/data/backups/strange/backup.txt"), b"?");
    // A disk in memory lists what is in a directory, and has no directories within it.
    let found =
        [("torn", "was never finished"), ("strange", "looks like a backup, and is none to start from")];
    for (name, sentence) in found {
        let directory = format!("/data/backups/{name}");
        let bench = Bench::before_start(&[("dir", &directory)], disk.clone());
        let error = bench.engine.check_backup_at_start(&*disk).expect_err("no start");
        assert!(error.contains(sentence) && error.contains(&directory), "{error}");
    }
    let directives = [("dir", "/data/backups/good"), ("dbfilename", "other.rdb")];
    let bench = Bench::before_start(&directives, disk.clone());
    let error = bench.engine.check_backup_at_start(&*disk).expect_err("another name");
    assert!(error.contains("in dump.rdb, and 'dbfilename' is another"), "{error}");
}
