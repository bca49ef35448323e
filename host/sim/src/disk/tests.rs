//! What the disk keeps and what it loses, by what was synced.
//! Always: each loss is drawn often enough to be seen.

use std::path::Path;

use tenon_base::{Dice, Disk};

use super::{CrashDisk, Trouble};

const PATH: &str = "/data/f";

/// A disk with one file whose name is sure.
fn with_file(seed: u64) -> (CrashDisk, std::sync::Arc<dyn tenon_base::DiskFile>) {
    let disk = CrashDisk::new(Dice::seeded(seed));
    let file = disk.create(Path::new(PATH)).expect("a file");
    disk.sync_directory(Path::new("/data")).expect("a sync");
    (disk, file)
}

#[test]
fn a_loss_of_power_takes_only_what_no_fsync_covered() {
    let (mut lost, mut torn, mut holes) = (0, 0, 0);
    for seed in 0..500 {
        let (disk, file) = with_file(seed);
        file.append(b"sure").expect("an append");
        file.sync().expect("an fsync");
        let pages: Vec<u8> = (0..3).flat_map(|page| [b'a' + page; 4_096]).collect();
        file.append(&pages).expect("an append");
        disk.lose_power();
        let content = disk.content(Path::new(PATH)).expect("the name was sure");
        assert!(content.starts_with(b"sure") && content.len() <= 4 + pages.len(), "seed {seed}");
        let rest = &content[4..];
        assert!(rest.iter().zip(&pages).all(|(kept, written)| kept == written || *kept == 0), "seed {seed}");
        lost += usize::from(rest.is_empty());
        torn += usize::from(!rest.len().is_multiple_of(4_096) && !rest.contains(&0));
        holes += usize::from(rest.contains(&0));
    }
    assert!(lost > 50 && torn > 50 && holes > 50, "{lost} lost, {torn} torn, {holes} with holes");
}

#[test]
fn a_process_that_dies_loses_nothing() {
    let (disk, file) = with_file(1);
    file.append(b"written").expect("an append");
    disk.kill();
    assert_eq!(disk.content(Path::new(PATH)), Some(b"written".to_vec()));
}

#[test]
fn names_are_lost_until_their_directory_is_synced() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..200 {
        let (disk, _) = with_file(seed);
        disk.create(Path::new("/data/new")).expect("a file");
        disk.rename(Path::new(PATH), Path::new("/data/moved")).expect("a rename");
        disk.lose_power();
        let there = |path: &str| disk.content(Path::new(path)).is_some();
        assert!(there(PATH) != there("/data/moved"), "a rename is one change, seed {seed}");
        if there("/data/new") { kept += 1 } else { lost += 1 }
    }
    assert!(kept > 50 && lost > 50, "{kept} kept, {lost} lost");
}

#[test]
fn a_failed_fsync_loses_what_a_later_one_calls_safe() {
    let lost = (0..200).filter(|&seed| {
        let (disk, file) = with_file(seed);
        file.append(b"doubtful").expect("an append");
        disk.set_trouble(Trouble { sync: 1_000, ..Trouble::default() });
        file.sync().expect_err("the failure asked for");
        disk.set_trouble(Trouble::default());
        file.sync().expect("a false success");
        assert_eq!(disk.content(Path::new(PATH)), Some(b"doubtful".to_vec()), "processes still see it");
        disk.lose_power();
        disk.content(Path::new(PATH)) != Some(b"doubtful".to_vec())
    });
    assert!(lost.count() > 50);
}

#[test]
fn nothing_happens_after_a_halt() {
    let (disk, file) = with_file(1);
    disk.halt_after(1);
    file.append(b"whole").expect("an append");
    file.append(b"torn").expect_err("the halt");
    assert!(disk.is_halted());
    file.append(b"after").expect_err("nothing happens any more");
    let content = disk.content(Path::new(PATH)).expect("a file");
    assert!(b"wholetorn".starts_with(content.as_slice()) && content.starts_with(b"whole"));
    disk.kill();
    file.append(b"!").expect("a healthy disk");
}

#[test]
fn a_full_disk_takes_a_part() {
    let (disk, file) = with_file(1);
    disk.set_trouble(Trouble { capacity_bytes: Some(6), ..Trouble::default() });
    assert_eq!(disk.free_bytes(Path::new("/data")), Some(6));
    let error = file.append(b"12345678").expect_err("no room");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!((file.length().ok(), disk.free_bytes(Path::new("/data"))), (Some(6), Some(0)));
}
