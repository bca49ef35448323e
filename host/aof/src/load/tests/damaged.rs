//! Damaged logs: what is refused, what is cut, and what is told of it.

use super::*;

#[test]
fn damage_before_a_good_batch_refuses_the_start() {
    let (first, second) = (one(), two());
    for at in HEADER_BYTES..first.len() {
        let mut file = [first.as_slice(), &second].concat();
        file[at] ^= 0x20;
        let refused = Place::of(&[&file]).refused();
        assert!(refused.contains("tenon check aof"), "byte {at}: {refused}");
        assert!(refused.contains("at offset 0"), "byte {at}: {refused}");
    }
}

#[test]
fn a_damaged_end_is_cut_where_it_may_be_and_kept_beside() {
    let (first, second) = (one(), two());
    let mut wrong = [first.as_slice(), &second, &batch(300, 0, &["SET e 5"])].concat();
    wrong[first.len() + HEADER_BYTES + 9] ^= 0x20;
    let tail = (wrong.len() - first.len()) as u64;
    let allowing = |bytes| LoadOptions { damaged_tail_bytes_max: bytes, ..OPTIONS };

    let place = Place::of(&[&wrong]);
    let refused = place.load_with(allowing(tail - 1)).0.expect_err("more than may be cut").to_string();
    assert!(refused.contains("a good batch follows"), "{refused}");
    assert_eq!(place.increment(1), wrong, "nothing is changed by a refusal");

    let (result, transcript) = place.load_with(allowing(tail));
    let loaded = result.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((transcript.commands.len(), loaded.cut_bytes), (2, tail));
    assert_eq!(place.increment(1), first);
    let kept = place.directory.file(&format!("{NAME}.1.incr.aof.cut-at-{}", first.len()));
    assert_eq!(place.disk.content(&kept).as_deref(), Some(&wrong[first.len()..]));
    assert!(transcript.notices[0].contains("is damaged at offset "), "{:?}", transcript.notices);
    assert!(transcript.notices[1].contains(&format!("{tail} bytes are cut off, and kept in /d/aof/")));

    // Commands of another server, then what none wrote; in the midst of a transaction, too.
    for begun in [vec!["SET b 2"], vec!["SET b 2", "MULTI", "SET c 3"]] {
        let garbage = [commands(&begun[1..]), b"hello\r\n".to_vec()].concat();
        let file = [commands(&["SELECT 0", "SET b 2"]), garbage.clone()].concat();
        let place = Place::of(&[&file]);
        let (result, transcript) = place.load_with(allowing(garbage.len() as u64));
        assert_eq!(result.map(|loaded| loaded.cut_bytes).ok(), Some(garbage.len() as u64));
        assert_eq!(transcript.commands, ["SELECT 0", "SET b 2"]);
        assert_eq!(place.increment(1), commands(&["SELECT 0", "SET b 2"]));
    }
}

#[test]
fn damage_that_is_not_at_the_end_of_the_log_is_never_cut() {
    let options = LoadOptions { damaged_tail_bytes_max: 1 << 20, ..OPTIONS };
    let garbage = [command("SET a 1").as_slice(), b"hello\r\n"].concat();
    let place = Place::of(&[&garbage, &command("SET b 2")]);
    assert!(place.load_with(options).0.is_err(), "a file follows");
    assert_eq!(place.increment(1), garbage);

    let mut manifest = Manifest::default();
    let name = manifest.replace_base(NAME, false);
    let place = Place { disk: MemoryDisk::new(), directory: Directory::new("/d/aof", NAME) };
    place.disk.put(&place.directory.file(&name), &garbage);
    place.disk.put(&place.directory.file(&place.directory.manifest_name()), manifest.print().as_bytes());
    assert!(place.load_with(options).0.is_err(), "a base");

    // A command that nobody knows is no damage.
    let unknown = [command("SET a 1"), command("NOSUCH")].concat();
    assert!(Place::of(&[&unknown]).load_with(options).0.is_err());
}

/// Two headers are damaged: what is behind the second one begins with a SELECT of ours, not of another server.
#[test]
fn damage_in_two_headers_is_not_taken_for_another_server() {
    // Written before anything was safe: all of it may be cut.
    let mut content =
        [batch(100, 0, &["SELECT 0", "SET a 1"]), batch_behind(10_000, 200, 1, &["SELECT 1", "SET b 2"])]
            .concat();
    let second = content.len() / 2;
    content[70] ^= 0x80;
    content[second + 70] ^= 0x80;
    let (result, transcript) = Place::of(&[&content]).load_with(OPTIONS);
    assert_eq!(result.expect("it is cut").cut_bytes, content.len() as u64);
    assert!(transcript.commands.is_empty(), "{:?}", transcript.commands);
}

/// A flipped bit may leave a command that is read as PING; what is behind it is not to be trusted.
#[test]
fn a_header_that_is_still_read_as_ping_is_a_damaged_one() {
    for (place, bit) in [(8, 0x20), (12, 0x01), (13, 0x40)] {
        let mut content = [one(), two()].concat();
        content[one().len() + place] ^= bit;
        let (result, transcript) = Place::of(&[&content]).load_with(OPTIONS);
        assert_eq!(result.expect("it is cut").cut_bytes, two().len() as u64);
        assert_eq!(transcript.commands, ["SELECT 0", "SET a 1"]);
    }
}

/// What is left of a base would be a part of the data that was there at no time.
#[test]
fn a_base_of_ours_is_never_cut() {
    let place = Place::of(&[]);
    let mut manifest = Manifest::default();
    let name = manifest.replace_base(NAME, false);
    place.disk.put(&place.directory.file(&place.directory.manifest_name()), manifest.print().as_bytes());
    let base = [one(), two()].concat();
    let load_of = |content: &[u8]| {
        place.disk.put(&place.directory.file(&name), content);
        place.load_with(OPTIONS).0
    };
    assert!(load_of(&base).expect("a good base").commands > 1);
    for cut in [base.len() - 1, one().len() + 1, one().len() - 1] {
        let error = load_of(&base[..cut]).expect_err("a torn base").to_string();
        assert!(error.contains("a batch of the base is damaged") && error.contains(&name), "{error}");
    }
    let (error, name_of_dump) =
        (load_of(b"").map(|loaded| loaded.commands), manifest.replace_base(NAME, true));
    assert_eq!(error.ok(), Some(0), "a base of no commands is that of no data");
    place.disk.put(&place.directory.file(&place.directory.manifest_name()), manifest.print().as_bytes());
    place.disk.put(&place.directory.file(&name_of_dump), b"");
    assert!(place.refused().contains("the base is empty, expected an RDB file"), "{}", place.refused());
    place.disk.put(&place.directory.file(&name_of_dump), &[0; 40]);
    assert!(place.refused().contains("no RDB file, which the base is"), "{}", place.refused());
    let mut manifest = Manifest::default();
    manifest.replace_base(NAME, false);
    place.disk.put(&place.directory.file(&place.directory.manifest_name()), manifest.print().as_bytes());
    // What a server of old left may be torn.
    let old = commands(&["SET a 1", "SET b 2"]);
    assert_eq!(load_of(&old[..old.len() - 1]).expect("an old base").commands, 1);
}

#[test]
fn a_value_that_looks_like_very_many_batches_does_not_stall_a_load() {
    // Each claims everything behind it: reading them all would take hundreds of times the file.
    let count = 8_000;
    let mut value = Vec::new();
    for index in 0..count {
        let start = value.len();
        value.extend_from_slice(&batch(5, 0, &[])[..HEADER_BYTES]);
        let bytes = (count - index - 1) * HEADER_BYTES;
        let digits = start + crate::header::OPENING.len();
        value[digits..digits + 12].copy_from_slice(format!("{bytes:012}").as_bytes());
    }
    let frame = Frame {
        header: Some((UnixMillis(1), &ID)),
        timestamp: None,
        select: false,
        offset: ReplicationOffset(9),
        db: 0,
        unsynced_bytes: 0,
    };
    let mut set = Vec::new();
    write_request(&mut set, OwnedArgs::from(&[b"SET".as_slice(), b"k", &value, b"KEEPTTL"]).as_args());
    let mut content = Vec::new();
    frame.write(&mut content, std::iter::once(set.as_slice()));
    content.truncate(content.len() - 20);
    let refusal = Place::of(&[&content]).refused();
    assert!(refusal.contains("given up at offset"), "{refusal}");
}

#[test]
fn a_page_that_a_loss_of_power_took_is_no_damage_while_nothing_behind_it_was_safe() {
    let first = batch(10, 0, &["SET a 1"]);
    let (second, length) = (batch(20, 0, &["SET b 1"]), first.len());
    let lost = vec![0; second.len()];
    let halved = [&second[..second.len() - 9], &[0; 9]].concat();
    for damaged in [&lost, &halved] {
        let third = batch_behind(second.len() as u64, 30, 0, &["SET c 1"]);
        let place = Place::of(&[&[&first[..], damaged, &third].concat()]);
        let (loaded, commands) = place.load();
        assert_eq!(
            (commands.as_slice(), loaded.cut_bytes as usize),
            (&["SET a 1".to_owned()][..], damaged.len() + third.len())
        );
        // It was durable when the third was written, so something else has happened to it.
        let third = batch(30, 0, &["SET c 1"]);
        let refusal = Place::of(&[&[&first[..], damaged, &third].concat()]).refused();
        let follows = format!("a good batch follows at offset {}", length + damaged.len());
        assert!(refusal.contains(&follows), "{refusal}");
        // Of the last two only the later one knows.
        let third = batch_behind(second.len() as u64, 30, 0, &["SET c 1"]);
        let fourth = batch(40, 0, &["SET d 1"]);
        let refusal = Place::of(&[&[&first[..], damaged, &third, &fourth].concat()]).refused();
        assert!(refusal.contains("a good batch follows at offset"), "{refusal}");
    }
}

/// A header that lost as many bytes as mark a SELECT swallows the mark: the SELECT behind it is still ours.
#[test]
fn a_header_that_swallows_the_mark_is_a_damaged_one() {
    let last = batch(200, 0, &["SELECT 3", "SET b 2", "SET c 3"]);
    for lost in 40..HEADER_BYTES - 10 {
        let mut file = [one(), last.clone()].concat();
        file.drain(one().len() + lost..one().len() + lost + 3);
        let place = Place::of(&[&file]);
        if let (Ok(loaded), transcript) = place.load_with(OPTIONS) {
            assert_eq!(transcript.commands, ["SELECT 0", "SET a 1"], "without 3 bytes from {lost} on");
            assert!(loaded.cut_bytes > 0);
        }
    }
}
